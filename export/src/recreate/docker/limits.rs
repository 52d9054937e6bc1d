//! Limits, privileges, namespaces, devices, logs.

use serde_json::Value;

use super::super::recipe::{Known, Recipe};
use super::super::values::{bytes, cpus, entries, is_true, number, text, texts};
use super::super::yaml::Yaml;

/// 64 MiB, of which `/dev/shm` is if nobody asked for another size.
const SHM_SIZE: i64 = 64 << 20;

/// How a number is written.
type Form = fn(i64) -> String;

pub(super) fn read(recipe: &mut Recipe, host: &Value, known: &Known<'_>, read: &mut Vec<&str>) {
    numbers(recipe, host, read);
    words(recipe, host, known, read);
    read.extend(["RestartPolicy", "AutoRemove", "LogConfig", "Ulimits", "Devices", "DeviceRequests"]);
    if let Some(policy) = host.get("RestartPolicy")
        && let Some(name) = text(policy, "Name").filter(|name| *name != "no")
    {
        let policy = match number(policy, "MaximumRetryCount") {
            Some(count) => format!("{name}:{count}"),
            None => name.to_owned(),
        };
        recipe.both("--restart", "restart", policy);
    }
    if is_true(host, "AutoRemove") {
        recipe.options.push(vec!["--rm".to_owned()]);
        recipe.not_in_compose.push("it was to be removed when it ended (--rm)".to_owned());
    }
    if let Some(log) = host.get("LogConfig") {
        logging(recipe, log);
    }
    ulimits(recipe, host);
    devices(recipe, host);
}

fn numbers(recipe: &mut Recipe, host: &Value, read: &mut Vec<&str>) {
    const PLAIN: Form = |number| number.to_string();
    let all: [(&str, &str, &str, Form); 16] = [
        ("Memory", "--memory", "mem_limit", bytes),
        ("MemoryReservation", "--memory-reservation", "mem_reservation", bytes),
        ("MemorySwap", "--memory-swap", "memswap_limit", bytes),
        ("MemorySwappiness", "--memory-swappiness", "mem_swappiness", PLAIN),
        ("OomScoreAdj", "--oom-score-adj", "oom_score_adj", PLAIN),
        ("NanoCpus", "--cpus", "cpus", cpus),
        ("CpuShares", "--cpu-shares", "cpu_shares", PLAIN),
        ("CpuPeriod", "--cpu-period", "cpu_period", PLAIN),
        ("CpuQuota", "--cpu-quota", "cpu_quota", PLAIN),
        ("CpuRealtimePeriod", "--cpu-rt-period", "cpu_rt_period", PLAIN),
        ("CpuRealtimeRuntime", "--cpu-rt-runtime", "cpu_rt_runtime", PLAIN),
        ("PidsLimit", "--pids-limit", "pids_limit", PLAIN),
        ("ShmSize", "--shm-size", "shm_size", bytes),
        ("BlkioWeight", "--blkio-weight", "", PLAIN),
        ("CpuCount", "--cpu-count", "cpu_count", PLAIN),
        ("CpuPercent", "--cpu-percent", "cpu_percent", PLAIN),
    ];
    for (key, flag, member, form) in all {
        read.push(key);
        // `MemorySwappiness` is null or -1 unless it was given, and may be 0.
        let value = match key {
            "MemorySwappiness" => host.get(key).and_then(Value::as_i64).filter(|value| *value >= 0),
            "ShmSize" => number(host, key).filter(|value| *value != SHM_SIZE),
            _ => number(host, key),
        };
        let Some(value) = value.map(form) else { continue };
        recipe.option(flag, value.clone());
        match member {
            "" => recipe.member("blkio_config", Yaml::map([("weight", Some(Yaml::Plain(value)))])),
            member => recipe.member(member, numeric(value)),
        }
    }
}

/// A number is written as one.
fn numeric(text: String) -> Yaml {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-' || byte == b'.');
    if is_number { Yaml::Plain(text) } else { Yaml::Text(text) }
}

