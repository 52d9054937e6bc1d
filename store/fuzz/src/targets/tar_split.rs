//! tar-split metadata: each line against the general parser, and a layer that is assembled from them.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use layerlift_archive::Content;
use layerlift_store::{Root, SplitLayer, fuzz};

use crate::corpus;

/// Bytes of a layer that are assembled at most.
const LONGEST: u64 = 8 << 20;

pub(super) fn run(bytes: &[u8]) -> String {
    let mut answers = BTreeSet::new();
    for line in bytes.split_inclusive(|&byte| byte == b'\n') {
        answers.extend(fuzz::tar_split_line(line).err());
    }
    answers.insert(assembled(bytes).unwrap_or_else(|error| error.to_string()));
    answers.into_iter().collect::<Vec<_>>().join("\n")
}

fn assembled(lines: &[u8]) -> Result<String, Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    fs::create_dir_all(dir.path().join("tree/etc"))?;
    fs::write(dir.path().join("tree/etc/hello"), "hello\n")?;
    fs::write(dir.path().join("tree/bin"), vec![0; 70_000])?;
    let path = dir.path().join("tar-split.json.gz");
    let mut gzip = GzEncoder::new(File::create(&path)?, Compression::fast());
    gzip.write_all(lines)?;
    gzip.finish()?;
    let layer = SplitLayer::open(Root::open(&dir.path().join("tree"))?, File::open(&path)?, path, None)?;
    let mut reader = layer.raw_reader()?;
    let read = io::copy(&mut (&mut reader).take(LONGEST), &mut io::sink())?;
    assert!(read == layer.len().min(LONGEST), "{read} bytes, {} were promised", layer.len());
    Ok("a layer".to_owned())
}

/// Lines that fit the files which [`assembled`] writes.
fn own() -> Vec<u8> {
    let lines = [
        r#"{"type":1,"name":"etc/hello","size":6,"payload":"YUw+7uLYEAA=","position":0}"#,
        r#"{"type":1,"name":"./bin","size":70000,"payload":"NgIvyjqoFaw=","position":1}"#,
        r#"{"type":1,"name_raw":"Y2Fm6Q==","payload":null,"position":2}"#,
        r#"{"type":2,"payload":"AAEC","position":3}"#,
    ];
    lines.join("\n").into_bytes()
}

pub(super) fn corpus() -> Vec<Vec<u8>> {
    let mut inputs = corpus::tar_split();
    inputs.push(own());
    inputs
}

#[cfg(test)]
mod tests {
    use super::{assembled, own};

    #[test]
    fn a_whole_layer_is_reached() {
        assert_eq!(assembled(&own()).unwrap(), "a layer");
    }
}
