//! Stores of Podman that have lost records of containers: each container is still there, with all that is
//! known elsewhere, and nothing is taken for whole that is not.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use layerlift_store::{Container, ContainerListing, ContainerRecord, Error, ErrorKind};
use serde_json::Value;

use super::fixture::Data;

const ENGINES: [(&str, &str); 2] = [("podman-4.3", "libpod/bolt_state.db"), ("podman-5.8", "db.sql")];

/// The names of containers, sorted.
fn names(listing: &ContainerListing) -> Vec<String> {
    let mut names: Vec<String> = listing.containers.iter().flat_map(|found| found.names.clone()).collect();
    names.sort();
    names
}

const ALL: [&str; 5] = ["changed", "in-pod", "never-started", "shares", "volumes"];

/// The root file systems by the names of containers.
fn trees(data: &Data) -> BTreeMap<String, Vec<u8>> {
    let store = data.store();
    let ability = store.containers().unwrap();
    let listing = ability.containers().unwrap();
    let tree = |container: &Container| {
        let mut tar = Vec::new();
        let root_fs = ability.root_fs(container).unwrap().unwrap();
        root_fs.read(None).unwrap().write_tar(None, &mut tar).unwrap();
        (container.names[0].clone(), tar)
    };
    listing.containers.iter().map(tree).collect()
}

fn said(listing: &ContainerListing) -> String {
    listing.lost.iter().map(|error| format!("{}\n", chain(error))).collect()
}

fn chain(error: &Error) -> String {
    use std::error::Error as _;
    let source = error.source().map(|source| format!(": {source}")).unwrap_or_default();
    format!("{error}{source}")
}

/// Changes `layers.json`, a record at a time.
fn with_layers(data: &Data, change: impl FnMut(&mut Vec<Value>)) {
    let file = data.path().join("overlay-layers/layers.json");
    edit(&file, change);
}

fn edit(file: &PathBuf, mut change: impl FnMut(&mut Vec<Value>)) {
    let mut records: Vec<Value> = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    change(&mut records);
    fs::write(file, serde_json::to_vec(&records).unwrap()).unwrap();
}

/// What the runtime was given stands in for the database.
#[test]
fn without_the_database() {
    for (engine, database) in ENGINES {
        let data = Data::of(engine);
        let whole = data.containers();
        let file = data.path().join(database);
        let bytes = fs::read(&file).unwrap();
        let damage: [Option<&[u8]>; 5] =
            [None, Some(&[]), Some(&[0; 8192]), Some(&bytes[..100]), Some(&bytes[..5000])];
        for damaged in damage {
            match damaged {
                Some(bytes) => fs::write(&file, bytes).unwrap(),
                None => fs::remove_file(&file).unwrap(),
            }
            let listing = data.containers();
            assert_eq!(names(&listing), ALL, "{engine}");
            assert!(listing.broken.is_empty());
            let said = said(&listing);
            assert!(said.contains(database) || said.contains("db.sql is missing"), "{said}");
            assert!(said.contains("changed") && said.contains("only names, image and layer"), "{said}");
            for name in ["changed", "volumes"] {
                let (found, known) = (listing.find(name).unwrap(), whole.find(name).unwrap());
                assert_eq!(found.command, known.command, "{engine} {name}");
                assert_eq!(found.mounts, known.mounts, "{engine} {name}");
                assert_eq!(found.image_id, known.image_id, "{engine} {name}");
            }
            let ContainerRecord::Storage { runtime, lacks, .. } = &listing.find("changed").unwrap().record
            else {
                panic!("{engine}");
            };
            assert!(runtime.is_some() && lacks.is_some());
        }
    }
}

