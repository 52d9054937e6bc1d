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
