//! Namespaces, capabilities, devices and security options, from the specification that Podman records for
//! the runtime.
//!
//! The record has results, not options: a list of capabilities, and not which of them were added. What the
//! options were follows from what Podman sets if none is given. Source: podman,
//! `libpod/container_inspect_linux.go` and `pkg/specgen/generate/security_linux.go`.

use layerlift_store::Container;
use serde_json::Value;

use super::super::recipe::{Known, Recipe};
use super::super::values::{entries, is_true, number, text, texts};

/// Capabilities that a container has if `containers.conf` says nothing else.
const CAPABILITIES: [&str; 11] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// Those of Linux 5.9 and later by their numbers. Older kernels lack some of the last ones.
const ALL_CAPABILITIES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// With so many, a container was given all, perhaps without some.
const NEARLY_ALL: usize = 30;

/// Paths that every version of Podman hides.
const HIDDEN: [&str; 10] = [
    "/proc/acpi",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/firmware",
    "/sys/fs/selinux",
];

/// Paths that only some versions hide.
const HIDDEN_BY_SOME: [&str; 3] = ["/proc/interrupts", "/sys/dev/block", "/sys/devices/virtual/powercap"];

/// Paths below `/sys/devices/system/cpu` have numbers.
const HIDDEN_OF_EACH_CPU: &str = "/sys/devices/system/cpu/";