fn words(recipe: &mut Recipe, host: &Value, known: &Known<'_>, read: &mut Vec<&str>) {
    // What is there without an option.
    let defaults = |key: &str, value: &str| match key {
        "IpcMode" => value == "private",
        "Runtime" => value == "runc",
        _ => false,
    };
    for (key, flag, member) in [
        ("CpusetCpus", "--cpuset-cpus", "cpuset"),
        ("CpusetMems", "--cpuset-mems", ""),
        ("IpcMode", "--ipc", "ipc"),
        ("PidMode", "--pid", "pid"),
        ("UTSMode", "--uts", "uts"),
        ("UsernsMode", "--userns", "userns_mode"),
        // Always: the default depends on the host.
        ("CgroupnsMode", "--cgroupns", "cgroup"),
        ("CgroupParent", "--cgroup-parent", "cgroup_parent"),
        ("Runtime", "--runtime", "runtime"),
    ] {
        read.push(key);
        let Some(value) = text(host, key).filter(|value| !defaults(key, value)) else { continue };
        let value = recipe.other_container(value, known, flag);
        recipe.option(flag, value.clone());
        match member {
            "" => recipe.not_in_compose.push(format!("{flag} {value}")),
            member => recipe.member(member, value),
        }
    }
    for (key, flag, member) in [
        ("Privileged", "--privileged", "privileged"),
        ("ReadonlyRootfs", "--read-only", "read_only"),
        ("OomKillDisable", "--oom-kill-disable", "oom_kill_disable"),
        ("Init", "--init", "init"),
    ] {
        read.push(key);
        match host.get(key) {
            Some(Value::Bool(true)) => recipe.flag(flag, member),
            // Null unless it was given: a daemon may have another default.
            Some(Value::Bool(false)) if key == "Init" => {
                recipe.options.push(vec!["--init=false".to_owned()]);
                recipe.member(member, Yaml::Plain("false".to_owned()));
            }
            _ => {}
        }
    }
    for (key, flag, member) in [
        ("CapAdd", "--cap-add", "cap_add"),
        ("CapDrop", "--cap-drop", "cap_drop"),
        ("GroupAdd", "--group-add", "group_add"),
        ("SecurityOpt", "--security-opt", "security_opt"),
        ("DeviceCgroupRules", "--device-cgroup-rule", "device_cgroup_rules"),
    ] {
        read.push(key);
        let mut values = texts(host.get(key));
        // The program reads the file that is named; its contents are recorded.
        let inline = |value: &String| value.starts_with("seccomp={") || value.starts_with("seccomp:{");
        if key == "SecurityOpt" && values.iter().any(inline) {
            values.retain(|value| !inline(value));
            recipe.comment(
                "not expressed: a seccomp profile; HostConfig.SecurityOpt of layerlift inspect has it; \
                 save it as a file and add --security-opt seccomp=FILE",
            );
        }
        recipe.list(flag, member, values);
    }
    throttles(recipe, host, read);
    // The option `systempaths=unconfined` is recorded as two empty lists, which a privileged container has,
    // too.
    let empty = |key: &str| host.get(key).and_then(Value::as_array).is_some_and(Vec::is_empty);
    if empty("MaskedPaths") && empty("ReadonlyPaths") && !is_true(host, "Privileged") {
        recipe.list("--security-opt", "security_opt", vec!["systempaths=unconfined".to_owned()]);
    }
    for (key, flag, member) in [
        ("Sysctls", "--sysctl", "sysctls"),
        ("StorageOpt", "--storage-opt", "storage_opt"),
        ("Annotations", "--annotation", "annotations"),
    ] {
        read.push(key);
        recipe.map(flag, member, entries(host.get(key)));
    }
}

/// Limits of block devices.
fn throttles(recipe: &mut Recipe, host: &Value, read: &mut Vec<&str>) {
    for (key, flag, member, value_key, value_member) in [
        ("BlkioWeightDevice", "--blkio-weight-device", "weight_device", "Weight", "weight"),
        ("BlkioDeviceReadBps", "--device-read-bps", "device_read_bps", "Rate", "rate"),
        ("BlkioDeviceWriteBps", "--device-write-bps", "device_write_bps", "Rate", "rate"),
        ("BlkioDeviceReadIOps", "--device-read-iops", "device_read_iops", "Rate", "rate"),
        ("BlkioDeviceWriteIOps", "--device-write-iops", "device_write_iops", "Rate", "rate"),
    ] {
        read.push(key);
        let mut members = Vec::new();
        for device in host.get(key).and_then(Value::as_array).into_iter().flatten() {
            let (Some(path), Some(value)) = (text(device, "Path"), number(device, value_key)) else {
                continue;
            };
            recipe.option(flag, format!("{path}:{value}"));
            let value = Yaml::Plain(value.to_string());
            members.push(Yaml::map([("path", Some(path.into())), (value_member, Some(value))]));
        }
        if !members.is_empty() {
            recipe.member("blkio_config", Yaml::map([(member, Some(Yaml::List(members)))]));
        }
    }
}

