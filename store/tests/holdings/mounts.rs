//! `layerdb/mounts` of Docker: what a container's layers are if one of the files is damaged. Never less than
//! they were without a word.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use layerlift_store::{Error, ErrorKind, Hint, RootFs};

use super::fixture::Data;

struct Changed {
    data: Data,
    id: String,
    mounts: PathBuf,
    whole: Vec<u8>,
}

impl Changed {
    fn new() -> Self {
        let data = Data::of("docker-28.5");
        let id = data.folder("changed").file_name().unwrap().to_str().unwrap().to_owned();
        let mounts = data.path().join("image/overlay2/layerdb/mounts").join(&id);
        let mut changed = Changed { data, id, mounts, whole: Vec::new() };
        changed.whole = tar(&changed.root_fs().unwrap());
        changed
    }

    fn root_fs(&self) -> Result<RootFs, Error> {
        let store = self.data.store();
        let ability = store.containers().unwrap();
        let listing = ability.containers().unwrap();
        ability.root_fs(listing.find(&self.id).unwrap()).map(Option::unwrap)
    }

    /// It has everything, and something to say about that.
    fn is_whole(&self, why: &str) {
        let root_fs = self.root_fs().unwrap_or_else(|error| panic!("{why}: {error}"));
        assert!(tar(&root_fs) == self.whole, "{why}");
        assert!(!root_fs.notices().is_empty(), "{why}");
    }

    /// It cannot be read, and the error says what to look for.
    fn is_lost(&self, why: &str) -> Error {
        let error = self.root_fs().map(|root_fs| root_fs.notices().len()).expect_err(why);
        assert!(matches!(error.kind(), ErrorKind::Missing | ErrorKind::Malformed), "{why}: {error}");
        error
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.mounts.join(file)).unwrap()
    }

    fn upper(&self, file: &str) -> PathBuf {
        self.data.path().join("overlay2").join(self.read("mount-id")).join(file)
    }
}

fn tar(root_fs: &RootFs) -> Vec<u8> {
    let mut out = Vec::new();
    root_fs.read(None).unwrap().write_tar(None, &mut out).unwrap();
    out
}

/// Forms of damage; `None` removes the file.
fn damages(whole: &str) -> Vec<Option<String>> {
    vec![
        None,
        Some(String::new()),
        Some("\0".repeat(64)),
        Some(whole[..20].to_owned()),
        Some("0".repeat(64)),
        Some("../../../etc".to_owned()),
    ]
}

fn damage(path: PathBuf, with: Option<&String>) {
    match with {
        Some(text) => fs::write(path, text).unwrap(),
        None => fs::remove_file(path).unwrap(),
    }
}

#[test]
fn one_of_the_ids_follows_from_the_other() {
    for file in ["mount-id", "init-id"] {
        let changed = Changed::new();
        let text = changed.read(file);
        for with in damages(&text) {
            damage(changed.mounts.join(file), with.as_ref());
            changed.is_whole(&format!("{file} {with:?}"));
            fs::write(changed.mounts.join(file), &text).unwrap();
        }
        fs::remove_file(changed.mounts.join(file)).unwrap();
        symlink("/etc/hostname", changed.mounts.join(file)).unwrap();
        changed.is_whole("a link");
        let found = changed.data.store().containers().unwrap().orphans().unwrap();
        assert!(found.is_empty(), "nothing is nobody's");
    }
}

#[test]
fn both_ids_are_lost() {
    let changed = Changed::new();
    let mount = changed.read("mount-id");
    for with in damages(&mount) {
        for file in ["mount-id", "init-id"] {
            let _ = fs::remove_file(changed.mounts.join(file));
            if let Some(with) = &with {
                fs::write(changed.mounts.join(file), with).unwrap();
            }
        }
        changed.is_whole(&format!("{with:?}"));
    }
    // There is another layer that nobody names, on the same image.
    let mounts = changed.mounts.parent().unwrap();
    for other in fs::read_dir(mounts).unwrap() {
        let other = other.unwrap().path();
        if fs::read(other.join("parent")).unwrap() == fs::read(changed.mounts.join("parent")).unwrap()
            && other != changed.mounts
        {
            fs::remove_dir_all(other).unwrap();
        }
    }
    let error = changed.is_lost("two may be it");
    assert!(error.to_string().contains(&mount) && error.to_string().contains(" or "), "{error}");
    assert_eq!(error.hints(), [Hint::Orphans]);
    fs::write(changed.mounts.join("mount-id"), &mount).unwrap();
    changed.is_whole("init-id alone");
}

