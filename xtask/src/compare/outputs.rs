//! What a program wrote, and where two of them differ.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::Outcome;
use crate::engines::process::{self, program};

/// Everything that one call left.
pub(crate) struct Written {
    pub(crate) status: Option<i32>,
    printed: Vec<u8>,
    /// Files by their paths; folders are `None`, links where they lead.
    files: BTreeMap<PathBuf, Option<Vec<u8>>>,
}

/// The member that may be left out of a comparison.
const MANIFEST: &str = "manifest.json";

const BLOCK: usize = 512;

impl Written {
    /// Reads what lies in a folder.
    pub(crate) fn new(status: Option<i32>, printed: Vec<u8>, folder: &Path) -> Outcome<Self> {
        let mut files = BTreeMap::new();
        let mut folders = vec![folder.to_owned()];
        while let Some(next) = folders.pop() {
            for entry in fs::read_dir(&next)? {
                let path = entry?.path();
                let meta = fs::symlink_metadata(&path)?;
                let content = if meta.is_dir() {
                    folders.push(path.clone());
                    None
                } else if meta.is_symlink() {
                    Some(fs::read_link(&path)?.into_os_string().into_encoded_bytes())
                } else {
                    Some(fs::read(&path)?)
                };
                files.insert(path.strip_prefix(folder)?.to_owned(), content);
            }
        }
        Ok(Written { status, printed, files })
    }

    /// What differs first, if anything does.
    pub(crate) fn difference(&self, other: &Written, ignore_manifest: bool) -> Option<String> {
        if self.status != other.status {
            return Some(format!("status {:?}, now {:?}", self.status, other.status));
        }
        if let Some(difference) = bytes(&self.printed, &other.printed, ignore_manifest) {
            return Some(format!("standard output: {difference}"));
        }
        let paths = |written: &Written| -> Vec<PathBuf> {
            let ignored = |path: &&PathBuf| ignore_manifest && path.ends_with(MANIFEST);
            written.files.keys().filter(|path| !ignored(path)).cloned().collect()
        };
        let (before, now) = (paths(self), paths(other));
        if let Some(missing) = before.iter().find(|path| !now.contains(path)) {
            return Some(format!("{} is missing", missing.display()));
        }
        if let Some(new) = now.iter().find(|path| !before.contains(path)) {
            return Some(format!("{} is new", new.display()));
        }
        before.iter().find_map(|path| {
            let difference = match (&self.files[path], &other.files[path]) {
                (Some(before), Some(now)) => bytes(before, now, ignore_manifest)?,
                (None, None) => return None,
                _ => "a folder and a file".to_owned(),
            };
            Some(format!("{}: {difference}", path.display()))
        })
    }
}

/// Where bytes differ first.
fn bytes(before: &[u8], now: &[u8], ignore_manifest: bool) -> Option<String> {
    if before == now {
        return None;
    }
    let plain = [before, now].map(decompressed);
    let Ok([before, now]) = <[Vec<u8>; 2]>::try_from(plain.to_vec()) else { return None };
    let [before, now] =
        if ignore_manifest { [before, now].map(|tar| without_manifest(&tar)) } else { [before, now] };
    if before == now {
        return (!ignore_manifest).then(|| "the same, compressed otherwise".to_owned());
    }
    let at = before.iter().zip(&now).take_while(|(a, b)| a == b).count();
    let member = member_at(&before, at).map_or(String::new(), |name| format!(", in {name}"));
    let near = |bytes: &[u8]| {
        let from = at.saturating_sub(24);
        String::from_utf8_lossy(&bytes[from..bytes.len().min(at + 40)]).escape_debug().to_string()
    };
    let (was, is) = (near(&before), near(&now));
    Some(format!(
        "{} bytes, now {}; from byte {at}{member}: \"{was}\", now \"{is}\"",
        before.len(),
        now.len()
    ))
}

/// The bytes that gzip or zstd made these of; the bytes themselves if they are not compressed.
fn decompressed(bytes: &[u8]) -> Vec<u8> {
    let tool = match bytes {
        [0x1f, 0x8b, ..] => "gzip",
        [0x28, 0xb5, 0x2f, 0xfd, ..] => "zstd",
        _ => return bytes.to_vec(),
    };
    let file = std::env::temp_dir().join(format!("layerlift-compare-{}", std::process::id()));
    let plain = fs::write(&file, bytes).map_err(Into::into).and_then(|()| {
        let input = fs::File::open(&file)?;
        process::bytes(program(tool, ["-dc"]).stdin(input))
    });
    // What cannot be decompressed is compared as it is.
    let _ = fs::remove_file(&file);
    plain.unwrap_or_else(|_| bytes.to_vec())
}

