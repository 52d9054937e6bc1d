//! What the engines of a suite are filled with.

use std::fs;
use std::path::{Path, PathBuf};

use super::layout::{Layout, Packing};
use crate::Outcome;
use crate::engines::image::Image;
use crate::engines::process::{program, run};
use crate::engines::registry::Registry;
use crate::engines::tarball::{DIRECTORY, Dialect, FILE, Member, SYMLINK, Tarball};
use crate::interop::images::{self, Archive, Set, architecture};
use crate::interop::{builds, readers};

/// Archives, a build context, and a registry with an image of two platforms.
pub(super) struct Material {
    /// Layers that are not compressed, and a `manifest.json` alone.
    pub(super) plain: Archive,
    /// Layers compressed in several ways, as current engines save them.
    pub(super) packed: Archive,
    pub(super) context: PathBuf,
    /// A layer.
    pub(super) layer: PathBuf,
    /// `127.0.0.1:PORT/interop/multi:1`.
    pub(super) pulled: Option<String>,
    pub(super) registry: Option<Registry>,
}

impl Material {
    /// The images of all archives.
    pub(super) fn images(&self) -> Vec<Image> {
        self.plain.images.iter().chain(&self.packed.images).cloned().collect()
    }
}

/// Makes it. `root` is where a static busybox is.
pub(super) fn make(folder: &Path, root: &Path) -> Outcome<Material> {
    fs::create_dir_all(folder)?;
    let context = builds::context(folder)?;
    let layer = folder.join("layer.tar");
    fs::write(&layer, images::names(Set::All))?;
    let registry = Registry::start(&folder.join("registry")).ok();
    let pulled = registry.as_ref().map(|registry| push(folder, registry)).transpose()?;
    let packed = packed(folder, &fs::read(root.join("usr/bin/busybox"))?)?;
    let plain = images::make(folder, Set::All)?;
    Ok(Material { plain, packed, context, layer, pulled, registry })
}

fn packed(folder: &Path, busybox: &[u8]) -> Outcome<Archive> {
    let mut layout = Layout::new(&folder.join("packed"))?;
    let here = architecture();
    let program = program_layer(busybox);
    let (names, one, two) = (images::names(Set::All), file("one"), file("two"));
    layout.image(
        here,
        &[(&program, Packing::Gzip), (&one, Packing::Gzip)],
        &[readers::RUNNABLE, "library/runs:latest"],
    )?;
    layout.image(here, &[(&names, Packing::Zstd), (&one, Packing::Zstd)], &["interop/zstd:1"])?;
    let mixed = [(&*two, Packing::Tar), (&*names, Packing::Gzip), (&*one, Packing::Zstd)];
    layout.image(here, &mixed, &["interop/mixed:1"])?;
    let twice = [(&*one, Packing::Gzip), (&*two, Packing::Gzip), (&*one, Packing::Gzip)];
    layout.image(here, &twice, &["interop/twice:1"])?;
    let path = folder.join("packed.tar");
    layout.archive(&path)?;
    Ok(Archive { path, images: layout.images })
}

/// Pushes an image of two platforms and an attestation. Returns its name.
fn push(folder: &Path, registry: &Registry) -> Outcome<String> {
    let path = folder.join("multi");
    let mut layout = Layout::new(&path)?;
    let (one, two) = (file("one"), file("other"));
    let here = layout.image(architecture(), &[(&one, Packing::Gzip), (&two, Packing::Gzip)], &[])?;
    let there = layout.image("s390x", &[(&two, Packing::Gzip)], &[])?;
    let attestation = layout.attestation(&here)?;
    layout.index(&[there, here, attestation], "multi")?;
    layout.finish()?;
    let name = format!("{}/interop/multi:1", registry.address());
    let copy = ["copy", "--quiet", "--all", "--insecure-policy", "--dest-tls-verify=false"];
    let (from, to) = (format!("oci:{}:multi", path.display()), format!("docker://{name}"));
    run(program("skopeo", copy).args([from, to]))?;
    Ok(name)
}

/// `/bin/busybox`, and `/bin/echo` and `/bin/sh` as links to it.
pub(super) fn program_layer(busybox: &[u8]) -> Vec<u8> {
    let mut tar = Tarball::new(Dialect::Gnu);
    tar.add(&Member::new(DIRECTORY, "bin/"));
    tar.add(&Member { data: busybox, mode: 0o755, ..Member::new(FILE, "bin/busybox") });
    for name in ["bin/echo", "bin/sh"] {
        tar.add(&Member { link: b"busybox", mode: 0o777, ..Member::new(SYMLINK, name) });
    }
    tar.finish(1024)
}

pub(super) fn file(name: &str) -> Vec<u8> {
    let mut tar = Tarball::new(Dialect::Gnu);
    tar.file(name, name.as_bytes()).directory("etc/").file("etc/last", name.as_bytes());
    tar.finish(1024)
}