/// A page that is damaged costs what is in it, and never a container.
#[test]
fn pages_of_the_database_that_are_damaged() {
    for (engine, database) in ENGINES {
        let data = Data::of(engine);
        let file = data.path().join(database);
        let bytes = fs::read(&file).unwrap();
        let mut noticed = 0;
        for page in 0..bytes.len() / 4096 {
            for byte in [0, 0xff] {
                let mut damaged = bytes.clone();
                damaged[page * 4096..][..4096].fill(byte);
                fs::write(&file, damaged).unwrap();
                let listing = data.containers();
                assert_eq!(names(&listing), ALL, "{engine}, page {page}");
                assert!(listing.broken.is_empty(), "{engine}, page {page}: {:?}", listing.broken);
                let lost = listing.containers.iter();
                let lost = lost.filter(|found| matches!(found.record, ContainerRecord::Storage { .. }));
                assert!(lost.count() == 0 || said(&listing).contains(database), "{engine}, page {page}");
                noticed += usize::from(!listing.lost.is_empty());
            }
        }
        assert!(noticed > 10, "{engine}: {noticed}");
    }
}

/// A specification that is damaged is named.
#[test]
fn folders_of_containers_that_are_damaged() {
    let data = Data::of("podman-5.8");
    let id = data.containers().find("changed").unwrap().key.id().to_owned();
    fs::remove_file(data.path().join("db.sql")).unwrap();
    let file = data.path().join("overlay-containers").join(id).join("userdata/config.json");
    let whole = fs::read(&file).unwrap();
    for bytes in [&[][..], &[0; 4096], &whole[..whole.len() / 2], b"[]"] {
        fs::write(&file, bytes).unwrap();
        let listing = data.containers();
        assert_eq!(names(&listing), ALL);
        assert!(listing.find("changed").unwrap().command.is_empty());
        assert!(said(&listing).contains("userdata/config.json is malformed"), "{}", said(&listing));
    }
}

/// The folders, the layers and the database have what the list had.
#[test]
fn without_the_list_of_containers() {
    for (engine, _) in ENGINES {
        let data = Data::of(engine);
        let (whole, expected) = (data.containers(), trees(&data));
        let file = data.path().join("overlay-containers/containers.json");
        let bytes = fs::read(&file).unwrap();
        let damage: [Option<&[u8]>; 4] = [None, Some(&[]), Some(&[0; 4096]), Some(&bytes[..bytes.len() / 2])];
        for damaged in damage {
            match damaged {
                Some(bytes) => fs::write(&file, bytes).unwrap(),
                None => fs::remove_file(&file).unwrap(),
            }
            let listing = data.containers();
            assert_eq!(names(&listing), ALL, "{engine}");
            assert!(listing.broken.is_empty() && !listing.lost.is_empty(), "{engine}");
            assert!(said(&listing).contains("containers.json"), "{}", said(&listing));
            for found in &listing.containers {
                let known = whole.find(found.key.id()).unwrap();
                assert_eq!((&found.names, &found.image_id), (&known.names, &known.image_id), "{engine}");
                assert!(found.image_present && known.command == found.command, "{engine}");
            }
            assert!(trees(&data) == expected, "{engine}");
        }
    }
}

/// Each member that can be read is used.
#[test]
fn records_of_containers_that_are_damaged() {
    let data = Data::of("podman-5.8");
    let expected = trees(&data);
    let file = data.path().join("overlay-containers/containers.json");
    let whole = fs::read(&file).unwrap();
    for (member, value) in [
        ("layer", Value::Null),
        ("layer", 5.into()),
        ("image", true.into()),
        ("names", "changed".into()),
        ("created", 5.into()),
        ("id", Value::Null),
        ("id", "x".into()),
    ] {
        edit(&file, |records| {
            let changed = records.iter_mut().find(|record| record["names"][0] == "changed").unwrap();
            changed[member] = value.clone();
        });
        let listing = data.containers();
        assert_eq!(names(&listing), ALL, "{member} {value}");
        assert!(trees(&data) == expected, "{member} {value}");
        let silent = listing.lost.is_empty() && listing.broken.is_empty();
        assert_eq!(silent, value.is_null() && member == "layer", "{member} {value}: {}", said(&listing));
        fs::write(&file, &whole).unwrap();
    }
}

