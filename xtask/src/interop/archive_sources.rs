//! Archives and layouts as sources: those that docker, podman, buildah, skopeo, ctr and umoci write.

use std::fs;
use std::path::{Path, PathBuf};

use super::archive::{self, Alike, by_index, by_manifest_json, oci_manifest_digests};
use super::images::{self, Archive, Set};
use super::report::Report;
use super::source::{Checks, Source};
use super::{Engine, Options};
use crate::Outcome;
use crate::engines::containerd::Containerd;
use crate::engines::containers::Storage;
use crate::engines::docker::Docker;
use crate::engines::image::Image;
use crate::engines::process::{into_file, program, run};
use crate::engines::scratch::unmount_below;

/// Which document lists the images of an archive.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// `manifest.json`.
    Docker,
    /// `index.json`.
    Oci,
}

/// A name, the kind of archive, the programs that must be installed, and what writes the archive.
type Writer = (&'static str, Kind, &'static [&'static str], fn(&Material<'_>, &Path) -> Outcome);

const WRITERS: [Writer; 12] = [
    ("docker save", Kind::Docker, &["dockerd", "docker"], by_docker),
    ("podman save, docker-archive", Kind::Docker, &["podman"], |material, out| {
        by_podman(material, &["--multi-image-archive", "--format", "docker-archive"], &material.tags(), out)
    }),
    ("podman save, oci-archive", Kind::Oci, &["podman"], |material, out| {
        by_podman(material, &["--format", "oci-archive"], &["interop/names:n1"], out)
    }),
    ("podman save, oci-dir", Kind::Oci, &["podman"], |material, out| {
        by_podman(material, &["--format", "oci-dir"], &["interop/repeated:r1"], out)
    }),
    ("buildah push, oci:", Kind::Oci, &["buildah"], |material, out| {
        let to = format!("oci:{}:built", out.display());
        run(material.storage.buildah(["push", "--quiet", "interop/shapes:1.0", &to]))
    }),
    ("skopeo copy, docker-archive:", Kind::Docker, &["skopeo"], |material, out| {
        by_skopeo(material, 0, &[], &format!("docker-archive:{}:interop/copied:1", out.display()))
    }),
    ("skopeo copy, oci:", Kind::Oci, &["skopeo"], |material, out| {
        for image in 0..material.archive.images.len() {
            by_skopeo(material, image, &[], &format!("oci:{}:image-{image}", out.display()))?;
        }
        Ok(())
    }),
    ("skopeo copy, oci-archive: with zstd", Kind::Oci, &["skopeo"], |material, out| {
        by_skopeo(
            material,
            0,
            &["--dest-compress-format", "zstd"],
            &format!("oci-archive:{}:zstd", out.display()),
        )
    }),
    ("ctr images export", Kind::Oci, &["containerd", "ctr"], by_ctr),
    ("umoci", Kind::Oci, &["umoci"], by_umoci),
    ("docker save, gzip", Kind::Docker, &["dockerd", "docker"], |material, out| {
        compressed("gzip", material, out)
    }),
    ("docker save, xz", Kind::Docker, &["dockerd", "docker", "xz"], |material, out| {
        compressed("xz", material, out)
    }),
];

/// What the writers start from.
struct Material<'a> {
    archive: &'a Archive,
    folder: &'a Path,
    docker: Option<Docker>,
    storage: Storage,
}

