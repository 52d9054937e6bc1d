//! Upper directories: each kind of mark on its own, and overlay2 as Docker 20.10 wrote it, against the tars
//! it came from.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

use layerlift_archive::Content;
use layerlift_store::{DiffLayer, LayerDir};
use layerlift_store::{LayerTar, OpenOptions, open};
use rustix::fs::{CWD, FileType, Mode, XattrFlags};

use crate::listing::{lines, root_user, unpack};
use crate::trees::{Trees, outline, set_time, tar};

fn attribute(trees: &Trees, name: &str, attribute: &str, value: &[u8]) {
    rustix::fs::setxattr(trees.path("new").join(name), attribute, value, XattrFlags::empty()).unwrap();
}

fn whiteout(trees: &Trees, name: &str) {
    let path = trees.path("new").join(name);
    rustix::fs::mknodat(CWD, path, FileType::CharacterDevice, Mode::empty(), 0).unwrap();
}

fn upper(trees: &Trees) -> Vec<u8> {
    tar(&trees.layer(LayerDir::Upper))
}

#[test]
fn marks_of_overlayfs() {
    if !root_user("attributes trusted.overlay") {
        return;
    }
    let trees = Trees::new();
    for name in ["-first/x", "kept/a", "opaque/a", "user/a", "no/a", "xwhiteout/a"] {
        trees.file(format!("new/{name}"), "");
    }
    fs::create_dir(trees.path("new/opaque/empty")).unwrap();
    whiteout(&trees, "deleted");
    whiteout(&trees, "kept/deleted");
    attribute(&trees, "opaque", "trusted.overlay.opaque", b"y");
    attribute(&trees, "opaque/empty", "trusted.overlay.opaque", b"y");
    attribute(&trees, "user", "user.overlay.opaque", b"y");
    attribute(&trees, "no", "trusted.overlay.opaque", b"n");
    attribute(&trees, "no", "trusted.overlay.impure", b"y");
    attribute(&trees, "no/a", "trusted.overlay.origin", b"\0\xfb\x1d");
    attribute(&trees, "xwhiteout", "trusted.overlay.opaque", b"x");
    attribute(&trees, "xwhiteout/a", "trusted.overlay.whiteout", b"");
    let expected = [
        "dir -first",
        "file -first/x",
        "file .wh.deleted",
        "dir kept",
        "file kept/a",
        "file kept/.wh.deleted",
        "dir no",
        "file no/a",
        "dir opaque",
        "file opaque/.wh..wh..opq",
        "file opaque/a",
        "dir opaque/empty",
        "file opaque/empty/.wh..wh..opq",
        "dir user",
        "file user/.wh..wh..opq",
        "file user/a",
        "dir xwhiteout",
        "file xwhiteout/.wh.a",
    ];
    let tar = upper(&trees);
    assert_eq!(outline(&tar), expected);
    let time = |line: &tar::Entry<'_, &[u8]>| line.header().mtime().unwrap();
    let mut archive = tar::Archive::new(tar.as_slice());
    let marker = archive.entries().unwrap().map(Result::unwrap).nth(2).unwrap();
    assert_eq!((time(&marker), marker.header().mode().unwrap()), (1_400_000_000, 0));
}

#[test]
fn marks_that_are_files() {
    let trees = Trees::new();
    for name in
        ["d/.wh.deleted", "d/.wh..wh..opq", "d/a", ".wh.top", ".wh..wh.aufs", ".wh..wh.plnk/1.2", "e/a"]
    {
        trees.file(format!("new/{name}"), "");
    }
    attribute(&trees, "d", "user.fuseoverlayfs.opaque", b"y");
    attribute(&trees, "e", "user.fuseoverlayfs.opaque", b"y");
    let expected = [
        "file .wh.top",
        "dir d",
        "file d/.wh..wh..opq",
        "file d/.wh.deleted",
        "file d/a",
        "dir e",
        "file e/.wh..wh..opq",
        "file e/a",
    ];
    assert_eq!(outline(&upper(&trees)), expected);
}

#[test]
fn what_a_tar_cannot_express() {
    if !root_user("attributes trusted.overlay") {
        return;
    }
    for (name, mark) in [("d", "trusted.overlay.redirect"), ("d/f", "user.overlay.metacopy")] {
        let trees = Trees::new();
        trees.file("new/d/f", "");
        attribute(&trees, name, mark, b"");
        let error = trees.layer(LayerDir::Upper).write_to(&mut io::sink()).unwrap_err().to_string();
        let what = mark.split_once('.').unwrap().1;
        assert!(error.contains(&format!("new/{name} is incomplete")) && error.contains(what), "{error}");
    }
}

