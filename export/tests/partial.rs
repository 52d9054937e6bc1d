//! Partial archives: what is in them, what they say of the rest, and which engines will not take them.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test may panic, and says what it skips")]

use std::collections::BTreeSet;

use layerlift_export::{Format, LayerCompression, Options, OtherSide, Warning, plan, select_all, tree};
use layerlift_store::{OpenOptions, Platforms, Requirements, Store, open};

mod common;

use common::fake::{Fake, Kept};
use common::{Entry, chain, data_root, entries, entry, exported, planned, store, threaded, written};

/// What has the images of these names.
fn with_images(store: &dyn Store, names: &[&str]) -> OtherSide {
    let mut other = OtherSide::default();
    for name in names {
        other.add_selected(store, name, &store.resolve(name).unwrap()).unwrap();
    }
    other
}

fn required(entries: &[Entry]) -> Requirements {
    Requirements::parse(entry(entries, "requires.json")).unwrap()
}

fn paths(entries: &[Entry]) -> BTreeSet<&str> {
    entries.iter().map(|entry| &*entry.path).collect()
}

/// Opens an archive with these bytes.
fn archive(bytes: &[u8]) -> (tempfile::TempDir, Box<dyn Store>) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("archive.tar");
    std::fs::write(&path, bytes).unwrap();
    let store = open(&path, &OpenOptions::default()).unwrap();
    (dir, store)
}

/// An image of ten layers, and its base of nine, which cannot be read at all.
fn ten_layers() -> Fake {
    let mut fake = Fake::default();
    let layers: Vec<usize> = (0..10)
        .map(|n| fake.add_layer(&n.to_string(), if n < 9 { Kept::Damaged } else { Kept::Plain }))
        .collect();
    fake.add_image(&layers[..9], &["base:1"], "");
    fake.add_image(&layers, &["app:1"], "");
    fake
}

/// An image of two layers, of which the first is in a list of the other side.
fn without_the_first() -> (Fake, [usize; 2], Options) {
    let mut fake = Fake::default();
    let layers = ["a", "b"].map(|text| fake.add_layer(text, Kept::Plain));
    fake.add_image(&layers, &["app:1"], "");
    let mut other = OtherSide::default();
    other.add_list(format!("{}\n", fake.diff_id(layers[0])).as_bytes()).unwrap();
    (fake, layers, Options::default().with_other_side(other))
}

#[test]
fn what_is_left_out_is_not_read() {
    let fake = ten_layers();
    for format in [Format::DockerArchive, Format::OciArchive, Format::DockerV1] {
        let options = Options::default().with_format(format);
        assert!(exported(&fake, &["app:1"], &options).is_err(), "its base is damaged");
        let options = options.with_other_side(with_images(&fake, &["base:1"]));
        let bytes = exported(&fake, &["app:1"], &options).unwrap();
        let found = entries(&bytes);
        assert_eq!(found[0].path, "requires.json");
        let required = required(&found);
        assert_eq!(required.layers.len(), 9);
        assert!(required.layers.iter().all(|layer| layer.of == ["base:1"] && layer.size.is_some()));
        let layers =
            found.iter().filter(|entry| entry.path.ends_with("layer.tar") || entry.bytes.len() == 2048);
        assert_eq!(layers.count(), 1, "{format}");

        let (_dir, part) = archive(&bytes);
        let listing = part.images().unwrap();
        assert!(listing.broken.is_empty() && listing.lost.is_empty(), "{:?}", listing.broken);
        assert_eq!(listing.images[0].needs.to_string(), "9 layers of base:1");
        let error = exported(&*part, &["app:1"], &options.clone().with_other_side(OtherSide::default()));
        assert!(error.unwrap_err().contains("leaves out 9 layers of base:1: "), "{format}");
        // The same part of a part.
        let mut other = OtherSide::default();
        other.add_selected(&*part, "app:1", &part.resolve("app:1").unwrap()).unwrap();
        let nothing = exported(&*part, &["app:1"], &options.with_other_side(other)).unwrap();
        let nothing = entries(&nothing);
        assert_eq!(self::required(&nothing).layers.len(), 10);
    }
}

