//! Containers that Docker's client makes through Podman's API. Podman records no command line of them, so
//! that what layerlift prints is put together from the record.

use std::fs;

use serde_json::{Value, json};

use super::options::{SETS, TOO_OLD};
use super::values::{difference, of_container};
use super::{Engine, Lab};
use crate::Outcome;
use crate::engines::containers::Storage;
use crate::engines::place::Place;
use crate::engines::process::{into_file, output, run, text};
use crate::interop::report::Report;

/// Sets that are left out. These need a block device, a GPU, and an init program; for the others, the line
/// has a comment.
const LEFT_OUT: [&str; 5] = ["quota", "gpus", "flags", "from", "nohealth"];
/// In place of one of them.
const FLAGS: (&str, &str) = ("flags", "--read-only -i -t --rm IMAGE /x");

/// Ends the names of the new containers.
const SUFFIX: &str = "-again";
const COMPOSED: &str = "-composed";

/// How many sets every engine has to know.
const LEAST: usize = SETS.len() - LEFT_OUT.len() - 1;

/// Checks it, if Docker's client understands this Podman.
pub(super) fn compare(lab: &Lab<'_>, place: &Place, storage: &Storage, report: &mut Report) {
    let what =
        "docker create with many options through podman's API, printed lines, compose file, podman inspect";
    let not_run = |report: &mut Report, why: &str| report.not_run(&format!("{}: {what}", lab.name), why);
    if !place.has("docker") {
        return not_run(report, "docker is not installed");
    }
    let service = match storage.serve() {
        Ok(service) => service,
        Err(error) => return not_run(report, &error.to_string()),
    };
    // The client wants to know the system of the server, which Podman says since 5.
    let version = text(storage.docker_shell("docker version --format '{{.Server.Version}}'"));
    let major = version.ok().and_then(|version| version.split('.').next()?.parse::<u32>().ok());
    if major.is_none_or(|major| major < 5) {
        return not_run(report, "Docker's client makes no containers with Podman before 5");
    }
    lab.check(what, report, || again(lab, place, storage));
    drop(service);
}

fn again(lab: &Lab<'_>, place: &Place, storage: &Storage) -> Outcome {
    let image = storage.inspect("created")?["ImageName"].as_str().unwrap_or_default().to_owned();
    let sets = SETS.iter().filter(|(name, _)| !LEFT_OUT.contains(name)).chain([&FLAGS]);
    let mut made = Vec::new();
    for (name, set) in sets {
        let set = set.replace("IMAGE", &image).replace("\n        ", " ");
        let ended = output(storage.docker_shell(&format!("docker create --name {name} {set}")))?;
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        match ended.status.success() {
            true => made.push(*name),
            false if said.contains(TOO_OLD) => {}
            false => return Err(format!("{name}: {said}").into()),
        }
    }
    if made.len() < LEAST {
        return Err(format!("the engine knows only {made:?}").into());
    }
    // Each command of Podman takes a while, so that few are run.
    let mut lines = Vec::new();
    for &name in &made {
        let line = text(lab.layerlift(&["containers", name, "--run"]))?;
        let option = format!("--name {name} ");
        if line.matches(&option).count() != 1 || line.matches(" run -d ").count() != 1 {
            return Err(format!("{name}: not one {option}in {line}").into());
        }
        let line = line.replace(&option, &format!("--name {name}{SUFFIX} "));
        lines.push(line.replace(" run -d ", " create "));
    }
    run(storage.shell(&lines.concat()))?;
    let again: Vec<String> = made.iter().map(|name| format!("{name}{SUFFIX}")).collect();
    let all: Vec<&str> = again.iter().map(String::as_str).chain(made.iter().copied()).collect();
    let inspected: Vec<Value> =
        serde_json::from_str(&text(storage.client(&[&["container", "inspect"], &*all].concat()))?)?;
    let (again, before) = inspected.split_at(made.len());
    for (((again, before), name), line) in again.iter().zip(before).zip(&made).zip(&lines) {
        if let Some(what) = difference(&comparable(again, SUFFIX), &comparable(before, "")) {
            return Err(format!("{name}: {what}: {line}").into());
        }
    }
    let composed = place.has("docker-compose").then(|| compose(lab, storage, &made, before));
    run(storage.client(&[&["rm", "--force", "--depend", "--volumes"], &*all].concat()))?;
    composed.unwrap_or_else(|| Err("docker-compose is not installed".into()))
}

