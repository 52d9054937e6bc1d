//! Limits: memory, processors, processes, block devices; and what becomes of the output.

use serde_json::Value;

use super::super::recipe::Recipe;
use super::super::values::{bytes, is_true, number, text};
use super::super::yaml::Yaml;

/// What Podman records if the options are not given.
const PIDS_LIMIT: i64 = 2048;
const SHM_SIZE: i64 = 65_536_000;
const UMASK: &str = "0022";

pub(super) fn read(recipe: &mut Recipe, config: &Value, spec: &Value) {
    let null = Value::Null;
    let resources = spec.pointer("/linux/resources").unwrap_or(&null);
    let group = |group: &str| resources.get(group).unwrap_or(&null);
    for (key, flag, member) in [
        ("limit", "--memory", "mem_limit"),
        ("reservation", "--memory-reservation", "mem_reservation"),
        ("swap", "--memory-swap", "memswap_limit"),
    ] {
        if let Some(limit) = number(group("memory"), key) {
            recipe.both(flag, member, bytes(limit));
        }
    }
    plain(recipe, "--memory-swappiness", "mem_swappiness", group("memory").get("swappiness"));
    if group("memory").get("disableOOMKiller").and_then(Value::as_bool) == Some(true) {
        recipe.flag("--oom-kill-disable", "oom_kill_disable");
    }
    for (key, flag, member) in [
        ("quota", "--cpu-quota", "cpu_quota"),
        ("period", "--cpu-period", "cpu_period"),
        ("shares", "--cpu-shares", "cpu_shares"),
        ("realtimePeriod", "--cpu-rt-period", "cpu_rt_period"),
        ("realtimeRuntime", "--cpu-rt-runtime", "cpu_rt_runtime"),
    ] {
        if number(group("cpu"), key).is_some() {
            plain(recipe, flag, member, group("cpu").get(key));
        }
    }
    if let Some(cpus) = text(group("cpu"), "cpus") {
        recipe.both("--cpuset-cpus", "cpuset", cpus);
    }
    if let Some(nodes) = text(group("cpu"), "mems") {
        recipe.option("--cpuset-mems", nodes);
        recipe.not_in_compose.push(format!("--cpuset-mems {nodes}"));
    }
    if let Some(limit) = group("pids").get("limit").filter(|limit| limit.as_i64() != Some(PIDS_LIMIT)) {
        recipe.option("--pids-limit", limit.to_string());
        // Compose treats 0 as unset.
        let none = if limit.as_i64() == Some(0) { "-1".to_owned() } else { limit.to_string() };
        recipe.member("pids_limit", Yaml::Plain(none));
    }
    let score = spec.pointer("/process/oomScoreAdj").filter(|score| score.as_i64() != Some(0));
    plain(recipe, "--oom-score-adj", "oom_score_adj", score);
    if let Some(size) = number(config, "shmSize").filter(|size| *size != SHM_SIZE) {
        recipe.both("--shm-size", "shm_size", bytes(size));
    }
    block_devices(recipe, group("blockIO"));
    for (key, value) in resources.get("unified").and_then(Value::as_object).into_iter().flatten() {
        let setting = format!("{key}={}", value.as_str().unwrap_or_default());
        recipe.not_in_compose.push(format!("--cgroup-conf {setting}"));
        recipe.option("--cgroup-conf", setting);
    }
    ulimits(recipe, spec);
    logging(recipe, config);
    let timeout = number(config, "timeout").map(|seconds| seconds.to_string());
    let always = is_true(config, "systemd").then(|| "always".to_owned());
    for (flag, value) in [
        ("--umask", text(config, "umask").filter(|umask| *umask != UMASK).map(str::to_owned)),
        ("--tz", text(config, "timezone").map(str::to_owned)),
        ("--timeout", timeout),
        ("--systemd", always),
    ] {
        if let Some(value) = value {
            recipe.not_in_compose.push(format!("{flag} {value}"));
            recipe.option(flag, value);
        }
    }
}

/// A number, if there is one.
fn plain(recipe: &mut Recipe, flag: &str, member: &str, value: Option<&Value>) {
    if let Some(value) = value.filter(|value| value.is_number()).map(Value::to_string) {
        recipe.option(flag, value.clone());
        recipe.member(member, Yaml::Plain(value));
    }
}

fn block_devices(recipe: &mut Recipe, limits: &Value) {
    let weight = number(limits, "weight").map(|weight| weight.to_string());
    if let Some(weight) = weight {
        recipe.option("--blkio-weight", weight.clone());
        recipe.member("blkio_config", Yaml::map([("weight", Some(Yaml::Plain(weight)))]));
    }
    for (key, option) in [
        ("weightDevice", "--blkio-weight-device"),
        ("throttleReadBpsDevice", "--device-read-bps"),
        ("throttleWriteBpsDevice", "--device-write-bps"),
        ("throttleReadIOPSDevice", "--device-read-iops"),
        ("throttleWriteIOPSDevice", "--device-write-iops"),
    ] {
        for device in limits.get(key).and_then(Value::as_array).into_iter().flatten() {
            let [major, minor] = ["major", "minor"].map(|key| number(device, key).unwrap_or_default());
            let value = number(device, "rate").or(number(device, "weight")).unwrap_or_default();
            let what = format!(
                "not expressed: {option} {value} of block device {major}:{minor}, whose path is not on record"
            );
            recipe.approximates(&what);
            recipe.not_in_compose.push(what);
        }
    }
}

fn ulimits(recipe: &mut Recipe, spec: &Value) {
    let limits = spec.pointer("/process/rlimits").and_then(Value::as_array);
    let mut members = Vec::new();
    for limit in limits.into_iter().flatten() {
        let value = |key: &str| limit.get(key).and_then(Value::as_u64).unwrap_or_default();
        let Some(name) = text(limit, "type").filter(|name| name.starts_with("RLIMIT_")) else { continue };
        let (name, soft, hard) =
            (name.trim_start_matches("RLIMIT_").to_ascii_lowercase(), value("soft"), value("hard"));
        // No limit is the largest number in the record.
        let form = |number: u64| if number == u64::MAX { "-1".to_owned() } else { number.to_string() };
        recipe.option("--ulimit", format!("{name}={}:{}", form(soft), form(hard)));
        let plain = |number: u64| Some(Yaml::Plain(form(number)));
        members.push((name, Yaml::map([("soft", plain(soft)), ("hard", plain(hard))])));
    }
    if !members.is_empty() {
        recipe.member("ulimits", Yaml::Map(members));
    }
}

/// The driver depends on the host (`k8s-file`, `journald`) if none was given.
fn logging(recipe: &mut Recipe, config: &Value) {
    let driver = text(config, "logDriver").unwrap_or_default();
    let size = number(config, "logSize").filter(|size| *size > 0).map(|size| size.to_string());
    let tag = text(config, "logTag").map(str::to_owned);
    let options: Vec<(&str, String)> = [("max-size", size), ("tag", tag)]
        .into_iter()
        .filter_map(|(key, value)| Some((key, value?)))
        .collect();
    if options.is_empty() && matches!(driver, "" | "k8s-file" | "journald") {
        return;
    }
    recipe.option("--log-driver", driver);
    options.iter().for_each(|(key, value)| recipe.option("--log-opt", format!("{key}={value}")));
    let members = options.into_iter().map(|(key, value)| (key.to_owned(), Yaml::Text(value)));
    let members: Vec<(String, Yaml)> = members.collect();
    let options = (!members.is_empty()).then_some(Yaml::Map(members));
    recipe.member("logging", Yaml::map([("driver", Some(driver.into())), ("options", options)]));
}