/// Runs the checks of each archive.
pub(crate) fn run_all(options: &Options, checks: &Checks<'_>, report: &mut Report) -> Outcome {
    if !options.wants(Engine::Archive, "archive") {
        return Ok(());
    }
    let folder = checks.scratch.folder("a")?;
    let archive = images::make(&folder, Set::All)?;
    let storage = Storage::new(&folder.join("s"), "overlay", None)?;
    // If the daemon does not start, the writers that need it report that.
    let docker = Docker::start(&folder.join("d"), &checks.scratch.folder("a/root")?, "vfs").ok();
    if let Some(docker) = &docker {
        run(docker.docker(["load", "--input"]).arg(&archive.path))?;
    }
    let material = Material { archive: &archive, folder: &folder, docker, storage };
    let _ = run(material.storage.podman(["load", "--quiet", "--input"]).arg(&archive.path));
    for (name, kind, needs, write) in WRITERS {
        if let Some(missing) = needs.iter().find(|program| !crate::engines::process::installed(program)) {
            report.not_run(name, &format!("{missing} is not installed"));
            continue;
        }
        if needs.contains(&"dockerd") && material.docker.is_none() {
            report.not_run(name, "dockerd does not start");
            continue;
        }
        let out = folder.join("archive");
        if report.check(&format!("{name}: writes"), || write(&material, &out)) {
            let source = report
                .step(&format!("{name}: is sound"), || taken(name, kind, &out, &folder.join("unpacked")));
            if let Some(source) = source {
                checks.check(&source, None, report)?;
            }
        }
        run(program("rm", ["-rf", "--"]).arg(&out))?;
    }
    unmount_below(&folder);
    Ok(())
}

/// The archive as a source. Its images are read without layerlift.
fn taken(name: &str, kind: Kind, out: &Path, unpacked: &Path) -> Outcome<Source> {
    let folder = if out.is_dir() { out } else { unpacked };
    if folder == unpacked {
        archive::unpack(out, unpacked)?;
    }
    let (images, manifests) = match kind {
        Kind::Docker => (by_manifest_json(folder)?, Vec::new()),
        Kind::Oci => (by_index(folder)?, oci_manifest_digests(folder)?),
    };
    if folder == unpacked {
        run(program("rm", ["-rf", "--"]).arg(unpacked))?;
    }
    Ok(Source {
        name: name.to_owned(),
        root: out.to_owned(),
        images,
        // The names in a layout are tags at best, and each reader interprets them differently.
        alike: Alike { other_tags: kind == Kind::Oci, ..Alike::default() },
        manifests,
        compress: name == "skopeo copy, oci:",
        ..Source::default()
    })
}

impl Material<'_> {
    fn tags(&self) -> Vec<&str> {
        self.archive
            .images
            .iter()
            .filter_map(|image: &Image| image.tags.first())
            .map(String::as_str)
            .collect()
    }
}

fn by_docker(material: &Material<'_>, out: &Path) -> Outcome {
    let docker = material.docker.as_ref().ok_or("no daemon")?;
    run(docker.docker(["save", "--output"]).arg(out).args(docker.names()?))
}

fn compressed(program_name: &str, material: &Material<'_>, out: &Path) -> Outcome {
    let plain = material.folder.join("plain.tar");
    by_docker(material, &plain)?;
    into_file(program(program_name, ["-1", "-c"]).arg(&plain), out)
}

fn by_podman(material: &Material<'_>, format: &[&str], names: &[&str], out: &Path) -> Outcome {
    let mut podman = material.storage.podman(["save", "--quiet"]);
    run(podman.args(format).arg("--output").arg(out).args(names))
}

fn by_skopeo(material: &Material<'_>, image: usize, options: &[&str], to: &str) -> Outcome {
    let from = format!("docker-archive:{}:@{image}", material.archive.path.display());
    run(program("skopeo", ["copy", "--quiet", "--insecure-policy"]).args(options).args([&*from, to]))
}

fn by_ctr(material: &Material<'_>, out: &Path) -> Outcome {
    let containerd = Containerd::start(&material.folder.join("c"))?;
    run(containerd.command(["images", "import", "--digests"]).arg(&material.archive.path))?;
    let names: Vec<String> = containerd.names()?;
    run(containerd.command(["images", "export"]).arg(out).args(names))
}

fn by_umoci(material: &Material<'_>, out: &Path) -> Outcome {
    let image = format!("{}:made", out.display());
    let added: PathBuf = material.folder.join("added");
    fs::create_dir_all(&added)?;
    fs::write(added.join("file"), "by umoci")?;
    run(program("umoci", ["init", "--layout"]).arg(out))?;
    run(program("umoci", ["new", "--image", &image]))?;
    run(program("umoci", ["insert", "--image", &image]).arg(&added).arg("/added"))?;
    run(program("umoci", ["config", "--image", &image, "--author", "somebody", "--tag", "changed"]))
}