/// Paths that every version makes read-only.
const READ_ONLY: [&str; 6] =
    ["/proc/asound", "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// Sysctls of `containers.conf`, if nothing else is written there.
const SYSCTLS: [(&str, &str); 1] = [("net.ipv4.ping_group_range", "0 0")];

/// Annotations that Podman makes itself.
const OWN_ANNOTATIONS: [&str; 5] =
    ["io.podman.", "io.kubernetes.cri-o.", "io.container.manager", "org.systemd.property.", "run.oci."];

pub(super) fn read(
    recipe: &mut Recipe,
    container: &Container,
    config: &Value,
    spec: &Value,
    known: &Known<'_>,
) {
    let null = Value::Null;
    let process = spec.get("process").unwrap_or(&null);
    let linux = spec.get("linux").unwrap_or(&null);
    let annotations = spec.get("annotations").unwrap_or(&null);
    let annotated = text(annotations, "io.podman.annotations.privileged") == Some("TRUE");
    let privileged = annotated || is_true(config, "privileged");
    namespaces(recipe, container, config, spec, known);
    if !privileged {
        capabilities(recipe, process);
    }
    devices(recipe, config, linux, privileged);
    security(recipe, config, spec, privileged);
    let sysctls = entries(linux.get("sysctl")).into_iter();
    let is_own = |(key, value): &(String, String)| SYSCTLS.contains(&(key.as_str(), value.as_str()));
    recipe.map("--sysctl", "sysctls", sysctls.filter(|entry| !is_own(entry)).collect());
    let given = entries(Some(annotations)).into_iter();
    let given = given.filter(|(key, _)| !OWN_ANNOTATIONS.iter().any(|own| key.starts_with(own)));
    recipe.map("--annotation", "annotations", given.collect());
    let usual = |parent: &&str| matches!(*parent, "/libpod_parent" | "machine.slice" | "user.slice");
    let parent = text(config, "cgroupParent").filter(|parent| !usual(parent));
    // Containers of a pod are below it.
    if let Some(parent) = parent.filter(|_| container.pod.is_none()) {
        recipe.both("--cgroup-parent", "cgroup_parent", parent);
    }
}

/// Namespaces of its own are the rule. Whether that holds for cgroups depends on the host, so that one is
/// always said.
fn namespaces(recipe: &mut Recipe, container: &Container, config: &Value, spec: &Value, known: &Known<'_>) {
    let listed = spec.pointer("/linux/namespaces").and_then(Value::as_array);
    let Some(listed) = listed else { return };
    for (kind, other, flag, member) in [
        ("pid", "pidNsCtr", "--pid", "pid"),
        ("ipc", "ipcNsCtr", "--ipc", "ipc"),
        ("uts", "utsNsCtr", "--uts", "uts"),
        ("cgroup", "cgroupNsCtr", "--cgroupns", "cgroup"),
        ("user", "userNsCtr", "--userns", "userns_mode"),
    ] {
        let own = listed.iter().find(|namespace| text(namespace, "type") == Some(kind));
        let mode = match (text(config, other), own) {
            // The pod says what its containers share.
            (Some(_), _) if container.pod.is_some() => continue,
            (Some(id), _) => recipe.other_container(&format!("container:{id}"), known, flag),
            (None, own) if kind == "user" && own.and_then(|own| own.get("path")).is_none() => {
                users(recipe, config, spec, own.is_some());
                continue;
            }
            (None, _) if kind == "ipc" && is_true(config, "NoShm") => "none".to_owned(),
            (None, Some(_)) if kind == "ipc" && is_true(config, "NOShmShare") => "private".to_owned(),
            (None, Some(namespace)) => match (text(namespace, "path"), kind) {
                (Some(path), _) => format!("ns:{path}"),
                (None, "cgroup") => "private".to_owned(),
                (None, _) => continue,
            },
            (None, None) => "host".to_owned(),
        };
        recipe.both(flag, member, mode);
    }
    match text(config, "cgroupsMode") {
        None | Some("enabled") => {}
        Some(mode) => {
            recipe.option("--cgroups", mode);
            recipe.not_in_compose.push(format!("--cgroups {mode}"));
        }
    }
}

/// The user namespace: that of the host, unless the container has its own.
fn users(recipe: &mut Recipe, config: &Value, spec: &Value, own: bool) {
    let null = Value::Null;
    let mappings = config.get("idMappingsOptions").unwrap_or(&null);
    // Podman 5 keeps the option. `auto` has chosen a range that is free, and may choose another one.
    let typed = spec.pointer("/annotations/io.podman.annotations.userns").and_then(Value::as_str);
    let auto = is_true(mappings, "AutoUserNs").then(|| {
        let size = mappings.get("AutoUserNsOpts").and_then(|options| number(options, "Size"));
        size.map_or_else(|| "auto".to_owned(), |size| format!("auto:size={size}"))
    });
    if let Some(mode) = typed.filter(|mode| *mode != "private").map(str::to_owned).or(auto) {
        recipe.both("--userns", "userns_mode", mode);
        return;
    }
    if !own {
        return;
    }
    for (key, flag) in [("UIDMap", "--uidmap"), ("GIDMap", "--gidmap")] {
        for map in mappings.get(key).and_then(Value::as_array).into_iter().flatten() {
            let of = |key: &str| map.get(key).and_then(Value::as_u64).unwrap_or_default();
            let range = format!("{}:{}:{}", of("container_id"), of("host_id"), of("size"));
            recipe.not_in_compose.push(format!("{flag} {range}"));
            recipe.option(flag, range);
        }
    }
}

fn capabilities(recipe: &mut Recipe, process: &Value) {
    let Some(sets) = process.get("capabilities").filter(|sets| sets.is_object()) else {
        recipe.comment("its capabilities are not on record");
        return;
    };
    let bounding = texts(sets.get("bounding"));
    let name = |capability: &String| capability.strip_prefix("CAP_").unwrap_or(capability).to_owned();
    let has: Vec<String> = bounding.iter().map(name).collect();
    let kept = |capability: &&str| has.iter().any(|has| has == capability);
    let owned = |all: Vec<&&str>| -> Vec<String> { all.into_iter().map(|name| (*name).to_owned()).collect() };
    if has.len() >= NEARLY_ALL {
        // The kernel had those up to the last one.
        let known = ALL_CAPABILITIES.iter().rposition(&kept).map_or(0, |last| last + 1);
        let lacks = ALL_CAPABILITIES[..known].iter().filter(|name| !kept(name)).collect();
        recipe.list("--cap-add", "cap_add", vec!["ALL".to_owned()]);
        recipe.list("--cap-drop", "cap_drop", owned(lacks));
        return;
    }
    let (kept, dropped): (Vec<&&str>, Vec<&&str>) = CAPABILITIES.iter().partition(|name| kept(name));
    let (added, dropped) = if dropped.len() > kept.len() {
        (has, vec!["ALL".to_owned()])
    } else {
        let added = has.into_iter().filter(|name| !CAPABILITIES.contains(&name.as_str()));
        (added.collect(), owned(dropped))
    };
    recipe.list("--cap-add", "cap_add", added);
    recipe.list("--cap-drop", "cap_drop", dropped);
}

fn devices(recipe: &mut Recipe, config: &Value, linux: &Value, privileged: bool) {
    let typed = config.get("device_host_src").and_then(Value::as_array).into_iter().flatten();
    let mut all: Vec<String> = typed.filter_map(|device| text(device, "path")).map(str::to_owned).collect();
    let known = !all.is_empty();
    all.extend(texts(config.get("cdiDevices")));
    recipe.list("--device", "devices", all);
    let made: Vec<&Value> = linux.get("devices").and_then(Value::as_array).into_iter().flatten().collect();
    let number = |device: &Value, key: &str| device.get(key).and_then(Value::as_i64);
    if !known && !privileged {
        for device in &made {
            let path = text(device, "path").unwrap_or_default();
            let [major, minor] = ["major", "minor"].map(|key| number(device, key).unwrap_or_default());
            recipe.comment(format!(
                "not expressed: device {path} ({} {major}:{minor}), whose path on the host is not on record \
                 (--device)",
                text(device, "type").unwrap_or_default()
            ));
        }
    }
    // Podman allows each device that it adds. Other rules were asked for.
    let listed = linux.pointer("/resources/devices").and_then(Value::as_array);
    let mut rules: Vec<&Value> = listed.into_iter().flatten().filter(|rule| is_true(rule, "allow")).collect();
    for device in made {
        let same =
            |rule: &&Value| ["type", "major", "minor"].iter().all(|key| rule.get(key) == device.get(key));
        if let Some(at) = rules.iter().position(same) {
            rules.remove(at);
        }
    }
    let rule = |rule: &&Value| {
        let part = |key: &str| number(rule, key).map_or_else(|| "*".to_owned(), |part| part.to_string());
        let [kind, access] = ["type", "access"].map(|key| text(rule, key).unwrap_or("a"));
        format!("{kind} {}:{} {access}", part("major"), part("minor"))
    };
    recipe.list("--device-cgroup-rule", "device_cgroup_rules", rules.iter().map(rule).collect());
}

fn security(recipe: &mut Recipe, config: &Value, spec: &Value, privileged: bool) {
    let null = Value::Null;
    let [process, linux, annotations] =
        ["process", "linux", "annotations"].map(|key| spec.get(key).unwrap_or(&null));
    let annotation = |what: &str| text(annotations, &format!("io.podman.annotations.{what}"));
    let mut options = Vec::new();
    if is_true(process, "noNewPrivileges") {
        options.push("no-new-privileges".to_owned());
    }
    if let Some(label) = annotation("label") {
        let given = texts(config.get("labelopts"));
        let given = if given.is_empty() { label.split(',').map(str::to_owned).collect() } else { given };
        options.extend(given.into_iter().map(|label| format!("label={label}")));
    }
    match (annotation("apparmor"), text(process, "apparmorProfile")) {
        (Some(profile), _) => options.push(format!("apparmor={profile}")),
        (None, Some(profile)) if !profile.starts_with("containers-default-") => {
            options.push(format!("apparmor={profile}"));
        }
        (None, _) => {}
    }
    match annotation("seccomp") {
        Some(profile) => options.push(format!("seccomp={profile}")),
        None if linux.get("seccomp").is_none() && !privileged => {
            options.push("seccomp=unconfined".to_owned());
        }
        None => {}
    }
    if !privileged {
        options.extend(paths(linux));
    }
    let proc = spec.get("mounts").and_then(Value::as_array).into_iter().flatten();
    let proc = proc
        .filter(|mount| text(mount, "type") == Some("proc"))
        .flat_map(|mount| texts(mount.get("options")));
    let usual = ["nosuid", "noexec", "nodev", "rw"];
    let proc: Vec<String> = proc.filter(|option| !usual.contains(&option.as_str())).collect();
    if !proc.is_empty() {
        options.push(format!("proc-opts={}", proc.join(",")));
    }
    recipe.list("--security-opt", "security_opt", options);
}

/// What is hidden or visible other than usual.
fn paths(linux: &Value) -> Vec<String> {
    let [hidden, read_only] = ["maskedPaths", "readonlyPaths"].map(|key| texts(linux.get(key)));
    if hidden.is_empty() && read_only.is_empty() {
        return vec!["unmask=ALL".to_owned()];
    }
    let lacks = |all: &[String], path: &&&str| !all.iter().any(|one| one == **path);
    let shown = HIDDEN.iter().filter(|path| lacks(&hidden, path));
    let shown = shown.chain(READ_ONLY.iter().filter(|path| lacks(&read_only, path)));
    let shown: Vec<&str> = shown.copied().collect();
    let usual = |path: &str| {
        HIDDEN.contains(&path) || HIDDEN_BY_SOME.contains(&path) || path.starts_with(HIDDEN_OF_EACH_CPU)
    };
    let more: Vec<&str> = hidden.iter().map(String::as_str).filter(|path| !usual(path)).collect();
    let mut options = Vec::new();
    options.extend((!more.is_empty()).then(|| format!("mask={}", more.join(":"))));
    options.extend((!shown.is_empty()).then(|| format!("unmask={}", shown.join(":"))));
    options
}
