//! The programs that read what layerlift writes. Each has a line in each of the tables below.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::archive::{self, Alike, Format, by_index, by_manifest_json, same};
use super::report::Report;
use super::source::Shape;
use crate::Outcome;
use crate::engines::containerd::Containerd;
use crate::engines::containers::Storage;
use crate::engines::docker::{Docker, ImageStore};
use crate::engines::image::{Image, sha256};
use crate::engines::place::Place;
use crate::engines::process::{bytes, program, run, text};
use crate::engines::scratch::{Mount, Scratch};

/// An archive that layerlift wrote.
pub(crate) struct Written {
    pub(crate) shape: Shape,
    /// As a tar.
    pub(crate) tar: PathBuf,
    /// The same, unpacked.
    pub(crate) folder: PathBuf,
    /// The images that must be in it.
    pub(crate) images: Vec<Image>,
}

/// A program that reads archives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Reader {
    Docker,
    /// Docker with its images in containerd.
    DockerContainerd,
    Podman,
    Containerd,
    Skopeo,
    Umoci,
    Buildah,
}

/// An image with a static program. Where an archive has it, Docker runs it.
pub(crate) const RUNNABLE: &str = "interop/runs:1";

/// The readers that are installed, with private daemons and stores.
pub(crate) struct Readers {
    /// The prefix of their lines in the report.
    label: String,
    place: Place,
    readers: Vec<Reader>,
    docker: Option<Docker>,
    docker_containerd: Option<Docker>,
    containerd: Option<Containerd>,
    storage: Storage,
    folder: PathBuf,
    /// The name of each archive that was read, by its digest.
    read: RefCell<BTreeMap<String, String>>,
    /// Dropped last.
    _memory: Option<Mount>,
}

impl Reader {
    /// Those of this machine, whose Docker is 20.10.
    const OLD: [Reader; 6] =
        [Reader::Docker, Reader::Podman, Reader::Containerd, Reader::Skopeo, Reader::Umoci, Reader::Buildah];

    /// Those of newer suites.
    const NEW: [Reader; 6] = [
        Reader::Docker,
        Reader::DockerContainerd,
        Reader::Podman,
        Reader::Containerd,
        Reader::Skopeo,
        Reader::Umoci,
    ];

    fn programs(self) -> &'static [&'static str] {
        match self {
            Reader::Docker => &["dockerd", "docker"],
            Reader::DockerContainerd => &["dockerd", "docker", "containerd", "ctr"],
            Reader::Podman => &["podman"],
            Reader::Containerd => &["containerd", "ctr"],
            Reader::Skopeo => &["skopeo"],
            Reader::Umoci => &["umoci"],
            Reader::Buildah => &["buildah"],
        }
    }

    /// What it does with an archive; `None` if it does not know the format.
    fn action(self, format: Format) -> Option<&'static str> {
        Some(match (self, format) {
            (Reader::Docker, Format::DockerArchive | Format::DockerV1) => "docker load, docker save",
            (Reader::DockerContainerd, Format::DockerArchive | Format::OciArchive) => {
                "docker load with the containerd store"
            }
            (Reader::Podman, Format::DockerArchive | Format::OciArchive) => "podman load",
            (Reader::Containerd, Format::DockerArchive | Format::OciArchive) => "ctr images import",
            (Reader::Skopeo, Format::DockerArchive | Format::OciArchive) => "skopeo inspect, skopeo copy",
            (Reader::Umoci, Format::DockerArchive | Format::OciArchive) => "umoci unpack",
            (Reader::Buildah, Format::DockerArchive | Format::OciArchive) => "buildah pull",
            _ => return None,
        })
    }

    /// Why a reader cannot read this archive, if that is known. `zstd` is whether it supports zstd.
    fn obstacle(self, written: &Written, zstd: bool) -> Option<&'static str> {
        let types = archive::media_types(&written.folder).unwrap_or_default();
        let has_zstd = types.iter().any(|one| one.ends_with("zstd"));
        match self {
            Reader::Docker if has_zstd && !zstd => Some("Docker before 23 does not support zstd"),
            Reader::Umoci if has_zstd && !zstd => Some("umoci before 0.5 does not support zstd"),
            Reader::Umoci
                if archive::oci_layers_names(&written.folder).is_ok_and(|names| names.is_empty()) =>
            {
                Some("umoci finds images by their reference name, and here several share one")
            }
            _ => None,
        }
    }

    /// The version of Docker or umoci, which did not always support zstd.
    pub(crate) fn supports_zstd(self, place: &Place) -> bool {
        let (command, since) = match self {
            Reader::Docker => (place.program("dockerd", ["--version"]), (23, 0)),
            Reader::Umoci => (place.program("umoci", ["--version"]), (0, 5)),
            _ => return true,
        };
        let said = text(command).unwrap_or_default();
        let version =
            said.split([' ', ',']).find(|word| word.starts_with(|first: char| first.is_ascii_digit()));
        let mut numbers =
            version.unwrap_or_default().split(['.', '+', '~']).map(|one| one.parse().unwrap_or(0));
        (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= since
    }
}

