//! Archives that would use up memory are refused.

use crate::made::{Tar, config, descriptor, index, layer, manifest, refused, store};

#[test]
fn layers_of_an_image() {
    let layer = layer("x");
    let many = vec![&layer[..]; 4097];
    let config = config(&many, "");
    let names = vec![r#""layer""#; many.len()].join(",");
    let items = format!(r#"[{{"Config":"c.json","RepoTags":["a:1"],"Layers":[{names}]}}]"#);
    let tar = Tar::new().file("layer", &layer).file("c.json", &config).file("manifest.json", items);
    let listing = store(&tar.finish()).unwrap().images().unwrap();
    assert!(listing.images.is_empty());
    assert!(listing.broken[0].error.to_string().contains("4097 layers"), "{:?}", listing.broken);
    let manifest = manifest(&config, &many);
    let index = index(&[descriptor(crate::made::MANIFEST, &manifest, "")]);
    let tar = Tar::new().blob(&layer).blob(&config).blob(&manifest).file("index.json", index);
    let listing = store(&tar.finish()).unwrap().images().unwrap();
    assert!(listing.broken[0].error.to_string().contains("4097 layers"), "{:?}", listing.broken);
}

#[test]
fn names_of_an_archive() {
    let names: Vec<String> = (0..=1 << 15).map(|at| format!(r#""a:{at}""#)).collect();
    let items = format!(r#"[{{"Config":"c.json","RepoTags":[{}],"Layers":[]}}]"#, names.join(","));
    refused(store(&Tar::new().file("manifest.json", items).finish()), &["32769 names, more than 32768"]);
}

#[test]
fn lines_of_an_index() {
    let lines = vec![descriptor(crate::made::MANIFEST, "{}", ""); (1 << 15) + 1];
    let tar =
        Tar::new().file("oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#).file("index.json", index(&lines));
    refused(store(&tar.finish()), &["32769 names, more than 32768"]);
}

#[test]
fn layers_of_a_docker_v1_archive() {
    let tar = (0..=1 << 15).fold(Tar::new(), |tar, at| {
        tar.file(&format!("{at:064x}/json"), "{}").file(&format!("{at:064x}/layer.tar"), "")
    });
    refused(store(&tar.finish()), &["32769 layers"]);
}
