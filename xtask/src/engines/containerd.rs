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
use super::process::{bytes, program, run, text};
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
        // CRI is disabled, under its names of 1.x and of 2.x.
        let without_cri = "disabled_plugins = [\"io.containerd.grpc.v1.cri\", \
                           \"io.containerd.cri.v1.images\", \"io.containerd.cri.v1.runtime\", \
                           \"io.containerd.nri.v1.nri\"]\n";
        Containerd::start_with(place, home, "interop", without_cri, "")
    }

    /// Starts one whose CRI discards the blobs of layers that it has unpacked, as a Kubernetes node may.
    pub(crate) fn start_discarding(place: &Place, home: &Path) -> Outcome<Self> {
        let of_1 = "[plugins.\"io.containerd.grpc.v1.cri\".containerd]\ndiscard_unpacked_layers = true\n";
        let of_2 = "[plugins.\"io.containerd.cri.v1.images\"]\ndiscard_unpacked_layers = true\n";
        Containerd::start_with(place, home, "k8s.io", "", &format!("{of_1}{of_2}"))
    }

    fn start_with(
        place: &Place,
        home: &Path,
        namespace: &'static str,
        top: &str,
        plugins: &str,
    ) -> Outcome<Self> {
        fs::create_dir_all(home)?;
        let (config, socket) = (home.join("config.toml"), home.join("socket"));
        let paths = format!("root = \"{0}/root\"\nstate = \"{0}/state\"\n", home.display());
        let grpc = format!("[grpc]\naddress = \"{}\"\n", socket.display());
        fs::write(&config, format!("version = 2\n{paths}{top}{grpc}{plugins}"))?;
        let ctr = Ctr::new(place, &socket, namespace);
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

    /// Pulls an image through the CRI, as kubelet does: `PullImage` of `runtime.v1.ImageService`, spoken by
    /// curl. In protobuf, the name is field 1 of a message that is field 1.
    pub(crate) fn pull_by_cri(&self, image: &str, folder: &Path) -> Outcome {
        let field = |bytes: &[u8]| -> Outcome<Vec<u8>> {
            let mut field =
                vec![0x0a, u8::try_from(bytes.len()).ok().filter(|len| *len < 0x80).ok_or("too long")?];
            field.extend(bytes);
            Ok(field)
        };
        let message = field(&field(image.as_bytes())?)?;
        let mut request = vec![0];
        request.extend(u32::try_from(message.len())?.to_be_bytes());
        request.extend(message);
        let (body, headers) = (folder.join("request"), folder.join("headers"));
        fs::write(&body, request)?;
        let mut curl =
            program("curl", ["--silent", "--show-error", "--http2-prior-knowledge", "--unix-socket"]);
        curl.arg(&self.socket).args(["-H", "content-type: application/grpc", "-H", "te: trailers"]);
        curl.arg("--data-binary").arg(format!("@{}", body.display())).arg("--dump-header").arg(&headers);
        run(curl.arg("http://localhost/runtime.v1.ImageService/PullImage").args(["--output", "/dev/null"]))?;
        let said = fs::read_to_string(&headers)?;
        match said.lines().any(|line| line.trim() == "grpc-status: 0") {
            true => Ok(()),
            false => Err(format!("PullImage of {image}: {}", said.trim()).into()),
        }
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
