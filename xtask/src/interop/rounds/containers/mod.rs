//! Containers: made and changed by an engine, which is then killed. layerlift reads the store without it. The
//! engine starts again, and what it says, commits and exports must be the same.

mod api;
mod composed;
mod listed;
mod made;
mod options;
mod tars;
mod values;
mod written;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::Outcome;
use crate::engines::containers::Storage;
use crate::engines::docker::{Docker, ImageStore};
use crate::engines::place::Place;
use crate::engines::process::{program, run, text};
use crate::engines::scratch::{Scratch, unmount_below};
use crate::interop::listing::Listing;
use crate::interop::report::Report;
use made::NAMES;
use tars::Form;

/// Where engines are, and what is checked.
pub(in crate::interop) struct Engines<'a> {
    /// The name of the suite.
    pub(in crate::interop) name: &'a str,
    pub(in crate::interop) place: &'a Place,
    pub(in crate::interop) scratch: &'a Scratch,
    pub(in crate::interop) layerlift: &'a Path,
    /// Whether Docker and Podman write headers as their versions 20.10 and 4.3 do.
    pub(in crate::interop) old_headers: bool,
    /// Whether whiteouts of containerd have the time of the commit, as in version 1.7, and those of Podman
    /// other links, as before 5.8.
    pub(in crate::interop) old_whiteouts: bool,
}

/// A client of the engine.
trait Engine {
    fn name(&self) -> &'static str;
    fn client(&self, arguments: &[&str]) -> Command;
    /// A shell script in which the client has its usual name.
    fn shell(&self, script: &str) -> Command;

    fn inspect(&self, container: &str) -> Outcome<Value> {
        let all: Vec<Value> =
            serde_json::from_str(&text(self.client(&["container", "inspect", container]))?)?;
        all.into_iter().next().ok_or_else(|| format!("{container} is unknown").into())
    }
}

impl Engine for Docker {
    fn name(&self) -> &'static str {
        "docker"
    }

    fn client(&self, arguments: &[&str]) -> Command {
        self.docker(arguments.iter().copied())
    }

    fn shell(&self, script: &str) -> Command {
        Docker::shell(self, script)
    }
}

impl Engine for Storage {
    fn name(&self) -> &'static str {
        "podman"
    }

    fn client(&self, arguments: &[&str]) -> Command {
        self.podman(arguments.iter().copied())
    }

    fn shell(&self, script: &str) -> Command {
        Storage::shell(self, script)
    }
}

/// A store with containers.
struct Lab<'a> {
    /// In the report.
    name: String,
    home: PathBuf,
    root: PathBuf,
    layerlift: &'a Path,
    form: Form,
    /// Whether the engine counts more than the lengths of a container's files: Docker's containerd store
    /// blocks of the disk, directories included, and Podman 5 its own records of the container, too.
    counts_more: bool,
}

/// What the engine said before it was killed.
struct Said {
    containers: BTreeMap<&'static str, Value>,
    /// What `ps --all --size` has of each: the size of its layer, and its status without a time.
    columns: BTreeMap<String, (String, String)>,
    /// `volume inspect`.
    volumes: Vec<Value>,
    /// Names of the containers that use each volume.
    users: BTreeMap<String, Vec<String>>,
}

impl Lab<'_> {
    /// A command of layerlift on this store.
    fn layerlift(&self, arguments: &[&str]) -> Command {
        let mut command = program(self.layerlift, &arguments[..1]);
        command.arg("--root").arg(&self.root).args(&arguments[1..]);
        command
    }

    /// A file that a check writes.
    fn file(&self, container: &str, what: &str) -> PathBuf {
        self.home.join(format!("{container}.{what}"))
    }

    fn check(&self, what: &str, report: &mut Report, check: impl FnOnce() -> Outcome) -> bool {
        report.check(&format!("{}: {what}", self.name), check)
    }
}

