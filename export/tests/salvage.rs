//! Stores with damaged files and layers: what a salvage repairs exactly, what it declares, and what it says.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test may panic, and says what it skips")]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use common::{
    Entry, chain, check_blobs, data_root, document, entries, entry, exported, store, threaded, written,
};
use layerlift_archive::{Content as _, Digest};
use layerlift_export::{
    FileResult, Format, Options, RepairSource, SalvageReport, Salvaged, plan, select, tree,
};
use layerlift_store::{LayerTar, Store};

const TORTURE: &str = "bench/torture:1.0";
const ID: &str = "dd67daf7d3910c26d9039541b9cedbc978c9a91ccf11c993aefbf6167e4a408e";
/// The directory of its base layer, below the driver's.
const BASE: &str = "e43df974bd48bea6e22e57c934f40397bebfe0122a01b9824ada448832626b77";

/// Files of a layer's directory, with contents and without odd names, sorted.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for item in fs::read_dir(folder).unwrap() {
            let item = item.unwrap();
            let metadata = item.metadata().unwrap();
            if metadata.is_dir() {
                folders.push(item.path());
            } else if metadata.is_file() && metadata.len() > 0 {
                found.push(item.path());
            }
        }
    }
    found.sort();
    found
}

struct Outcome {
    archive: Vec<u8>,
    entries: Vec<Entry>,
    report: SalvageReport,
    warnings: Vec<String>,
}

fn salvaged(
    store: &dyn Store,
    sources: &[(&str, &dyn Store)],
    options: Options,
    names: &[&str],
) -> Result<Outcome, String> {
    let options = options.with_salvage(true);
    let selection = select(store, names, None).map_err(|error| chain(&error))?;
    let plan = plan(store, selection, &options).map_err(|error| chain(&error))?;
    let source = |&(name, store): &(&str, _)| RepairSource { name: name.to_owned(), store };
    let sources: Vec<RepairSource<'_>> = sources.iter().map(source).collect();
    let plan = plan.salvage(store, &sources, &threaded(2)).map_err(|error| chain(&error))?;
    let mut warnings: Vec<String> = plan.warnings().iter().map(ToString::to_string).collect();
    let prepared = plan.prepare(&threaded(2)).map_err(|error| chain(&error))?;
    warnings.extend(prepared.warnings().iter().map(ToString::to_string));
    let archive = written(&tree(&prepared), 2);
    let report = prepared.salvaged().unwrap().clone();
    Ok(Outcome { entries: entries(&archive), archive, report, warnings })
}

/// Files of the base layer that are damaged: zeros, empty, shorter, changed, missing.
fn damage_base(base: &Path) {
    let zeros = base.join("bin/ping");
    let len = fs::metadata(&zeros).unwrap().len();
    fs::write(&zeros, vec![0; usize::try_from(len).unwrap()]).unwrap();
    let plain = |path: &PathBuf| {
        let name = path.strip_prefix(base).unwrap().to_str();
        name.is_some_and(|name| name.starts_with("etc/") || name.starts_with("dir")) && *path != zeros
    };
    let others: Vec<PathBuf> = files(base).into_iter().filter(plain).collect();
    let [first, second, ..] = &*others else { panic!("{others:?}") };
    fs::write(first, "").unwrap();
    fs::remove_file(second).unwrap();
}

#[test]
fn a_store_that_has_the_bytes_twice() {
    let Some(data) = data_root("docker-20.10-overlay2.tar.xz") else { return };
    let Some(other) = data_root("docker-20.10-vfs.tar.xz") else { return };
    let sound = exported(&*store(data.path()), &[TORTURE], &Options::default()).unwrap();
    let base = data.path().join("overlay2").join(BASE).join("diff");
    damage_base(&base);
    assert!(exported(&*store(data.path()), &[TORTURE], &Options::default()).is_err());
    // The other driver in the same root.
    for part in ["image/vfs", "vfs"] {
        fs::rename(other.path().join(part), data.path().join(part)).unwrap();
    }
    let found = salvaged(&*store(data.path()), &[], Options::default(), &[TORTURE]).unwrap();
    assert!(found.archive == sound, "the archive of the sound store, byte for byte");
    let [layer] = &*found.report.layers else { panic!("{:?}", found.report) };
    assert_eq!((layer.result, layer.from.is_some()), (Salvaged::Repaired, true));
    assert!(!found.report.is_declared());
    assert!(found.warnings[0].contains("of driver vfs"), "{:?}", found.warnings);
    // Without the same layer, files at the same path: those of the layers above, which are whole trees.
    let record = |driver: &str| data.path().join("image").join(driver).join("layerdb/sha256");
    for layer in fs::read_dir(record("vfs")).unwrap() {
        let split = layer.unwrap().path().join("tar-split.json.gz");
        fs::remove_file(split).unwrap();
    }
    let found = salvaged(&*store(data.path()), &[], Options::default(), &[TORTURE]).unwrap();
    assert!(found.archive == sound, "the archive of the sound store, byte for byte");
    let files: Vec<(&str, FileResult)> =
        found.report.layers[0].files.iter().map(|file| (file.found.state, file.result)).collect();
    let repaired = FileResult::Repaired;
    assert_eq!(files.len(), 3, "{files:?}");
    for state in ["zeros", "empty", "missing"] {
        assert!(files.contains(&(state, repaired)), "{state}: {files:?}");
    }
}

