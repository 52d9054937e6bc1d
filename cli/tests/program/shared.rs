//! Blobs on a file system that can share them among files.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::program::{ended, is_root, layerlift, output, save, skipped};
use crate::store::Store;

/// A btrfs in a file, until it is dropped.
struct Btrfs(PathBuf);

impl Btrfs {
    fn mount(file: &Path, at: PathBuf) -> Option<Btrfs> {
        fs::File::create(file).and_then(|file| file.set_len(128 << 20)).unwrap();
        fs::create_dir(&at).unwrap();
        let ran = |program: &str, args: &[&Path]| {
            let done = Command::new(program).args(args).output();
            done.is_ok_and(|done| done.status.success())
        };
        let made = ran("mkfs.btrfs", &["-q".as_ref(), file]);
        (made && ran("mount", &["-o".as_ref(), "loop".as_ref(), file, &at])).then_some(Btrfs(at))
    }
}

impl Drop for Btrfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

/// A layout, and what `push` adds to one, have the bytes of another one there, which take no room.
#[test]
fn blobs_take_no_room() {
    if !is_root("blobs_take_no_room", "only root may mount") {
        return;
    }
    let store = Store::example();
    let Some(disk) = Btrfs::mount(&store.beside("disk"), store.beside("mounted")) else {
        return skipped("blobs_take_no_room", "no btrfs can be made and mounted here");
    };
    let layout = |name: &str| format!("{}/", disk.0.join(name).display());
    let ran = |command: &mut Command| assert_eq!(ended(&output(command)), (Some(0), String::new()));
    let options = ["--format", "oci-archive", "--quiet", "-o"];
    ran(save(&store.root).args(["base:latest", "--compress", "none"]).args(options).arg(layout("stored")));
    let stored = disk.0.join("stored");
    ran(save(&stored).arg("--all").args(options).arg(layout("copied")));
    let push = ["push", "--quiet", "--all", "--compress", "none", "--root"];
    ran(layerlift().args(push).arg(&stored).arg(format!("oci:{}", layout("pushed"))));
    ran(Command::new("sync").arg("-f").arg(&disk.0));
    let blobs = fs::read_dir(stored.join("blobs/sha256")).unwrap().map(|blob| blob.unwrap());
    let layer = blobs.max_by_key(|blob| blob.metadata().unwrap().len()).unwrap().file_name();
    for copy in ["copied", "pushed"] {
        let path = disk.0.join(copy).join("blobs/sha256").join(&layer);
        assert!(fs::read(&path).unwrap() == fs::read(stored.join("blobs/sha256").join(&layer)).unwrap());
        let extents = Command::new("filefrag").arg("-v").arg(&path).output();
        let Ok(extents) = extents else { return skipped("blobs_take_no_room", "filefrag is not installed") };
        let extents = String::from_utf8_lossy(&extents.stdout).into_owned();
        assert!(extents.contains("shared"), "{copy}: {extents}");
    }
    // Damage is found as in a copy that is written.
    let mut bytes = fs::read(stored.join("blobs/sha256").join(&layer)).unwrap();
    bytes[100] ^= 1;
    fs::write(stored.join("blobs/sha256").join(&layer), bytes).unwrap();
    let (status, errors) = ended(&output(save(&stored).arg("--all").args(options).arg(layout("damaged"))));
    assert_eq!(status, Some(1), "{errors}");
    assert!(errors.contains(layer.to_str().unwrap()) && !disk.0.join("damaged").exists(), "{errors}");
}
