//! The config in Podman's database.
//!
//! `CreateCommand` has the command line word by word. For containers that were made through Podman's API,
//! which have none, and for a compose file, the options are put together from the other members.

use layerlift_store::{Container, Pod, Port};
use serde_json::Value;

use super::docker;
use super::recipe::{Known, Recipe};
use super::run::quoted;
use super::values::{bytes, duration, entries, is_anonymous, is_true, number, short, text, texts};
use super::yaml::Yaml;

/// The words of `podman` after which its general options end.
const COMMANDS: &[&str] = &["run", "create", "container", "pod", "play", "kube"];

/// Variables that Podman sets itself.
const ENV: &[&str] = &["container=podman", "TERM=xterm", "HOME=/root"];

/// What Podman records if the options are not given.
const PIDS_LIMIT: i64 = 2048;
const STOP_TIMEOUT: i64 = 10;
const SIGTERM: i64 = 15;
const SHM_SIZE: i64 = 65_536_000;

pub(super) fn read(
    recipe: &mut Recipe,
    container: &Container,
    config: &Value,
    networks: &[String],
    known: &Known<'_>,
) {
    recipe.program = "podman";
    recipe.recorded = command_line(config);
    let null = Value::Null;
    let spec = config.get("spec").unwrap_or(&null);
    let process = spec.get("process").unwrap_or(&null);
    let of_image = |key: &str| known.image.and_then(|image| image.get(key));
    let differs = |key: &str, value: &str| of_image(key).and_then(Value::as_str).unwrap_or_default() != value;
    recipe.option("--name", recipe.name.clone());
    if let Some(pod) = &container.pod {
        let name = pod.name.clone().unwrap_or_else(|| pod.id.clone());
        recipe.option("--pod", name.clone());
        let made = match pod_command(pod) {
            Some(words) => words.join(" "),
            None => format!("podman pod create {}", quoted(&name)),
        };
        recipe.not_in_run.push(format!("its pod {name} must exist: {made}"));
        recipe.not_in_compose.push(format!("it is in the pod {name}"));
    }
    if let Some(hostname) = text(spec, "hostname").filter(|name| *name != short(container.key.id())) {
        recipe.both("--hostname", "hostname", hostname);
    }
    if let Some(user) = text(config, "user").filter(|user| differs("User", user)) {
        recipe.both("--user", "user", user);
    }
    let root = |dir: &&str| !(*dir == "/" && of_image("WorkingDir").is_none());
    if let Some(dir) = text(process, "cwd").filter(|dir| differs("WorkingDir", dir)).filter(root) {
        recipe.both("--workdir", "working_dir", dir);
    }
    let inherited = texts(of_image("Env"));
    let own = |env: &String| {
        !inherited.contains(env) && !ENV.contains(&env.as_str()) && !env.starts_with("HOSTNAME=")
    };
    recipe.list("--env", "environment", texts(process.get("env")).into_iter().filter(own).collect());
    let of_image_labels = entries(of_image("Labels"));
    let labels = entries(config.get("labels")).into_iter();
    recipe.map("--label", "labels", labels.filter(|label| !of_image_labels.contains(label)).collect());
    if is_true(process, "terminal") {
        recipe.flag("--tty", "tty");
    }
    if is_true(config, "stdin") {
        recipe.flag("--interactive", "stdin_open");
    }
    if let Some(seconds) = number(config, "stopTimeout").filter(|seconds| *seconds != STOP_TIMEOUT) {
        recipe.option("--stop-timeout", seconds.to_string());
        recipe.member("stop_grace_period", duration(seconds.saturating_mul(1_000_000_000)));
    }
    if let Some(signal) = number(config, "stopSignal").filter(|signal| *signal != SIGTERM) {
        recipe.both("--stop-signal", "stop_signal", signal.to_string());
    }
    recipe.list("--group-add", "group_add", texts(config.get("groups")));
    let check = config.get("healthcheck").filter(|check| check.is_object());
    if check != of_image("Healthcheck") {
        docker::health(recipe, check);
    }
    mounts(recipe, container, spec, of_image("Volumes"));
    ports(recipe, container, of_image("ExposedPorts"));
    join(recipe, config, spec, networks, known);
    if let Some(policy) = container.restart_policy.as_deref().filter(|policy| *policy != "no") {
        recipe.both("--restart", "restart", policy);
    }
    if is_true(config, "privileged") {
        recipe.flag("--privileged", "privileged");
    }
    if is_true(config, "init") {
        recipe.flag("--init", "init");
    }
    if is_true(spec.get("root").unwrap_or(&null), "readonly") {
        recipe.flag("--read-only", "read_only");
    }
    limits(recipe, config, spec);
    needs(recipe, config);
    let words =
        |value: Option<&Value>| value.filter(|value| value.is_array()).map(|value| texts(Some(value)));
    let all = [words(of_image("Entrypoint")), words(of_image("Cmd"))];
    recipe.command(&texts(config.get("entrypoint")), &texts(config.get("command")), all);
    let converted =
        "capabilities, devices and security options are not converted: layerlift inspect has them";
    match recipe.recorded {
        Some(_) => recipe.not_in_compose.push(converted.to_owned()),
        None => recipe.comment(converted),
    }
}