#[test]
fn an_archive_that_has_the_layer() {
    let Some(data) = data_root("docker-20.10-overlay2.tar.xz") else { return };
    let sound = exported(&*store(data.path()), &[TORTURE], &Options::default()).unwrap();
    let backup = data.path().join("backup.tar");
    fs::write(&backup, &sound).unwrap();
    let backup = store(&backup);
    let damages: [fn(&Path); 2] =
        [|layer| damage_base(&layer.join("diff")), |layer| fs::remove_dir_all(layer).unwrap()];
    for damage in damages {
        damage(&data.path().join("overlay2").join(BASE));
        let damaged = store(data.path());
        let found = salvaged(&*damaged, &[("backup", &*backup)], Options::default(), &[TORTURE]).unwrap();
        assert!(found.archive == sound, "the archive of the sound store, byte for byte");
        assert!(found.report.layers[0].from.as_ref().unwrap().ends_with("in backup"));
    }
    let error = salvaged(&*store(data.path()), &[], Options::default(), &[TORTURE]).err().unwrap();
    assert!(error.contains("directory"), "{error}");
}

/// The record of a layer's tar is lost, so the layer would be computed, with another id.
#[test]
fn an_archive_that_has_a_layer_without_record() {
    let Some(data) = data_root("docker-20.10-overlay2.tar.xz") else { return };
    let sound = exported(&*store(data.path()), &[TORTURE], &Options::default()).unwrap();
    let backup = data.path().join("backup.tar");
    fs::write(&backup, &sound).unwrap();
    let backup = store(&backup);
    let base = "ca9f79cbcc6c1e7cf461cebc2917a292c4f4a38fca151af87e828f668959c5fe";
    let layer = data.path().join("image/overlay2/layerdb/sha256").join(base);
    fs::remove_file(layer.join("tar-split.json.gz")).unwrap();
    let found =
        salvaged(&*store(data.path()), &[("backup", &*backup)], Options::default(), &[TORTURE]).unwrap();
    assert!(found.archive == sound, "the archive of the sound store, byte for byte");
    assert!(found.warnings.iter().all(|warning| !warning.contains("another digest")), "{:?}", found.warnings);
}

/// The members of a tar, by their names: kind, contents, target.
fn members(tar: &[u8]) -> BTreeMap<Vec<u8>, (u8, Vec<u8>, Vec<u8>)> {
    let mut archive = tar::Archive::new(tar);
    let member = |entry: std::io::Result<tar::Entry<'_, &[u8]>>| {
        let mut entry = entry.unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        let link = entry.link_name_bytes().map(|link| link.to_vec()).unwrap_or_default();
        (entry.path_bytes().to_vec(), (entry.header().entry_type().as_byte(), bytes, link))
    };
    archive.entries().unwrap().map(member).collect()
}