/// Without both, names are those that the layers have, and a layer that nothing names is an error.
#[test]
fn without_the_list_and_the_database() {
    for (engine, database) in ENGINES {
        let data = Data::of(engine);
        let expected = trees(&data);
        fs::remove_file(data.path().join("overlay-containers/containers.json")).unwrap();
        fs::remove_file(data.path().join(database)).unwrap();
        let store = data.store();
        let ability = store.containers().unwrap();
        let listing = ability.containers().unwrap();
        assert_eq!(listing.containers.len(), 5, "{engine}");
        assert_eq!(names(&listing), ["changed", "volumes"], "{engine}: those that were started");
        for container in &listing.containers {
            let found = ability.root_fs(container);
            match container.names.first() {
                Some(name) => {
                    let mut tar = Vec::new();
                    found.unwrap().unwrap().read(None).unwrap().write_tar(None, &mut tar).unwrap();
                    assert!(tar == expected[name], "{engine}");
                }
                None => {
                    let error = found.map(drop).unwrap_err();
                    assert!(error.to_string().contains("containers.json"), "{error}");
                }
            }
        }
        let orphans = ability.orphans().unwrap();
        assert_eq!(orphans.len(), 3, "{engine}: the layers of the others");
    }
}

/// What overlay mounted says what is below a container's layer.
#[test]
fn records_of_layers_that_are_lost_or_wrong() {
    for (engine, _) in ENGINES {
        let data = Data::of(engine);
        let expected = trees(&data);
        let file = data.path().join("overlay-layers/layers.json");
        let whole = fs::read(&file).unwrap();
        let of = |record: &Value| record["names"][0] == "changed-layer";
        let base = |records: &[Value]| records[0]["id"].clone();
        type Change = Box<dyn Fn(&mut Vec<Value>)>;
        let changes: [(&str, Change); 6] = [
            ("no record", Box::new(move |records| records.retain(|record| !of(record)))),
            (
                "no parent",
                Box::new(move |records| {
                    let found = records.iter_mut().find(|record| of(record)).unwrap();
                    found.as_object_mut().unwrap().remove("parent");
                }),
            ),
            (
                "another parent",
                Box::new(move |records| {
                    let base = base(records);
                    records.iter_mut().find(|record| of(record)).unwrap()["parent"] = base;
                }),
            ),
            (
                "not an id",
                Box::new(move |records| {
                    records.iter_mut().find(|record| of(record)).unwrap()["parent"] = "x".into();
                }),
            ),
            (
                "itself",
                Box::new(move |records| {
                    let found = records.iter_mut().find(|record| of(record)).unwrap();
                    found["parent"] = found["id"].clone();
                }),
            ),
            ("no records at all", Box::new(|records| records.clear())),
        ];
        for (what, change) in &changes {
            with_layers(&data, |records| change(records));
            let listing = data.containers();
            assert_eq!(names(&listing), ALL, "{engine}, {what}");
            assert!(said(&listing).contains("layers.json"), "{engine}, {what}: {}", said(&listing));
            assert!(trees(&data) == expected, "{engine}, {what}");
            fs::write(&file, &whole).unwrap();
        }
        for damaged in [&[][..], &[0; 4096], &whole[..whole.len() / 2]] {
            fs::write(&file, damaged).unwrap();
            assert!(trees(&data) == expected, "{engine}");
        }
        fs::remove_file(&file).unwrap();
        assert!(trees(&data) == expected, "{engine}");
        // The links may be lost, too: each layer knows its short name.
        fs::remove_dir_all(data.path().join("overlay/l")).unwrap();
        assert!(trees(&data) == expected, "{engine}");
    }
}

