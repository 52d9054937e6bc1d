//! Every layer without tar-split data in five data roots of Docker 1.7 and 1.8, against the tars of the
//! daemons.
//!
//! For each layer, `layers.txt` lists its directory, its parent's, the time of the image, and each tar that
//! the daemon wrote for it: its digest, whether every run wrote it, and its entries. The tars of two runs
//! differ in the times of whiteouts, and in the names (a process id) and the order (random) of PAX headers.

use std::collections::BTreeSet;
use std::io::Read;

use layerlift_archive::Digest;
use layerlift_store::Root;
use layerlift_store::{DiffLayer, LayerDir};

use crate::listing::{fixture, lines, root_user, unpack};

struct Recorded<'t> {
    store: &'t str,
    dir: &'t str,
    parent: Option<&'t str>,
    created: i64,
    tars: Vec<Tar<'t>>,
}

struct Tar<'t> {
    digest: &'t str,
    /// Whether every run wrote these bytes.
    fixed: bool,
    entries: Vec<&'t str>,
}

fn recorded(text: &str) -> Vec<Recorded<'_>> {
    let mut layers: Vec<Recorded<'_>> = Vec::new();
    for line in text.lines() {
        if let Some(layer) = line.strip_prefix("layer ") {
            let [store, dir, parent, created] = layer.split(' ').collect::<Vec<_>>().try_into().unwrap();
            let parent = Some(parent).filter(|parent| *parent != "-");
            let created = created.parse().unwrap();
            layers.push(Recorded { store, dir, parent, created, tars: Vec::new() });
            continue;
        }
        let tars = &mut layers.last_mut().unwrap().tars;
        match line.strip_prefix("tar ") {
            Some(tar) => {
                let (digest, varies) = tar.split_once(' ').unwrap();
                tars.push(Tar { digest, fixed: varies == "fixed", entries: Vec::new() });
            }
            None => tars.last_mut().unwrap().entries.push(line),
        }
    }
    layers
}

#[test]
fn as_the_daemons_wrote_them() {
    if !root_user("the layers hold devices, foreign owners and capabilities") {
        return;
    }
    let mut text = String::new();
    fixture("layers.txt.xz").read_to_string(&mut text).unwrap();
    let layers = recorded(&text);
    let stores: BTreeSet<&str> = layers.iter().map(|layer| layer.store).collect();
    let mut failures = Vec::new();
    let mut fixed = 0;
    for store in stores {
        let temp = tempfile::tempdir().unwrap();
        unpack(&format!("layers-{store}.tar.xz"), &[], temp.path());
        let root = Root::open(temp.path()).unwrap();
        for layer in layers.iter().filter(|layer| layer.store == store) {
            let parent = layer.parent.map(|parent| root.dir(parent).unwrap());
            let dir = root.dir(layer.dir).unwrap();
            let diff = DiffLayer::new(dir, LayerDir::Full { parent }, layer.created);
            let mut tar = Vec::new();
            if let Err(error) = diff.write_to(&mut tar) {
                failures.push(format!("{store} {}: {error}", layer.dir));
                continue;
            }
            let digest = Digest::of(&tar).hex();
            for expected in &layer.tars {
                failures.extend(compare(layer, &expected.entries, &tar));
                fixed += usize::from(expected.fixed);
                if expected.fixed && digest != expected.digest {
                    failures.push(format!("{store} {}: other bytes than {}", layer.dir, expected.digest));
                }
            }
        }
    }
    eprintln!("{} layers; {fixed} tars have the digest of the daemons'", layers.len());
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

fn compare(layer: &Recorded<'_>, expected: &[&str], tar: &[u8]) -> Option<String> {
    let found = lines(tar);
    if found == expected {
        return None;
    }
    let missing = expected.iter().filter(|line| !found.iter().any(|found| found == *line));
    let extra = found.iter().filter(|line| !expected.contains(&line.as_str()));
    let missing: Vec<_> = missing.map(|line| format!("\n  - {line}")).collect();
    let extra: Vec<_> = extra.map(|line| format!("\n  + {line}")).collect();
    Some(format!("{} {}: {}{}", layer.store, layer.dir, missing.concat(), extra.concat()))
}
