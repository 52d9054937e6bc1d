//! What layerlift wrote of each container, against what the engine commits, exports and runs.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::made::{CHANGED, NAMES};
use super::tars::{self, Form};
use super::values::{difference, of_container};
use super::{Engine, Lab, Said};
use crate::Outcome;
use crate::engines::process::{into_file, output, program, run, text};
use crate::interop::archive;
use crate::interop::report::Report;

/// Writes the image, the file system and the command line of a container.
pub(super) fn write(lab: &Lab<'_>, container: &str) -> Outcome {
    let image = format!("{container}={}", ours(container));
    run(lab
        .layerlift(&["save", "--quiet", "--container", &image, "--output"])
        .arg(lab.file(container, "image")))?;
    run(lab.layerlift(&["rootfs", container, "--output"]).arg(lab.file(container, "rootfs")))?;
    into_file(lab.layerlift(&["containers", container, "--run"]), &lab.file(container, "line"))
}

/// The name of the image that layerlift makes of a container.
fn ours(container: &str) -> String {
    format!("rounds/{container}:ours")
}

/// The name of the one that the engine makes.
fn theirs(container: &str) -> String {
    format!("rounds/{container}:theirs")
}

/// Compares everything with what the engine, which runs again, makes of the same containers.
pub(super) fn compare(lab: &Lab<'_>, engine: &impl Engine, said: &Said, report: &mut Report) {
    let name = engine.name();
    let words = lab.form.words();
    let committed = lab.check(&format!("{name} commit, save"), report, || {
        NAMES.iter().try_for_each(|container| commit(lab, engine, container))
    });
    if !committed {
        return;
    }
    // Podman 4.3 adds to a history that has no entries for the layers below. Later ones do not.
    let history = !(name == "podman" && lab.form.headers);
    let config = if history { "config but for times" } else { "config but for times and history" };
    lab.check(&format!("the image against the commit: layers {words}, {config}"), report, || {
        NAMES.iter().try_for_each(|container| image(lab, container, history))
    });
    lab.check(&format!("rootfs against {name} export: {words}"), report, || {
        NAMES.iter().try_for_each(|container| export(lab, engine, container))
    });
    lab.check(&format!("{name} load, run, diff"), report, || loaded(lab, engine));
    if name == "docker" {
        lab.check("rootfs of each archive against that of the image that was loaded", report, || {
            NAMES.iter().try_for_each(|container| flattened(lab, container))
        });
    }
    lab.check(&format!("the printed {name} line, and its {name} inspect"), report, || {
        ["stopped", "created"].iter().try_for_each(|container| again(lab, engine, container, said))
    });
    lab.check("layerlift volume against the files of the volume", report, || volume(lab, engine, said));
}

fn commit(lab: &Lab<'_>, engine: &impl Engine, container: &str) -> Outcome {
    run(engine.client(&["commit", container, &theirs(container)]))?;
    run(engine.client(&["save", "--output"]).arg(lab.file(container, "theirs")).arg(theirs(container)))
}

fn image(lab: &Lab<'_>, container: &str, history: bool) -> Outcome {
    let mut ours = Committed::unpack(&lab.file(container, "image"), &ours(container))?;
    let mut theirs = Committed::unpack(&lab.file(container, "theirs"), &theirs(container))?;
    if !history {
        ours.config["history"] = Value::Null;
        theirs.config["history"] = Value::Null;
    }
    let counts = [ours.layers.len(), theirs.layers.len()];
    if counts[0] != counts[1] {
        return Err(format!("{container}: {} layers instead of {}", counts[0], counts[1]).into());
    }
    for (index, (ours, theirs)) in ours.layers.iter().zip(&theirs.layers).enumerate() {
        let form = if index + 1 < counts[0] { Form::default() } else { lab.form };
        tars::same(ours, theirs, form).map_err(|error| format!("{container}: layer {index}: {error}"))?;
    }
    match difference(&ours.config, &theirs.config) {
        None => Ok(()),
        Some(what) => Err(format!("{container}: config: {what}").into()),
    }
}

/// An image in an archive.
struct Committed {
    layers: Vec<PathBuf>,
    /// Without times and what follows from the layers, which are compared.
    config: Value,
}

impl Committed {
    fn unpack(file: &Path, tag: &str) -> Outcome<Self> {
        let folder = file.with_extension(format!("{}-unpacked", tag.replace(['/', ':'], "-")));
        archive::unpack(file, &folder)?;
        let layers = archive::layers(&folder, tag)?;
        let manifest: Value = serde_json::from_slice(&fs::read(folder.join("manifest.json"))?)?;
        let config = manifest[0]["Config"].as_str().ok_or("manifest.json names no config")?;
        let mut config: Value = serde_json::from_slice(&fs::read(folder.join(config))?)?;
        if let Some(config) = config.as_object_mut() {
            config.retain(|key, _| !["created", "docker_version", "rootfs"].contains(&&**key));
        }
        if let Some(last) = config["history"].as_array_mut().and_then(|all| all.last_mut()) {
            last["created"] = Value::Null;
        }
        Ok(Committed { layers, config })
    }
}

