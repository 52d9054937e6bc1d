//! The compose file of containers, run by Compose in the engine that had made them.

use std::fs;

use serde_json::{Value, json};

use super::made::NAMES;
use super::values::{difference, of_container};
use super::{Engine, Lab, Said};
use crate::Outcome;
use crate::engines::docker::Docker;
use crate::engines::place::Place;
use crate::engines::process::{into_file, run, text};
use crate::interop::report::Report;

/// Ends the names of the new containers.
const SUFFIX: &str = "-composed";

/// A container that Compose takes for its own project, and one in its namespaces.
const MADE: &str = "docker create --name side --network container:stopped --ipc container:stopped \
    --volumes-from stopped --label com.docker.compose.project=shop --label com.docker.compose.service=web \
    --label com.docker.compose.depends_on=exited:service_started:false";

/// Lets Compose make the containers once more, and compares what the engine says of both.
pub(super) fn compare(lab: &Lab<'_>, place: &Place, docker: &Docker, said: &Said, report: &mut Report) {
    let what = "the compose file, docker-compose up, and docker inspect";
    if !place.has("docker-compose") {
        report.not_run(&format!("{}: {what}", lab.name), "docker-compose is not installed");
        return;
    }
    // The first one, in Python, refuses members of the Compose specification.
    let version = text(docker.shell("docker-compose version --short")).unwrap_or_default();
    if version.trim_start_matches('v').starts_with("1.") {
        report.not_run(&format!("{}: {what}", lab.name), &format!("docker-compose is {}", version.trim()));
        return;
    }
    lab.check(what, report, || {
        run(docker.shell(&format!("{MADE} {} /tool", super::made::BASE)))?;
        let side = docker.inspect("side")?;
        let names = NAMES.into_iter().filter(|name| *name != "killed").chain(["side"]);
        let names: Vec<&str> = names.collect();
        let file = lab.file("all", "compose.yaml");
        into_file(lab.layerlift(&[&["containers"], &*names, &["--compose"]].concat()), &file)?;
        let mut text = fs::read_to_string(&file)?;
        for name in &names {
            let member = format!("container_name: {name}\n");
            if text.matches(&member).count() != 1 {
                return Err(format!("not one {member:?} in {text}").into());
            }
            text = text.replace(&member, &format!("container_name: {name}{SUFFIX}\n"));
        }
        fs::write(&file, &text)?;
        let up = format!("docker-compose --file {} up --no-start", file.display());
        run(docker.shell(&up)).map_err(|error| format!("{error}: {text}"))?;
        let result = names.iter().try_for_each(|name| {
            let again = docker.inspect(&format!("{name}{SUFFIX}"))?;
            let before = if *name == "side" { &side } else { &said.containers[name] };
            match difference(&comparable(docker, &again)?, &comparable(docker, before)?) {
                None => Ok(()),
                Some(what) => Err(format!("{name}: {what}").into()),
            }
        });
        let all: Vec<String> = names.iter().map(|name| format!("{name}{SUFFIX}")).collect();
        let remove = ["rm", "--force", "--volumes", "side"].into_iter().chain(all.iter().map(String::as_str));
        run(docker.docker(remove))?;
        result
    });
}

/// What is the same of a container that Compose makes.
fn comparable(docker: &Docker, inspected: &Value) -> Outcome<Value> {
    let mut value = of_container(inspected, SUFFIX);
    // Compose asks for volumes in another way, and for the output.
    for key in ["AttachStdin", "AttachStdout", "AttachStderr", "StdinOnce", "Volumes"] {
        value["Config"][key] = Value::Null;
    }
    for key in ["Binds", "Mounts"] {
        value["HostConfig"][key] = Value::Null;
    }
    // A port without a number on the host comes with an address.
    let bindings = value["HostConfig"]["PortBindings"].as_object_mut();
    for binding in bindings.into_iter().flatten().flat_map(|(_, all)| all.as_array_mut()).flatten() {
        if binding["HostIp"] == "0.0.0.0" {
            binding["HostIp"] = json!("");
        }
    }
    if let Some(labels) = value["Config"]["Labels"].as_object_mut() {
        labels.retain(|key, _| !key.starts_with("com.docker.compose."));
    }
    let policy = &mut value["HostConfig"]["RestartPolicy"]["Name"];
    if *policy == "" {
        *policy = json!("no");
    }
    for mount in value["Mounts"].as_array_mut().into_iter().flatten() {
        *mount = json!([mount["Type"], mount["Name"], mount["Destination"], mount["RW"]]);
    }
    // Services are other containers than those that were named.
    for key in ["NetworkMode", "IpcMode", "VolumesFrom"] {
        let text = match &value["HostConfig"][key] {
            Value::Array(all) => all.first().and_then(Value::as_str).map(str::to_owned),
            one => one.as_str().map(str::to_owned),
        };
        let Some(text) = text else { continue };
        let other = text.strip_prefix("container:").or((key == "VolumesFrom").then_some(&*text));
        let Some(other) = other else { continue };
        // `of_container` has put HEX in place of ids.
        let raw = &inspected["HostConfig"][key];
        let raw = raw.as_str().or(raw[0].as_str()).unwrap_or(other);
        let named = docker.inspect(raw.trim_start_matches("container:"))?["Name"].clone();
        let named = named.as_str().unwrap_or_default().trim_start_matches('/').replace(SUFFIX, "");
        value["HostConfig"][key] = json!(named);
    }
    Ok(value)
}