/// The command line that made a pod, quoted for a shell.
fn pod_command(pod: &Pod) -> Option<Vec<String>> {
    let words = without_place(pod.create_command.clone())?;
    Some(words.iter().map(|word| quoted(word)).collect())
}

/// What has to be there for a container, and cannot be made from its record: secrets, users.
fn needs(recipe: &mut Recipe, config: &Value) {
    let listed = config.get("secrets").and_then(Value::as_array).into_iter().flatten();
    let mut secrets: Vec<String> =
        listed.filter_map(|secret| text(secret, "name")).map(str::to_owned).collect();
    let of_env = config.get("env_secrets").and_then(Value::as_object).into_iter().flatten();
    secrets.extend(of_env.filter_map(|(_, secret)| text(secret, "name")).map(str::to_owned));
    secrets.sort();
    secrets.dedup();
    for secret in secrets {
        recipe.comment(format!("its secret {secret} must exist (podman secret create)"));
        let option = "how it is given to the container is not converted (--secret)";
        match recipe.recorded {
            Some(_) => recipe.not_in_compose.push(format!("{secret}: {option}")),
            None => recipe.comment(format!("{secret}: {option}")),
        }
    }
    let null = Value::Null;
    let mappings = config.get("idMappingsOptions").unwrap_or(&null);
    let mapped = mappings.get("UIDMap").and_then(Value::as_array).is_some_and(|map| !map.is_empty());
    if mapped || is_true(mappings, "AutoUserNs") {
        let users = "its user namespace is not converted (--userns, --uidmap): layerlift inspect has it";
        match recipe.recorded {
            Some(_) => recipe.not_in_compose.push(users.to_owned()),
            None => recipe.comment(users),
        }
    }
}

/// The recorded command line, without the options that say where Podman keeps its store.
fn command_line(config: &Value) -> Option<Vec<String>> {
    without_place(texts(config.get("CreateCommand").or_else(|| config.get("createCommand"))))
}

fn without_place(words: Vec<String>) -> Option<Vec<String>> {
    let at = words.iter().position(|word| COMMANDS.contains(&word.as_str()))?;
    Some(std::iter::once("podman".to_owned()).chain(words.into_iter().skip(at)).collect())
}

fn mounts(recipe: &mut Recipe, container: &Container, spec: &Value, of_image: Option<&Value>) {
    let declared = |path: &str| of_image.is_some_and(|volumes| volumes.get(path).is_some());
    let mut all = Vec::new();
    let mut tmpfs = Vec::new();
    for mount in &container.mounts {
        let path = &mount.destination;
        let read_only = if mount.writable { "" } else { ":ro" };
        match (&*mount.kind, &mount.name, &mount.source) {
            ("volume", Some(name), _) if is_anonymous(name) => {
                if !declared(path) {
                    all.push(path.clone());
                }
                let again = format!("--volume {name}:{path}");
                recipe.comment(format!("{path} was the anonymous volume {name}; to use it again: {again}"));
            }
            ("volume", Some(name), _) => {
                recipe.volume(name);
                all.push(format!("{name}:{path}{read_only}"));
            }
            ("bind", _, Some(source)) => all.push(format!("{source}:{path}{read_only}")),
            ("tmpfs", ..) => tmpfs.push(path.clone()),
            (kind, ..) => recipe.comment(format!("not expressed: a mount of type {kind} at {path}")),
        }
    }
    recipe.list("--volume", "volumes", all);
    recipe.list("--tmpfs", "tmpfs", tmpfs);
    let from = spec.get("annotations").and_then(|all| text(all, "io.podman.annotations.volumes-from"));
    if let Some(from) = from {
        recipe.comment(format!("volumes were those of container {from} (--volumes-from)"));
    }
}