impl Readers {
    /// Starts the daemons of this machine. A reader that is not installed is reported once.
    pub(crate) fn start(scratch: &Scratch, report: &mut Report) -> Outcome<Self> {
        let folder = scratch.folder("readers")?;
        // What readers write is thrown away, so it stays in memory: on a disk they would wait for it to be
        // flushed.
        let memory = Mount::memory(&folder).ok();
        let readers = Readers::start_in(&Place::HERE, &Reader::OLD, "", &folder, report)?;
        Ok(Readers { _memory: memory, ..readers })
    }

    /// Starts those of a newer suite.
    pub(crate) fn start_newer(
        place: &Place,
        suite: &str,
        scratch: &Scratch,
        report: &mut Report,
    ) -> Outcome<Self> {
        let label = format!("{suite}: ");
        Readers::start_in(place, &Reader::NEW, &label, &scratch.folder("newer")?, report)
    }

    fn start_in(
        place: &Place,
        all: &[Reader],
        label: &str,
        folder: &Path,
        report: &mut Report,
    ) -> Outcome<Self> {
        let mut readers = Readers {
            label: label.to_owned(),
            place: place.clone(),
            readers: Vec::new(),
            docker: None,
            docker_containerd: None,
            containerd: None,
            storage: Storage::new(&folder.join("s"), "overlay", None)?.at(place),
            folder: folder.to_owned(),
            read: RefCell::default(),
            _memory: None,
        };
        for &reader in all {
            let name = format!("{label}{} as a reader", format!("{reader:?}").to_lowercase());
            if let Some(missing) = reader.programs().iter().find(|program| !place.has(program)) {
                report.not_run(&name, &format!("{missing} is not installed"));
                continue;
            }
            match readers.start_one(reader) {
                Ok(()) => readers.readers.push(reader),
                Err(error) => report.not_run(&name, &error.to_string()),
            }
        }
        Ok(readers)
    }

