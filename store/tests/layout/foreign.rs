//! Layers that only their vendor may distribute: not in the archive, which says where they are to be had.

use layerlift_store::{ErrorKind, OpenOptions, Store, open};

use crate::made::{
    LAYER, MANIFEST, Tar, config, descriptor, fixture, index, layer, manifest, named, store, text,
};

/// The listing and a request say where the layer is to be had; it is neither damaged nor missing.
fn says_where(store: &dyn Store, name: &str, address: &str) {
    let listing = store.images().unwrap();
    let [broken] = &listing.broken[..] else { panic!("{listing:?}") };
    assert_eq!(broken.references[0].to_string(), name);
    assert_eq!(broken.error.kind(), ErrorKind::Unsupported);
    assert!(text(&broken.error).contains(address), "{}", text(&broken.error));
}

#[test]
fn in_a_docker_archive() {
    let path = fixture("foreign-layer/input.tar.xz");
    says_where(&*open(&path, &OpenOptions::default()).unwrap(), "t/win:1", "https://example.com/layer");
}

#[test]
fn in_a_layout() {
    let (base, top) = (layer("base"), layer("top"));
    let image_config = config(&[&base, &top], "");
    let image = manifest(&image_config, &[&base, &top]);
    let urls = r#","urls":["https://example.com/base"]"#;
    // By its type, or only by its addresses.
    for kind in ["application/vnd.oci.image.layer.nondistributable.v1.tar", LAYER] {
        let foreign = descriptor(kind, &base, urls);
        let image = image.replace(&descriptor(LAYER, &base, ""), &foreign);
        let top_index = index(&[descriptor(MANIFEST, &image, &named("t/win:2"))]);
        let tar = Tar::new().blob(&top).blob(&image_config).blob(&image).file("index.json", top_index);
        says_where(&*store(&tar.finish()).unwrap(), "t/win:2", "https://example.com/base");
    }
}

/// One that is there is read as any other.
#[test]
fn that_is_there() {
    let base = layer("base");
    let image_config = config(&[&base], "");
    let urls = r#","urls":["https://example.com/base"]"#;
    let image = manifest(&image_config, &[&base])
        .replace(&descriptor(LAYER, &base, ""), &descriptor(LAYER, &base, urls));
    let top = index(&[descriptor(MANIFEST, &image, &named("t/win:2"))]);
    let tar = Tar::new().blob(&base).blob(&image_config).blob(&image).file("index.json", top);
    assert_eq!(crate::made::verify(&*store(&tar.finish()).unwrap()), 1);
}