/// Documents are those of a whole archive, and nothing else is missing but what is listed.
#[test]
fn documents_are_complete() {
    let mut fake = Fake::default();
    let layers = ["a", "b", "c"].map(|text| fake.add_layer(text, Kept::Gzip));
    fake.add_image(&layers[..2], &["base:1"], "");
    fake.add_image(&layers, &["app:1"], "");
    for format in [Format::DockerArchive, Format::OciArchive] {
        for compression in ["none", "gzip", "zstd"] {
            let layers = match compression {
                "none" => LayerCompression::Plain,
                level => LayerCompression::With(level.parse().unwrap()),
            };
            let options = Options::default().with_format(format).with_layers(layers);
            let full = exported(&fake, &["app:1"], &options).unwrap();
            let part_options = options.with_other_side(with_images(&fake, &["base:1"]));
            let part = exported(&fake, &["app:1"], &part_options).unwrap();
            let (full, part) = (entries(&full), entries(&part));
            let missing: BTreeSet<&str> = paths(&full).difference(&paths(&part)).copied().collect();
            let required = required(&part);
            let listed = required.layers.iter().map(|layer| layer.digest.unwrap().hex());
            let listed: BTreeSet<String> = listed.map(|hex| format!("blobs/sha256/{hex}")).collect();
            assert_eq!(missing, listed.iter().map(|path| &**path).collect(), "{format} {compression}");
            let rest: Vec<&Entry> = full.iter().filter(|entry| !missing.contains(&*entry.path)).collect();
            assert_eq!(rest, part.iter().skip(1).collect::<Vec<_>>());
            for layer in &required.layers {
                let path = format!("blobs/sha256/{}", layer.digest.unwrap().hex());
                assert_eq!(layer.size, Some(entry(&full, &path).len() as u64));
            }
            // The plan knows the length of the tar, or nothing of it.
            let planned = planned(&fake, &["app:1"], &part_options).unwrap();
            let known = planned.tar_len();
            let prepared = planned.prepare(&threaded(1)).unwrap();
            let len = written(&tree(&prepared), 1).len() as u64;
            assert!(known.is_none_or(|known| known == len));
            assert_eq!(prepared.requirements(), &required);
        }
    }
}

#[test]
fn everything_is_left_out() {
    let mut fake = Fake::default();
    let layers = ["a", "b"].map(|text| fake.add_layer(text, Kept::Plain));
    fake.add_image(&layers, &["app:1"], "");
    let options = Options::default().with_other_side(with_images(&fake, &["app:1"]));
    let part = exported(&fake, &["app:1"], &options).unwrap();
    let (_dir, part) = archive(&part);
    assert_eq!(part.images().unwrap().images[0].needs.to_string(), "2 layers of app:1");
}

/// Docker 1.8 records no digests: they are computed, and what they turn out to be is left out.
#[test]
fn of_a_store_without_digests() {
    let Some(root) = data_root("docker-graph/1.8.3-overlay/store.tar.xz") else { return };
    let store = store(root.path());
    let listing = store.images().unwrap();
    let names: Vec<String> =
        listing.images.iter().flat_map(|image| image.references.first()).map(ToString::to_string).collect();
    let is_sound = |name: &&String| exported(&*store, &[name], &Options::default()).is_ok();
    // A few of them, for time.
    let names: Vec<&String> = names.iter().filter(is_sound).take(7).collect();
    let mut pairs = 0;
    for &base in &names {
        let of_base = exported(&*store, &[base], &Options::default()).unwrap();
        let (_dir, earlier) = archive(&of_base);
        let of_base = entries(&of_base);
        let mut since = OtherSide::default();
        since.add_store(&*earlier).unwrap();
        for &name in &names {
            let part =
                |other| exported(&*store, &[name], &Options::default().with_other_side(other)).unwrap();
            let (excluded, since) = (part(with_images(&*store, &[base])), part(since.clone()));
            let (excluded, since) = (entries(&excluded), entries(&since));
            // Layers with other ids are left out, too, if their bytes are the same.
            assert_eq!(paths(&since), paths(&excluded), "{name} without {base}");
            let manifest = |path: &str| path.starts_with("blobs/sha256/") && path.len() > 20;
            let layers =
                of_base.iter().filter(|entry| manifest(&entry.path) && !entry.bytes.starts_with(b"{"));
            let shared = layers.filter(|layer| since.iter().any(|entry| entry.path == layer.path));
            assert_eq!(shared.count(), 0, "{name} without {base}");
            pairs += usize::from(excluded[0].path == "requires.json");
        }
    }
    assert!(pairs > 1, "{pairs}");
}

#[test]
fn lists_of_layers() {
    let (fake, _, options) = without_the_first();
    let plan = planned(&fake, &["app:1"], &options).unwrap();
    assert_eq!(plan.omission().needs.to_string(), "1 layer");
    assert!(plan.warnings().is_empty(), "nobody says what the layer lies on: {:?}", plan.warnings());
    let report = plan.to_string();
    assert!(report.contains("left out: 1 layer, 2048 bytes\n"), "{report}");
}

