//! A store of Podman with a damaged file: what `verify` says of it, and what `save --salvage` makes of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::program::{ended, is_root, layerlift, output};
use crate::store::Store;

const APP: &str = "localhost/demo/app:2.0";

/// The files with contents in the layers of a store, sorted.
fn files(folder: &Path) -> Vec<PathBuf> {
    let script = "find \"$0\" -type f -size +0 | LC_ALL=C sort";
    let found = Command::new("sh").args(["-c", script]).arg(folder.join("vfs/dir")).output().unwrap();
    String::from_utf8(found.stdout).unwrap().lines().map(PathBuf::from).collect()
}

/// As after a power loss: the length is there, the bytes are not.
fn zero(path: &Path) {
    let len = fs::metadata(path).unwrap().len() as usize;
    fs::write(path, vec![0; len]).unwrap();
}

fn save(root: &Path, args: &[&str], out: &Path) -> (Option<i32>, String) {
    let mut command = layerlift();
    command.args(["save", APP, "--root"]).arg(root).args(args).arg("-o").arg(out);
    ended(&output(&mut command))
}

fn names(archive: &Path) -> Vec<String> {
    let listed = output(layerlift().args(["images", "--json", "--root"]).arg(archive));
    let rows: Vec<Value> = serde_json::from_slice(&listed.stdout).unwrap();
    rows.iter().flat_map(|row| row["references"].as_array().unwrap()).map(Value::to_string).collect()
}

fn ids(archive: &Path) -> Vec<String> {
    let listed = output(layerlift().args(["images", "--json", "--root"]).arg(archive));
    let rows: Vec<Value> = serde_json::from_slice(&listed.stdout).unwrap();
    rows.iter().map(|row| row["id"].to_string()).collect()
}

#[test]
fn a_damaged_file() {
    if !is_root("a_damaged_file", "the files of the store have other owners") {
        return;
    }
    let (store, whole) = (Store::podman("vfs"), Store::podman("vfs"));
    let sound = whole.beside("sound.tar");
    assert_eq!(save(&whole.root, &[], &sound), (Some(0), String::new()));
    // A directory of vfs also has the files of the layers below, which its tar does not.
    let (damaged, verified) = files(&store.root)
        .into_iter()
        .find_map(|file| {
            let bytes = fs::read(&file).unwrap();
            zero(&file);
            let verified = output(layerlift().args(["verify", "--root"]).arg(&store.root));
            if verified.status.code() == Some(1) {
                return Some((file, verified));
            }
            fs::write(&file, bytes).unwrap();
            None
        })
        .expect("a layer has files");
    let (_, said) = ended(&verified);
    assert!(said.contains("save --salvage could save it with another digest: "), "{said}");
    assert!(said.contains("(zeros)"), "{said}");
    let damaged_images = String::from_utf8_lossy(&verified.stdout).matches("DAMAGED").count();
    assert!(damaged_images > 0);

    // Without the option nothing is written.
    let out = store.beside("out.tar");
    let (status, said) = save(&store.root, &[], &out);
    assert_eq!((status, out.exists()), (Some(1), false), "{said}");

    // Declared: another name, another digest, a report, status 1, and an archive that is sound.
    let report = store.beside("report.json");
    let (status, said) =
        save(&store.root, &["--salvage", "--salvage-report", report.to_str().unwrap()], &out);
    assert_eq!(status, Some(1), "{said}");
    assert_eq!(names(&out), [format!("\"{}-salvaged\"", APP)]);
    assert_eq!(ended(&output(layerlift().args(["verify", "--root"]).arg(&out))).0, Some(0));
    let report: Value = serde_json::from_slice(&fs::read(report).unwrap()).unwrap();
    let file = &report["layers"][0]["files"][0];
    assert!(damaged.ends_with(file["path"].as_str().unwrap()), "{report}");
    assert_eq!(
        (&file["found"]["state"], &report["images"][0]["result"]),
        (&"zeros".into(), &"declared".into())
    );
    let listed = Command::new("tar").arg("-tf").arg(&out).output().unwrap();
    assert!(String::from_utf8_lossy(&listed.stdout).lines().any(|name| name == "salvage.json"));

    // A layout has the report beside its index, whether it is new or gets one more image.
    let layout = store.beside("layout").join("");
    for report in ["salvage.json", "salvage.2.json"] {
        let (status, said) = save(&store.root, &["--salvage", "--format", "oci-archive"], &layout);
        assert_eq!(status, Some(1), "{said}");
        let beside: Value = serde_json::from_slice(&fs::read(layout.join(report)).unwrap()).unwrap();
        assert_eq!(beside["layers"][0]["files"][0]["path"], *file["path"].as_str().unwrap());
        // The next one leaves whatever has this name.
        fs::write(layout.join("salvage.json"), "of somebody else").unwrap();
    }

    // Exact: the archive is what it would have been.
    for from in [whole.root.as_path(), &sound] {
        fs::remove_file(&out).unwrap();
        let (status, said) = save(&store.root, &["--salvage", "--repair-from", from.to_str().unwrap()], &out);
        assert_eq!(status, Some(0), "{said}");
        assert!(fs::read(&out).unwrap() == fs::read(&sound).unwrap(), "from {}", from.display());
    }
}

