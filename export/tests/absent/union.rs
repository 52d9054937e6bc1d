//! What the layers of an archive make together: each name with its last header and its bytes.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::rc::Rc;

use layerlift_archive::{Compression, Decompressor, Digest};

use crate::common::{Entry, document, entry};

/// What a name has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    kind: u8,
    mode: u32,
    owner: (u64, u64),
    mtime: i64,
    device: (Option<u32>, Option<u32>),
    target: Vec<u8>,
    content: Digest,
    xattrs: Vec<(String, Vec<u8>)>,
}

/// Names of one file share its node.
pub(crate) type Union = BTreeMap<Vec<u8>, Rc<RefCell<Node>>>;

/// The tars of the only image in an archive, base first.
pub(crate) fn layers(archive: &[Entry]) -> Vec<Vec<u8>> {
    let manifest = document(archive, "manifest.json");
    let layers = manifest[0]["Layers"].as_array().unwrap();
    layers.iter().map(|path| plain(entry(archive, path.as_str().unwrap()))).collect()
}

fn plain(blob: &[u8]) -> Vec<u8> {
    let mut tar = Decompressor::new(Compression::detect(blob), Vec::new()).unwrap();
    std::io::Write::write_all(&mut tar, blob).unwrap();
    tar.finish_padded().unwrap().0
}

/// Puts layers on top of each other as engines do.
pub(crate) fn union(layers: &[Vec<u8>]) -> Union {
    let mut all = Union::new();
    for layer in layers {
        add(&mut all, layer);
    }
    all
}

fn add(all: &mut Union, layer: &[u8]) {
    let mut here = BTreeSet::new();
    let mut archive = tar::Archive::new(layer);
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = clean(&entry.path_bytes());
        let at = path.iter().rposition(|&byte| byte == b'/').map_or(0, |at| at + 1);
        let (dir, name) = path.split_at(at);
        if name == b".wh..wh..opq" {
            all.retain(|known, _| !known.starts_with(dir) || here.contains(known));
            continue;
        }
        if let Some(name) = name.strip_prefix(b".wh.") {
            let removed = [dir, name].concat();
            let below = [&*removed, b"/"].concat();
            all.retain(|known, _| *known != removed && !known.starts_with(&below));
            continue;
        }
        if path.is_empty() {
            continue;
        }
        let link = entry.link_name_bytes().map(|link| link.into_owned()).unwrap_or_default();
        let mut node = node(&mut entry);
        if node.kind == b'1' {
            // The header of a link is that of its file from now on.
            let file = Rc::clone(&all[&clean(&link)]);
            let Node { kind, content, xattrs, .. } = file.borrow().clone();
            *file.borrow_mut() = Node { kind, content, xattrs, ..node };
            all.insert(path.clone(), file);
        } else {
            if node.kind == b'2' {
                node.target = link;
            }
            if node.kind != b'5' {
                let below = [&*path, b"/"].concat();
                all.retain(|known, _| !known.starts_with(&below));
            }
            all.insert(path.clone(), Rc::new(RefCell::new(node)));
        }
        here.insert(path);
    }
}

fn clean(path: &[u8]) -> Vec<u8> {
    let parts = path.split(|&byte| byte == b'/').filter(|part| !part.is_empty() && *part != b".");
    parts.collect::<Vec<_>>().join(&b'/')
}

fn node(entry: &mut tar::Entry<'_, &[u8]>) -> Node {
    let mut numbers = BTreeMap::new();
    let mut xattrs = Vec::new();
    for record in entry.pax_extensions().unwrap().into_iter().flatten().map(Result::unwrap) {
        let (key, value) = (record.key().unwrap().to_owned(), record.value_bytes().to_vec());
        match key.strip_prefix("SCHILY.xattr.") {
            Some(name) => xattrs.push((name.to_owned(), value)),
            None => drop(numbers.insert(key, value)),
        }
    }
    xattrs.sort();
    let time = |text: &[u8]| {
        let text = std::str::from_utf8(text).unwrap();
        text.split('.').next().unwrap().parse::<i64>().unwrap()
    };
    let header = entry.header().clone();
    let mtime = numbers.get("mtime").map_or(header.mtime().unwrap() as i64, |text| time(text));
    let number = |key: &str, field: u64| numbers.get(key).map_or(field, |text| time(text) as u64);
    let owner = (number("uid", header.uid().unwrap()), number("gid", header.gid().unwrap()));
    let kind = if header.as_bytes()[156] == 0 { b'0' } else { header.as_bytes()[156] };
    let device = match kind {
        b'3' | b'4' => (header.device_major().unwrap(), header.device_minor().unwrap()),
        _ => (None, None),
    };
    let mut content = Vec::new();
    entry.read_to_end(&mut content).unwrap();
    let (mode, content) = (header.mode().unwrap() & 0o7777, Digest::of(&content));
    // No file system of the engines had room for times before 1970.
    Node { kind, mode, owner, mtime: mtime.max(0), device, target: Vec::new(), content, xattrs }
}

/// Names that are not the same in two unions. Directories that no layer had are not compared, nor the times
/// of others: an engine changes them when it unpacks the next layer.
pub(crate) fn differences(was: &Union, is: &Union) -> Vec<String> {
    let implied = |path: &[u8], node: &Node| {
        let below = [path, b"/"].concat();
        node.kind == b'5' && was.keys().any(|known| known.starts_with(&below))
    };
    let alike = |old: &Node, new: &Node| {
        let mtime = if old.kind == b'5' { old.mtime } else { new.mtime };
        *old == Node { mtime, ..new.clone() }
    };
    let names: BTreeSet<&Vec<u8>> = was.keys().chain(is.keys()).collect();
    let differ = |path: &&&Vec<u8>| match (was.get(**path), is.get(**path)) {
        (Some(old), Some(new)) => !alike(&old.borrow(), &new.borrow()),
        (None, Some(new)) => !implied(path, &new.borrow()),
        _ => true,
    };
    let shown = |path: &Vec<u8>| {
        let path_text = String::from_utf8_lossy(path).into_owned();
        format!("{path_text}: {:?} became {:?}", was.get(path), is.get(path))
    };
    names.iter().filter(differ).map(|path| shown(path)).collect()
}
