//! Files whose names are not UTF-8, as Docker 1.8 recorded them.
//!
//! It wrote U+FFFD in place of each byte that is not UTF-8. The file still exists under its own name: it is
//! the one whose name decodes to the recorded name, and whose size and checksum match.

use std::io::Read;
use std::os::unix::ffi::OsStringExt;

use super::checksum::Checksum;
use crate::{Error, Root, fs};

/// How many candidates are compared. More names decode alike only where somebody set out to make them.
const CANDIDATES: usize = 256;

/// The name on disk of the file that is recorded as `name`. `None` if no file matches, or if no byte of the
/// name was replaced.
pub(super) fn find(tree: &Root, name: &[u8], size: u64, checksum: u64) -> Result<Option<Vec<u8>>, Error> {
    let Ok(text) = std::str::from_utf8(name) else { return Ok(None) };
    if !text.contains(char::REPLACEMENT_CHARACTER) {
        return Ok(None);
    }
    let mut candidates = vec![Vec::new()];
    for component in text.split('/').filter(|component| !matches!(*component, "" | ".")) {
        let mut next = Vec::new();
        for folder in &candidates {
            if component.contains(char::REPLACEMENT_CHARACTER) {
                next.extend(names_like(tree, folder, component)?);
            } else {
                next.push(join(folder, component.as_bytes()));
            }
            next.truncate(CANDIDATES);
        }
        candidates = next;
    }
    Ok(candidates.into_iter().find(|name| fits(tree, name, size, checksum)))
}

fn join(folder: &[u8], name: &[u8]) -> Vec<u8> {
    if folder.is_empty() { name.to_vec() } else { [folder, b"/", name].concat() }
}

fn names_like(tree: &Root, folder: &[u8], component: &str) -> Result<Vec<Vec<u8>>, Error> {
    let Ok(dir) = tree.open_dir_in_tree(folder) else { return Ok(Vec::new()) };
    let names =
        fs::list(dir).map_err(|errno| Error::io("list", tree.join(super::open::relative(folder)), errno))?;
    let mut names: Vec<Vec<u8>> = names.into_iter().map(OsStringExt::into_vec).collect();
    names.retain(|name| as_go_writes(name) == component);
    names.sort();
    Ok(names.into_iter().map(|name| join(folder, &name)).collect())
}

/// How Go's `encoding/json` writes bytes that should be UTF-8: U+FFFD for each byte that is not.
fn as_go_writes(mut bytes: &[u8]) -> String {
    let mut text = String::new();
    loop {
        match std::str::from_utf8(bytes) {
            Ok(rest) => {
                text.push_str(rest);
                return text;
            }
            Err(error) => {
                let (valid, rest) = bytes.split_at(error.valid_up_to());
                text.push_str(&String::from_utf8_lossy(valid));
                text.push(char::REPLACEMENT_CHARACTER);
                bytes = &rest[1..];
            }
        }
    }
}

fn fits(tree: &Root, name: &[u8], size: u64, checksum: u64) -> bool {
    let Ok(file) = tree.open_in_tree(name) else { return false };
    let mut found = Checksum::new();
    let mut buffer = [0; 16 << 10];
    let mut len = 0;
    let mut file = file.take(size + 1);
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return len == size && found.finish() == checksum,
            Ok(n) => {
                found.update(&buffer[..n]);
                len += n as u64;
            }
            Err(_) => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_replacement_for_each_byte() {
        assert_eq!(as_go_writes(b"caf\xe9"), "caf\u{fffd}");
        assert_eq!(as_go_writes("caf\u{e9}".as_bytes()), "café");
        assert_eq!(as_go_writes(b"\xed\xa0\x80x"), "\u{fffd}\u{fffd}\u{fffd}x");
        assert_eq!(as_go_writes(b"\xe2\x82"), "\u{fffd}\u{fffd}");
    }
}
