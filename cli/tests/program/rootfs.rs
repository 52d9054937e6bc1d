//! `layerlift rootfs`, against the tars that `export` of the engines wrote, byte for byte.
//!
//! Docker 20.10 and Podman 4.3 add the names of users and groups and the type of a file to each header, which
//! those of today do not: they are taken away before the comparison.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::listing::entries;
use crate::program::{ended, is_root, layerlift, output};
use crate::store::Store;

const ENGINES: [&str; 5] =
    ["docker-20.10", "docker-28.5", "docker-28.5-containerd", "podman-4.3", "podman-5.8"];

pub(crate) fn fixture(engine: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../store/tests/fixtures/containers").join(engine)
}

pub(crate) fn unpacked(path: &Path) -> Vec<u8> {
    Command::new("xz").arg("-dc").arg(path).output().expect("xz starts").stdout
}

pub(crate) fn rootfs(root: &Path, arguments: &[&str]) -> Output {
    output(layerlift().arg("rootfs").args(arguments).arg("--root").arg(root))
}

/// The tar of an engine in the form that it has today.
fn of_today(mut tar: Vec<u8>) -> Vec<u8> {
    let mut at = 0;
    while at < tar.len() {
        let header = &mut tar[at..at + 512];
        if header.iter().all(|byte| *byte == 0) {
            break;
        }
        let octal = |field: &[u8]| {
            let digits = field.iter().filter(|byte| byte.is_ascii_digit());
            digits.fold(0, |sum, digit| sum * 8 + usize::from(digit - b'0'))
        };
        let (size, mode) = (octal(&header[124..136]), octal(&header[100..108]));
        header[100..107].copy_from_slice(format!("{:07o}", mode & 0o7777).as_bytes());
        // Those of PAX headers stay empty.
        header[265..329].fill(0);
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        at += 512 + size.div_ceil(512) * 512;
    }
    tar
}

#[test]
fn as_the_engines_export_them() {
    if !is_root("as_the_engines_export_them", "for devices and attributes of overlayfs") {
        return;
    }
    let mut compared = 0;
    for engine in ENGINES.into_iter().chain(["docker-20.10-vfs-killed"]) {
        let store = Store::containers(engine);
        for file in std::fs::read_dir(fixture(engine)).expect("a folder") {
            let path = file.expect("an entry").path();
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            let name = name.strip_prefix("export-").and_then(|name| name.strip_suffix(".tar.xz"));
            let Some(name) = name else { continue };
            let mut expected = unpacked(&path);
            if engine.starts_with("docker-20.10") || engine == "podman-4.3" {
                expected = of_today(expected);
            }
            let got = rootfs(&store.root, &[name]);
            assert_eq!(ended(&got), (Some(0), String::new()), "{engine} {name}");
            if got.stdout != expected {
                let names = |tar: &[u8]| -> Vec<String> {
                    let all = entries(tar).expect("a tar").into_iter();
                    all.map(|entry| format!("{:?}", entry.row)).collect()
                };
                assert_eq!(names(&got.stdout), names(&expected), "{engine} {name}");
                panic!("{engine} {name}: other bytes");
            }
            compared += 1;
        }
    }
    assert_eq!(compared, 26);
}

pub(crate) fn names(tar: &[u8]) -> Vec<String> {
    entries(tar).expect("a tar").into_iter().map(|entry| entry.row.name).collect()
}

/// A container of Podman that was never started has nothing of its own; one of Docker has mount points.
#[test]
fn images_have_one_too() {
    if !is_root("images_have_one_too", "for devices and attributes of overlayfs") {
        return;
    }
    let store = Store::containers("podman-5.8");
    let got = rootfs(&store.root, &["localhost/base:1"]);
    assert_eq!(ended(&got), (Some(0), String::new()));
    assert!(got.stdout == unpacked(&fixture("podman-5.8").join("export-never-started.tar.xz")));
    for engine in ["docker-28.5", "docker-28.5-containerd"] {
        let store = Store::containers(engine);
        let got = rootfs(&store.root, &["base:1"]);
        assert_eq!(ended(&got), (Some(0), String::new()), "{engine}");
        let (image, container) = (names(&got.stdout), names(&rootfs(&store.root, &["never-started"]).stdout));
        let own: Vec<&str> =
            container.iter().filter(|name| !image.contains(name)).map(String::as_str).collect();
        assert!(own.contains(&".dockerenv") && own.contains(&"dev/console"), "{engine}: {own:?}");
        assert_eq!(image.len() + own.len(), container.len(), "{engine}");
    }
}

