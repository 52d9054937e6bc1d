//! The conversions against what Docker 20.10 made of the same documents; see `tests/fixtures/README.md`.

use layerlift_archive::Digest;
use layerlift_store::{DiffId, V1Document, V1Id};
use serde_json::Value;

use super::{go_json, to_config, to_v1};

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Documents need not be UTF-8: in the fixtures each character stands for a byte.
fn bytes(value: &Value) -> Vec<u8> {
    value.as_str().unwrap().chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect()
}

fn diff_ids(config: &[u8]) -> Vec<DiffId> {
    // serde_json refuses some of what Go repairs.
    let field = |value: go_json::Value<'static>, name: &str| {
        let mut fields = value.fields().unwrap();
        fields.retain(|(field, _)| field == name);
        fields.pop().unwrap().1
    };
    let config = go_json::Value::first(config.to_vec().leak()).unwrap();
    let ids = field(field(config, "rootfs"), "diff_ids").items().unwrap();
    ids.iter().map(|id| id.text().unwrap().parse().unwrap()).collect()
}

#[test]
fn legacy_images_that_docker_saved() {
    for case in lines(include_str!("../../tests/fixtures/docker-20.10-legacy-images.jsonl")) {
        let config = bytes(&case["config"]);
        let text = String::from_utf8_lossy(&config);
        let images = to_v1::legacy_images(&config, &diff_ids(&config), "config").unwrap();
        let expected = case["layers"].as_array().unwrap();
        assert_eq!(images.len(), expected.len(), "{text}");
        for (image, expected) in images.iter().zip(expected) {
            let json = String::from_utf8_lossy(&image.json);
            assert_eq!(json, String::from_utf8_lossy(&bytes(&expected["json"])), "{text}");
            assert_eq!(image.id.as_str(), expected["id"], "{text}");
        }
    }
}

#[test]
fn configs_that_docker_loaded() {
    for case in lines(include_str!("../../tests/fixtures/docker-20.10-loaded-configs.jsonl")) {
        let expected = bytes(&case["config"]);
        let documents = case["documents"].as_array().unwrap().iter().map(|document| {
            let id = V1Id::parse(document["id"].as_str().unwrap()).unwrap();
            V1Document::new(id, None, bytes(&document["json"]))
        });
        let config = to_config::config(&documents.collect::<Vec<_>>(), &diff_ids(&expected)).unwrap();
        assert_eq!(String::from_utf8_lossy(&config), String::from_utf8_lossy(&expected));
        assert_eq!(Digest::of(&config), Digest::of(&expected));
    }
}