fn export(lab: &Lab<'_>, engine: &impl Engine, container: &str) -> Outcome {
    let file = lab.file(container, "exported");
    run(engine.client(&["export", "--output"]).arg(&file).arg(container))?;
    tars::same(&lab.file(container, "rootfs"), &file, lab.form)
        .map_err(|error| format!("{container}: {error}").into())
}

/// Loads each image, runs it, and asks what the new container has changed.
fn loaded(lab: &Lab<'_>, engine: &impl Engine) -> Outcome {
    let name = engine.name();
    let run_one = |container: &str, image: &str| -> Outcome<String> {
        let options = "run --network none --entrypoint /tool --user 0:0";
        text(engine.shell(&format!("{name} {options} --name {container} {image} {}", CHANGED.0)))
    };
    for container in NAMES {
        run(engine.client(&["load", "--input"]).arg(lab.file(container, "image")))?;
        let [tried, control] = ["tried", "control"].map(|kind| format!("{kind}-{container}"));
        let read = run_one(&tried, &ours(container))?;
        let expected = match container {
            "stopped" | "killed" => CHANGED.1,
            _ => "etc/kept\n",
        };
        if read != expected {
            return Err(format!("{container}: {} says {read:?}", CHANGED.0).into());
        }
        let diff = |name: &str| text(engine.client(&["diff", name]));
        let changed = diff(&tried)?;
        // Podman writes into a container when it starts it, and the one with a volume in its image gets a
        // mount point.
        let expected = if name == "podman" || container == "created" {
            run_one(&control, &theirs(container))?;
            diff(&control)?
        } else {
            String::new()
        };
        if changed != expected {
            return Err(format!("{container}: {name} diff says {changed:?}, not {expected:?}").into());
        }
        run(engine.client(&["rm", "--force", &tried]))?;
    }
    Ok(())
}

/// The layers' tars in an archive make the file system that the engine has unpacked of them.
fn flattened(lab: &Lab<'_>, container: &str) -> Outcome {
    let (image, flat, unpacked) =
        (ours(container), lab.file(container, "flat"), lab.file(container, "whole"));
    run(lab.layerlift(&["rootfs", &image, "--output"]).arg(&unpacked))?;
    let mut of_archive = program(lab.layerlift, ["rootfs", &image, "--root"]);
    run(of_archive.arg(lab.file(container, "image")).arg("--output").arg(&flat))?;
    tars::same(&flat, &unpacked, Form::default()).map_err(|error| format!("{container}: {error}").into())
}

/// Runs the printed command line with another name, and compares what the engine says of both.
fn again(lab: &Lab<'_>, engine: &impl Engine, container: &str, said: &Said) -> Outcome {
    let line = fs::read_to_string(lab.file(container, "line"))?;
    let suffix = "-again";
    let option = format!("--name {container}");
    if line.matches(&option).count() != 1 {
        return Err(format!("{container}: not one {option} in {line}").into());
    }
    let mut line = line.replace(&option, &format!("{option}{suffix}"));
    if container == "created" {
        // It would try again and again to run, and such a state differs in any case.
        line = line.replace("docker run -d", "docker create");
    }
    run(engine.shell(&line)).map_err(|error| format!("{container}: {line}: {error}"))?;
    let name = format!("{container}{suffix}");
    let again = engine.inspect(&name)?;
    // Podman would wait until it stops by itself.
    output(engine.client(&["kill", &name]))?;
    run(engine.client(&["rm", "--force", "--volumes", &name]))?;
    match difference(&of_container(&again, suffix), &of_container(&said.containers[container], "")) {
        None => Ok(()),
        Some(what) => Err(format!("{container}: {what}").into()),
    }
}

/// Every file, with mode, owner and time; Podman imports it, too.
fn volume(lab: &Lab<'_>, engine: &impl Engine, said: &Said) -> Outcome {
    let tar = lab.file("data", "volume");
    let data = said.volumes.iter().find(|volume| volume["Name"] == "data");
    let data = data.and_then(|volume| volume["Mountpoint"].as_str()).ok_or("the volume has no place")?;
    run(program("tar", ["--compare", "--numeric-owner", "--file"]).arg(&tar).args(["--directory", data]))?;
    let unpacked = lab.home.join("data");
    archive::unpack(&tar, &unpacked)?;
    same_names(Path::new(data), &unpacked)?;
    if engine.name() == "podman" {
        run(engine.client(&["volume", "create", "imported"]))?;
        run(engine.client(&["volume", "import", "imported"]).arg(&tar))?;
        let imported = Path::new(data).parent().and_then(Path::parent).ok_or("no folder of volumes")?;
        same_names(Path::new(data), &imported.join("imported/_data"))?;
    }
    Ok(())
}

/// Checks that two folders have entries of the same names, types, modes and owners.
fn same_names(a: &Path, b: &Path) -> Outcome {
    let list = |folder: &Path| -> Outcome<String> {
        let script = r#"cd "$0" && find . ! -type s -printf '%p %y %m %U:%G %s %l\n' | sort"#;
        text(program("sh", ["-euc", script]).arg(folder))
    };
    let (a, b) = (list(a)?, list(b)?);
    if a == b { Ok(()) } else { Err(format!("{b} instead of {a}").into()) }
}