    fn start_one(&mut self, reader: Reader) -> Outcome {
        let folder = &self.folder;
        let docker = |name: &str, store: ImageStore<'_>| {
            let root = folder.join(format!("r-{name}"));
            fs::create_dir_all(&root)?;
            Docker::start_in(&self.place, &folder.join(format!("d-{name}")), &root, store)
        };
        match reader {
            Reader::Docker => {
                // If overlay2 does not work here, vfs does.
                let daemon = docker("overlay2", ImageStore::Driver("overlay2"))
                    .or_else(|_| docker("vfs", ImageStore::Driver("vfs")))?;
                self.docker = Some(daemon);
            }
            Reader::DockerContainerd => {
                self.docker_containerd = Some(docker("containerd", ImageStore::Containerd)?);
            }
            Reader::Containerd => {
                self.containerd = Some(Containerd::start_in(&self.place, &folder.join("c"))?);
            }
            _ => {}
        }
        Ok(())
    }

    /// Lets every reader read the archive, and compares the images that it then has with those that it should
    /// have.
    pub(crate) fn check(&self, what: &str, written: &Written, report: &mut Report) {
        let Ok(digest) = sha256(&written.tar) else { return };
        if let Some(first) = self.read.borrow().get(&digest) {
            report.check(&format!("{what}: the same bytes as {first}, which has been read"), || Ok(()));
            return;
        }
        self.read.borrow_mut().insert(digest, what.to_owned());
        for &reader in &self.readers {
            if let Some(action) = reader.action(written.shape.format) {
                let name = format!("{what}: {}{action}", self.label);
                match reader.obstacle(written, reader.supports_zstd(&self.place)) {
                    Some(why) => report.not_run(&name, why),
                    None => drop(report.check(&name, || self.read(reader, written))),
                }
            }
        }
    }

    fn read(&self, reader: Reader, written: &Written) -> Outcome {
        let folder = self.folder.join("work");
        if folder.exists() {
            run(program("rm", ["-rf", "--"]).arg(&folder))?;
        }
        fs::create_dir(&folder)?;
        let outcome = match reader {
            Reader::Docker => self.docker(written, &folder),
            Reader::DockerContainerd => self.docker_containerd(written),
            Reader::Podman => self.podman(written),
            Reader::Containerd => self.containerd(written),
            Reader::Skopeo => self.skopeo(written, &folder),
            Reader::Umoci => self.umoci(written, &folder),
            Reader::Buildah => self.buildah(written),
        };
        run(program("rm", ["-rf", "--"]).arg(&folder))?;
        outcome
    }

    fn docker(&self, written: &Written, folder: &Path) -> Outcome {
        let docker = self.docker.as_ref().ok_or("no daemon")?;
        docker.clear()?;
        run(docker.docker(["load", "--input"]).arg(&written.tar))?;
        let loaded = docker.images()?;
        same(
            &written.images,
            &loaded,
            Alike { other_ids: written.shape.format == Format::DockerV1, other_tags: false },
        )?;
        let saved = folder.join("saved.tar");
        run(docker.docker(["save", "--output"]).arg(&saved).args(docker.names()?))?;
        archive::unpack(&saved, &folder.join("saved"))?;
        same(&loaded, &by_manifest_json(&folder.join("saved"))?, Alike::default())
            .map_err(|error| format!("docker save: {error}"))?;
        runs(docker, written)?;
        docker.clear()
    }

    /// Docker's ids are digests of manifests here, so they are those of the archive.
    fn docker_containerd(&self, written: &Written) -> Outcome {
        let docker = self.docker_containerd.as_ref().ok_or("no daemon")?;
        let ctr = docker.containerd();
        ctr.clear()?;
        run(docker.docker(["load", "--input"]).arg(&written.tar))?;
        same(&written.images, &ctr.images()?, Alike::default())?;
        let listed =
            text(docker.docker(["images", "--all", "--no-trunc", "--format", "{{.ID}} {{.Digest}}"]))?;
        for digest in archive::manifest_digests(&written.folder)? {
            // An image without a name has no digest beside its id.
            let is = |line: &str| line == format!("{digest} {digest}") || line == format!("{digest} <none>");
            if !listed.lines().any(is) {
                return Err(format!("docker images does not list {digest}").into());
            }
        }
        runs(docker, written)?;
        ctr.clear()
    }

    fn podman(&self, written: &Written) -> Outcome {
        self.storage.clear()?;
        let references = references(written)?;
        match written.shape.format {
            Format::OciArchive => {
                // podman load refuses an OCI archive with more than one image.
                for (reference, _) in &references {
                    run(self.storage.podman(["pull", "--quiet", &source(written, reference)]))?;
                }
                self.holds(&references)
            }
            _ => {
                run(self.storage.podman(["load", "--quiet", "--input"]).arg(&written.tar))?;
                same(&written.images, &self.storage.images()?, Alike::default())
            }
        }
    }

    fn buildah(&self, written: &Written) -> Outcome {
        self.storage.clear()?;
        let references = references(written)?;
        for (reference, _) in &references {
            run(self.storage.buildah(["pull", "--quiet", &source(written, reference)]))?;
        }
        self.holds(&references)
    }

    /// Checks that the readers' containers-storage holds exactly these images, by id and with all layers.
    fn holds(&self, references: &[(String, &Image)]) -> Outcome {
        let expected: Vec<Image> = references.iter().map(|(_, image)| (*image).clone()).collect();
        same(&expected, &self.storage.images()?, Alike { other_tags: true, ..Alike::default() })
    }

    fn containerd(&self, written: &Written) -> Outcome {
        let containerd = self.containerd.as_ref().ok_or("no daemon")?;
        containerd.clear()?;
        // With names by digest, because an image without a tag would be dropped otherwise.
        run(containerd.command(["images", "import", "--digests"]).arg(&written.tar))?;
        same(&written.images, &containerd.images()?, Alike::default())?;
        containerd.clear()
    }

    fn skopeo(&self, written: &Written, folder: &Path) -> Outcome {
        let mut copied = Vec::new();
        let references = references(written)?;
        for (reference, image) in &references {
            let source = source(written, reference);
            let config = bytes(self.place.program("skopeo", ["inspect", "--config", "--raw", &source]))?;
            let file = folder.join("config");
            fs::write(&file, config)?;
            if sha256(&file)? != image.id {
                return Err(format!("skopeo inspect {source}: not the config of {}", image.id).into());
            }
            if copied.is_empty() {
                run(self.place.program("skopeo", ["inspect", &source]))?;
            }
            let to = format!("oci:{}:{}", folder.join("layout").display(), copied.len());
            run(self.place.program("skopeo", ["copy", "--quiet", "--insecure-policy", &source, &to]))?;
            copied.push((*image).clone());
        }
        // skopeo rewrites configs when it converts from Docker's format to OCI's.
        let other_ids = written.shape.format != Format::OciArchive;
        same(&copied, &by_index(&folder.join("layout"))?, Alike { other_ids, other_tags: true })?;
        if written.shape.format == Format::OciArchive {
            for (reference, image) in &references {
                let to = folder.join("dir");
                run(program(
                    "skopeo",
                    [
                        "copy",
                        "--quiet",
                        "--insecure-policy",
                        &source(written, reference),
                        &format!("dir:{}", to.display()),
                    ],
                ))?;
                if !to.join(&image.id).exists() {
                    return Err(format!("skopeo copy to dir: no config {}", image.id).into());
                }
            }
        }
        Ok(())
    }

    fn umoci(&self, written: &Written, folder: &Path) -> Outcome {
        for (index, reference) in archive::oci_layers_names(&written.folder)?.iter().enumerate() {
            let bundle = folder.join(index.to_string());
            let image = format!("{}:{reference}", written.folder.display());
            run(self.place.program("umoci", ["unpack", "--image", &image]).arg(&bundle))?;
            if fs::read_dir(bundle.join("rootfs"))?.next().is_none() {
                return Err(format!("umoci unpack {reference}: the file system is empty").into());
            }
        }
        Ok(())
    }
}