/// A layer on top of others than in the base, or compressed in another way.
#[test]
fn engines_that_will_not_take_it() {
    let mut fake = Fake::default();
    let layers = ["a", "b", "c"].map(|text| fake.add_layer(text, Kept::Plain));
    fake.add_image(&[layers[0], layers[1]], &["base:1"], "");
    fake.add_image(&[layers[2], layers[1]], &["app:1"], "");
    let options = Options::default().with_other_side(with_images(&fake, &["base:1"]));
    let warnings = |options: &Options| {
        let prepared = planned(&fake, &["app:1"], options).unwrap();
        let first: Vec<String> = prepared.warnings().iter().map(ToString::to_string).collect();
        let prepared = prepared.prepare(&threaded(1)).unwrap();
        let more = prepared.warnings().iter().map(ToString::to_string);
        first.into_iter().chain(more).collect::<Vec<_>>().join("\n")
    };
    assert!(warnings(&options).contains("on top of other layers"), "{}", warnings(&options));

    let plain = Options::default().with_layers(LayerCompression::Plain);
    let (_dir, earlier) = archive(&exported(&fake, &["base:1"], &plain).unwrap());
    let mut since = OtherSide::default();
    since.add_store(&*earlier).unwrap();
    let of_gzip = LayerCompression::With("gzip".parse().unwrap());
    let options = Options::default().with_layers(of_gzip).with_other_side(since.clone());
    let said = warnings(&options);
    assert!(said.contains("compressed in another way"), "{said}");
    assert!(!warnings(&plain.clone().with_other_side(since.clone())).contains("compressed in another way"));
    let said = warnings(&Options::default().with_format(Format::DockerV1).with_other_side(since));
    assert!(said.contains("Docker since 1.10 cannot load"), "{said}");
}

/// What `requires.json` says counts only where the image itself says the same.
#[test]
fn a_document_that_lies() {
    let (fake, layers, options) = without_the_first();
    let part = exported(&fake, &["app:1"], &options).unwrap();
    let text = String::from_utf8_lossy(entry(&entries(&part), "requires.json")).into_owned();
    let (right, wrong) = (fake.diff_id(layers[0]).to_string(), fake.diff_id(layers[1]).to_string());
    for (other, why) in [
        (text.replace("\"size\":2048", "\"size\":2049"), "its size is 2049"),
        (text.replacen(&right, &wrong, 1), "its diff id is"),
        (text.replacen("\"version\":1", "\"version\":9", 1), "its version is 9"),
        (text.replace(&right, &wrong), "needs layer"),
        (" ".repeat(text.len()), "not a JSON object"),
    ] {
        let at = part.windows(text.len()).position(|bytes| bytes == text.as_bytes()).unwrap();
        let mut bytes = part.clone();
        bytes[at..at + text.len()].copy_from_slice(other.as_bytes());
        let (_dir, store) = archive(&bytes);
        let listing = store.images().unwrap();
        let broken = listing.broken.iter().map(|broken| chain(&broken.error));
        let said: Vec<String> = broken.chain(listing.lost.iter().map(|error| chain(error))).collect();
        assert!(said.iter().any(|said| said.contains(why)), "{why}: {said:?}");
        assert!(listing.images.is_empty());
    }
}

/// A part of all images of a store is one without those of the other.
#[test]
fn of_several_images() {
    let fake = ten_layers();
    let selection = select_all(&fake, Platforms::default()).unwrap();
    let options = Options::default().with_other_side(with_images(&fake, &["base:1"]));
    let prepared = plan(&fake, selection, &options).unwrap().prepare(&threaded(2)).unwrap();
    assert_eq!(prepared.requirements().layers.len(), 9);
    let (_dir, part) = archive(&written(&tree(&prepared), 2));
    let needs: Vec<String> =
        part.images().unwrap().images.iter().map(|image| image.needs.to_string()).collect();
    assert_eq!(needs, ["9 layers of base:1", "9 layers of base:1"]);
    assert!(prepared.warnings().is_empty(), "the plan has said it");
}

/// Podman reads an archive with several entries by its `manifest.json` alone.
#[test]
fn podman_takes_one_name() {
    let mut fake = Fake::default();
    let layers = ["a", "b", "c"].map(|text| fake.add_layer(text, Kept::Plain));
    fake.add_image(&layers[..1], &["base:1"], "");
    fake.add_image(&layers[..2], &["app:1"], "");
    fake.add_image(&layers, &["app:2", "app:latest"], "");
    let refused = |names: &[&str], base: &[&str], format: Format| {
        let options = Options::default().with_format(format).with_other_side(with_images(&fake, base));
        let plan = planned(&fake, names, &options).unwrap();
        plan.warnings().iter().any(|warning| matches!(warning, Warning::SeveralInPart))
    };
    for format in [Format::DockerArchive, Format::OciArchive] {
        assert!(refused(&["app:1", "app:2"], &["base:1"], format), "two images");
        assert!(refused(&["app:2", "app:latest"], &["base:1"], format), "two names");
        assert!(!refused(&["app:2"], &["base:1"], format));
        assert!(!refused(&["app:1", "app:2"], &[], format), "nothing is left out");
    }
    assert!(!refused(&["app:1", "app:2"], &["base:1"], Format::DockerV1), "Podman does not read it at all");
}