/// The members of a tar: where each begins, its name, and where the next begins.
fn members(tar: &[u8]) -> Vec<(usize, String, usize)> {
    let mut members = Vec::new();
    let mut at = 0;
    while let Some(header) = tar.get(at..at + BLOCK) {
        let text = |range: std::ops::Range<usize>| {
            let field = &header[range];
            String::from_utf8_lossy(field.split(|&byte| byte == 0).next().unwrap_or_default()).into_owned()
        };
        let (name, size) = (text(0..100), text(124..136));
        let Ok(size) = usize::from_str_radix(size.trim(), 8) else { break };
        if name.is_empty() || &header[257..262] != b"ustar" {
            break;
        }
        let next = at.saturating_add(BLOCK).saturating_add(size.div_ceil(BLOCK) * BLOCK);
        members.push((at, name, next));
        at = next;
    }
    members
}

fn member_at(tar: &[u8], at: usize) -> Option<String> {
    members(tar).into_iter().find(|(from, _, to)| (*from..*to).contains(&at)).map(|(_, name, _)| name)
}

/// A tar without the member that may be ignored. Anything else stays as it is.
fn without_manifest(tar: &[u8]) -> Vec<u8> {
    match members(tar).into_iter().find(|(_, name, to)| name == MANIFEST && *to <= tar.len()) {
        Some((from, _, to)) => [&tar[..from], &tar[to..]].concat(),
        None => tar.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::{BLOCK, Written};

    fn tar(members: &[(&str, &str)]) -> Vec<u8> {
        let mut tar = Vec::new();
        for (name, content) in members {
            let at = tar.len();
            tar.resize(at + BLOCK + content.len().div_ceil(BLOCK) * BLOCK, 0);
            tar[at..at + name.len()].copy_from_slice(name.as_bytes());
            tar[at + 124..at + 135].copy_from_slice(format!("{:011o}", content.len()).as_bytes());
            tar[at + 257..at + 262].copy_from_slice(b"ustar");
            tar[at + BLOCK..at + BLOCK + content.len()].copy_from_slice(content.as_bytes());
        }
        tar.resize(tar.len() + 2 * BLOCK, 0);
        tar
    }

    fn written(status: i32, printed: Vec<u8>, files: &[(&str, &str)]) -> Written {
        let files = files.iter().map(|(path, text)| (PathBuf::from(path), Some(text.as_bytes().to_vec())));
        Written { status: Some(status), printed, files: files.collect() }
    }

    #[test]
    fn differences() {
        let without = tar(&[("a", "x"), ("index.json", "{}")]);
        let with = tar(&[("a", "x"), ("index.json", "{}"), ("manifest.json", "[]")]);
        let other = tar(&[("a", "y"), ("index.json", "{}")]);
        let file = [("out/a", "x"), ("out/manifest.json", "[]")];
        for (before, now, ignored, expected) in [
            (written(0, without.clone(), &[]), written(0, without.clone(), &[]), false, None),
            (written(0, vec![], &[]), written(1, vec![], &[]), false, Some("status Some(0), now Some(1)")),
            (written(0, without.clone(), &[]), written(0, with.clone(), &[]), true, None),
            (
                written(0, without.clone(), &[]),
                written(0, with, &[]),
                false,
                Some("standard output: 3072 bytes"),
            ),
            (written(0, without, &[]), written(0, other, &[]), true, Some("byte 512, in a: ")),
            (written(0, vec![], &file[..1]), written(0, vec![], &file), true, None),
            (
                written(0, vec![], &file[..1]),
                written(0, vec![], &file),
                false,
                Some("out/manifest.json is new"),
            ),
            (
                written(0, vec![], &file),
                written(0, vec![], &file[..1]),
                false,
                Some("manifest.json is missing"),
            ),
            (
                written(0, vec![], &[("a", "x")]),
                written(0, vec![], &[("a", "xy")]),
                false,
                Some("a: 1 bytes, now 2"),
            ),
        ] {
            let found = before.difference(&now, ignored);
            match expected {
                None => assert_eq!(found, None),
                Some(expected) => {
                    let found = found.unwrap();
                    assert!(found.contains(expected), "{found:?}, {expected}");
                }
            }
        }
    }
}
