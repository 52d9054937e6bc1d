//! What no store has yet: layers on top of an image, and layers whose bytes are left out on purpose.

use std::fs::File;
use std::io::Write;
use std::num::NonZeroUsize;
use std::sync::Arc;

use layerlift_archive::{
    Compression, CompressionLevel, Compressor, Content, Digest, FileRange, Options as WriteOptions, verified,
};
use layerlift_store::{BlobLayer, DiffId, LayerTar};

use self::fake::{Fake, Kept};
use super::*;
use crate::format::{Documents, Made, SourceImage};
use crate::tree;

#[allow(dead_code, reason = "other tests use the rest")]
#[path = "../../tests/common/fake.rs"]
mod fake;

/// A layer that has no length and no digest before it is produced.
fn unrecorded(tar: &[u8]) -> LayerTar {
    let mut gzip = Compressor::new(Vec::new(), CompressionLevel::GZIP, NonZeroUsize::MIN);
    gzip.write_all(tar).unwrap();
    let bytes = gzip.finish().unwrap();
    let mut file: File = tempfile::tempfile().unwrap();
    file.write_all(&bytes).unwrap();
    let stored = FileRange { file: Arc::new(file), offset: 0, len: bytes.len() as u64, digest: None };
    LayerTar::Blob(BlobLayer::new(stored, Compression::Gzip, None))
}

fn bytes(content: &dyn Content) -> Vec<u8> {
    let mut bytes = Vec::new();
    std::io::copy(&mut verified(content).unwrap(), &mut bytes).unwrap();
    bytes
}

/// Two layers on top of an image, as a container's changes are, whose config names neither.
#[test]
fn layers_on_top() {
    let mut store = Fake::default();
    let base = store.add_layer("base", Kept::Plain);
    store.add_image(&[base], &["base:1"], "");
    let key = store.resolve("base:1").unwrap()[0].choose(&store, None).unwrap();
    let diff_ids = [store.diff_id(base), DiffId(Digest::of(b"changes")), DiffId(Digest::of(b"more"))];
    for format in [Format::DockerArchive, Format::OciArchive, Format::DockerV1] {
        let image = Layered {
            wanted: Wanted { key: key.clone(), references: Vec::new() },
            name: "container".to_owned(),
            image: store.image(&key).unwrap(),
            on_top: vec![
                ("changes".to_owned(), unrecorded(b"changes")),
                ("more".to_owned(), unrecorded(b"more")),
            ],
        };
        let options = Options::default().with_format(format);
        let plan = of_images(&store, vec![image], (Vec::new(), Vec::new()), &options, LeftOut::new(&options))
            .unwrap();
        assert_eq!((plan.layer_count(), plan.tar_len(), plan.first_pass_len()), (3, None, None));
        assert_eq!(plan.warnings(), [], "nothing of the store's is lost");
        let prepared = plan.prepare(&WriteOptions::default()).unwrap();
        assert_eq!(prepared.layer_count(), 3);
        if format == Format::DockerV1 {
            let tree = tree(&prepared);
            let layers = tree.entries().iter().filter(|entry| entry.path.ends_with("/layer.tar"));
            assert_eq!(layers.count(), 3);
            continue;
        }
        assert_eq!(prepared.warnings(), [], "it is a new image");
        let blobs = &prepared.bundle().unwrap().blobs;
        let layers: Vec<Digest> = blobs.iter().filter_map(|blob| blob.diff_id).map(|id| id.0).collect();
        assert_eq!(layers, diff_ids.map(|id| id.0));
        let config = blobs.iter().find(|blob| blob.descriptor.media_type.contains("config")).unwrap();
        let config: serde_json::Value =
            serde_json::from_slice(&bytes(&**config.content.as_ref().unwrap())).unwrap();
        assert_eq!(config["rootfs"]["diff_ids"], serde_json::json!(diff_ids.map(|id| id.to_string())));
    }
}

/// The documents name the layer all the same; only its bytes are not there.
#[test]
fn layers_left_out_on_purpose() {
    let mut store = Fake::default();
    let layers = ["base", "top"].map(|text| store.add_layer(text, Kept::Plain));
    store.add_image(&layers, &["a:1"], "");
    let key = store.resolve("a:1").unwrap()[0].choose(&store, None).unwrap();
    let image = store.image(&key).unwrap();
    let measured = layers.map(|layer| {
        let LayerTar::Blob(tar) = store.layer(&image.layers[layer].key).unwrap() else { unreachable!() };
        Measured::plain(Arc::new(tar.stored), Some(store.diff_id(layer)))
    });
    let [base, top] = &measured;
    let left_out = Measured { content: None, ..base.clone() };
    let paths = |format: Format, layers: Vec<&Measured>| -> Vec<String> {
        let source = SourceImage { image: &image, layers, of_index: false, salvaged: None };
        let documents = Documents::new(format, &source).unwrap();
        let made = Made { id: String::new(), names: Vec::new(), documents };
        let tree =
            Contents::new(&Options::default().with_format(format), vec![made], &[], &[], &Lines::default())
                .tree();
        tree.entries().iter().map(|entry| entry.path.clone()).collect()
    };
    for format in Format::ALL {
        let mut all = paths(*format, vec![base, top]);
        let some = paths(*format, vec![&left_out, top]);
        assert_eq!(some.len(), all.len() - 1, "{format}");
        all.retain(|path| some.contains(path));
        assert_eq!(all, some, "{format}: the same documents");
    }
}
