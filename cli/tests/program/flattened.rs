//! `layerlift rootfs` of images that no engine has unpacked, against stores that have the same image
//! unpacked.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::listing::entries;
use crate::program::{ended, is_root, layerlift, output};
use crate::rootfs::{fixture, names, rootfs, unpacked};
use crate::store::Store;

/// Saves an image of a store; a name with a slash at its end is a directory.
fn saved(store: &Store, image: &str, out: &str, arguments: &[&str]) -> PathBuf {
    let path = store.beside(out);
    let written =
        if out.ends_with(".oci") { format!("{}/", path.display()) } else { path.display().to_string() };
    let saved = output(
        layerlift()
            .arg("save")
            .arg(image)
            .args(arguments)
            .arg("--root")
            .arg(&store.root)
            .args(["-o", &written]),
    );
    assert_eq!(saved.status.code(), Some(0), "{out}: {}", ended(&saved).1);
    path
}

/// Archives and layouts, whole and compressed, and a member of each kind of engine.
#[test]
fn the_same_bytes_as_of_what_was_unpacked() {
    if !is_root("the_same_bytes_as_of_what_was_unpacked", "for devices and attributes of overlayfs") {
        return;
    }
    let mut compared = 0;
    for (engine, image) in [
        ("docker-28.5", "app:2"),
        ("docker-28.5", "base:1"),
        ("docker-28.5-containerd", "app:2"),
        ("podman-5.8", "localhost/app:2"),
    ] {
        let store = Store::containers(engine);
        let expected = rootfs(&store.root, &[image]).stdout;
        assert!(names(&expected).len() > 20, "{engine} {image}");
        for (out, arguments) in [
            ("docker.tar", &["--format", "docker-archive"][..]),
            ("v1.tar", &["--format", "docker-v1"]),
            ("oci.tar", &["--format", "oci-archive"]),
            ("gzip.tar", &["--format", "oci-archive", "--compress", "gzip"]),
            ("zstd.oci", &["--format", "oci-archive", "--compress", "zstd"]),
        ] {
            let archive = saved(&store, image, out, arguments);
            let got = rootfs(&archive, &[image]);
            assert_eq!(ended(&got), (Some(0), String::new()), "{engine} {image} {out}");
            assert!(got.stdout == expected, "{engine} {image} {out}: other bytes");
            let part = rootfs(&archive, &[image, "--path", "/etc"]).stdout;
            assert!(part == rootfs(&store.root, &[image, "--path", "/etc"]).stdout, "{engine} {out}: /etc");
            compared += 1;
        }
    }
    assert_eq!(compared, 20);
    let store = Store::containers("podman-5.8");
    let archive = saved(&store, "localhost/base:1", "base.tar", &[]);
    let exported = unpacked(&fixture("podman-5.8").join("export-never-started.tar.xz"));
    assert!(rootfs(&archive, &["localhost/base:1"]).stdout == exported);
}

/// The snapshots are lost, and the blobs are there.
#[test]
fn of_containerd_without_snapshots() {
    if !is_root("of_containerd_without_snapshots", "for devices and attributes of overlayfs") {
        return;
    }
    let store = Store::containers("docker-28.5-containerd");
    let expected = rootfs(&store.root, &["app:2"]).stdout;
    let snapshotter = store.root.join("containerd/daemon/io.containerd.snapshotter.v1.overlayfs");
    std::fs::remove_dir_all(snapshotter).expect("it was there");
    let got = rootfs(&store.root, &["app:2"]);
    assert_eq!(ended(&got).0, Some(0), "{}", ended(&got).1);
    assert!(ended(&got).1.contains("what the engine unpacked"), "{}", ended(&got).1);
    assert!(got.stdout == expected);
}

/// Everything that can be seen of the files of a directory.
fn listed(dir: &Path) -> Vec<String> {
    let format = "%P %y %m %U:%G %s %T@ %l\\n";
    let script = r#"cd "$1"; find . -printf "$2" | sort;
        find . -type f -print0 | sort -z | xargs -0 sha256sum;
        getfattr -Rhdm - . 2>/dev/null"#;
    let found =
        Command::new("sh").args(["-c", script, "sh"]).arg(dir).arg(format).output().expect("sh starts");
    // Of a directory, the size is the file system's.
    let text = String::from_utf8_lossy(&found.stdout).into_owned();
    text.lines().filter(|line| !line.contains(" d ")).map(str::to_owned).collect()
}

