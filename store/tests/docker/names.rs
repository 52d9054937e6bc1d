//! Names that a power loss took: the images are all there, and names come back from wherever they still are.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use layerlift_store::{Error, ErrorKind, Listing, Store};

use crate::contract::key;
use crate::fixture::{DataRoot, MANY};

/// `demo/app`, which has children.
const APP: &str = "ec3e2f835087f3d22576f68f95b4096863e90b5a5ed005309ed262a193c4130b";
/// `demo/child`, built on it.
const CHILD: &str = "41017ce8cf5d1f7ae5ed801d64761c07b331f004c5e1a431782b4cfe3e796f2b";

fn names_file(data: &DataRoot) -> std::path::PathBuf {
    data.image("overlay2").join("repositories.json")
}

/// A container that was made from an image.
fn container(data: &DataRoot, digit: char, file: &str, created: &str, name: &str, image: &str) {
    let folder = data.path().join("containers").join(digit.to_string().repeat(64));
    fs::create_dir_all(&folder).unwrap();
    let text = format!(
        r#"{{"ID":"x","Created":"{created}","Driver":"overlay2","Image":"{image}","Config":{{"Image":"{name}"}}}}"#
    );
    fs::write(folder.join(file), text).unwrap();
}

/// What the images are called, by their id; what is lost.
fn listed(store: &dyn Store) -> (Vec<String>, Vec<String>, Listing) {
    let listing = store.images().unwrap();
    assert!(listing.broken.is_empty(), "{:?}", listing.broken);
    let name = |image: &layerlift_store::ImageSummary| {
        let names: Vec<String> = image.references.iter().map(ToString::to_string).collect();
        format!("{} {}", &image.key.id()[..8], names.join(" "))
    };
    let mut rows: Vec<String> = listing.images.iter().map(name).collect();
    rows.sort();
    let lost = listing.lost.iter().map(ToString::to_string).collect();
    (rows, lost, listing)
}

/// All images come out by their ids, parents too, however the file was lost.
#[test]
fn images_without_names() {
    let data = DataRoot::case("docker-names-lost");
    assert_eq!(fs::metadata(names_file(&data)).unwrap().len(), 0);
    let ids = ["3b4f7bed ", "41017ce8 ", "47512422 ", "80a16509 ", "e723989a ", "ec3e2f83 "];
    for (text, why) in [
        (Some(""), "is malformed: it is empty: names are lost; every image is listed by its id"),
        (Some("\0\0\0\0\0\0\0\0"), "is malformed: it holds nothing but zeros: names are lost"),
        (Some("{\"Reposit"), "is malformed: it is cut after 9 bytes: names are lost"),
        (Some("{\"x\":1}"), "is malformed: it lacks \"Repositories\", which Docker always writes: names are"),
        (None, "is missing: names are lost; every image is listed by its id"),
    ] {
        match text {
            Some(text) => fs::write(names_file(&data), text).unwrap(),
            None => fs::remove_file(names_file(&data)).unwrap(),
        }
        let store = data.store();
        let (rows, lost, listing) = listed(&*store);
        assert_eq!(rows, ids, "{why}");
        assert_eq!(lost.len(), 1, "{lost:?}");
        assert!(lost[0].contains(why) && lost[0].contains("/repositories.json"), "{lost:?}");
        let kind = if text.is_some() { ErrorKind::Malformed } else { ErrorKind::Missing };
        assert_eq!((listing.lost[0].kind(), listing.intermediate.len()), (kind, 0));
        for layer in store.image(&key(&*store, APP)).unwrap().layers {
            assert!(store.layer(&layer.key).is_ok());
        }
        assert_eq!(store.resolve("demo/app:1.0").unwrap_err().to_string(), lost[0]);
    }
}

/// A driver that never had an image has lost none.
#[test]
fn a_driver_without_images() {
    let data = DataRoot::metadata("overlay2");
    fs::create_dir_all(data.path().join("image/vfs/imagedb/content/sha256")).unwrap();
    assert_eq!(data.store().images().unwrap().lost.len(), 0);
    fs::remove_file(names_file(&data)).unwrap();
    assert_eq!(data.store().images().unwrap().lost.len(), 1);
    assert_eq!(key(&*data.store(), MANY).id(), MANY);
}

