//! A private dockerd: socket, data root, exec root and pid file in the scratch folder, no bridge, no
//! iptables.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::containerd::Ctr;
use super::daemon::Daemon;
use super::image::{Image, familiar, hex};
use super::place::Place;
use super::process::{run, signal, text};
use crate::Outcome;

/// A running daemon and its client.
pub(crate) struct Docker {
    daemon: Daemon,
    client: Client,
}

struct Client {
    place: Place,
    home: PathBuf,
}

/// Where Docker keeps images.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum ImageStore<'a> {
    /// With a graph driver.
    Driver(&'a str),
    /// In a containerd, which dockerd starts with its files below the data root.
    Containerd,
}

impl Docker {
    /// Starts a daemon. `home` holds all its files except the data root.
    pub(crate) fn start(home: &Path, root: &Path, driver: &str) -> Outcome<Self> {
        Docker::start_in(&Place::HERE, home, root, ImageStore::Driver(driver))
    }

    /// Starts one that is installed elsewhere.
    pub(crate) fn start_in(place: &Place, home: &Path, root: &Path, store: ImageStore<'_>) -> Outcome<Self> {
        fs::create_dir_all(home)?;
        let client = Client { place: place.clone(), home: home.to_owned() };
        let network = ["--bridge=none", "--iptables=false", "--ip6tables=false"];
        let mut command = place.program("dockerd", network);
        command.args(["--host", &client.address()]);
        match store {
            ImageStore::Driver(driver) => drop(command.args(["--storage-driver", driver])),
            ImageStore::Containerd => {
                // Docker 26 has an option neither for this nor for features.
                let config = home.join("daemon.json");
                fs::write(&config, r#"{"features": {"containerd-snapshotter": true}}"#)?;
                command.arg("--config-file").arg(config);
            }
        }
        for (option, place) in
            [("--data-root", root), ("--exec-root", &home.join("exec")), ("--pidfile", &home.join("pid"))]
        {
            command.arg(option).arg(place);
        }
        let daemon = Daemon::start(command, &home.join("log"), || run(client.command(["version"])).is_ok())?;
        Ok(Docker { daemon, client })
    }

    /// The daemon's process.
    pub(crate) fn process(&self) -> u32 {
        self.daemon.process()
    }

    /// A command of the client.
    pub(crate) fn docker<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Command {
        self.client.command(arguments)
    }

    /// The containerd that it has started.
    pub(crate) fn containerd(&self) -> Ctr {
        let socket = self.client.home.join("exec/containerd/containerd.sock");
        Ctr::new(&self.client.place, &socket, "moby")
    }

    /// The images that the daemon lists: those with a tag, and those that no other image builds upon.
    pub(crate) fn images(&self) -> Outcome<Vec<Image>> {
        let listed = text(self.docker(["images", "--quiet", "--no-trunc"]))?;
        let ids: BTreeSet<&str> = listed.lines().collect();
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let inspected = text(self.docker(["image", "inspect"].into_iter().chain(ids)))?;
        let strings = |value: &Value| -> Vec<String> {
            let strings = value.as_array().into_iter().flatten().filter_map(Value::as_str);
            strings.map(str::to_owned).collect()
        };
        let inspected: Vec<Value> = serde_json::from_str(&inspected)?;
        Ok(inspected
            .iter()
            .map(|image| Image {
                id: hex(image["Id"].as_str().unwrap_or_default()),
                tags: strings(&image["RepoTags"]).iter().map(|tag| familiar(tag)).collect(),
                diff_ids: strings(&image["RootFS"]["Layers"]).iter().map(|digest| hex(digest)).collect(),
            })
            .collect())
    }

    /// A name that the daemon accepts for each image and tag.
    pub(crate) fn names(&self) -> Outcome<Vec<String>> {
        let listed =
            text(self.docker(["images", "--no-trunc", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}"]))?;
        let names = listed.lines().filter_map(|line| line.split_once(' '));
        Ok(names.map(|(name, id)| if name.contains("<none>") { id } else { name }.to_owned()).collect())
    }

    /// Removes all images.
    pub(crate) fn clear(&self) -> Outcome {
        run(self.docker(["image", "prune", "--all", "--force"]))
    }

    /// A shell script in which `docker` is this client.
    pub(crate) fn shell(&self, script: &str) -> Command {
        let Client { place, home } = &self.client;
        let mut command = place.program("sh", ["-euc", script]);
        command.env("DOCKER_HOST", self.client.address()).env("DOCKER_CONFIG", home);
        command.env_remove("DOCKER_CONTEXT");
        command
    }

    /// Stops it and waits for its end.
    pub(crate) fn stop(self) -> Outcome {
        self.daemon.stop()
    }

    /// Ends it and its containerd as a power loss would: neither writes anything more.
    pub(crate) fn kill(self) -> Outcome {
        let home = self.client.home.clone();
        let ids = [home.join("pid"), home.join("exec/containerd/containerd.pid")];
        let containerd = fs::read_to_string(&ids[1]);
        self.daemon.kill()?;
        if let Ok(id) = containerd {
            signal("KILL", id.trim());
        }
        for file in ids.into_iter().chain([home.join("socket")]).filter(|file| file.exists()) {
            // By now, the number in it may be that of another process.
            fs::remove_file(file)?;
        }
        Ok(())
    }
}

impl Client {
    fn address(&self) -> String {
        format!("unix://{}", self.home.join("socket").display())
    }

    fn command<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Command {
        let mut command = self.place.program("docker", ["--host", &self.address()]);
        // The classic builder needs nothing but the daemon.
        command
            .args(arguments)
            .env("DOCKER_CONFIG", &self.home)
            .env("DOCKER_BUILDKIT", "0")
            .env_remove("DOCKER_CONTEXT");
        command
    }
}
