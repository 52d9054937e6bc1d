//! Containers that Docker's client makes through Podman's API. Podman records no command line of them, so what
//! layerlift prints is put together from the record.

use serde_json::{Value, json};

use super::options::{SETS, TOO_OLD};
use super::values::{difference, of_container};
use super::{Engine, Lab};
use crate::Outcome;
use crate::engines::containers::Storage;
use crate::engines::place::Place;
use crate::engines::process::{output, run, text};
use crate::interop::report::Report;

/// Sets that are left out. These need a block device, a GPU, and an init program; for the others, the line
/// has a comment.
const LEFT_OUT: [&str; 5] = ["quota", "gpus", "flags", "from", "nohealth"];
/// In place of one of them.
const FLAGS: (&str, &str) = ("flags", "--read-only -i -t --rm IMAGE /x");

/// Ends the names of the new containers.
const SUFFIX: &str = "-again";

/// How many sets every engine has to know.
const LEAST: usize = SETS.len() - LEFT_OUT.len() - 1;

/// Checks it, if Docker's client understands this Podman.
pub(super) fn compare(lab: &Lab<'_>, place: &Place, storage: &Storage, report: &mut Report) {
    let what = "docker create with many options through podman's API, the printed lines, podman inspect";
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
    lab.check(what, report, || again(lab, storage));
    drop(service);
}

fn again(lab: &Lab<'_>, storage: &Storage) -> Outcome {
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
    run(storage.client(&[&["rm", "--force", "--depend", "--volumes"], &*all].concat()))
}

/// What is the same of a container that the command line makes.
fn comparable(inspected: &Value, suffix: &str) -> Value {
    let mut value = of_container(inspected, suffix);
    // The API leaves the last two empty, which no option does. The mask of 5.8 is 0022 all the same.
    for key in ["CreateCommand", "sdNotifyMode", "Umask"] {
        value["Config"][key] = Value::Null;
    }
    let more = ["BoundingCaps", "EffectiveCaps", "OCIRuntime"].map(|key| inspected[key].clone());
    value["Also"] = json!(more);
    value
}
