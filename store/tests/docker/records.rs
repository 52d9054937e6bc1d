//! Records of layers that are odd or damaged: what the layer is worth nevertheless.

use layerlift_store::Store;

use crate::contract;
use crate::fixture::{DataRoot, root_user};

const NEEDS_ROOT: &str = "layers have files of other owners";

/// The layer of an image that has only one.
fn only_layer(store: &dyn Store, name: &str) -> layerlift_store::LayerTar {
    let image = store.image(&contract::key(store, name)).unwrap();
    let [layer] = &image.layers[..] else { panic!("{name} has {} layers", image.layers.len()) };
    store.layer(&layer.key).unwrap()
}

/// A symbolic link, and a directory, whose headers have a size. Nothing follows them.
#[test]
fn headers_with_a_size_and_no_data() {
    if !root_user(NEEDS_ROOT) {
        return;
    }
    let data = DataRoot::case("links-with-a-size");
    let store = data.store();
    for name in ["demo/link-with-size:1", "demo/folder-with-size:1", "demo/sound:1"] {
        let layer = only_layer(&*store, name);
        let written = layer.write_to(&mut std::io::sink()).unwrap();
        assert_eq!((Some(written.diff_id), Some(written.len)), (layer.diff_id(), layer.tar_len()), "{name}");
    }
}
