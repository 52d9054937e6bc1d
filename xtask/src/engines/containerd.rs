//! A private containerd, and `ctr`.

use std::collections::BTreeSet;
use std::fs;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::daemon::Daemon;
use super::image::{Image, familiar, hex};
use super::place::Place;
use super::process::{bytes, run, text};
use crate::Outcome;

/// A running daemon. Dropping it stops it.
pub(crate) struct Containerd {
    daemon: Daemon,
    ctr: Ctr,
}

/// The client, for one namespace.
pub(crate) struct Ctr {
    place: Place,
    socket: PathBuf,
    namespace: &'static str,
}

impl Containerd {
    /// Starts one with its root in `home`.
    pub(crate) fn start(home: &Path) -> Outcome<Self> {
        Containerd::start_in(&Place::HERE, home)
    }

    /// Starts one that is installed elsewhere.
    pub(crate) fn start_in(place: &Place, home: &Path) -> Outcome<Self> {
        fs::create_dir_all(home)?;
        let (config, socket) = (home.join("config.toml"), home.join("socket"));
        // CRI is disabled, under its names of 1.x and of 2.x.
        fs::write(
            &config,
            format!(
                "version = 2\nroot = \"{0}/root\"\nstate = \"{0}/state\"\n\
                 disabled_plugins = [\"io.containerd.grpc.v1.cri\", \"io.containerd.cri.v1.images\", \
                 \"io.containerd.cri.v1.runtime\", \"io.containerd.nri.v1.nri\"]\n\
                 [grpc]\naddress = \"{0}/socket\"\n",
                home.display()
            ),
        )?;
        let ctr = Ctr::new(place, &socket, "interop");
        let mut command = place.program("containerd", ["--config"]);
        command.arg(&config);
        let daemon = Daemon::start(command, &home.join("log"), || run(ctr.command(["version"])).is_ok())?;
        Ok(Containerd { daemon, ctr })
    }

    /// Stops it and waits for its end.
    pub(crate) fn stop(self) -> Outcome {
        self.daemon.stop()
    }
}

impl Deref for Containerd {
    type Target = Ctr;

    fn deref(&self) -> &Ctr {
        &self.ctr
    }
}

impl Ctr {
    pub(crate) fn new(place: &Place, socket: &Path, namespace: &'static str) -> Self {
        Ctr { place: place.clone(), socket: socket.to_owned(), namespace }
    }

    /// A command of the client.
    pub(crate) fn command<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Command {
        let mut command = self.place.program("ctr", ["--namespace", self.namespace, "--address"]);
        command.arg(&self.socket).args(arguments);
        command
    }

    /// Names, and the digests that they lead to.
    pub(crate) fn targets(&self) -> Outcome<Vec<(String, String)>> {
        let listed = text(self.command(["images", "ls"]))?;
        let target = |line: &str| {
            let mut words = line.split_whitespace();
            Some((words.next()?.to_owned(), words.nth(1)?.to_owned()))
        };
        Ok(listed.lines().skip(1).filter_map(target).collect())
    }

    /// The images, read from their manifests and configs.
    pub(crate) fn images(&self) -> Outcome<Vec<Image>> {
        let mut images: Vec<Image> = Vec::new();
        for (name, digest) in self.targets()? {
            // ctr lists an image without a name by its digest.
            let tag = (!name.contains("@sha256:")).then(|| familiar(&name));
            for manifest in self.manifests(&digest)? {
                let id = manifest["config"]["digest"]
                    .as_str()
                    .ok_or_else(|| format!("{name} is not an image manifest"))?;
                let config = self.document(id)?;
                let diff_ids =
                    config["rootfs"]["diff_ids"].as_array().into_iter().flatten().filter_map(Value::as_str);
                let diff_ids = diff_ids.map(hex).collect();
                let image = Image { id: hex(id), tags: BTreeSet::new(), diff_ids };
                match images.iter_mut().find(|known| known.id == image.id) {
                    Some(known) => known.tags.extend(tag.clone()),
                    None => images.push(Image { tags: tag.clone().into_iter().collect(), ..image }),
                }
            }
        }
        Ok(images)
    }

    /// The manifest of this digest, or those of the images of an index that are here.
    fn manifests(&self, digest: &str) -> Outcome<Vec<Value>> {
        let document = self.document(digest)?;
        let Some(members) = document["manifests"].as_array() else { return Ok(vec![document]) };
        // Attestations are for the platform "unknown".
        let images = members.iter().filter(|one| one["platform"]["os"] != "unknown");
        Ok(images.filter_map(|one| self.document(one["digest"].as_str()?).ok()).collect())
    }

    fn document(&self, digest: &str) -> Outcome<Value> {
        Ok(serde_json::from_slice(&bytes(self.command(["content", "get", digest]))?)?)
    }

    /// The names of all images.
    pub(crate) fn names(&self) -> Outcome<Vec<String>> {
        Ok(text(self.command(["images", "ls", "-q"]))?.lines().map(str::to_owned).collect())
    }

    /// Removes all images and their content.
    pub(crate) fn clear(&self) -> Outcome {
        let names = self.names()?;
        if names.is_empty() {
            return Ok(());
        }
        run(self.command(["images", "rm", "--sync"].into_iter().chain(names.iter().map(String::as_str))))
    }
}