/// The compose file of the same containers, run by Compose through Podman's API.
fn compose(lab: &Lab<'_>, storage: &Storage, made: &[&str], before: &[Value]) -> Outcome {
    let file = lab.file("api", "compose.yaml");
    into_file(lab.layerlift(&[&["containers"], made, &["--compose"]].concat()), &file)?;
    let mut written = fs::read_to_string(&file)?;
    for name in made {
        let member = format!("container_name: {name}\n");
        if written.matches(&member).count() != 1 {
            return Err(format!("not one {member:?} in {written}").into());
        }
        written = written.replace(&member, &format!("container_name: {name}{COMPOSED}\n"));
    }
    fs::write(&file, &written)?;
    let up =
        format!("docker-compose --project-name api --file {} up --no-start --quiet-pull", file.display());
    run(storage.docker_shell(&up)).map_err(|error| format!("{error}: {written}"))?;
    let names: Vec<String> = made.iter().map(|name| format!("{name}{COMPOSED}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let again: Vec<Value> =
        serde_json::from_str(&text(storage.client(&[&["container", "inspect"], &*names].concat()))?)?;
    for ((again, before), name) in again.iter().zip(before).zip(made) {
        let [again, before] = [(again, COMPOSED), (before, "")].map(|(one, suffix)| of_compose(one, suffix));
        if let Some(what) = difference(&again, &before) {
            return Err(format!("{name}: {what}: {written}").into());
        }
    }
    run(storage.client(&[&["rm", "--force", "--depend", "--volumes"], &*names].concat()))
}

/// What is the same of a container that Compose makes.
fn of_compose(inspected: &Value, suffix: &str) -> Value {
    let mut value = comparable(inspected, suffix);
    if let Some(labels) = value["Config"]["Labels"].as_object_mut() {
        labels.retain(|key, _| !key.starts_with("com.docker.compose."));
    }
    for of in ["Config", "HostConfig"] {
        if let Some(annotations) = value[of]["Annotations"].as_object_mut() {
            // Compose publishes the ports one by one, and has no `--rm`.
            let others = ["publish-all", "pids-limit", "autoremove"];
            annotations.retain(|key, _| !others.iter().any(|other| key.ends_with(other)));
        }
    }
    let host = &mut value["HostConfig"];
    for key in ["PublishAllPorts", "AutoRemove"] {
        host[key] = Value::Null;
    }
    // Both mean no limit.
    if host["PidsLimit"] == -1 {
        host["PidsLimit"] = json!(0);
    }
    if let Some(hosts) = host["ExtraHosts"].as_array_mut() {
        hosts.sort_by_key(Value::to_string);
    }
    // Podman's API does not take these of the requests that Compose makes, or Compose says them always.
    let unknown = |option: &&str| !["nocopy", "bind", "rbind", "rw"].contains(option);
    for bind in host["Binds"].as_array_mut().into_iter().flatten() {
        let kept: Vec<&str> = bind.as_str().unwrap_or_default().split([':', ',']).filter(unknown).collect();
        *bind = json!(kept.join(","));
    }
    for mount in value["Mounts"].as_array_mut().into_iter().flatten() {
        if let Some(options) = mount["Options"].as_array_mut() {
            options.retain(|option| option.as_str().is_some_and(|option| unknown(&option)));
        }
    }
    value
}

/// What is the same of a container that the command line makes.
fn comparable(inspected: &Value, suffix: &str) -> Value {
    let mut value = of_container(inspected, suffix);
    // The API leaves the last two empty, which no option does. The mask of 5.8 is 0022 all the same.
    for key in ["CreateCommand", "sdNotifyMode", "Umask"] {
        value["Config"][key] = Value::Null;
    }
    let networks = inspected["NetworkSettings"]["Networks"].as_object().into_iter().flatten();
    value["Networks"] = networks.map(|(name, _)| name.as_str()).collect();
    let more = ["BoundingCaps", "EffectiveCaps", "OCIRuntime"].map(|key| inspected[key].clone());
    value["Also"] = json!(more);
    value
}
