//! Lists of images, as `podman build --manifest` and `podman manifest create` write them.

use std::fs;

use layerlift_store::{Error, ErrorKind, Hint, Index, Platform, Store, Subject};

use crate::contract;
use crate::fixture::{Disk, root_user};

/// The list `ml:1`, and its images.
const LIST: &str = "92114d7d3728bf59280e47c6e0ab9a4dbb58a862e32dfe71e0e21e63c2ce1cb5";
const AMD64: &str = "d8738105607ea5cc91f8c04f321837521fec566330ac1ba849c3000f3dc9605c";
const ARM64: &str = "f181be5441836d4985c42e908fe1db41bb70fde6af52e9e1f81cde7bedc5957c";
/// The digests of their manifests.
const AMD64_MANIFEST: &str = "sha256:63b2522d95830c5512ecbfe0896bbfad9105e3d1bae6580ac7b4cd14b4c504e2";
const ARM64_MANIFEST: &str = "sha256:ab7718657b53e1c311657b896b7c9d42d548f8e32496e3b3efdc8228cc222954";

const IMAGES: &str = "lists/overlay-images/images.json";

fn platform(text: &str) -> Platform {
    text.parse().unwrap()
}

fn list(store: &dyn Store) -> Index {
    match &store.resolve("ml:1").unwrap()[0].subject {
        Subject::Index(index) => index.clone(),
        other => panic!("{other:?}"),
    }
}

/// The id of the image that `ml:1` is for a platform.
fn chosen(store: &dyn Store, platform: Option<&Platform>) -> Result<String, Error> {
    let selected = &store.resolve("ml:1").unwrap()[0];
    assert_eq!(selected.reference.as_ref().unwrap().to_string(), "localhost/ml:1");
    selected.choose(store, platform).map(|key| key.id().to_owned())
}

/// Ids and names of all images that are listed, where they have names.
fn named(store: &dyn Store, wanted: &str) -> Vec<(String, Vec<String>)> {
    let listing = store.images().unwrap().on(store, Some(&platform(wanted)));
    let row = |image: layerlift_store::ImageSummary| {
        let names = image.references.iter().map(ToString::to_string).collect();
        (image.key.id().to_owned(), names)
    };
    listing.images.into_iter().map(row).collect()
}

/// Removes an image.
fn remove(disk: &Disk, id: &str) {
    let text = fs::read_to_string(disk.join(IMAGES)).unwrap();
    let mut records: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
    records.retain(|record| record["id"] != id);
    disk.write(IMAGES, serde_json::to_string(&records).unwrap());
    fs::remove_dir_all(disk.join(IMAGES).with_file_name(id)).unwrap();
}

#[test]
fn leads_to_its_images() {
    let disk = Disk::lists();
    let store = disk.store("lists");
    let index = list(&*store);
    assert_eq!(
        index.digest.to_string(),
        "sha256:5dc974d9f6bec333e6a8cd2efc7ab953536073fb5020e068db3f5748ecf4c2d0"
    );
    let members = index.members.iter().map(|member| {
        let id = member.image.as_ref().map(|key| key.id().to_owned());
        (member.manifest.to_string(), member.platform.as_ref().unwrap().to_string(), id)
    });
    let expected = [(ARM64_MANIFEST, "linux/arm64", ARM64), (AMD64_MANIFEST, "linux/amd64", AMD64)];
    let expected =
        expected.map(|(digest, platform, id)| (digest.to_owned(), platform.to_owned(), Some(id.to_owned())));
    assert_eq!(members.collect::<Vec<_>>(), expected);
    // Other spellings, its id, its digest.
    for name in ["ml:1", "ml", "localhost/ml:1", LIST, &LIST[..12], &format!("ml@{}", index.digest)] {
        let found = &store.resolve(name).unwrap()[0];
        assert_eq!(found.subject, Subject::Index(index.clone()), "{name}");
    }
    // Images of a list have ids of their own.
    assert_eq!(contract::key(&*store, ARM64).id(), ARM64);
}

#[test]
fn platform_chooses() {
    let disk = Disk::lists();
    let store = disk.store("lists");
    assert_eq!(chosen(&*store, Some(&platform("linux/amd64"))).unwrap(), AMD64);
    assert_eq!(chosen(&*store, Some(&platform("linux/arm64/v8"))).unwrap(), ARM64);
    let error = chosen(&*store, Some(&platform("linux/s390x"))).unwrap_err();
    assert_eq!(error.to_string(), "localhost/ml:1 is here for linux/arm64, linux/amd64, not for linux/s390x");
    assert_eq!((error.kind(), error.hints()), (ErrorKind::NotFound, vec![Hint::ChoosePlatform]));
}

