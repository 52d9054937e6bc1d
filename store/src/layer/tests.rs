//! The plain calls find what differs from the records; the raw ones do not look.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;

use layerlift_archive::{
    Compression, CompressionLevel, Compressor, Digest, Error as ArchiveError, ErrorKind, FileRange,
};

use super::*;
use crate::Root;
use crate::diff::LayerDir;

const TAR: &[u8] = b"as good as a tar, for what is not interested in its entries";

fn file(bytes: &[u8]) -> FileRange {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    FileRange { file: Arc::new(file), offset: 0, len: bytes.len() as u64, digest: None }
}

fn blob(stored: &[u8], digest: Option<&[u8]>, tar: Option<&[u8]>) -> LayerTar {
    let diff_id = tar.map(|tar| DiffId(Digest::of(tar)));
    let compression = Compression::detect(stored);
    let stored = FileRange { digest: digest.map(Digest::of), ..file(stored) };
    LayerTar::Blob(BlobLayer::new(stored, compression, diff_id))
}

fn compressed(level: CompressionLevel) -> Vec<u8> {
    let mut out = Compressor::new(Vec::new(), level, std::num::NonZeroUsize::MIN);
    out.write_all(TAR).unwrap();
    out.finish().unwrap()
}

/// Reads with pieces of some sizes; all agree on what comes before the end, and on how it ends.
fn read(layer: &LayerTar) -> (Vec<u8>, Result<(), ErrorKind>) {
    let mut found: Option<(Vec<u8>, Result<(), ErrorKind>)> = None;
    for piece in [1, 2, 7, 4096] {
        let mut reader = layer.reader().unwrap();
        let (mut bytes, mut buf) = (Vec::new(), vec![0; piece]);
        let end = loop {
            match reader.read(&mut buf) {
                Ok(0) => break Ok(()),
                Ok(n) => bytes.extend(&buf[..n]),
                Err(error) => break Err(ErrorKind::of_io(&error).expect("an error has a kind")),
            }
        };
        assert_eq!(reader.read(&mut buf).is_err(), end.is_err(), "the end stays the end");
        if let Some((before, same)) = &found {
            assert_eq!(end, *same);
            assert!(end.is_err() || bytes == *before);
        }
        found = Some((bytes, end));
    }
    found.unwrap()
}

fn written(layer: &LayerTar) -> (Vec<u8>, Result<Written, ArchiveError>) {
    let mut out = Vec::new();
    let written = layer.write_to(&mut out);
    (out, written)
}

#[test]
fn both_digests_of_a_blob() {
    for stored in [TAR.to_vec(), compressed(CompressionLevel::GZIP), compressed(CompressionLevel::ZSTD)] {
        let other = Some(&b"other"[..]);
        for (digest, tar, right) in [
            (None, None, true),
            (Some(&stored[..]), None, true),
            (None, Some(TAR), true),
            (Some(&stored[..]), Some(TAR), true),
            (other, Some(TAR), stored == TAR),
            (other, None, stored == TAR),
            (Some(&stored[..]), other, false),
        ] {
            // A plain blob has one digest; that of the tar counts.
            let digest = if stored == TAR { tar } else { digest };
            let layer = blob(&stored, digest, tar);
            let what = format!("{layer:?}");
            let (bytes, end) = read(&layer);
            let (all, result) = written(&layer);
            assert_eq!(all, TAR, "{what}");
            if right {
                assert_eq!((bytes.as_slice(), end), (TAR, Ok(())), "{what}");
                let Written { len, diff_id } = result.unwrap();
                assert_eq!((len, diff_id.0), (TAR.len() as u64, Digest::of(TAR)));
            } else {
                assert!(bytes.len() < TAR.len(), "{what}: the last byte does not come");
                assert_eq!(end, Err(ErrorKind::Damaged), "{what}");
                assert!(matches!(result, Err(ArchiveError::Mismatch { .. })), "{what}");
            }
            let mut raw = Vec::new();
            layer.write_raw_to(&mut raw).unwrap();
            assert_eq!(raw, TAR);
        }
    }
}

/// Bytes behind the end of the compressed stream are part of the blob, whatever a decompressor makes of them.
#[test]
fn what_follows_the_compressed_stream() {
    let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    bzip2.write_all(TAR).unwrap();
    let bzip2 = bzip2.finish().unwrap();
    for sound in [compressed(CompressionLevel::GZIP), compressed(CompressionLevel::ZSTD), bzip2] {
        for rest in [10, 200_000] {
            let longer = [&sound[..], &vec![0; rest]].concat();
            let (bytes, end) = read(&blob(&longer, Some(&sound), Some(TAR)));
            assert_eq!((bytes.len() < TAR.len(), end), (true, Err(ErrorKind::Damaged)), "{rest}");
            assert_ne!(read(&blob(&longer, Some(&longer), Some(TAR))).1, Err(ErrorKind::Damaged), "{rest}");
        }
    }
}