#[test]
fn parts_and_names_that_nobody_has() {
    if !is_root("parts_and_names_that_nobody_has", "for devices and attributes of overlayfs") {
        return;
    }
    let store = Store::containers("docker-28.5");
    let whole = names(&rootfs(&store.root, &["changed"]).stdout);
    let part = names(&rootfs(&store.root, &["changed", "--path", "/srv/n/"]).stdout);
    assert_eq!(part, ["srv/n", "srv/n/1", "srv/n/2"]);
    assert!(part.iter().all(|name| whole.contains(name)));
    let out = store.beside("out.tar");
    let out = out.to_str().expect("UTF-8");
    let dir = format!("{out}/");
    for (arguments, word) in [
        (["chnaged", "--path", "/etc", "-o", out], "changed"),
        (["changed", "--path", "/no/such", "-o", out], "/no/such in changed"),
        (["changed", "--path", "etc/../etc", "-o", out], "etc/../etc"),
        (["app:3", "--path", "/etc", "-o", out], "app:"),
        (["changed", "--path", "/no/such", "-o", &dir], "/no/such"),
    ] {
        let (status, errors) = ended(&rootfs(&store.root, &arguments));
        assert_eq!(status, Some(2), "{arguments:?}: {errors}");
        assert!(errors.contains(word) && !Path::new(out).exists(), "{arguments:?}: {errors}");
    }
}

/// The layers stay as long as a container needs them.
#[test]
fn an_image_that_was_removed() {
    if !is_root("an_image_that_was_removed", "for devices and attributes of overlayfs") {
        return;
    }
    let store = Store::containers("docker-28.5");
    let id = "31ba1f917197618253d27f85280777986df7c491247cd619df201ac485b7f8d7";
    std::fs::remove_file(store.root.join("image/overlay2/imagedb/content/sha256").join(id))
        .expect("it was there");
    let got = rootfs(&store.root, &["changed"]);
    assert_eq!(ended(&got), (Some(0), String::new()));
    assert!(got.stdout == unpacked(&fixture("docker-28.5").join("export-changed.tar.xz")));
}

/// What a kernel with `redirect_dir` and `metacopy` left behind, against what it showed.
#[test]
fn renamed_directories_and_files_without_contents() {
    if !is_root("renamed_directories", "to mount an overlay") {
        return;
    }
    let store = Store::containers("docker-28.5");
    let mounts = store.root.join("image/overlay2/layerdb/mounts");
    let listed = layerlift().args(["containers", "changed", "--json", "--root"]).arg(&store.root).output();
    let listed: serde_json::Value = serde_json::from_slice(&listed.expect("it starts").stdout).expect("JSON");
    let mount = mounts.join(listed[0]["id"].as_str().expect("an id")).join("mount-id");
    let mount = std::fs::read_to_string(mount).expect("an id");
    let (shown, back) = (store.beside("shown"), store.beside("back"));
    let script = r#"
        set -e; cd "$1/overlay2"; rm -rf "$2/work"; mkdir "$2/work"; mkdir -p "$3/m" "$4"
        options="redirect_dir=on,metacopy=on,index=off,xino=off"
        dirs="lowerdir=$(cat "$2/lower"),upperdir=$2/diff,workdir=$2/work"
        mount -t overlay overlay -o "$dirs,$options" "$3/m"
        cd "$3/m"
        mkdir -p new/below; mv usr/new usr/renamed; mv usr new/below/usr; mv data new/data
        echo x > new/data/x
        chmod 755 srv/a new/data/seed; chown 7:8 bin/pause; mv bin tools; mv tools/pause tools/other
        mv etc/opaque.d etc/moved.d; mkdir etc/opaque.d; ln tools/other tools/linked; rm srv/b
        find . -type d -o -type f -print0 | xargs -0 sha256sum | sort > "$3/sums"
        find . -mindepth 1 -type d -printf "%P $5" -o -printf "%P %n %l $5" | sort > "$3/list""#;
    let format = "%y %m %U:%G\\n";
    let made = Command::new("unshare")
        .args(["-m", "sh", "-c", script, "sh"])
        .arg(&store.root)
        .arg(&mount)
        .args([&shown, &back])
        .arg(format)
        .output()
        .expect("unshare starts");
    if !made.status.success() {
        crate::program::skipped("renamed_directories", &String::from_utf8_lossy(&made.stderr));
        return;
    }
    let got = rootfs(&store.root, &["changed", "-o", back.join("x.tar").to_str().expect("UTF-8")]);
    assert_eq!(ended(&got), (Some(0), String::new()));
    let script = r#"
        set -e; cd "$1"; mkdir m; tar -xpf x.tar -C m; cd m
        find . -type d -o -type f -print0 | xargs -0 sha256sum | sort > "$1/sums"
        find . -mindepth 1 -type d -printf "%P $2" -o -printf "%P %n %l $2" | sort > "$1/list""#;
    let unpacked = Command::new("sh").args(["-c", script, "sh"]).arg(&back).arg(format).output();
    let unpacked = unpacked.expect("sh starts");
    assert!(unpacked.status.success(), "{unpacked:?}");
    let text = |folder: &Path, file: &str| {
        String::from_utf8_lossy(&std::fs::read(folder.join(file)).expect("a file")).into_owned()
    };
    for file in ["sums", "list"] {
        assert_eq!(text(&shown, file), text(&back, file), "{file}");
    }
    let list = text(&back, "list");
    assert!(list.contains("new/below/usr/renamed/sub/y") && list.contains("tools/linked 2 "), "{list}");
    the_image_is_the_same(&store, &text(&back, "sums"), script);
}

