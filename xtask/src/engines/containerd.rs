//! A private containerd, and `ctr`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::daemon::Daemon;
use super::image::{Image, familiar, hex};
use super::process::{bytes, program, run, text};
use crate::Outcome;

/// A running daemon. Dropping it stops it.
pub(crate) struct Containerd {
    _daemon: Daemon,
    socket: PathBuf,
}

impl Containerd {
    /// Starts one with its root in `home`.
    pub(crate) fn start(home: &Path) -> Outcome<Self> {
        fs::create_dir_all(home)?;
        let (config, socket) = (home.join("config.toml"), home.join("socket"));
        // No container will run, so CRI is disabled.
        fs::write(
            &config,
            format!(
                "version = 2\nroot = \"{0}/root\"\nstate = \"{0}/state\"\n\
                 disabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\naddress = \"{0}/socket\"\n",
                home.display()
            ),
        )?;
        let mut command = program("containerd", ["--config"]);
        command.arg(&config);
        let daemon = Daemon::start(command, &home.join("log"), || run(ctr(&socket, ["version"])).is_ok())?;
        Ok(Containerd { _daemon: daemon, socket })
    }

    /// A command of the client.
    pub(crate) fn ctr<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Command {
        ctr(&self.socket, arguments)
    }

    /// The images, read from their manifests and configs.
    pub(crate) fn images(&self) -> Outcome<Vec<Image>> {
        let listed = text(self.ctr(["images", "ls"]))?;
        let mut images: Vec<Image> = Vec::new();
        for line in listed.lines().skip(1) {
            let mut words = line.split_whitespace();
            let (Some(name), Some(_media_type), Some(digest)) = (words.next(), words.next(), words.next())
            else {
                continue;
            };
            let manifest: Value = serde_json::from_slice(&bytes(self.ctr(["content", "get", digest]))?)?;
            let id = manifest["config"]["digest"]
                .as_str()
                .ok_or_else(|| format!("{name} is not an image manifest"))?;
            let config: Value = serde_json::from_slice(&bytes(self.ctr(["content", "get", id]))?)?;
            let diff_ids =
                config["rootfs"]["diff_ids"].as_array().into_iter().flatten().filter_map(Value::as_str);
            // ctr lists an image without a name by its digest.
            let tag = (!name.contains("@sha256:")).then(|| familiar(name));
            let image = Image { id: hex(id), tags: BTreeSet::new(), diff_ids: diff_ids.map(hex).collect() };
            match images.iter_mut().find(|known| known.id == image.id) {
                Some(known) => known.tags.extend(tag),
                None => images.push(Image { tags: tag.into_iter().collect(), ..image }),
            }
        }
        Ok(images)
    }

    /// The names of all images.
    pub(crate) fn names(&self) -> Outcome<Vec<String>> {
        Ok(text(self.ctr(["images", "ls", "-q"]))?.lines().map(str::to_owned).collect())
    }

    /// Removes all images and their content.
    pub(crate) fn clear(&self) -> Outcome {
        let names = text(self.ctr(["images", "ls", "-q"]))?;
        if names.trim().is_empty() {
            return Ok(());
        }
        run(self.ctr(["images", "rm", "--sync"].into_iter().chain(names.lines())))
    }
}

fn ctr<'a>(socket: &Path, arguments: impl IntoIterator<Item = &'a str>) -> Command {
    let mut command = program("ctr", ["--namespace", "interop", "--address"]);
    command.arg(socket).args(arguments);
    command
}
