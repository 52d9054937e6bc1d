//! The scripts of the action that hands images from job to job, with the program and an engine that only
//! keeps what it gets.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::program::{ended, layerlift};
use crate::store::Store;

fn script(name: &str, folder: &Path) -> Command {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.github/actions/layerlift");
    let mut command = Command::new("bash");
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap_or_default());
    command.arg(scripts.join(name)).current_dir(folder).env("PATH", path).env("ARCHIVE", "images.tar");
    command.env("GITHUB_OUTPUT", folder.join("output")).env("LAYERLIFT", layerlift().get_program());
    command
}

fn load(folder: &Path, key: &str) -> Output {
    script("load.sh", folder).env("KEY", key).env("ENGINE", "engine").output().unwrap()
}

#[test]
fn from_job_to_job() {
    let store = Store::example();
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let engine: PathBuf = folder.join("engine");
    fs::write(&engine, "#!/bin/sh\n[ \"$1\" = load ] && exec cat >loaded\n").unwrap();
    fs::set_permissions(&engine, fs::Permissions::from_mode(0o755)).unwrap();
    let save = |images: &str| {
        script("save.sh", folder).env("IMAGES", images).env("ROOT", &store.root).output().unwrap()
    };
    let saved = save("base:latest\nbase:child\n");
    assert_eq!(ended(&saved), (Some(0), String::new()));
    let output = fs::read_to_string(folder.join("output")).unwrap();
    let key = output.lines().find_map(|line| line.strip_prefix("key=")).unwrap();
    let digest = output.lines().find_map(|line| line.strip_prefix("digest=sha256:")).unwrap();
    assert_eq!(key, format!("layerlift-{digest}"));
    let loaded = load(folder, key);
    assert_eq!(ended(&loaded), (Some(0), String::new()));
    assert_eq!(fs::read(folder.join("loaded")).unwrap(), fs::read(folder.join("images.tar")).unwrap());

    // A cache that has something else is not loaded.
    fs::write(folder.join("images.tar"), "other").unwrap();
    fs::remove_file(folder.join("loaded")).unwrap();
    let refused = load(folder, key);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stdout).starts_with("::error::images.tar does not have"));
    assert!(!folder.join("loaded").exists());

    // Without an image, the step gives no key.
    fs::remove_file(folder.join("output")).unwrap();
    assert_eq!(save("nosuch:1").status.code(), Some(2));
    assert!(!folder.join("output").exists());
}