/// `docker commit` would write empty directories and files of zeros.
fn the_image_is_the_same(store: &Store, sums: &str, script: &str) {
    let layers = store.beside("layers");
    std::fs::create_dir_all(layers.join("m")).expect("a folder");
    let saved = crate::program::save(&store.root)
        .args(["--container", "changed=x:1", "--format", "docker-v1", "-o"])
        .arg(layers.join("image.tar"))
        .output()
        .expect("the program starts");
    assert_eq!(ended(&saved), (Some(0), String::new()));
    // Applies the layers from the base up, with what they delete.
    let apply = r#"
        set -e; cd "$1"; mkdir i; tar -xf image.tar -C i
        id=$(sed "s/.*\"1\":\"\([0-9a-f]*\).*/\1/" i/repositories); chain=
        while [ -n "$id" ]; do
            chain="$id $chain"
            id=$(sed -n "s/.*\"parent\":\"\([0-9a-f]*\)\".*/\1/p" "i/$id/json")
        done
        for id in $chain; do
            mkdir l; tar --xattrs -xpf "i/$id/layer.tar" -C l 
            (cd l; find . -name .wh..wh..opq) | while read -r f; do rm -rf "m/${f%/*}"; rm "l/$f"; done
            (cd l; find . -name ".wh.*") |
                while read -r f; do rm -rf "m/${f%/*}/${f##*/.wh.}"; rm "l/$f"; done
            (cd l; find . ! -type d) | while IFS= read -r f; do [ ! -d "m/$f" ] || rm -rf "m/$f"; done
            tar -C l -cf - . | tar -xpf - -C m; rm -rf l
        done"#;
    let applied = Command::new("sh").args(["-c", apply, "sh"]).arg(&layers).output().expect("sh starts");
    assert!(applied.status.success(), "{applied:?}");
    let script = script.replace("mkdir m; tar -xpf x.tar -C m; ", "");
    let listed = Command::new("sh").args(["-c", &script, "sh"]).arg(&layers).arg("").output();
    assert!(listed.expect("sh starts").status.success());
    let found = std::fs::read(layers.join("sums")).expect("a file");
    // Docker makes the files of the init layer for each container.
    let of_init = ["./.dockerenv", "./dev/console", "./etc/hostname", "./etc/hosts", "./etc/resolv.conf"];
    let expected: Vec<&str> =
        sums.lines().filter(|line| !of_init.iter().any(|name| line.ends_with(name))).collect();
    let found = String::from_utf8_lossy(&found).into_owned();
    let found: Vec<&str> =
        found.lines().filter(|line| !of_init.iter().any(|name| line.ends_with(name))).collect();
    assert_eq!(found, expected);
}

/// What `find` and `getfattr` say of a directory.
fn listed(dir: &Path) -> String {
    let script = r#"
        set -e; cd "$1"
        find . -type d -printf "%P %y %m %U:%G %T@\n" -o -printf "%P %y %m %U:%G %T@ %n %l\n" | sort
        find . -type d -o -type f -print0 | xargs -0 sha256sum | sort
        getfattr -R -h -d -m - . | sed "s/# file: /\n&/""#;
    let out = Command::new("sh").args(["-c", script, "sh"]).arg(dir).output().expect("sh starts");
    assert!(out.status.success(), "{out:?}");
    String::from_utf8_lossy(&out.stdout).into_owned()
}