#[test]
fn ids_that_contradict_each_other() {
    let changed = Changed::new();
    let (mount, init) = (changed.read("mount-id"), changed.read("init-id"));
    let others = changed.mounts.parent().unwrap().join(changed.data.folder("volumes").file_name().unwrap());
    let other = fs::read_to_string(others.join("mount-id")).unwrap();
    fs::write(changed.mounts.join("mount-id"), &other).unwrap();
    changed.is_whole("mount-id is that of another");
    fs::write(changed.mounts.join("mount-id"), &mount).unwrap();
    fs::write(changed.mounts.join("init-id"), format!("{other}-init")).unwrap();
    changed.is_whole("init-id is that of another");
    fs::write(changed.mounts.join("init-id"), init).unwrap();
}

#[test]
fn what_is_below_follows_from_the_driver() {
    let changed = Changed::new();
    let file = changed.mounts.join("parent");
    let text = changed.read("parent");
    let mut with = damages(&text);
    with.push(Some(format!("sha256:{}", "0".repeat(64))));
    for with in with {
        damage(file.clone(), with.as_ref());
        changed.is_whole(&format!("{with:?}"));
        let store = changed.data.store();
        let ability = store.containers().unwrap();
        let listing = ability.containers().unwrap();
        let below = ability.below(listing.find(&changed.id).unwrap()).unwrap();
        assert_eq!(below.len(), 2, "{with:?}");
        fs::write(&file, &text).unwrap();
    }
    // Nor is a layer's record needed.
    let layer = changed.data.path().join("image/overlay2/layerdb/sha256").join(&text["sha256:".len()..]);
    fs::remove_dir_all(layer).unwrap();
    changed.is_whole("without the record of a layer");
    fs::remove_dir_all(changed.data.path().join("image/overlay2/layerdb/sha256")).unwrap();
    changed.is_whole("without any record of layers");
}

/// The records of overlay2 itself, where the parent is lost as well.
#[test]
fn records_of_the_driver_that_are_damaged() {
    let changed = Changed::new();
    fs::remove_file(changed.mounts.join("parent")).unwrap();
    let lower = fs::read_to_string(changed.upper("lower")).unwrap();
    let names: Vec<&str> = lower.split(':').collect();
    let links = changed.data.path().join("overlay2/l");
    for (with, whole) in [
        (None, true),
        (Some(String::new()), true),
        (Some("\0".repeat(60)), true),
        (Some(names[0].to_owned()), true),
        (Some(names[..2].join(":")), true),
        (Some(lower[..40].to_owned()), true),
        (Some(format!("{}:{}", names[1], names[0])), true),
    ] {
        damage(changed.upper("lower"), with.as_ref());
        match whole {
            true => changed.is_whole(&format!("{with:?}")),
            false => drop(changed.is_lost(&format!("{with:?}"))),
        }
        fs::write(changed.upper("lower"), &lower).unwrap();
    }
    // Either says what a short name means.
    let away = changed.data.path().join("away");
    fs::rename(&links, &away).unwrap();
    changed.is_whole("without links");
    fs::rename(&away, &links).unwrap();
    for layer in fs::read_dir(changed.data.path().join("overlay2")).unwrap() {
        let _ = fs::remove_file(layer.unwrap().path().join("link"));
    }
    changed.is_whole("without names");
    fs::rename(&links, &away).unwrap();
    let error = changed.is_lost("without links and names");
    assert!(error.to_string().contains("/parent is missing"), "{error}");
    fs::rename(&away, &links).unwrap();
    // Without any record of what is below, the upper layer alone is not the root file system.
    let init = changed.data.path().join("overlay2").join(changed.read("init-id"));
    for dir in [changed.upper("lower"), init.join("lower")] {
        fs::remove_file(dir).unwrap();
    }
    let error = changed.is_lost("nothing says what is below");
    assert!(error.to_string().contains("/parent is missing"), "{error}");
}

