//! Several drivers in one data root: what is listed, and what is hidden.

use std::fs;

use layerlift_store::{Error, OpenOptions, detect, open};

use crate::contract::key;
use crate::fixture::{DataRoot, MANY, TORTURE};

fn both() -> DataRoot {
    let data = DataRoot::metadata("overlay2").and_metadata("vfs");
    data.add_trees("overlay2");
    data.add_trees("vfs");
    data
}

fn rename_tag(data: &DataRoot, driver: &str, from: &str, to: &str) {
    let path = data.image(driver).join("repositories.json");
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from));
    fs::write(path, text.replace(from, to)).unwrap();
}

#[test]
fn images_of_all_drivers_are_listed() {
    let data = both();
    assert_eq!(detect(data.path()).unwrap()[0].partitions, ["overlay2", "vfs"]);
    let drivers = |driver| {
        let listing = data.store_of(driver).images().unwrap();
        let keys = listing
            .images
            .into_iter()
            .map(|image| (image.key.id().to_owned(), image.key.partition().to_owned()));
        keys.collect::<Vec<_>>()
    };
    let row = |id: &str, driver: &str| (id.to_owned(), driver.to_owned());
    let all = [row(MANY, "overlay2"), row(MANY, "vfs"), row(TORTURE, "overlay2"), row(TORTURE, "vfs")];
    assert_eq!(drivers(None), all);
    assert_eq!(drivers(Some("vfs")), [row(MANY, "vfs"), row(TORTURE, "vfs")]);
    let options = OpenOptions::default().with_partition("aufs");
    let error = open(data.path(), &options).map(drop).unwrap_err();
    assert!(error.to_string().contains("overlay2, vfs"), "{error}");
}

#[test]
fn the_first_driver_that_has_all_of_an_image_is_selected() {
    let data = both();
    let driver = |name: &str| key(&*data.store(), name).partition().to_owned();
    for name in ["bench/many:1.0", MANY, "8014"] {
        assert_eq!(driver(name), "overlay2");
    }
    fs::remove_dir_all(data.path().join("overlay2")).unwrap();
    for name in ["bench/many:1.0", MANY, "8014"] {
        assert_eq!(driver(name), "vfs");
    }
    fs::remove_dir_all(data.path().join("vfs")).unwrap();
    assert_eq!(driver(MANY), "overlay2", "nobody has it, but it is known");
}

#[test]
fn a_name_of_different_images_is_ambiguous() {
    let data = both();
    rename_tag(&data, "vfs", "bench/torture:1.0", "bench/torture:old");
    rename_tag(&data, "vfs", "bench/many:1.0", "bench/many:old");
    rename_tag(&data, "vfs", MANY, TORTURE);
    for name in ["bench/many:latest", "bench/many"] {
        let Err(Error::Ambiguous { candidates, drivers: true, .. }) = data.store().resolve(name) else {
            panic!("{name}")
        };
        assert_eq!(candidates.len(), 2, "{candidates:?}");
        assert!(candidates[0].starts_with(MANY) && candidates[0].contains("overlay2"), "{candidates:?}");
        assert!(candidates[1].starts_with(TORTURE) && candidates[1].contains("vfs"), "{candidates:?}");
    }
    let only = |driver| key(&*data.store_of(Some(driver)), "bench/many:latest").id().to_owned();
    assert_eq!((only("overlay2").as_str(), only("vfs").as_str()), (MANY, TORTURE));
    assert_eq!(key(&*data.store(), "bench/many:1.0").id(), MANY);
}

#[test]
fn a_driver_that_cannot_be_listed_hides_no_other() {
    let data = both();
    let content = data.image("overlay2").join("imagedb/content/sha256");
    fs::remove_dir_all(&content).unwrap();
    fs::write(&content, "").unwrap();
    let listing = data.store().images().unwrap();
    assert_eq!((listing.images.len(), listing.broken.len()), (2, 0));
    assert_eq!(listing.lost[0].to_string(), "cannot read images of driver overlay2");
    assert!(data.store_of(Some("overlay2")).images().is_err());
}

#[test]
fn untagged_images_are_listed_unless_they_are_build_steps() {
    let data = DataRoot::metadata("overlay2");
    let listed = || {
        let listing = data.store().images().unwrap();
        let zeros = |broken: &layerlift_store::Broken| broken.what == "0".repeat(64);
        assert!(listing.broken.iter().all(zeros), "{:?}", listing.broken);
        let keys =
            listing.images.into_iter().map(|image| (image.key.id().to_owned(), image.references.len()));
        keys.collect::<Vec<_>>()
    };
    let metadata = data.image("overlay2").join("imagedb/metadata/sha256");
    let parent = |of: &str, parent: &str| {
        fs::create_dir_all(metadata.join(of)).unwrap();
        fs::write(metadata.join(of).join("parent"), parent).unwrap();
    };
    parent(TORTURE, &format!("sha256:{MANY}"));
    parent(&"0".repeat(64), &format!("sha256:{TORTURE}"));
    let many = (MANY.to_owned(), 4);
    assert_eq!(listed(), [many.clone(), (TORTURE.to_owned(), 1)], "tagged");
    let path = data.image("overlay2").join("repositories.json");
    let names = fs::read(&path).unwrap();
    fs::write(&path, r#"{"Repositories":{}}"#).unwrap();
    assert_eq!(
        listed(),
        [(TORTURE.to_owned(), 0)],
        "a step of an image that is there, and one of an image that is not"
    );
    parent(MANY, &format!("sha256:{TORTURE}"));
    assert_eq!(listed(), [(MANY.to_owned(), 0), (TORTURE.to_owned(), 0)], "a circle");
    parent(TORTURE, "sha256:nothing");
    parent(MANY, "sha256:nothing");
    assert_eq!(listed(), [(MANY.to_owned(), 0), (TORTURE.to_owned(), 0)]);
    fs::write(&path, names).unwrap();
    assert_eq!(listed()[0], many);
}

#[test]
fn leftovers_and_containers_are_not_images() {
    let data = DataRoot::metadata("overlay2");
    let image = data.image("overlay2");
    let content = image.join("imagedb/content/sha256");
    fs::write(content.join(".tmp-123"), "{").unwrap();
    fs::write(content.join("A".repeat(64)), "{").unwrap();
    fs::create_dir_all(image.join("layerdb/tmp/write-set-1")).unwrap();
    fs::create_dir_all(image.join("layerdb/sha256").join("f".repeat(64))).unwrap();
    fs::write(data.path().join("image/notes.txt"), "").unwrap();
    fs::create_dir(data.path().join("image/plugin")).unwrap();
    let listing = data.store().images().unwrap();
    assert_eq!((listing.images.len(), listing.broken.len()), (2, 0));
    let container = fs::read_dir(image.join("layerdb/mounts")).unwrap().next().unwrap().unwrap().file_name();
    let container = container.into_string().unwrap();
    assert!(matches!(data.store().resolve(&container), Err(Error::NotFound { .. })));
}