#[test]
fn a_directory_has_what_the_tar_has() {
    if !is_root("a_directory_has_what_the_tar_has", "to make devices and set owners") {
        return;
    }
    for engine in ["docker-28.5", "podman-5.8"] {
        let store = Store::containers(engine);
        let (dir, back) = (store.beside("out"), store.beside("back"));
        let written = rootfs(&store.root, &["changed", "-o", &format!("{}/", dir.display())]);
        assert_eq!(ended(&written), (Some(0), String::new()), "{engine}");
        let tar = store.beside("x.tar");
        assert_eq!(ended(&rootfs(&store.root, &["changed", "-o", &tar.display().to_string()])).0, Some(0));
        std::fs::create_dir(&back).expect("a folder");
        let unpacked = Command::new("tar")
            .args(["--xattrs", "--xattrs-include=*", "--numeric-owner", "--warning=no-timestamp", "-xpf"])
            .args([&tar, Path::new("-C"), &back])
            .status();
        assert!(unpacked.expect("tar starts").success());
        // The root has no entry in the tar.
        let script = r#"chmod --reference="$1" "$2" && touch -r "$1" "$2""#;
        let same = Command::new("sh").args(["-c", script, "sh"]).args([&dir, &back]).status();
        assert!(same.expect("sh starts").success());
        let (ours, theirs) = (listed(&dir), listed(&back));
        assert!(ours.contains("security.capability") && ours.contains("srv/char c 644"), "{ours}");
        // Docker's tars have no user attributes, and its capabilities belong to no user namespace.
        let without = |text: &str| text.split("# file: ").next().unwrap_or_default().to_owned();
        match engine.starts_with("docker") {
            true => assert_eq!(without(&ours), without(&theirs), "{engine}"),
            false => assert_eq!(ours, theirs, "{engine}"),
        }
        let part = store.beside("part");
        let arguments = ["changed", "--path", "/srv/n", "-o", &format!("{}/", part.display())];
        assert_eq!(ended(&rootfs(&store.root, &arguments)), (Some(0), String::new()));
        let found = Command::new("find").args([&part, Path::new("-type"), Path::new("f")]).output();
        assert_eq!(found.expect("find starts").stdout.iter().filter(|byte| **byte == b'\n').count(), 2);
        assert_eq!(ended(&rootfs(&store.root, &arguments)).0, Some(2), "it is not empty");
    }
}

/// The kernel has four billion owners; the last one stands for nobody.
#[test]
fn owners_of_large_numbers() {
    if !is_root("owners_of_large_numbers", "to give files away") {
        return;
    }
    let store = Store::containers("docker-28.5");
    let found = Command::new("find").arg(store.root.join("overlay2")).args(["-path", "*/srv/n/1"]).output();
    let found = String::from_utf8(found.expect("find starts").stdout).expect("UTF-8");
    let file = found.lines().next().expect("a file");
    std::os::unix::fs::chown(file, Some(1 << 31), Some(u32::MAX - 1)).expect("root may");
    let dir = store.beside("out");
    let arguments = ["changed", "-o", &format!("{}/", dir.display())];
    assert_eq!(ended(&rootfs(&store.root, &arguments)), (Some(0), String::new()));
    let made = fs::metadata(dir.join("srv/n/1")).expect("it is there");
    assert_eq!((made.uid(), made.gid()), (1 << 31, u32::MAX - 1));
}

/// Root without the capabilities that an ordinary user lacks.
#[test]
fn what_an_ordinary_user_cannot_make() {
    if !is_root("what_an_ordinary_user_cannot_make", "to see what is opaque") {
        return;
    }
    let store = Store::containers("docker-28.5");
    let dir = store.beside("out");
    let out = Command::new("setpriv")
        .args(["--bounding-set=-chown,-mknod,-setfcap", env!("CARGO_BIN_EXE_layerlift"), "rootfs", "changed"])
        .arg("--root")
        .arg(&store.root)
        .args(["-o", &format!("{}/", dir.display())])
        .output()
        .expect("setpriv starts");
    let (status, errors) = ended(&out);
    assert_eq!(status, Some(1), "{errors}");
    for word in ["only root can set owners", "left out 2 devices, first /srv/block", "entries lack"] {
        assert!(errors.contains(word), "{word}: {errors}");
    }
    assert!(dir.join("srv/fifo").exists() && !dir.join("srv/char").exists());
}

fn orphans(root: &Path) -> serde_json::Value {
    let out = output(layerlift().args(["stores", "--orphans", "--json", "--root"]).arg(root));
    assert_eq!(ended(&out), (Some(0), String::new()));
    serde_json::from_slice(&out.stdout).expect("JSON")
}