fn ports(recipe: &mut Recipe, container: &Container, of_image: Option<&Value>) {
    let (mut published, mut exposed) = (Vec::new(), Vec::new());
    for port in &container.ports {
        let range = |first: u16| match port.count {
            0 | 1 => first.to_string(),
            count => format!("{first}-{}", first.saturating_add(count - 1)),
        };
        let inner = format!("{}/{}", range(port.container), port.protocol);
        if !port.published {
            exposed.extend((!is_exposed(of_image, port)).then_some(inner));
            continue;
        }
        let host = port.host.as_deref().and_then(|host| host.parse().ok()).map(range);
        let ip =
            port.host_ip.as_deref().map(|ip| if ip.contains(':') { format!("[{ip}]") } else { ip.into() });
        published.push(match (ip, host) {
            (None, None) => inner,
            (None, Some(host)) => format!("{host}:{inner}"),
            (Some(ip), host) => format!("{ip}:{}:{inner}", host.unwrap_or_default()),
        });
    }
    recipe.list("--publish", "ports", published);
    recipe.list("--expose", "expose", exposed);
}

/// Whether the image exposes a port, perhaps in a range.
fn is_exposed(of_image: Option<&Value>, port: &Port) -> bool {
    let known = of_image.and_then(Value::as_object).into_iter().flatten();
    known.filter_map(|(known, _)| Port::exposed(known)).any(|known| {
        let last = |port: &Port| u32::from(port.container) + u32::from(port.count.max(1)) - 1;
        known.protocol == port.protocol && known.container <= port.container && last(port) <= last(&known)
    })
}

fn join(recipe: &mut Recipe, config: &Value, spec: &Value, networks: &[String], known: &Known<'_>) {
    if let Some(id) = text(config, "netNsCtr") {
        let other = (known.name_of)(id).unwrap_or_else(|| id.to_owned());
        recipe.both("--network", "network_mode", format!("container:{other}"));
        return;
    }
    let namespaces = spec.get("linux").and_then(|linux| linux.get("namespaces")).and_then(Value::as_array);
    let own = namespaces.into_iter().flatten().any(|namespace| text(namespace, "type") == Some("network"));
    if !is_true(config, "createNetNS") {
        recipe.both("--network", "network_mode", if own { "none" } else { "host" });
        return;
    }
    let names: Vec<String> = networks.iter().filter(|name| *name != "podman").cloned().collect();
    for name in &names {
        recipe.option("--network", name.clone());
    }
    if !names.is_empty() {
        let members = names.iter().map(|name| (name.clone(), Yaml::Null));
        recipe.member("networks", Yaml::Map(members.collect()));
        recipe.networks.extend(names);
    }
    let list = |key: &str| texts(config.get(key));
    recipe.list("--dns", "dns", list("dnsServer"));
    recipe.list("--dns-search", "dns_search", list("dnsSearch"));
    recipe.list("--dns-option", "dns_opt", list("dnsOption"));
    recipe.list("--add-host", "extra_hosts", list("hostsAdd"));
}

fn limits(recipe: &mut Recipe, config: &Value, spec: &Value) {
    let null = Value::Null;
    let resources = spec.get("linux").and_then(|linux| linux.get("resources")).unwrap_or(&null);
    let of = |group: &str, key: &str| resources.get(group).and_then(|group| number(group, key));
    if let Some(limit) = of("memory", "limit") {
        recipe.both("--memory", "mem_limit", bytes(limit));
    }
    if let Some(limit) = of("memory", "swap") {
        recipe.both("--memory-swap", "memswap_limit", bytes(limit));
    }
    for (key, flag, member) in [
        ("quota", "--cpu-quota", "cpu_quota"),
        ("period", "--cpu-period", "cpu_period"),
        ("shares", "--cpu-shares", "cpu_shares"),
    ] {
        if let Some(value) = of("cpu", key) {
            recipe.option(flag, value.to_string());
            recipe.member(member, Yaml::Plain(value.to_string()));
        }
    }
    if let Some(limit) = of("pids", "limit").filter(|limit| *limit != PIDS_LIMIT) {
        recipe.option("--pids-limit", limit.to_string());
        recipe.member("pids_limit", Yaml::Plain(limit.to_string()));
    }
    if let Some(size) = number(config, "shmSize").filter(|size| *size != SHM_SIZE) {
        recipe.both("--shm-size", "shm_size", bytes(size));
    }
    let limits = spec.get("process").and_then(|process| process.get("rlimits")).and_then(Value::as_array);
    let mut members = Vec::new();
    for limit in limits.into_iter().flatten() {
        let value = |key: &str| limit.get(key).and_then(Value::as_u64).unwrap_or_default();
        let Some(name) = text(limit, "type").and_then(|name| name.strip_prefix("RLIMIT_")) else { continue };
        let (name, soft, hard) = (name.to_ascii_lowercase(), value("soft"), value("hard"));
        recipe.option("--ulimit", format!("{name}={soft}:{hard}"));
        let plain = |number: u64| Some(Yaml::Plain(number.to_string()));
        members.push((name, Yaml::map([("soft", plain(soft)), ("hard", plain(hard))])));
    }
    if !members.is_empty() {
        recipe.member("ulimits", Yaml::Map(members));
    }
}