#[test]
fn directories_that_are_missing() {
    let changed = Changed::new();
    let init = changed.data.path().join("overlay2").join(changed.read("init-id"));
    for lost in [init.join("diff"), init] {
        fs::remove_dir_all(lost).unwrap();
        let root_fs = changed.root_fs().unwrap();
        assert!(root_fs.notices()[0].to_string().contains("-init"), "{:?}", root_fs.notices());
        assert!(
            root_fs.read(None).unwrap().check("/srv/n/1".as_ref(), "it").is_ok(),
            "what the container and the image have"
        );
    }
    // The directory of another container, or of a layer, is not taken.
    let mount = changed.read("mount-id");
    for other in fs::read_dir(changed.data.path().join("overlay2")).unwrap() {
        let other = other.unwrap().file_name().into_string().unwrap();
        if other != mount && other != "l" && !other.ends_with("-init") {
            fs::write(changed.mounts.join("mount-id"), &other).unwrap();
            let _ = fs::remove_file(changed.mounts.join("init-id"));
            match changed.root_fs() {
                Err(error) => assert!(error.to_string().contains("init-id"), "{other}: {error}"),
                Ok(_) => panic!("{other} is not its layer"),
            }
        }
    }
    fs::write(changed.mounts.join("mount-id"), &mount).unwrap();
    fs::rename(changed.upper("diff"), changed.upper("away")).unwrap();
    let error = changed.is_lost("the upper directory");
    assert!(error.to_string().contains(&changed.read("mount-id")), "{error}");
}

/// Records of another container, whole, in place of its own.
#[test]
fn a_layer_that_two_containers_name() {
    let changed = Changed::new();
    let mount = changed.read("mount-id");
    let other = changed.data.folder("volumes").file_name().unwrap().to_str().unwrap().to_owned();
    let others = changed.mounts.parent().unwrap().join(&other);
    for file in ["mount-id", "init-id", "parent"] {
        fs::copy(others.join(file), changed.mounts.join(file)).unwrap();
    }
    let error = changed.is_lost("a layer of two");
    for id in [&changed.id, &other] {
        assert!(error.to_string().contains(&format!("mounts/{id}/mount-id")), "{error}");
    }
    assert_eq!(error.hints(), [Hint::Orphans]);
    let store = changed.data.store();
    let ability = store.containers().unwrap();
    let listing = ability.containers().unwrap();
    for (name, whole) in [("volumes", false), ("shares", true), ("never-started", true)] {
        let container = listing.find(name).unwrap();
        assert_eq!(ability.root_fs(container).is_ok(), whole, "{name}");
        assert_eq!(ability.written(&container.key).is_ok(), whole, "{name}");
        assert_eq!(ability.layer(container).is_ok(), whole, "{name}");
    }
    let orphans: Vec<String> = ability.orphans().unwrap().into_iter().map(|orphan| orphan.id).collect();
    for id in [mount, changed.read("mount-id")] {
        assert!(orphans.contains(&id) && orphans.contains(&format!("{id}-init")), "{orphans:?}");
    }
}

/// What overlay2 mounted decides, for the tree and for the layers of an image.
#[test]
fn a_parent_that_is_another_s() {
    let changed = Changed::new();
    let other = changed.data.folder("never-started");
    let other = changed.mounts.parent().unwrap().join(other.file_name().unwrap()).join("parent");
    assert_ne!(fs::read_to_string(&other).unwrap(), changed.read("parent"));
    fs::copy(other, changed.mounts.join("parent")).unwrap();
    changed.is_whole("on the layers that were mounted");
    let notices = changed.root_fs().unwrap().notices().to_vec();
    assert!(matches!(&*notices, [one] if one.path == changed.mounts.join("parent")), "{notices:?}");
    let store = changed.data.store();
    let ability = store.containers().unwrap();
    let listing = ability.containers().unwrap();
    assert_eq!(ability.below(listing.find(&changed.id).unwrap()).unwrap().len(), 2);
}