#[test]
fn a_stream_that_makes_no_sense_is_damage_where_its_digest_says_so() {
    for level in [CompressionLevel::GZIP, CompressionLevel::ZSTD] {
        let sound = compressed(level);
        let cut = &sound[..sound.len() - 5];
        assert_eq!(read(&blob(cut, Some(&sound), None)).1, Err(ErrorKind::Damaged), "{level}");
        assert_eq!(read(&blob(cut, Some(cut), None)).1, Err(ErrorKind::Malformed), "{level}");
        assert_eq!(read(&blob(cut, None, None)).1, Err(ErrorKind::Malformed), "{level}");
    }
    let LayerTar::Blob(short) = blob(TAR, None, None) else { panic!("it is a blob") };
    let stored = FileRange { len: short.stored.len + 1, ..short.stored };
    let layer = LayerTar::Blob(BlobLayer { stored, ..short });
    assert_eq!(read(&layer).1, Err(ErrorKind::Damaged));
    assert!(matches!(written(&layer).1, Err(ArchiveError::Length { .. })));
}

/// A layer of one file, `digits`, with `123456789` in it when it was stored.
fn split(dir: &Path, diff_id: Option<DiffId>) -> LayerTar {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let lines = concat!(
        r#"{"type":2,"payload":"aGVhZA==","position":0}"#,
        "\n",
        r#"{"type":1,"name":"digits","size":9,"payload":"uQlWx3WkEAE=","position":1}"#,
        "\n",
        r#"{"type":2,"payload":"dGFpbA==","position":2}"#,
        "\n"
    );
    gzip.write_all(lines.as_bytes()).unwrap();
    let path = dir.join("tar-split.json.gz");
    fs::write(&path, gzip.finish().unwrap()).unwrap();
    let metadata = File::open(&path).unwrap();
    LayerTar::Split(SplitLayer::open(Root::open(dir).unwrap(), metadata, path, diff_id).unwrap())
}

#[test]
fn a_changed_file_of_a_layer() {
    let dir = tempfile::tempdir().unwrap();
    let sound = b"head123456789tail";
    let diff_id = DiffId(Digest::of(sound));
    for recorded in [Some(diff_id), None] {
        fs::write(dir.path().join("digits"), "123456789").unwrap();
        let layer = split(dir.path(), recorded);
        assert_eq!(read(&layer), (sound.to_vec(), Ok(())));
        assert_eq!(written(&layer).1.unwrap(), Written { len: 17, diff_id });
        fs::write(dir.path().join("digits"), "123456780").unwrap();
        let (bytes, end) = read(&layer);
        assert!(bytes.len() < sound.len());
        assert_eq!(end, Err(ErrorKind::Damaged), "{recorded:?}");
        let error = written(&layer).1.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Damaged);
        let source = std::error::Error::source(&error).expect("it says which file").to_string();
        assert!(source.contains("digits"), "{source}");
    }
}

/// Directories that make a tar of several buffers.
fn directories() -> (tempfile::TempDir, LayerTar) {
    let dir = tempfile::tempdir().unwrap();
    for number in 0..40 {
        fs::write(dir.path().join(format!("file-{number}")), vec![number; 50_000]).unwrap();
    }
    let root = Root::open(dir.path()).unwrap();
    let layer = DiffLayer::new(root, LayerDir::Full { parent: None }, 0);
    (dir, LayerTar::Diff(layer))
}

#[test]
fn what_is_computed_can_be_read() {
    let (dir, layer) = directories();
    let (all, result) = written(&layer);
    let Written { len, diff_id } = result.unwrap();
    assert_eq!((len, diff_id.0), (all.len() as u64, Digest::of(&all)));
    assert!(read(&layer) == (all.clone(), Ok(())));
    let mut raw = Vec::new();
    layer.write_raw_to(&mut raw).unwrap();
    assert!(raw == all);
    // Left in the middle: the thread that computes it must not wait for ever.
    let mut reader = layer.reader().unwrap();
    reader.read_exact(&mut [0; 1000]).unwrap();
    drop(reader);
    drop(dir);
    let mut reader = layer.reader().unwrap();
    reader.read_to_end(&mut Vec::new()).unwrap_err();
}

/// Has room for some bytes.
struct Full(usize);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::StorageFull)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn an_output_that_fails_is_not_the_layers_fault() {
    let (_dir, computed) = directories();
    for layer in [computed, blob(TAR, None, Some(TAR)), blob(&compressed(CompressionLevel::GZIP), None, None)]
    {
        for result in [layer.write_to(&mut Full(10)).map(drop), layer.write_raw_to(&mut Full(10))] {
            let Err(ArchiveError::Stream(source)) = result else { panic!("{result:?}") };
            assert_eq!(source.kind(), io::ErrorKind::StorageFull);
        }
    }
}