fn copied(from: &Path, to: &Path) -> PathBuf {
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(copied.success());
    to.to_owned()
}

/// The file of a layer below a folder.
fn layer_file(folder: &Path) -> PathBuf {
    let script = "find \"$0\" -type f | LC_ALL=C sort";
    let found = Command::new("sh").args(["-c", script]).arg(folder).output().unwrap();
    let files = String::from_utf8(found.stdout).unwrap();
    let is_layer = |file: &Path| {
        let bytes = fs::read(file).unwrap();
        bytes.starts_with(&[0x1f, 0x8b]) || bytes.get(257..262) == Some(b"ustar")
    };
    files.lines().map(PathBuf::from).find(|file| is_layer(file)).expect("there are layers")
}

/// A layer of a layout or an unpacked archive that is missing, cut or compressed differently: its bytes come
/// from elsewhere, or from itself.
#[test]
fn layers_that_are_files() {
    if !is_root("layers_that_are_files", "the files of the store have other owners") {
        return;
    }
    let store = Store::podman("vfs");
    let (sound, layout) = (store.beside("sound.tar"), store.beside("layout/"));
    assert_eq!(save(&store.root, &[], &sound), (Some(0), String::new()));
    let gzip = ["--format", "oci-archive", "--compress", "gzip"];
    assert_eq!(save(&store.root, &gzip, &layout).0, Some(0));
    let unpacked = store.beside("unpacked");
    fs::create_dir(&unpacked).unwrap();
    let tar = Command::new("tar").arg("-xf").arg(&sound).arg("-C").arg(&unpacked).status().unwrap();
    assert!(tar.success());

    type Damage = fn(&Path);
    let damages: [(&str, &Path, Damage); 6] = [
        ("missing", &layout, |file| fs::remove_file(file).unwrap()),
        ("empty", &layout, |file| fs::write(file, "").unwrap()),
        ("cut", &layout, |file| {
            let bytes = fs::read(file).unwrap();
            fs::write(file, &bytes[..bytes.len() / 2]).unwrap();
        }),
        ("garbage behind it", &layout, |file| {
            let bytes = [&*fs::read(file).unwrap(), b"garbage"].concat();
            fs::write(file, bytes).unwrap();
        }),
        ("another time in its header", &layout, |file| {
            let mut bytes = fs::read(file).unwrap();
            bytes[4] ^= 1;
            fs::write(file, bytes).unwrap();
        }),
        ("missing in an archive", &unpacked, |file| fs::remove_file(file).unwrap()),
    ];
    for (number, (what, whole, damage)) in damages.into_iter().enumerate() {
        let damaged = copied(whole, &store.beside(&format!("damaged{number}")));
        damage(&layer_file(&damaged));
        let out = store.beside(&format!("out{number}.tar"));
        let (status, said) = save(&damaged, &[], &out);
        assert_eq!((status, out.exists()), (Some(1), false), "{what}: {said}");
        let from = ["--salvage", "--repair-from", sound.to_str().unwrap()];
        let options = if what.starts_with("another") { &from[..1] } else { &from[..] };
        let (status, said) = save(&damaged, options, &out);
        assert_eq!(status, Some(0), "{what}: {said}");
        assert_eq!(ids(&out), ids(&sound), "{what}");
        let all = store.beside(&format!("all{number}.tar"));
        let mut command = layerlift();
        command.args(["save", "--all", "--root"]).arg(&damaged).args(options).arg("-o").arg(&all);
        assert_eq!(ended(&output(&mut command)).0, Some(0), "{what}");
        assert_eq!(ids(&all), ids(&sound), "{what}");
        let verified = output(layerlift().args(["verify", "--root"]).arg(&damaged));
        let (status, said) = ended(&verified);
        assert_eq!(status, Some(1), "{what}: {said}");
        assert!(said.contains("--salvage"), "{what}: {said}");
        let verified = output(layerlift().args(["verify", "--root"]).arg(&out));
        assert_eq!(verified.status.code(), Some(0), "{what}: {verified:?}");
    }
}
