//! A private containers-storage: podman, buildah and skopeo on a graph root in the scratch folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::daemon::Daemon;
use super::image::{Image, familiar, hex};
use super::place::Place;
use super::process::{run, text};
use super::user::User;
use crate::Outcome;

/// A graph root and its owner.
pub(crate) struct Storage {
    home: PathBuf,
    driver: String,
    /// `--storage-opt`.
    option: Option<&'static str>,
    user: Option<User>,
    place: Place,
    /// `containers.conf`, if it is not that of the machine.
    config: Option<PathBuf>,
}

/// Runs containers where the machine's limits are low and its cgroups are old, with files of its own.
const CONFIG: &str = r#"[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
lock_type = "file"
runtime = "RUNTIME"
tmp_dir = "HOME/state"
[containers]
default_ulimits = ["nofile=512:512", "nproc=512:512"]
log_driver = "k8s-file"
"#;

impl Storage {
    /// Creates it below `home`; root owns it if `user` is `None`.
    pub(crate) fn new(home: &Path, driver: &str, user: Option<User>) -> Outcome<Self> {
        for folder in ["root", "run", "tmp"] {
            fs::create_dir_all(home.join(folder))?;
        }
        if let Some(user) = &user {
            user.own(home)?;
        }
        Ok(Storage {
            home: home.to_owned(),
            driver: driver.to_owned(),
            option: None,
            user,
            place: Place::HERE,
            config: None,
        })
    }

    /// Uses the programs that are installed elsewhere.
    pub(crate) fn at(self, place: &Place) -> Self {
        Storage { place: place.clone(), ..self }
    }

    /// Sets an option of the driver.
    pub(crate) fn with_option(self, option: Option<&'static str>) -> Self {
        Storage { option, ..self }
    }

    /// Lets it run containers.
    pub(crate) fn with_containers(self) -> Outcome<Self> {
        let config = self.home.join("containers.conf");
        let home = self.home.display().to_string();
        fs::write(&config, CONFIG.replace("RUNTIME", self.runtime()).replace("HOME", &home))?;
        Ok(Storage { config: Some(config), ..self })
    }

    /// What runs them.
    pub(crate) fn runtime(&self) -> &'static str {
        if self.place.has("runc") { "runc" } else { "crun" }
    }

    /// The graph root.
    pub(crate) fn root(&self) -> PathBuf {
        self.home.join("root")
    }

    /// The folder around the graph root.
    pub(crate) fn home(&self) -> &Path {
        &self.home
    }

    /// Whether an ordinary user owns it.
    pub(crate) fn is_rootless(&self) -> bool {
        self.user.is_some()
    }

    /// A command of podman.
    pub(crate) fn podman<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Command {
        let mut command = self.command("podman");
        // Neither systemd nor an event log is needed.
        command.args(["--cgroup-manager=cgroupfs", "--events-backend=none"]).args(arguments);
        command
    }

    /// A shell script in which `podman` uses this storage.
    pub(crate) fn shell(&self, script: &str) -> Command {
        let podman = self.command("podman");
        let words = podman.get_args().map(|word| word.to_string_lossy());
        // In a chroot, the first words are those of chroot(8).
        let options: Vec<_> = words.skip_while(|word| word != "--root").collect();
        let function = format!("podman() {{ command podman {} \"$@\"; }}", options.join(" "));
        let mut shell = self.owners_program("sh");
        shell.arg("-euc").arg(format!("{function}\n{script}"));
        shell
    }

    /// Podman's API, until it is dropped.
    pub(crate) fn serve(&self) -> Outcome<Daemon> {
        let mut command = self.podman(["system", "service", "--time", "0"]);
        command.arg(self.address());
        let answers = || run(self.docker_shell("docker version")).is_ok();
        Daemon::start(command, &self.home.join("service.log"), answers)
    }

    fn address(&self) -> String {
        format!("unix://{}", self.home.join("api").display())
    }

    /// A shell script in which Docker's client and Compose ask Podman's API.
    pub(crate) fn docker_shell(&self, script: &str) -> Command {
        let mut shell = self.owners_program("sh");
        shell.arg("-euc").arg(format!("export DOCKER_HOST={}\n{script}", self.address()));
        shell
    }

    /// A command of buildah.
    pub(crate) fn buildah<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Command {
        let mut command = self.command("buildah");
        command.args(arguments);
        command
    }

    /// The name of an image in this storage for skopeo.
    pub(crate) fn transport(&self, name: &str) -> String {
        let option = self.option.map_or(String::new(), |option| format!(":{option}"));
        format!(
            "containers-storage:[{}@{}+{}{option}]{name}",
            self.driver,
            self.root().display(),
            self.home.join("run").display()
        )
    }

    /// A program that runs as the owner of this storage.
    pub(crate) fn owners_program(&self, name: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = match &self.user {
            None => self.place.program(name, [""; 0]),
            Some(user) => user.program(name),
        };
        command.env("TMPDIR", self.home.join("tmp")).current_dir(&self.home);
        command.envs(self.config.iter().map(|config| ("CONTAINERS_CONF", config)));
        command
    }

    fn command(&self, name: &str) -> Command {
        let mut command = self.owners_program(name);
        command.arg("--root").arg(self.root()).arg("--runroot").arg(self.home.join("run"));
        command.args(["--storage-driver", &self.driver]);
        command.args(self.option.map(|option| format!("--storage-opt={option}")));
        command
    }

    /// The images that podman lists.
    pub(crate) fn images(&self) -> Outcome<Vec<Image>> {
        // With --all, because podman takes an untagged image that others build upon for a step of a build.
        let listed = text(self.podman(["images", "--all", "--quiet", "--no-trunc"]))?;
        let mut ids: Vec<&str> = listed.lines().collect();
        ids.sort_unstable();
        ids.dedup();
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let inspected = text(self.podman(["image", "inspect"].into_iter().chain(ids)))?;
        let strings = |value: &Value, change: fn(&str) -> String| -> Vec<String> {
            value.as_array().into_iter().flatten().filter_map(Value::as_str).map(change).collect()
        };
        let inspected: Vec<Value> = serde_json::from_str(&inspected)?;
        let image = |image: &Value| Image {
            id: hex(image["Id"].as_str().unwrap_or_default()),
            tags: strings(&image["RepoTags"], familiar).into_iter().collect(),
            diff_ids: strings(&image["RootFS"]["Layers"], hex),
        };
        Ok(inspected.iter().map(image).collect())
    }

    /// Removes all images.
    pub(crate) fn clear(&self) -> Outcome {
        run(self.podman(["rmi", "--all", "--force"]))
    }
}