/// What a tar means, by path: the last entry of a name counts, and names of one file are one file.
fn meaning(tar: &[u8]) -> BTreeMap<String, String> {
    let mut names: BTreeMap<String, usize> = BTreeMap::new();
    let mut files: Vec<String> = Vec::new();
    for line in lines(tar) {
        let cells: Vec<&str> = line.split(' ').collect();
        let [kind, mode, owner, size, time, device, digest, attributes, name, link] = cells[..] else {
            panic!("{line}");
        };
        let normal = |name: &str| name.trim_start_matches('.').trim_start_matches('/').to_owned();
        let name =
            if name.starts_with("./") || name.starts_with('/') { normal(name) } else { name.to_owned() };
        if name.is_empty() || name == "." {
            continue;
        }
        let last = name.rsplit('/').next().unwrap();
        let mode = u32::from_str_radix(mode, 8).unwrap() & 0o7777;
        let file = match kind {
            _ if last.starts_with(".wh.") => "deletion".to_owned(),
            // The header of a link overwrites owner and mode, not the contents.
            "hardlink" => {
                let link = if link.starts_with("./") || link.starts_with('/') {
                    normal(link)
                } else {
                    link.to_owned()
                };
                let index = names[&link];
                let old: Vec<&str> = files[index].split(' ').collect();
                files[index] =
                    [old[0], &format!("{mode:o}"), owner, old[3], time, old[5], old[6], old[7], old[8]]
                        .join(" ");
                names.insert(name, index);
                continue;
            }
            _ => format!("{kind} {mode:o} {owner} {size} {time} {device} {digest} {attributes} {link}"),
        };
        files.push(file);
        names.insert(name, files.len() - 1);
    }
    let mut groups: BTreeMap<usize, Vec<&str>> = BTreeMap::new();
    for (name, index) in &names {
        groups.entry(*index).or_default().push(name);
    }
    names
        .iter()
        .map(|(name, index)| (name.clone(), format!("{} {}", files[*index], groups[index].join("|"))))
        .collect()
}

#[test]
fn overlay2_means_what_its_tar_did() {
    if !root_user("the layers hold devices and foreign owners") {
        return;
    }
    let temp = tempfile::tempdir().unwrap();
    unpack("docker-20.10-overlay2.tar.xz", &[], temp.path());
    let store = open(temp.path(), &OpenOptions::default()).unwrap();
    let mut compared = 0;
    let mut failures = Vec::new();
    for summary in store.images().unwrap().images {
        for layer in store.image(&summary.key).unwrap().layers {
            let LayerTar::Split(split) = store.layer(&layer.key).unwrap() else {
                panic!("no tar-split data")
            };
            let mut original = Vec::new();
            split.raw_reader().unwrap().read_to_end(&mut original).unwrap();
            let derived = DiffLayer::new(split.tree().clone(), LayerDir::Upper, 0);
            let (expected, mut found) = (meaning(&original), meaning(&tar(&derived)));
            // The tar has no entry for directories that were only made as parents of others.
            found.retain(|name, file| {
                let below = format!("{name}/");
                expected.contains_key(name)
                    || !(file.starts_with("dir ") && expected.keys().any(|other| other.starts_with(&below)))
            });
            compared += expected.len();
            for (name, file) in &expected {
                if found.get(name) != Some(file) {
                    failures.push(format!(
                        "{} {name}:\n  - {file}\n  + {:?}",
                        layer.key.id(),
                        found.get(name)
                    ));
                }
            }
            let extra = found.keys().filter(|name| !expected.contains_key(*name));
            failures.extend(extra.map(|name| format!("{} {name}: not in the tar", layer.key.id())));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(compared > 100, "{compared} entries");
}

#[test]
fn the_same_bytes_of_a_copy_with_other_inodes() {
    let trees = Trees::new();
    let copy = Trees::new();
    let names = ["c", "a/b", "b", "a/a"];
    for name in names {
        trees.file(Path::new("new").join(name), name);
    }
    for name in names.iter().rev() {
        copy.file(Path::new("new").join(name), name);
    }
    for trees in [&trees, &copy] {
        set_time(&trees.path("new/a"), Duration::from_secs(1));
    }
    assert_eq!(upper(&trees), upper(&copy));
}