#[test]
fn as_a_directory() {
    if !is_root("as_a_directory", "for owners and devices") {
        return;
    }
    let store = Store::containers("docker-28.5");
    let archive = saved(&store, "app:2", "gzip.tar", &["--format", "oci-archive", "--compress", "gzip"]);
    let (theirs, ours) = (store.beside("theirs"), store.beside("ours"));
    for (root, dir) in [(&store.root, &theirs), (&archive, &ours)] {
        let got = rootfs(root, &["app:2", "-o", &format!("{}/", dir.display())]);
        assert_eq!(ended(&got), (Some(0), String::new()));
    }
    assert!(listed(&theirs).len() > 20);
    assert_eq!(listed(&ours), listed(&theirs));
    // Nothing is left of the temporary file, which was in the folder of the output.
    let beside = std::fs::read_dir(ours.parent().expect("a folder")).expect("it is there");
    assert!(beside.filter_map(Result::ok).all(|entry| !entry.file_name().to_string_lossy().starts_with('.')));
}

/// A layer that is damaged, missing, or left out.
#[test]
fn nothing_is_written_of_a_damaged_layer() {
    let store = Store::example();
    let whole = saved(&store, "base:child", "whole.oci", &["--format", "oci-archive", "--compress", "gzip"]);
    let out = store.beside("out.tar");
    let out = out.to_str().expect("UTF-8");
    let got = rootfs(&whole, &["base:child", "-o", out]);
    assert_eq!(ended(&got), (Some(0), String::new()));
    assert!(!names(&std::fs::read(out).expect("it was written")).is_empty());
    std::fs::remove_file(out).expect("it was written");
    let manifest =
        layerlift().args(["inspect", "base:child", "--root"]).arg(&whole).output().expect("it starts");
    assert!(manifest.status.success());
    let blobs = std::fs::read_dir(whole.join("blobs/sha256")).expect("blobs");
    let is_gzip = |path: &PathBuf| std::fs::read(path).is_ok_and(|bytes| bytes.starts_with(&[0x1f, 0x8b]));
    let layers: Vec<PathBuf> = blobs.map(|blob| blob.expect("a blob").path()).filter(is_gzip).collect();
    assert_eq!(layers.len(), 2);
    for layer in &layers {
        let name = layer.file_name().expect("a name").to_string_lossy().into_owned();
        let bytes = std::fs::read(layer).expect("it is there");
        let mut changed = bytes.clone();
        let middle = changed.len() / 2;
        changed[middle] ^= 1;
        for (bytes, word) in
            [(Some(changed), "is damaged"), (Some(bytes[..bytes.len() - 9].to_vec()), ""), (None, "missing")]
        {
            match &bytes {
                Some(bytes) => std::fs::write(layer, bytes).expect("it can be written"),
                None => std::fs::remove_file(layer).expect("it was there"),
            }
            for more in [&[][..], &["--keep-going"]] {
                let got = rootfs(&whole, &[&["base:child", "-o", out], more].concat());
                let (status, errors) = ended(&got);
                assert_eq!(status, Some(1), "{word}: {errors}");
                assert!(errors.contains(&name) && errors.contains(word), "{word}: {errors}");
                assert!(!Path::new(out).exists(), "{word}");
            }
        }
        std::fs::write(layer, bytes).expect("it can be written");
    }
}