/// The upper directory alone is never taken for the whole tree.
#[test]
fn nothing_says_what_is_below() {
    for (engine, _) in ENGINES {
        let data = Data::of(engine);
        let expected = trees(&data);
        let layer = {
            let file = data.path().join("overlay-containers/containers.json");
            let records: Vec<Value> = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
            let found = records.iter().find(|record| record["names"][0] == "changed").unwrap();
            found["layer"].as_str().unwrap().to_owned()
        };
        with_layers(&data, |records| records.retain(|record| record["id"] != *layer));
        let folder = data.path().join("overlay").join(&layer);
        let lower = fs::read_to_string(folder.join("lower")).unwrap();
        let _ = fs::remove_file(folder.join("lower-layers"));
        let bad = [String::new(), "\0".repeat(81), "l/../../../etc".to_owned(), lower.replace("l/", "l/X")];
        for text in bad {
            fs::write(folder.join("lower"), &text).unwrap();
            assert!(trees(&data) == expected, "{engine}: the image has the layers");
        }
        // The image has lost its record, and its layers are the only ones that the store knows nothing of.
        let images = data.path().join("overlay-images");
        fs::remove_dir_all(&images).unwrap();
        fs::create_dir(&images).unwrap();
        fs::write(images.join("images.json"), "[]").unwrap();
        let store = data.store();
        let ability = store.containers().unwrap();
        let listing = ability.containers().unwrap();
        assert!(said(&listing).contains("changed"), "{engine}: {}", said(&listing));
        let changed = listing.find("changed").unwrap();
        let error = ability.root_fs(changed).map(drop).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Malformed | ErrorKind::Missing), "{error}");
        assert!(error.to_string().contains("lower"), "{error}");
        fs::remove_file(folder.join("lower")).unwrap();
        let error = ability.root_fs(changed).map(drop).unwrap_err();
        assert!(error.to_string().contains("lower is missing"), "{error}");
        let volumes = listing.find("volumes").unwrap();
        let mut tar = Vec::new();
        ability.root_fs(volumes).unwrap().unwrap().read(None).unwrap().write_tar(None, &mut tar).unwrap();
        assert!(tar == expected["volumes"], "{engine}: others are not affected");
    }
}

/// The record of a container names the layer of another. What the other records say counts, and where they
/// say nothing, neither container has files.
#[test]
fn a_record_that_names_the_layer_of_another() {
    let list = "overlay-containers/containers.json";
    for engine in ["podman-4.3", "podman-5.8"] {
        let data = Data::of(engine);
        let whole = trees(&data);
        let layer_of = |data: &Data, name: &str| {
            let records: Vec<Value> =
                serde_json::from_slice(&fs::read(data.path().join(list)).unwrap()).unwrap();
            records.iter().find(|record| record["names"][0] == name).unwrap()["layer"].clone()
        };
        let (layer, own) = (layer_of(&data, "volumes"), layer_of(&data, "changed"));
        let name = |data: &Data, of: &str| {
            edit(&data.path().join(list), |records| {
                let record = records.iter_mut().find(|record| record["names"][0] == of).unwrap();
                record["layer"] = layer.clone();
            });
        };
        // One has the specification of its last start, the other only the name of its layer.
        name(&data, "changed");
        name(&data, "never-started");
        assert!(trees(&data) == whole, "{engine}");
        let listing = data.containers();
        let said = said(&listing);
        for of in ["changed", "never-started"] {
            let what = format!("containers.json is malformed: the record of container {of} names layer");
            assert!(said.contains(&what), "{said}");
        }
        assert!(!said.contains("record of container volumes"), "{said}");
        let store = data.store();
        let ability = store.containers().unwrap();
        let listing = ability.containers().unwrap();
        let notices = ability.root_fs(listing.find("changed").unwrap()).unwrap().unwrap().notices().to_vec();
        assert!(matches!(&*notices, [one] if one.path.ends_with(list)), "{notices:?}");
        assert!(ability.orphans().unwrap().is_empty());
        // Without names and without specifications.
        with_layers(&data, |records| {
            for record in records {
                record.as_object_mut().unwrap().remove("names");
            }
        });
        for of in ["changed", "volumes"] {
            let id = listing.find(of).unwrap().key.id();
            fs::remove_file(data.path().join(format!("overlay-containers/{id}/userdata/config.json")))
                .unwrap();
        }
        let store = data.store();
        let ability = store.containers().unwrap();
        for of in ["changed", "volumes", "never-started"] {
            let listing = ability.containers().unwrap();
            let error = ability.root_fs(listing.find(of).unwrap()).unwrap_err();
            assert!(error.to_string().contains("nothing says whose it is"), "{engine} {of}: {error}");
        }
        let listing = ability.containers().unwrap();
        assert!(ability.root_fs(listing.find("shares").unwrap()).is_ok(), "{engine}");
        let orphans: Vec<String> = ability.orphans().unwrap().into_iter().map(|orphan| orphan.id).collect();
        for id in [layer, own] {
            assert!(orphans.contains(&id.as_str().unwrap().to_owned()), "{engine}: {orphans:?}");
        }
    }
}
