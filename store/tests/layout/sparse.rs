//! Archives with sparse entries, as `tar --sparse` writes them.

use std::fs;
use std::os::unix::fs::FileExt;
use std::process::Command;

use layerlift_store::{OpenOptions, open};
use tar::EntryType;

use crate::made::{Tar, fixture, header, refused, store, text, verify};

#[test]
fn what_tar_wrote() {
    for (name, layers) in [("gnu.tar", 1), ("stranger.tar", 2)] {
        let path = fixture("tar-with-sparse-entry").join(name);
        let store = open(&path, &OpenOptions::default()).unwrap();
        let listing = store.images().unwrap();
        assert_eq!((listing.images.len(), listing.broken.len()), (1, 0), "{name}");
        assert_eq!(verify(&*store), layers, "{name}");
    }
}

/// A layer with holes at its beginning, between many pieces and at its end; an empty one, and one that is a
/// single hole. In every format that GNU tar has.
#[test]
fn every_format() {
    let dir = tempfile::tempdir().unwrap();
    let mut pieces = vec![0u8; 3 << 20];
    for at in 1..150 {
        pieces[at * 16_384..][..at * 7].fill(at as u8);
    }
    let layers: [&[u8]; 4] = [&pieces, &[0; 1 << 20], &[], &[7; 10_240]];
    let names: Vec<String> = (0..layers.len()).map(|at| format!("{}-{at}.tar", "long".repeat(30))).collect();
    for (name, layer) in names.iter().zip(layers) {
        let file = fs::File::create(dir.path().join(name)).unwrap();
        file.set_len(layer.len() as u64).unwrap();
        for (at, block) in layer.chunks(4096).enumerate().filter(|(_, block)| block.iter().any(|&b| b != 0)) {
            file.write_all_at(block, at as u64 * 4096).unwrap();
        }
    }
    fs::write(dir.path().join("config.json"), crate::made::config(&layers, "")).unwrap();
    let named = names.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(",");
    let manifest = format!(r#"[{{"Config":"config.json","RepoTags":["sparse:1"],"Layers":[{named}]}}]"#);
    fs::write(dir.path().join("manifest.json"), manifest).unwrap();
    for format in [
        &["--format=gnu"][..],
        &["--sparse-version=0.0"],
        &["--sparse-version=0.1"],
        &["--sparse-version=1.0"],
    ] {
        let out = dir.path().join("x.tar");
        let mut tar = Command::new("tar");
        tar.args(["--sparse", "--hole-detection=raw", "-cf"]).arg(&out).arg("-C").arg(dir.path());
        if format[0].contains("version") {
            tar.arg("--format=pax");
        }
        let status = tar.args(format).args(["config.json", "manifest.json"]).args(&names).status().unwrap();
        assert!(status.success());
        assert!(fs::metadata(&out).unwrap().len() < 1 << 20, "{format:?}: it is not sparse");
        let temporary = tempfile::tempdir().unwrap();
        let options = OpenOptions::default().with_temp_dir(temporary.path());
        let store = open(&out, &options).unwrap();
        assert_eq!(verify(&*store), 4, "{format:?}");
        assert_eq!(fs::read_dir(temporary.path()).unwrap().count(), 0, "{format:?}");
        let nowhere = open(&out, &OpenOptions::default().with_temp_dir("/nonexistent")).unwrap();
        let listing = nowhere.images().unwrap();
        assert!(text(&listing.broken[0].error).contains("/nonexistent"), "{:?}", listing.broken);
    }
}

/// A header of the old format: where the pieces are, and how long the file is.
fn old(name: &str, content: &[u8], pieces: &[(u64, u64)], len: u64) -> Vec<u8> {
    let mut header = header(name, EntryType::GNUSparse, content.len() as u64);
    let bytes = header.as_mut_bytes();
    for (place, (at, len)) in pieces.iter().enumerate() {
        let piece = format!("{at:011o}\0{len:011o}\0");
        bytes[386 + place * 24..][..24].copy_from_slice(piece.as_bytes());
    }
    bytes[483..495].copy_from_slice(format!("{len:011o}\0").as_bytes());
    header.set_cksum();
    let mut entry = header.as_bytes().to_vec();
    entry.extend(content);
    entry.resize(entry.len().next_multiple_of(512), 0);
    entry
}

/// Maps that lie: an error of the image that needs the entry, and of no other.
#[test]
fn malice() {
    let layer = crate::made::layer("x");
    let good = crate::made::config(&[&layer], "");
    let archive = |sparse: Vec<u8>| {
        let item = |config: &str, layer: &str| {
            format!(r#"{{"Config":"{config}","RepoTags":["{layer}:1"],"Layers":["{layer}"]}}"#)
        };
        let manifest = format!("[{},{}]", item("good.json", "layer"), item("bad.json", "sparse"));
        let tar = Tar::new().file("layer", &layer).file("good.json", &good).file("manifest.json", manifest);
        let bad = format!(r#"{{"x":1,{}"#, &good[1..]);
        let tar = tar.file("bad.json", bad).finish();
        [sparse, tar].concat()
    };
    const GIB: u64 = 1 << 30;
    for (pieces, len, why) in [
        (&[(0, 512), (100, 0)][..], 5000, "overlap"),
        (&[(0, 512), (5000, 1)], 5000, "behind its end"),
        (&[(0, 100)], 5000, "not as long"),
        (&[(0, 512)], 65 * GIB, "holes of more than 64 GiB"),
        (&[(8 * GIB - 1, 8 * GIB - 1)], 8 * GIB - 1, "behind its end"),
    ] {
        let real = if len < 8 * GIB { len } else { 8 * GIB - 1 };
        let mut entry = old("sparse", &[1; 512], pieces, real);
        if len != real {
            entry[483..495].copy_from_slice(&[&[0x80, 0, 0, 0][..], &len.to_be_bytes()].concat());
            let mut header = tar::Header::new_old();
            header.as_mut_bytes().copy_from_slice(&entry[..512]);
            header.set_cksum();
            entry[..512].copy_from_slice(header.as_bytes());
        }
        let store = store(&archive(entry)).unwrap();
        let listing = store.images().unwrap();
        assert_eq!((listing.images.len(), listing.broken.len()), (1, 1), "{why}");
        let error = text(&listing.broken[0].error);
        assert!(error.contains("sparse is malformed") && error.contains(why), "{error}: {why}");
    }
    // Blocks of pieces without an end.
    let mut endless = old("sparse", &[], &[], 0);
    endless[482] = 1;
    let mut header = tar::Header::new_old();
    header.as_mut_bytes().copy_from_slice(&endless);
    header.set_cksum();
    let mut first = old("first", &[1; 512], &[(0, 512)], 512);
    first.extend(header.as_bytes());
    first.resize(512 * 20_000, 1);
    refused(store(&first), &["the tar ends at byte", "something that is not an entry"]);
}