/// Runs the image with a static program, if the archive has it.
fn runs(docker: &Docker, written: &Written) -> Outcome {
    if !written.images.iter().any(|image| image.tags.contains(RUNNABLE)) {
        return Ok(());
    }
    let said = text(docker.docker(["run", "--rm", "--network=none", RUNNABLE, "echo", "it runs"]))?;
    if said == "it runs\n" { Ok(()) } else { Err(format!("docker run {RUNNABLE}: {said:?}").into()) }
}

/// The name of an image in an archive, for skopeo, podman and buildah.
fn source(written: &Written, reference: &str) -> String {
    let transport = if written.shape.format == Format::OciArchive { "oci-archive" } else { "docker-archive" };
    let separator = if reference.is_empty() { "" } else { ":" };
    format!("{transport}:{}{separator}{reference}", written.tar.display())
}

/// The images of an archive that can be named, and a name of each.
fn references(written: &Written) -> Outcome<Vec<(String, &Image)>> {
    let mut references = Vec::new();
    if written.shape.format == Format::DockerArchive {
        // By position, which also works for images with odd names, or without one.
        for (position, found) in by_manifest_json(&written.folder)?.iter().enumerate() {
            let image = written.images.iter().find(|image| image.id == found.id);
            references.extend(image.map(|image| (format!("@{position}"), image)));
        }
    } else if let [image] = &*written.images {
        references.push((String::new(), image));
    } else {
        for (id, name) in archive::ref_names(&written.folder)? {
            let image = written.images.iter().find(|image| image.id == id);
            references.extend(image.map(|image| (name, image)));
        }
    }
    Ok(references)
}
