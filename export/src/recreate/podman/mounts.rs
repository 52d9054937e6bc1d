//! Volumes, folders of the host, file systems in memory, and secrets.

use layerlift_store::{Container, Mount};
use serde_json::Value;

use super::super::recipe::Recipe;
use super::super::values::{is_anonymous, is_true, number, text, texts};
use super::super::yaml::Yaml;

/// Options of mounts that are there if none is given, and those that only say so.
const OF_VOLUME: [&str; 7] = ["rw", "exec", "rprivate", "rbind", "nosuid", "nodev", "copy"];
const OF_BIND: [&str; 5] = ["rw", "exec", "rprivate", "rbind", "private"];
const OF_TMPFS: [&str; 4] = ["rprivate", "nosuid", "nodev", "tmpcopyup"];

pub(super) fn read(
    recipe: &mut Recipe,
    container: &Container,
    config: &Value,
    spec: &Value,
    of_image: Option<&Value>,
) {
    let declared = |path: &str| of_image.is_some_and(|volumes| volumes.get(path).is_some());
    let mut all = Vec::new();
    let mut tmpfs = Vec::new();
    let mut members = Vec::new();
    for mount in &container.mounts {
        let path = &mount.destination;
        let options = options(mount, config, spec);
        let with = |what: String| if options.is_empty() { what } else { format!("{what}:{options}") };
        match (&*mount.kind, &mount.name, &mount.source) {
            ("volume", Some(name), _) if is_anonymous(name) => {
                match &*options {
                    "ro" => {
                        recipe.option("--mount", format!("type=volume,destination={path},ro"));
                        recipe.not_in_compose.push(format!("{path} was read-only"));
                        members.push(path.clone());
                    }
                    _ if declared(path) => {}
                    _ => all.push(path.clone()),
                }
                let again = with(format!("{name}:{path}"));
                recipe.comment(format!(
                    "{path} was the anonymous volume {name}; to use it again: --volume {again}"
                ));
            }
            ("volume", Some(name), _) => {
                recipe.volume(name);
                all.push(with(format!("{name}:{path}")));
            }
            ("bind", _, Some(source)) => all.push(with(format!("{source}:{path}"))),
            ("tmpfs", ..) => tmpfs.push(with(path.clone())),
            (kind, ..) => recipe.comment(format!("not expressed: a mount of type {kind} at {path}")),
        }
    }
    for overlay in list(config, "overlayVolumes") {
        if let (Some(source), Some(path)) = (text(overlay, "source"), text(overlay, "dest")) {
            all.push(format!("{source}:{path}:O"));
        }
    }
    recipe.list("--volume", "volumes", all);
    if !members.is_empty() {
        recipe.member("volumes", Yaml::list(members));
    }
    recipe.list("--tmpfs", "tmpfs", tmpfs);
    for image in list(config, "ctrImageVolumes") {
        if let (Some(source), Some(path)) = (text(image, "source"), text(image, "dest")) {
            let mount = format!("type=image,source={source},target={path},rw={}", is_true(image, "rw"));
            recipe.not_in_compose.push(format!("--mount {mount}"));
            recipe.option("--mount", mount);
        }
    }
    let from = spec.get("annotations").and_then(|all| text(all, "io.podman.annotations.volumes-from"));
    if let Some(from) = from {
        recipe.comment(format!("volumes were those of container {from} (--volumes-from)"));
    }
    secrets(recipe, config);
}

fn list<'v>(config: &'v Value, key: &str) -> impl Iterator<Item = &'v Value> {
    config.get(key).and_then(Value::as_array).into_iter().flatten()
}

/// The options of a mount that were asked for.
fn options(mount: &Mount, config: &Value, spec: &Value) -> String {
    let (mut listed, key, usual) = match &*mount.kind {
        "volume" => (list(config, "namedVolumes"), "dest", &OF_VOLUME[..]),
        "tmpfs" => (list(spec, "mounts"), "destination", &OF_TMPFS[..]),
        _ => (list(spec, "mounts"), "destination", &OF_BIND[..]),
    };
    let recorded = listed.find(|one| text(one, key) == Some(&mount.destination));
    let mut given = texts(recorded.and_then(|one| one.get("options")));
    // A folder of the host that is mounted with what is mounted below it.
    let recursive = given.iter().any(|option| option == "rbind");
    given.retain(|option| !(usual.contains(&option.as_str()) || recursive && option == "bind"));
    given.join(",")
}

/// Secrets are files or variables. They are not in the store of a container.
fn secrets(recipe: &mut Recipe, config: &Value) {
    let mut needed = Vec::new();
    for secret in list(config, "secrets") {
        let Some(name) = text(secret, "name") else { continue };
        let mut option = name.to_owned();
        if let Some(target) = text(secret, "Target").filter(|target| *target != name) {
            option.push_str(&format!(",target={target}"));
        }
        for (key, word) in [("UID", "uid"), ("GID", "gid")] {
            if let Some(id) = number(secret, key) {
                option.push_str(&format!(",{word}={id}"));
            }
        }
        if let Some(mode) = secret.get("Mode").and_then(Value::as_u64).filter(|mode| *mode != 0o444) {
            option.push_str(&format!(",mode={mode:04o}"));
        }
        recipe.option("--secret", option);
        needed.push(name.to_owned());
    }
    let of_env = config.get("secret_env").and_then(Value::as_object).into_iter().flatten();
    for (variable, secret) in of_env {
        let Some(name) = text(secret, "name") else { continue };
        recipe.option("--secret", format!("{name},type=env,target={variable}"));
        needed.push(name.to_owned());
    }
    needed.sort();
    needed.dedup();
    for secret in needed {
        recipe.comment(format!("its secret {secret} must exist (podman secret create)"));
        recipe.not_in_compose.push(format!("how secret {secret} is given to the container (--secret)"));
    }
}
