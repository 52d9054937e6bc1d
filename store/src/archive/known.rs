//! What a file is that is not an archive of images, where people may take it for one: by its first bytes, or
//! by the names in the tar.

use std::path::PathBuf;

use layerlift_archive::{Compression, ReadAt};

use crate::{Error, Hint};

/// What to do with a disk.
pub(super) const MOUNT: &str = "mount it read-only (`mount -o ro,loop FILE DIR`; for partitions, \
                                `losetup --find --show -rP`; for qcow2 and others, `qemu-nbd --read-only`)";
const UNPACK: &str =
    "unpack it as root, with `tar --xattrs --xattrs-include='*' --numeric-owner -xpf FILE -C DIR`";
const IMPORT: &str = "make an image of it with `docker import` or `podman import`";

/// What else a file is, and what to do.
pub(super) struct Known {
    why: &'static str,
    hint: Hint,
}

impl Known {
    pub(super) fn error(self, path: &std::path::Path) -> Error {
        Error::NoStore { path: path.to_owned(), why: Some(self.why.into()), hint: Some(self.hint) }
    }
}

/// Bytes at an offset by which a disk image, or a file system, is known.
const DISKS: &[(u64, &[u8], &str)] = &[
    (0, b"QFI\xfb", "it is a disk image (qcow2)"),
    (0, b"KDMV", "it is a disk image (VMDK)"),
    (0, b"vhdxfile", "it is a disk image (VHDX)"),
    (0x40, b"\x7f\x10\xda\xbe", "it is a disk image (VDI)"),
    (0, b"LUKS\xba\xbe", "it is an encrypted disk (LUKS)"),
    (0, b"XFSB", "it is a disk image with an XFS file system"),
    (0, b"hsqs", "it is an image of a file system (squashfs)"),
    (1024, b"\xe2\xe1\xf5\xe0", "it is an image of a file system (EROFS)"),
    (0x438, b"\x53\xef", "it is a disk image with an ext2, ext3 or ext4 file system"),
    (0x1_0040, b"_BHRfS_M", "it is a disk image with a btrfs file system"),
    (0x8001, b"CD001", "it is an image of a CD (ISO 9660)"),
    (512, b"EFI PART", "it is a disk image with partitions"),
    (510, b"\x55\xaa", "it is a disk image with partitions"),
];

/// A file that is not a tar. `unpacked` says that it was decompressed.
pub(super) fn by_bytes(file: &dyn ReadAt, unpacked: bool) -> Option<Known> {
    let at = |offset: u64, bytes: &[u8]| {
        let mut found = vec![0; bytes.len()];
        file.read_exact_at(&mut found, offset).is_ok() && found == bytes
    };
    let mut first = [0; 6];
    if unpacked
        && file.read_exact_at(&mut first, 0).is_ok()
        && Compression::detect(&first) != Compression::None
    {
        let hint = Hint::Other("decompress it once, with `gzip -d` or the like".into());
        return Some(Known { why: "it is compressed twice", hint });
    }
    let (.., why) = DISKS.iter().find(|(offset, bytes, _)| at(*offset, bytes))?;
    Some(Known { why, hint: Hint::NameContents { how: MOUNT.into(), below: PathBuf::new() } })
}

/// Folders of a data root, and how many components above them are not part of it.
const ROOTS: &[(&[&str], &str)] = &[
    (&["image", "*", "imagedb"], "it is a backup of a data root of Docker"),
    (&["image", "*", "layerdb"], "it is a backup of a data root of Docker"),
    (&["overlay-images"], "it is a backup of a store of Podman"),
    (&["vfs-images"], "it is a backup of a store of Podman"),
    (&["btrfs-images"], "it is a backup of a store of Podman"),
    (&["graph", "_tmp"], "it is a backup of a data root of Docker before 1.10"),
    (&["io.containerd.content.v1.content"], "it is a backup of a store of containerd"),
];

/// How deep in a backup a data root is looked for: `home/ada/.local/share/containers/storage`.
const DEPTH: usize = 8;

/// Folders at the top of a system.
const SYSTEM: &[&str] =
    &["bin", "dev", "etc", "home", "lib", "proc", "root", "run", "sbin", "sys", "tmp", "usr", "var"];

/// A tar without images, whose entries have these names.
pub(super) fn by_names<'a>(names: impl Iterator<Item = &'a str> + Clone) -> Option<Known> {
    // In the order of the table: the data root of Docker has a store of containerd in it.
    let data_root = ROOTS.iter().find_map(|root| names.clone().find_map(|name| data_root(name, root)));
    if let Some((why, below)) = data_root {
        return Some(Known { why, hint: Hint::NameContents { how: UNPACK.into(), below } });
    }
    let tops = SYSTEM.iter().filter(|top| {
        names
            .clone()
            .any(|name| name.strip_prefix(**top).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
    });
    if names.clone().any(|name| name == ".dockerenv") || tops.count() >= 4 {
        let why = "it has the files of a system, as `docker export` writes them, and no image";
        return Some(Known { why, hint: Hint::Other(IMPORT.into()) });
    }
    None
}

/// The data root of this sort that a name is in.
fn data_root(name: &str, (folders, why): &(&[&str], &'static str)) -> Option<(&'static str, PathBuf)> {
    let components: Vec<&str> = name.split('/').collect();
    for depth in 0..components.len().min(DEPTH) {
        let here = components[depth..].iter().zip(*folders);
        if components.len() >= depth + folders.len()
            && here.clone().all(|(component, folder)| component == folder || *folder == "*")
        {
            return Some((why, components[..depth].iter().collect()));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_roots() {
        for (name, below) in [
            ("image/overlay2/imagedb", Some("")),
            ("image/overlay2/imagedb/content/sha256/x", Some("")),
            ("var/lib/docker/image/vfs/layerdb/x", Some("var/lib/docker")),
            (
                "home/ada/.local/share/containers/storage/overlay-images/images.json",
                Some("home/ada/.local/share/containers/storage"),
            ),
            ("graph/_tmp", Some("")),
            ("image/manifest.json", None),
            ("graph/x", None),
            ("etc/passwd", None),
        ] {
            let found = ROOTS.iter().find_map(|root| data_root(name, root));
            assert_eq!(found.map(|(_, root)| root), below.map(PathBuf::from), "{name}");
        }
        let names =
            ["docker/containerd/daemon/io.containerd.content.v1.content/x", "docker/image/vfs/layerdb"];
        let found = by_names(names.into_iter()).unwrap();
        assert_eq!(found.why, "it is a backup of a data root of Docker");
    }
}