/// Docker with one of its stores.
pub(in crate::interop) fn docker(
    engines: &Engines<'_>,
    store: ImageStore<'_>,
    report: &mut Report,
) -> Outcome {
    let (kind, form) = match store {
        ImageStore::Driver(driver) => {
            let vfs = driver == "vfs";
            (driver, Form { headers: engines.old_headers, whiteout_times: vfs, ..Form::default() })
        }
        ImageStore::Containerd => {
            ("containerd", Form { whiteout_times: engines.old_whiteouts, ..Form::default() })
        }
    };
    let name = format!("{}: containers of docker {kind}", engines.name);
    let home = engines.scratch.folder(&format!("k-{kind}"))?;
    let root = home.join("root");
    fs::create_dir_all(&root)?;
    let counts_more = matches!(store, ImageStore::Containerd);
    let lab = Lab { name, home, root, layerlift: engines.layerlift, form, counts_more };
    let start = || Docker::start_in(engines.place, &lab.home.join("d"), &lab.root, store);
    let Some(docker) = report.started(&lab.name, start()) else { return Ok(()) };
    let said = made(&lab, &docker, report);
    docker.kill()?;
    if let Some(said) = &said {
        made::kill(&said.containers["killed"])?;
    }
    unmount_below(&engines.place.outside(&lab.home));
    let Some(said) = said else { return Ok(()) };
    if !unattended(&lab, &said, report)? {
        return Ok(());
    }
    let Some(docker) = report.started(&format!("{}: after the kill", lab.name), start()) else {
        return Ok(());
    };
    written::compare(&lab, &docker, &said, report);
    composed::compare(&lab, engines.place, &docker, &said, report);
    lab.check("docker create with many options, the printed lines, docker inspect and ps", report, || {
        options::again(&lab, &docker)
    });
    docker.stop()
}

/// Podman.
pub(in crate::interop) fn podman(engines: &Engines<'_>, report: &mut Report) -> Outcome {
    let name = format!("{}: containers of podman overlay", engines.name);
    // podman limits the run root to 50 characters.
    let home = engines.scratch.folder("k-p")?;
    let storage = Storage::new(&home, "overlay", None)?.at(engines.place).with_containers()?;
    let [headers, whiteout_links] = [engines.old_headers, engines.old_whiteouts];
    let form = Form { headers, whiteout_links, whiteout_times: false };
    let (root, counts_more) = (storage.root(), !engines.old_headers);
    let lab = Lab { name, home, root, layerlift: engines.layerlift, form, counts_more };
    let said = made(&lab, &storage, report);
    let Some(said) = said else { return Ok(()) };
    made::kill(&said.containers["killed"])?;
    unmount_below(&engines.place.outside(&lab.home));
    // What a boot of the machine empties. The runtime's part is outside of the scratch folder.
    if let Some(id) = said.containers["killed"]["Id"].as_str() {
        run(storage.owners_program(storage.runtime()).args(["delete", "--force", id]))?;
    }
    run(program("rm", ["-rf", "--"]).arg(lab.home.join("state")).arg(lab.home.join("run")))?;
    if !unattended(&lab, &said, report)? {
        return Ok(());
    }
    written::compare(&lab, &storage, &said, report);
    api::compare(&lab, engines.place, &storage, report);
    run(storage.client(&["rm", "--all", "--force", "--time", "0"]))
}

/// Fills the store, and asks the engine about it.
fn made(lab: &Lab<'_>, engine: &impl Engine, report: &mut Report) -> Option<Said> {
    if let Err(error) = made::image(&lab.home).and_then(|image| made::load(engine, &image)) {
        report.not_run(&lab.name, &error.to_string());
        return None;
    }
    let what = format!("{}: {} run, create, stop", lab.name, engine.name());
    report.step(&what, || {
        made::make(lab, engine)?;
        listed::ask(engine)
    })
}

/// Reads the store of the killed engine in every way. Returns whether everything was written.
fn unattended(lab: &Lab<'_>, said: &Said, report: &mut Report) -> Outcome<bool> {
    let before = Listing::of(&lab.root)?;
    lab.check("layerlift containers --json", report, || listed::containers(lab, said));
    lab.check("layerlift containers", report, || listed::table(lab, said));
    lab.check("layerlift volumes --json", report, || listed::volumes(lab, said));
    let what = "layerlift save, rootfs, containers --run of each, volume";
    let wrote = lab.check(what, report, || {
        NAMES.iter().try_for_each(|container| written::write(lab, container))?;
        run(lab.layerlift(&["volume", "data", "--output"]).arg(lab.file("data", "volume")))
    });
    lab.check("layerlift volume whose data are elsewhere", report, || listed::elsewhere(lab));
    lab.check("the store is as it was", report, || before.same(&Listing::of(&lab.root)?));
    Ok(wrote)
}