/// Whole entries before a cut count; containers know others, the youngest of them best.
#[test]
fn names_that_come_back() {
    let data = DataRoot::case("docker-names-lost");
    let text = format!(
        r#"{{"Repositories":{{"demo/app":{{"demo/app:1.0":"sha256:{APP}","demo/app:latest":"sha256:{}"#,
        &APP[..20]
    );
    fs::write(names_file(&data), text).unwrap();
    let app = format!("sha256:{APP}");
    let child = format!("sha256:{CHILD}");
    container(&data, 'a', "config.v2.json", "2024-01-01T00:00:00.5Z", "demo/child:2", &app);
    container(&data, 'b', "config.v2.json", "2024-02-01T00:00:00Z", "demo/child:2", &child);
    container(&data, 'c', "config.json", "2024-01-01T00:00:00Z", "docker.io/library/base", CHILD);
    container(&data, 'd', "config.v2.json", "2024-01-01T00:00:00Z", "demo/app:1.0", &child);
    container(&data, 'e', "config.v2.json", "2024-01-01T00:00:00Z", &CHILD[..12], &child);
    container(&data, 'f', "config.v2.json", "2024-01-01T00:00:00Z", "removed", &"9".repeat(64));
    fs::create_dir_all(data.path().join("containers/not-one")).unwrap();
    let store = data.store();
    let (rows, lost, _) = listed(&*store);
    assert_eq!(rows[1], "41017ce8 base:latest demo/child:2");
    assert_eq!(rows[5], "ec3e2f83 demo/app:1.0");
    assert_eq!(rows.len(), 6);
    let what = "1 name before that can be read, others are lost; 2 names are taken from containers";
    assert!(lost[0].contains(what), "{lost:?}");
    assert_eq!(key(&*store, "demo/child:2").id(), CHILD);
    assert!(matches!(store.resolve("demo/app:latest"), Err(Error::Malformed { .. })));

    // A sound file says all there is to say: what else containers say is of the past.
    fs::write(names_file(&data), r#"{"Repositories":{}}"#).unwrap();
    let (rows, lost, _) = listed(&*data.store());
    assert_eq!((rows, lost), (vec!["41017ce8 ".to_owned(), "47512422 ".to_owned()], vec![]));
}

/// Images that others were built on are listed apart, unless they have a name.
#[test]
fn intermediate_images() {
    let data = DataRoot::case("docker-names-lost");
    let text = format!(r#"{{"Repositories":{{"demo/child":{{"demo/child:2":"sha256:{CHILD}"}}}}}}"#);
    fs::write(names_file(&data), text).unwrap();
    let store = data.store();
    let (rows, lost, listing) = listed(&*store);
    assert_eq!((rows, lost), (vec!["41017ce8 demo/child:2".to_owned(), "47512422 ".to_owned()], vec![]));
    assert_eq!(listing.intermediate.len(), 4);
    assert!(listing.intermediate.iter().any(|image| image.key.id() == APP && image.size.is_some()));
    let all = listing.with_intermediate();
    assert_eq!((all.images.len(), all.intermediate.len()), (6, 0));
    let times: Vec<_> = all.images.iter().map(|image| image.created.clone()).collect();
    assert!(times.is_sorted_by(|one, other| one >= other), "{times:?}");

    // One that cannot be read is not an image of the list, and yet something that was here.
    fs::write(data.config("overlay2", APP), "").unwrap();
    let (rows, lost, listing) = listed(&*data.store());
    assert_eq!((rows.len(), listing.intermediate.len()), (2, 3));
    assert!(lost[0].contains(APP), "{lost:?}");
}

/// Without its notes, a step of a build looks like an image without a name. It is listed, with a
/// notice.
#[test]
fn notes_that_are_lost() {
    let data = DataRoot::case("docker-names-lost");
    fs::write(names_file(&data), r#"{"Repositories":{}}"#).unwrap();
    let notes = data.path().join("image/overlay2/imagedb/metadata/sha256");
    let before = data.store().images().unwrap();
    assert!(before.notices.is_empty(), "{:?}", before.notices);
    fs::write(notes.join(APP).join("parent"), "sha256:").unwrap();
    let listing = data.store().images().unwrap();
    assert!(listing.notices[0].path.ends_with(format!("{APP}/parent")), "{:?}", listing.notices);
    assert!(listing.notices[0].what.contains("does not have the id of an image"));
    fs::rename(&notes, notes.with_file_name("elsewhere")).unwrap();
    let listing = data.store().images().unwrap();
    let all = before.images.len() + before.intermediate.len();
    assert_eq!((listing.images.len(), listing.intermediate.len()), (all, 0));
    assert!(listing.notices[0].path.ends_with("metadata/sha256"), "{:?}", listing.notices);
    for target in ["/etc", "elsewhere", "sha256"] {
        std::os::unix::fs::symlink(target, &notes).unwrap();
        let listing = data.store().images().unwrap();
        let said = listing.images.len() == before.images.len() || !listing.notices.is_empty();
        assert!(said, "{target}: {:?}", listing.notices);
        fs::remove_file(&notes).unwrap();
    }
    fs::write(&notes, "").unwrap();
    assert!(!data.store().images().unwrap().notices.is_empty());
}

/// Beside a running Docker, an image that is removed while the store is listed is not missing.
#[test]
fn a_listing_beside_a_changing_store() {
    let data = DataRoot::metadata("overlay2");
    let file = names_file(&data);
    let without = fs::read_to_string(&file).unwrap();
    let config = br#"{"rootfs":{"type":"layers"}}"#;
    let id = data.add_config("overlay2", config);
    let with = without.replacen('{', "", 1).replacen('{', "", 1);
    let with = with.strip_prefix("\"Repositories\":").expect("the file begins like this").to_owned();
    let with = format!(r#"{{"Repositories":{{"busy":{{"busy:1":"sha256:{id}"}},{with}"#);
    let replace = |text: &str, to: &Path| {
        fs::write(to.with_extension("tmp"), text).unwrap();
        fs::rename(to.with_extension("tmp"), to).unwrap();
    };
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                // The order of the daemon.
                replace(std::str::from_utf8(config).unwrap(), &data.config("overlay2", &id));
                replace(&with, &file);
                std::thread::sleep(Duration::from_millis(5));
                replace(&without, &file);
                data.remove_config("overlay2", &id);
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        let store = data.store();
        for _ in 0..300 {
            let listing = store.images().unwrap();
            let seen = (&listing.broken, &listing.lost);
            let sound = listing.broken.is_empty() && listing.lost.is_empty();
            if !sound {
                done.store(true, Ordering::Relaxed);
            }
            assert!(sound, "{seen:?}");
        }
        done.store(true, Ordering::Relaxed);
    });
}