#[test]
fn what_nothing_has_is_declared() {
    let Some(data) = data_root("docker-20.10-overlay2.tar.xz") else { return };
    let layer = |found: &Outcome, config: &str| -> Vec<u8> {
        let config = document(&found.entries, &format!("blobs/sha256/{config}"));
        let id = config["rootfs"]["diff_ids"][0].as_str().unwrap().replace(':', "/");
        entry(&found.entries, &format!("blobs/{id}")).to_vec()
    };
    let sound = {
        let sound = store(data.path());
        let key = sound.resolve(TORTURE).unwrap()[0].choose(&*sound, None).unwrap();
        let LayerTar::Split(layer) = sound.layer(&sound.image(&key).unwrap().layers[0].key).unwrap() else {
            panic!("tar-split data")
        };
        let mut tar = Vec::new();
        layer.raw_reader().unwrap().read_to_end(&mut tar).unwrap();
        tar
    };
    let base = data.path().join("overlay2").join(BASE).join("diff");
    damage_base(&base);
    // All names of a file with hard links.
    for name in ["bin/sh", "bin/sh-hard1", "bin/sh-hard2"] {
        fs::remove_file(base.join(name)).unwrap();
    }
    let damaged = store(data.path());
    for format in [Format::DockerArchive, Format::OciArchive] {
        let found = salvaged(&*damaged, &[], Options::default().with_format(format), &[TORTURE]).unwrap();
        check_blobs(&found.entries);
        assert!(found.report.is_declared());
        let [image] = &*found.report.images else { panic!("{:?}", found.report) };
        assert_eq!(image.id, format!("sha256:{ID}"));
        assert!(image.names[0].ends_with("bench/torture:1.0-salvaged"), "{:?}", image.names);
        let new = image.new_id.clone().unwrap();
        let new = new.strip_prefix("sha256:").unwrap();
        let config = document(&found.entries, &format!("blobs/sha256/{new}"));
        assert_eq!(config["config"]["Labels"]["io.layerlift.salvaged"], format!("sha256:{ID}"));
        let history = config["history"].as_array().unwrap();
        let last = history.last().unwrap();
        assert_eq!(last["empty_layer"], true);
        assert!(last["comment"].as_str().unwrap().starts_with("salvaged by layerlift"), "{last}");
        let layers = history.iter().filter(|entry| entry["empty_layer"] != true).count();
        assert_eq!(layers, 11);
        let json = document(&found.entries, "salvage.json");
        assert_eq!(json["images"][0]["new_id"], format!("sha256:{new}"));
        let manifest = document(&found.entries, "manifest.json");
        assert!(manifest[0]["RepoTags"][0].as_str().unwrap().ends_with("bench/torture:1.0-salvaged"));
        let files = found.report.layers[0].files.iter();
        let files: BTreeMap<&str, (&str, FileResult)> =
            files.map(|file| (&*file.path, (file.found.state, file.result))).collect();
        assert_eq!(files["bin/ping"], ("zeros", FileResult::Kept));
        assert!(files.values().any(|what| *what == ("empty", FileResult::Kept)), "{files:?}");
        assert_eq!(
            files.values().filter(|(_, result)| *result == FileResult::LeftOut).count(),
            4,
            "{files:?}"
        );
        // Everything else is as it was, and each damaged file as the report says.
        let (before, after) = (members(&sound), members(&layer(&found, new)));
        for (name, member) in &before {
            let text = String::from_utf8_lossy(name).into_owned();
            match (files.get(&*text).map(|(_, result)| result), after.get(name)) {
                (None, found) => assert_eq!(found, Some(member), "{text}"),
                (Some(FileResult::LeftOut), found) => assert_eq!(found, None, "{text}"),
                (Some(_), found) => {
                    assert_eq!(found.unwrap().1, fs::read(base.join(&text)).unwrap(), "{text}")
                }
            }
        }
    }
    // The same bytes again, and with any number of threads.
    let again = |options| salvaged(&*damaged, &[], options, &[TORTURE]).unwrap().archive;
    assert_eq!(Digest::of(&again(Options::default())), Digest::of(&again(Options::default())));
}

/// One of the names of a file with hard links is lost: another one has its bytes.
#[test]
fn a_hard_link_in_the_same_layer() {
    let Some(data) = data_root("docker-20.10-overlay2.tar.xz") else { return };
    let sound = exported(&*store(data.path()), &[TORTURE], &Options::default()).unwrap();
    fs::remove_file(data.path().join("overlay2").join(BASE).join("diff/bin/sh")).unwrap();
    let found = salvaged(&*store(data.path()), &[], Options::default(), &[TORTURE]);
    match found {
        Ok(found) => {
            assert!(found.archive == sound, "{:?}", found.warnings);
            assert_eq!(found.report.layers[0].files[0].from.as_deref(), Some("a hard link to it"));
        }
        // The tar may have the file under one of the other names.
        Err(error) => panic!("{error}"),
    }
}

/// Docker 1.8 has no digests; the checksums of the files decide.
#[test]
fn a_graph_store() {
    let Some(data) = data_root("docker-graph/1.8.3-vfs-broken/store.tar.xz") else { return };
    let damaged = store(data.path());
    for format in [Format::DockerV1, Format::DockerArchive] {
        let options = Options::default().with_format(format);
        let found = salvaged(&*damaged, &[], options, &["modified:latest"]).unwrap();
        let [image] = &*found.report.images else { panic!("{:?}", found.report) };
        let declared = found.report.is_declared();
        let name = if declared { "modified:latest-salvaged" } else { "modified:latest" };
        assert_eq!(image.names, [name]);
        let states: Vec<_> = found.report.layers.iter().flat_map(|layer| &layer.files).collect();
        assert!(!states.is_empty());
        if format == Format::DockerV1 && declared {
            let repositories = document(&found.entries, "repositories");
            let top = repositories["modified"]["latest-salvaged"].as_str().unwrap();
            assert_ne!(top, image.id);
            let json = document(&found.entries, &format!("{top}/json"));
            assert_eq!(json["id"], top);
            assert_eq!(json["config"]["Labels"]["io.layerlift.salvaged"], *image.id);
        }
    }
}

/// What is sound needs no salvage, and comes out as without it.
#[test]
fn a_sound_store() {
    let Some(data) = data_root("docker-20.10-overlay2.tar.xz") else { return };
    let sound = store(data.path());
    for options in [Options::default(), Options::default().with_keep_going(true)] {
        let found = salvaged(&*sound, &[], options.clone(), &[TORTURE]).unwrap();
        assert!(found.archive == exported(&*sound, &[TORTURE], &options).unwrap());
        assert_eq!((found.report, found.warnings), (SalvageReport::default(), Vec::new()));
    }
}