fn logging(recipe: &mut Recipe, log: &Value) {
    let driver = text(log, "Type").unwrap_or_default();
    let options = entries(log.get("Config"));
    if options.is_empty() && matches!(driver, "" | "json-file") {
        return;
    }
    recipe.option("--log-driver", driver);
    options.iter().for_each(|(key, value)| recipe.option("--log-opt", format!("{key}={value}")));
    let members = options.into_iter().map(|(key, value)| (key, Yaml::Text(value)));
    let members: Vec<(String, Yaml)> = members.collect();
    let options = (!members.is_empty()).then_some(Yaml::Map(members));
    recipe.member("logging", Yaml::map([("driver", Some(driver.into())), ("options", options)]));
}

fn ulimits(recipe: &mut Recipe, host: &Value) {
    let mut members = Vec::new();
    for limit in host.get("Ulimits").and_then(Value::as_array).into_iter().flatten() {
        let value = |key: &str| limit.get(key).and_then(Value::as_i64).unwrap_or_default();
        let (Some(name), soft, hard) = (text(limit, "Name"), value("Soft"), value("Hard")) else { continue };
        recipe.option("--ulimit", format!("{name}={soft}:{hard}"));
        let plain = |number: i64| Some(Yaml::Plain(number.to_string()));
        members.push((name.to_owned(), Yaml::map([("soft", plain(soft)), ("hard", plain(hard))])));
    }
    if !members.is_empty() {
        recipe.member("ulimits", Yaml::Map(members));
    }
}

fn devices(recipe: &mut Recipe, host: &Value) {
    let mut all = Vec::new();
    for device in host.get("Devices").and_then(Value::as_array).into_iter().flatten() {
        let Some(outside) = text(device, "PathOnHost") else { continue };
        let inside = text(device, "PathInContainer").unwrap_or(outside);
        all.push(format!("{outside}:{inside}:{}", text(device, "CgroupPermissions").unwrap_or("rwm")));
    }
    recipe.list("--device", "devices", all);
    for request in host.get("DeviceRequests").and_then(Value::as_array).into_iter().flatten() {
        gpus(recipe, request);
    }
}

/// What `--gpus` asked for; CDI devices come as requests, too.
fn gpus(recipe: &mut Recipe, request: &Value) {
    let ids = texts(request.get("DeviceIDs"));
    let count = number(request, "Count");
    let kinds = request.get("Capabilities").and_then(Value::as_array).into_iter().flatten();
    let capabilities: Vec<String> = kinds.flat_map(|kind| texts(Some(kind))).collect();
    if text(request, "Driver") == Some("cdi") {
        recipe.list("--device", "devices", ids);
        return;
    }
    if !capabilities.iter().any(|capability| capability == "gpu") {
        recipe.comment(format!("not expressed: a request for devices, {request}"));
        return;
    }
    let more: Vec<&str> =
        capabilities.iter().map(String::as_str).filter(|capability| *capability != "gpu").collect();
    let all = count == Some(-1);
    let number = || if all { "all".to_owned() } else { count.unwrap_or(1).to_string() };
    let options = entries(request.get("Options")).into_iter().map(|(key, value)| format!("{key}={value}"));
    let options: Vec<String> = options.collect();
    // Fields of a line of CSV.
    let mut fields = Vec::new();
    match &*ids {
        [] => fields.push(format!("count={}", number())),
        ids => fields.push(format!("\"device={}\"", ids.join(","))),
    }
    fields.extend(text(request, "Driver").map(|driver| format!("driver={driver}")));
    fields.extend((!more.is_empty()).then(|| format!("\"capabilities={}\"", more.join(","))));
    fields.extend((!options.is_empty()).then(|| format!("\"options={}\"", options.join(","))));
    match (&*ids, fields.len()) {
        ([], 1) => recipe.option("--gpus", number()),
        _ => recipe.option("--gpus", fields.join(",")),
    }
    let count = match count {
        Some(-1) => Some("all".into()),
        count => count.map(|count| Yaml::Plain(count.to_string())),
    };
    let member = Yaml::map([
        ("driver", text(request, "Driver").map(Yaml::from)),
        ("count", count),
        ("device_ids", (!ids.is_empty()).then(|| Yaml::list(ids))),
        ("capabilities", Some(Yaml::list(capabilities))),
    ]);
    recipe.member("gpus", Yaml::List(vec![member]));
}