/// A docker-archive whose one layer is this tar.
fn archive_of(dir: &Path, layer: &str) -> PathBuf {
    let script = r#"
        set -e; cd "$1"; mkdir l a; cd l; eval "$2"; cd ../a
        id=$(sha256sum < ../layer.tar | cut -d' ' -f1); mv ../layer.tar $id.tar
        printf '{"architecture":"amd64","os":"linux","rootfs":' > c
        printf '{"type":"layers","diff_ids":["sha256:%s"]}}' $id >> c
        config=$(sha256sum < c | cut -d' ' -f1); mv c $config.json
        printf '[{"Config":"%s.json","RepoTags":["x:1"],"Layers":["%s.tar"]}]' $config $id > manifest.json
        tar cf ../x.tar *"#;
    let made = Command::new("sh").args(["-c", script, "sh"]).arg(dir).arg(layer).output().expect("sh starts");
    assert!(made.status.success(), "{layer}: {}", String::from_utf8_lossy(&made.stderr));
    dir.join("x.tar")
}

/// What GNU tar writes in its own ways.
#[test]
fn tars_of_other_programs() {
    let make = "truncate -s 3M sparse; printf x >> sparse;
        printf y | dd of=sparse bs=1 seek=1048576 conv=notrunc 2>/dev/null;
        n=$(printf '%0200d' 0); mkdir $n; echo deep > $n/$n; echo 1 > a; ln a b; ln -s a c;
        tar -S --sort=name --owner=0 --group=0 --mtime=@5 --mode=go-w";
    let mut all = Vec::new();
    for form in [
        "--format=gnu",
        "--format=posix --sparse-version=0.0",
        "--format=posix --sparse-version=0.1",
        "--format=posix --sparse-version=1.0",
    ] {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let archive = archive_of(dir.path(), &format!("{make} {form} -cf ../layer.tar ."));
        let got = rootfs(&archive, &["x:1"]);
        assert_eq!(ended(&got), (Some(0), String::new()), "{form}");
        let out = dir.path().join("out");
        let to = format!("{}/", out.display());
        let got_dir = rootfs(&archive, &["x:1", "-o", &to]);
        assert_eq!(got_dir.status.code(), Some(0), "{form}: {}", ended(&got_dir).1);
        let sparse = std::fs::metadata(out.join("sparse")).expect("it was written");
        assert_eq!((sparse.len(), sparse.blocks() < 2048), ((3 << 20) + 1, true), "{form}");
        assert_eq!(
            std::fs::read(out.join("sparse")).expect("a file"),
            std::fs::read(dir.path().join("l/sparse")).expect("a file")
        );
        all.push(got.stdout);
    }
    assert!(entries(&all[0]).expect("a tar").len() > 5);
    assert!(all.iter().all(|tar| *tar == all[0]));
}

/// What would leave the directory ends with an error, and so does what no engine unpacks.
#[test]
fn tars_that_are_hostile() {
    let outside = "ln -s ../../../.. up; tar cf ../layer.tar --transform 's,^up$,etc,' up; echo x > f;
        tar rf ../layer.tar --transform 's,^f$,etc/escaped,' f";
    let dir = tempfile::tempdir().expect("a temporary folder");
    let archive = archive_of(dir.path(), outside);
    let out = dir.path().join("deep/er/out");
    std::fs::create_dir_all(out.parent().expect("a folder")).expect("it can be made");
    let got = rootfs(&archive, &["x:1", "-o", &format!("{}/", out.display())]);
    assert_eq!(got.status.code(), Some(0), "{}", ended(&got).1);
    assert_eq!(std::fs::read(out.join("escaped")).expect("at the root of the image"), b"x\n");
    assert!(!dir.path().join("escaped").exists());
    for (layer, word) in [
        ("echo x > f; tar -P --transform 's,^f$,../../f,' -cf ../layer.tar f", "leads out of it"),
        (
            "echo x > f; ln f g; tar -P --transform 's,^f$,../../../etc/passwd,H' -cf ../layer.tar g f",
            "leads out of it",
        ),
        ("echo x > f; tar cf - f | head -c 700 > ../layer.tar", "ends in the middle of an entry"),
    ] {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let archive = archive_of(dir.path(), layer);
        let out = dir.path().join("out.tar");
        let got = rootfs(&archive, &["x:1", "-o", out.to_str().expect("UTF-8")]);
        let (status, errors) = ended(&got);
        assert_eq!(status, Some(1), "{layer}: {errors}");
        assert!(errors.contains(word) && !out.exists(), "{layer}: {errors}");
    }
}
