//! Measures how long it takes to list a Docker store of a thousand images, and to save one small image of it.
//!
//! Each layer is a tar with one empty file, so only the lookup costs time.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::json;

use super::Bench;
use super::row::{Goal, Spec};
use crate::Outcome;
use crate::engines::image::hex;
use crate::engines::process::{bytes, program, run, text};
use crate::engines::tarball::{Dialect, FILE, Member, Tarball};

/// How many layers each image has.
const LAYERS: usize = 20;
const DRIVER: &str = "image/overlay2";

/// The titles of the comparisons.
pub(crate) const TITLES: [&str; 2] =
    ["images, on a store of 1,000 images and 20,000 layers", "save of one small image there"];

/// The rows. They have no peers, because no other program reads such a store.
pub(crate) fn specs(bench: &Bench, root: &Path, [images, save]: [&'static str; 2]) -> Vec<Spec> {
    let place = bench.memory();
    let out = &*place.out.display().to_string();
    vec![
        Spec {
            what: images,
            own: bench.layerlift(&["images", "--json", "--root"], root, &[]),
            peers: Vec::new(),
            place: place.clone(),
            goals: |row| {
                vec![Goal { what: "time, ms", value: row.own.wall.as_secs_f64() * 1e3, limit: 150.0 }]
            },
        },
        Spec {
            what: save,
            own: bench.save(root, &["-o", out, "many/image-7:1"]),
            peers: Vec::new(),
            place: place.clone(),
            goals: |row| {
                vec![Goal { what: "time, ms", value: row.own.wall.as_secs_f64() * 1e3, limit: 100.0 }]
            },
        },
    ]
}

/// Writes the store.
pub(crate) fn make(root: &Path, images: usize) -> Outcome {
    println!("a store of {images} images and {} layers", images * LAYERS);
    let work = root.join("work");
    fs::create_dir_all(&work)?;
    for folder in ["imagedb/content/sha256", "imagedb/metadata/sha256", "layerdb/sha256"] {
        fs::create_dir_all(root.join(DRIVER).join(folder))?;
    }
    let mut diff_ids: Vec<Vec<String>> = vec![Vec::new(); images];
    let mut chains: Vec<Option<String>> = vec![None; images];
    for level in 0..LAYERS {
        let names: Vec<String> = (0..images).map(|image| format!("file-{image}-{level}")).collect();
        let mut splits = Vec::new();
        for (image, name) in names.iter().enumerate() {
            let mut tar = Tarball::new(Dialect::Gnu);
            tar.add(&Member::new(FILE, name));
            let tar = tar.finish(1024);
            fs::write(work.join(format!("{image:06}")), &tar)?;
            splits.push(split(name, &tar));
        }
        let digests = digests(&work)?;
        for (image, diff_id) in digests.iter().enumerate() {
            // The first chain id is the first diff id; the others are digests of this text.
            let hashed = chains[image]
                .as_ref()
                .map_or(String::new(), |chain| format!("sha256:{chain} sha256:{diff_id}"));
            fs::write(work.join(format!("{image:06}")), hashed)?;
        }
        let chained = self::digests(&work)?;
        for (image, diff_id) in digests.into_iter().enumerate() {
            let parent = chains[image].take();
            let chain = if parent.is_some() { chained[image].clone() } else { diff_id.clone() };
            let entry = root.join(DRIVER).join("layerdb/sha256").join(&chain);
            fs::create_dir_all(&entry)?;
            fs::write(entry.join("diff"), format!("sha256:{diff_id}"))?;
            fs::write(entry.join("cache-id"), &chain)?;
            fs::write(entry.join("size"), "0")?;
            if let Some(parent) = parent {
                fs::write(entry.join("parent"), format!("sha256:{parent}"))?;
            }
            fs::write(entry.join("tar-split.json"), &splits[image])?;
            let tree = root.join("overlay2").join(&chain).join("diff");
            fs::create_dir_all(&tree)?;
            fs::write(tree.join(&names[image]), "")?;
            diff_ids[image].push(diff_id);
            chains[image] = Some(chain);
        }
    }
    let layers = root.join(DRIVER).join("layerdb/sha256");
    run(program("sh", ["-c", "find \"$0\" -name tar-split.json -print0 | xargs -0 gzip -n"]).arg(&layers))?;
    documents(root, &work, &diff_ids)?;
    fs::remove_dir_all(&work)?;
    Ok(())
}

/// Configs and names.
fn documents(root: &Path, work: &Path, diff_ids: &[Vec<String>]) -> Outcome {
    let mut configs = Vec::new();
    for (image, diff_ids) in diff_ids.iter().enumerate() {
        let diff_ids: Vec<String> = diff_ids.iter().map(|id| format!("sha256:{id}")).collect();
        let config = json!({
            "architecture": "amd64", "os": "linux",
            "created": format!("2020-01-01T00:{:02}:{:02}Z", image / 60 % 60, image % 60),
            "config": {"Labels": {"number": image.to_string()}},
            "rootfs": {"type": "layers", "diff_ids": diff_ids}, "history": []
        });
        configs.push(serde_json::to_vec(&config)?);
        fs::write(work.join(format!("{image:06}")), &configs[image])?;
    }
    let mut names = BTreeMap::new();
    for (image, id) in digests(work)?.into_iter().enumerate() {
        fs::write(root.join(DRIVER).join("imagedb/content/sha256").join(&id), &configs[image])?;
        let repository = format!("many/image-{image}");
        names.insert(repository.clone(), json!({format!("{repository}:1"): format!("sha256:{id}")}));
    }
    Ok(fs::write(
        root.join(DRIVER).join("repositories.json"),
        serde_json::to_vec(&json!({"Repositories": names}))?,
    )?)
}

/// The tar-split data of a tar with one empty file.
fn split(name: &str, tar: &[u8]) -> String {
    let raw = |bytes: &[u8], position: u8| json!({"type": 2, "payload": base64(bytes), "position": position});
    let file = json!({"type": 1, "name": name, "payload": null, "position": 1});
    format!("{}\n{file}\n{}\n", raw(&tar[..512], 0), raw(&tar[512..], 2))
}

/// The digests of all files in a folder, in the order of their names.
fn digests(folder: &Path) -> Outcome<Vec<String>> {
    let lines = text(program("sh", ["-c", "cd \"$0\" && sha256sum -b -- *"]).arg(folder))?;
    Ok(lines.lines().map(|line| hex(line.split(' ').next().unwrap_or_default())).collect())
}

fn base64(data: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for three in data.chunks(3) {
        let number =
            three.iter().fold(0_u32, |sum, &byte| sum << 8 | u32::from(byte)) << (8 * (3 - three.len()));
        for digit in 0..4 {
            let letter = LETTERS[(number >> (18 - 6 * digit) & 63) as usize];
            out.push(if digit <= three.len() { char::from(letter) } else { '=' });
        }
    }
    out
}

/// Checks that the store can be listed and verified, as one that Docker made.
pub(crate) fn check(bench: &Bench, root: &Path, images: usize) -> Outcome {
    let listed = bytes(program(&bench.layerlift, ["images", "--json", "--root"]).arg(root))?;
    let listed: Vec<serde_json::Value> = serde_json::from_slice(&listed)?;
    if listed.len() != images {
        return Err(format!("{} of {images} images are listed", listed.len()).into());
    }
    run(program(&bench.layerlift, ["verify", "--quiet", "--root"]).arg(root).arg("many/image-7:1"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn base64_with_and_without_padding() {
        for (data, expected) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")]
        {
            assert_eq!(super::base64(data.as_bytes()), expected);
        }
    }
}