/// A container whose records were lost: its layer has everything.
#[test]
fn layers_that_nobody_names() {
    if !is_root("layers_that_nobody_names", "for devices and attributes of overlayfs") {
        return;
    }
    for engine in ENGINES {
        let store = Store::containers(engine);
        assert_eq!(orphans(&store.root), serde_json::json!([]), "{engine}");
    }
    let store = Store::containers("docker-28.5");
    let listed = output(layerlift().args(["containers", "changed", "--json", "--root"]).arg(&store.root));
    let listed: serde_json::Value = serde_json::from_slice(&listed.stdout).expect("JSON");
    let id = listed[0]["id"].as_str().expect("an id");
    let mounts = store.root.join("image/overlay2/layerdb/mounts").join(id);
    let mount = std::fs::read_to_string(mounts.join("mount-id")).expect("an id");
    std::fs::remove_dir_all(mounts).expect("it was there");
    std::fs::remove_dir_all(store.root.join("containers").join(id)).expect("it was there");
    let found = orphans(&store.root);
    let ids: Vec<&str> =
        found.as_array().expect("a list").iter().filter_map(|one| one["id"].as_str()).collect();
    let init = format!("{mount}-init");
    assert!(ids.len() == 2 && ids.contains(&&*mount) && ids.contains(&&*init), "{found}");
    let top = &found[ids.iter().position(|id| *id == mount).expect("it is listed")];
    assert_eq!((&top["below"][0], &top["buildkit"]), (&init.as_str().into(), &false.into()), "{top}");
    assert!(top["size"].as_u64().is_some_and(|size| size > 300_000), "{top}");
    let table = output(layerlift().args(["stores", "--orphans", "--root"]).arg(&store.root));
    let table = String::from_utf8_lossy(&table.stdout).into_owned();
    assert!(table.contains(&mount[..12]) && table.contains(" more"), "{table}");
    assert!(table.contains(&format!("{}-init ", &mount[..12])), "{table}");
    // As the table has it.
    let got = rootfs(&store.root, &[&format!("orphan:{}", &mount[..12])]);
    assert_eq!(ended(&got), (Some(0), String::new()));
    assert!(got.stdout == unpacked(&fixture("docker-28.5").join("export-changed.tar.xz")));
    assert_eq!(ended(&rootfs(&store.root, &["orphan:nope"])).0, Some(2));
    let lower = store.root.join("overlay2").join(&init);
    std::fs::remove_dir_all(lower).expect("it was there");
    let (status, errors) = ended(&rootfs(&store.root, &[&format!("orphan:{mount}")]));
    assert!(status == Some(1) && errors.contains("layer below"), "{errors}");

    of_podman(true);
    of_podman(false);
}

/// The record of the container is lost, and with it that of the layer, or else Podman's database.
fn of_podman(without_record: bool) {
    let store = Store::containers("podman-5.8");
    let file = |name: &str| store.root.join(name);
    let read = |path: &Path| -> Vec<serde_json::Value> {
        serde_json::from_str(&std::fs::read_to_string(path).expect("a file")).expect("JSON")
    };
    let mut containers = read(&file("overlay-containers/containers.json"));
    let at = containers.iter().position(|one| one["names"][0] == "changed").expect("it is there");
    let record = containers.remove(at);
    let (layer, id) = (record["layer"].clone(), record["id"].as_str().expect("an id"));
    std::fs::remove_dir_all(file("overlay-containers").join(id)).expect("it was there");
    let mut layers = read(&file("overlay-layers/layers.json"));
    if without_record {
        layers.retain(|one| one["id"] != layer);
    } else {
        std::fs::remove_file(file("db.sql")).expect("it was there");
    }
    let write = |path: PathBuf, all: &[serde_json::Value]| {
        std::fs::write(path, serde_json::to_string(all).expect("JSON")).expect("written");
    };
    write(file("overlay-containers/containers.json"), &containers);
    write(file("overlay-layers/layers.json"), &layers);
    let found = orphans(&store.root);
    assert_eq!((found.as_array().map(Vec::len), &found[0]["id"]), (Some(1), &layer), "{found}");
    let got = rootfs(&store.root, &[&format!("orphan:{}", &layer.as_str().expect("an id")[..12])]);
    assert_eq!(ended(&got), (Some(0), String::new()));
    assert!(got.stdout == unpacked(&fixture("podman-5.8").join("export-changed.tar.xz")));
}