/// The name of a list stands at the image that is chosen; the other images have none.
#[test]
fn listing() {
    let disk = Disk::lists();
    let store = disk.store("lists");
    let whole = store.images().unwrap();
    assert!(whole.broken.is_empty(), "{:?}", whole.broken);
    assert_eq!(whole.indexes.len(), 1);
    let (all, default) = (whole.images.len(), whole.on(&*store, None));
    assert_eq!((default.images.len(), default.broken.len()), (all, 0), "a list is not an image more");
    let rows = named(&*store, "linux/arm64");
    assert!(rows.contains(&(ARM64.to_owned(), vec!["localhost/ml:1".to_owned()])), "{rows:?}");
    assert!(rows.iter().all(|(id, _)| id != AMD64), "it is of the list, and for another platform");
    let rows = named(&*store, "linux/amd64");
    assert!(rows.contains(&(AMD64.to_owned(), vec!["localhost/ml:1".to_owned()])), "{rows:?}");
    assert!(rows.iter().all(|(id, _)| id != ARM64));
}

/// An image that was removed is not a choice, and the only one left is the list.
#[test]
fn images_that_are_not_here() {
    let disk = Disk::lists();
    remove(&disk, AMD64);
    let store = disk.store("lists");
    assert_eq!(chosen(&*store, None).unwrap(), ARM64);
    let error = chosen(&*store, Some(&platform("linux/amd64"))).unwrap_err();
    assert_eq!(
        error.to_string(),
        "localhost/ml:1 is here for linux/arm64, not for linux/amd64; the image that it names is missing"
    );
    remove(&disk, ARM64);
    let store = disk.store("lists");
    let error = chosen(&*store, None).unwrap_err();
    assert_eq!(
        error.to_string(),
        "localhost/ml:1 is not here: its images for linux/arm64, linux/amd64 are missing"
    );
    assert_eq!((error.kind(), error.hints()), (ErrorKind::Missing, Vec::new()));
    let listing = store.images().unwrap().on(&*store, None);
    let [broken] = &listing.broken[..] else { panic!("{:?}", listing.broken) };
    assert_eq!((&*broken.what, broken.error.to_string()), (LIST, error.to_string()));
}

/// What is wrong with a list hides nothing else, and is said when it is asked for.
#[test]
fn damage() {
    let sound = Disk::lists().store("lists").images().unwrap().images.len();
    let manifest = format!("lists/overlay-images/{LIST}/manifest");
    type Damage = fn(&Disk, &str);
    let cases: [(Damage, ErrorKind, &str); 3] = [
        (|disk, file| disk.edit(file, "arm64", "arm65"), ErrorKind::Damaged, "its digest is"),
        (|disk, file| fs::remove_file(disk.join(file)).unwrap(), ErrorKind::Missing, "needs index manifest"),
        (
            |disk, file| {
                let digest = layerlift_archive::Digest::of(b"[]").to_string();
                let recorded = "sha256:5dc974d9f6bec333e6a8cd2efc7ab953536073fb5020e068db3f5748ecf4c2d0";
                disk.write(file, "[]");
                disk.edit(IMAGES, recorded, &digest);
            },
            ErrorKind::Malformed,
            "not a JSON object",
        ),
    ];
    for (damage, kind, part) in cases {
        let disk = Disk::lists();
        damage(&disk, &manifest);
        let store = disk.store("lists");
        let listing = store.images().unwrap().on(&*store, None);
        let [broken] = &listing.broken[..] else { panic!("{:?}", listing.broken) };
        assert_eq!(
            (broken.what.as_str(), broken.references[0].to_string()),
            (LIST, "localhost/ml:1".to_owned())
        );
        assert_eq!(listing.images.len(), sound, "{part}");
        let error = store.image(&contract::key(&*store, "ml:1")).unwrap_err();
        assert_eq!((error.kind(), error.to_string()), (kind, broken.error.to_string()));
        assert!(error.to_string().contains(part) && error.to_string().contains(LIST), "{error}");
    }
}

#[test]
fn keeps_the_contract() {
    if root_user("layers have devices, foreign owners and files that nobody else may read") {
        let disk = Disk::lists();
        contract::check(&disk.join("lists"), &|| disk.store("lists"), &[]);
    }
}
