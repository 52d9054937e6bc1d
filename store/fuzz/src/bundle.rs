//! Several files in one input: an archive, a layout or a data root.
//!
//! ```text
//! \x1e<path>\n<bytes>\x1e<path>\n<bytes>…
//! ```
//!
//! Blobs are named by their digests. One that was damaged gets a new name, there and in all that refers to
//! it, so that damage reaches the parser behind the check.

use std::fs;
use std::ops::Range;
use std::path::{Component, Path};

use layerlift_archive::{Digest, Entry, Options, Tree, write_stream};

/// Begins a file. No document has this byte; where content has it, another file begins.
const MARK: u8 = 0x1e;

/// Files that one input may have.
const FILES: usize = 128;

/// Digests are followed through so many levels of blobs.
const LEVELS: usize = 4;

/// Files with their paths.
#[derive(Debug, Clone, Default)]
pub struct Bundle(pub Vec<(String, Vec<u8>)>);

impl Bundle {
    /// Takes an input apart.
    pub fn parse(input: &[u8]) -> Self {
        let parts = input.split(|&byte| byte == MARK).filter(|part| !part.is_empty()).take(FILES);
        Bundle(
            parts
                .map(|part| {
                    let end = part.iter().position(|&byte| byte == b'\n').unwrap_or(part.len());
                    let path = String::from_utf8_lossy(&part[..end]).into_owned();
                    (path, part.get(end + 1..).unwrap_or_default().to_vec())
                })
                .collect(),
        )
    }

    /// The input of which [`Bundle::parse`] makes these files.
    pub fn to_input(&self) -> Vec<u8> {
        let parts = self.0.iter().map(|(path, bytes)| [&[MARK], path.as_bytes(), b"\n", bytes].concat());
        parts.collect::<Vec<_>>().concat()
    }

    /// Renames blobs whose bytes have changed, and mends the sizes that documents give for them.
    #[must_use]
    pub fn linked(mut self) -> Self {
        for _ in 0..LEVELS {
            let renamed: Vec<(String, String, usize)> = self
                .0
                .iter()
                .filter_map(|(path, bytes)| {
                    let name = path.rsplit('/').next().unwrap_or_default();
                    let name = name.strip_suffix(".json").unwrap_or(name);
                    let digest = Digest::of(bytes).hex();
                    let named = name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
                    // Ids of v1 images and of layers are not digests of their files.
                    let blob = path.starts_with("blobs/")
                        || path.contains("imagedb/content/")
                        || path.ends_with(".json");
                    (named && blob && name != digest).then(|| (name.to_owned(), digest, bytes.len()))
                })
                .collect();
            if renamed.is_empty() {
                break;
            }
            for (path, bytes) in &mut self.0 {
                for (old, new, len) in &renamed {
                    if path.contains(old.as_str()) {
                        *path = path.replace(old.as_str(), new);
                    }
                    replace(bytes, old.as_bytes(), new.as_bytes(), *len);
                }
            }
        }
        self
    }

    /// The files as a tar.
    pub fn to_tar(&self) -> Vec<u8> {
        let mut tree = Tree::default();
        for (path, bytes) in &self.0 {
            tree.push(Entry::bytes(path.clone(), 0, bytes.clone()));
        }
        let mut tar = Vec::new();
        write_stream(&tree, &mut tar, &Options::default()).expect("memory takes all bytes");
        tar
    }

    /// Writes the files below a directory; what leads out of it is left out, as is what the file system
    /// refuses.
    pub fn write(&self, dir: &Path) {
        for (path, bytes) in &self.0 {
            let path = Path::new(path);
            let below = path.components().all(|part| matches!(part, Component::Normal(_)));
            if !below || path.as_os_str().is_empty() {
                continue;
            }
            let path = dir.join(path);
            if let Some(parent) = path.parent() {
                let _ = fs::create_dir_all(parent);
            }
            let _ = fs::write(path, bytes);
        }
    }
}

/// Puts a digest into the place of another, and the length of its blob into the descriptors around it.
fn replace(bytes: &mut Vec<u8>, old: &[u8], new: &[u8], len: usize) {
    let mut at = 0;
    while at + old.len() <= bytes.len() {
        if bytes[at] == old[0] && &bytes[at..at + old.len()] == old {
            bytes[at..at + old.len()].copy_from_slice(new);
            at += old.len();
            if let Some(number) = size(bytes, at) {
                let digits = len.to_string();
                if number.start < at {
                    at = at - number.len() + digits.len();
                }
                bytes.splice(number, digits.into_bytes());
            }
        } else {
            at += 1;
        }
    }
}

/// The digits of the size in the same object as a digest that ends here. Descriptors are flat as far as
/// that; what engines write after the size does not matter.
fn size(bytes: &[u8], at: usize) -> Option<Range<usize>> {
    const SIZE: &[u8] = b"\"size\":";
    let brace = |byte: &u8| matches!(byte, b'{' | b'}');
    let start = bytes[..at].iter().rposition(brace).map_or(0, |brace| brace + 1);
    let end = bytes[at..].iter().position(brace).map_or(bytes.len(), |brace| at + brace);
    let number = bytes[start..end].windows(SIZE.len()).position(|window| window == SIZE)?;
    let number = start + number + SIZE.len();
    let space = bytes[number..end].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    let digits = bytes[number + space..end].iter().take_while(|byte| byte.is_ascii_digit()).count();
    (digits > 0).then(|| number + space..number + space + digits)
}

#[cfg(test)]
mod tests {
    use layerlift_archive::Digest;

    use super::Bundle;

    #[test]
    fn inputs_and_back() {
        let bundle = Bundle(vec![("a/b".into(), b"x\ny".to_vec()), ("c".into(), Vec::new())]);
        let input = bundle.to_input();
        assert_eq!(input, b"\x1ea/b\nx\ny\x1ec\n");
        assert_eq!(Bundle::parse(&input).0, bundle.0);
        assert_eq!(Bundle::parse(b"c").0, [("c".to_owned(), Vec::new())]);
    }

    #[test]
    fn damaged_blobs_are_renamed() {
        let old = Digest::of(b"{}").hex();
        let blob = |bytes: &[u8]| format!("blobs/sha256/{}", Digest::of(bytes).hex());
        let bundle = Bundle(vec![
            (format!("blobs/sha256/{old}"), b"{ }".to_vec()),
            ("index.json".into(), format!("[\"sha256:{old}\"]").into_bytes()),
        ]);
        let linked = bundle.linked();
        assert_eq!(linked.0[0].0, blob(b"{ }"));
        assert_eq!(linked.0[1].1, format!("[\"sha256:{}\"]", Digest::of(b"{ }").hex()).into_bytes());
    }

    #[test]
    fn sizes_are_mended() {
        let old = Digest::of(b"{}").hex();
        let blob = (format!("blobs/sha256/{old}"), b"{ \n \n \n \n}".to_vec());
        let new = Digest::of(&blob.1).hex();
        for (before, after) in [
            (
                format!(r#"[{{"size":2,"digest":"sha256:{old}"}},{{"size":3}}]"#),
                format!(r#"[{{"size":10,"digest":"sha256:{new}"}},{{"size":3}}]"#),
            ),
            (
                format!(r#"{{"digest":"sha256:{old}","size": 2,"platform":{{"size":3}}}}"#),
                format!(r#"{{"digest":"sha256:{new}","size": 10,"platform":{{"size":3}}}}"#),
            ),
            (
                format!(r#"{{"size":3}}{{"digest":"sha256:{old}"}}"#),
                format!(r#"{{"size":3}}{{"digest":"sha256:{new}"}}"#),
            ),
        ] {
            let bundle = Bundle(vec![blob.clone(), ("index.json".into(), before.into_bytes())]);
            assert_eq!(String::from_utf8_lossy(&bundle.linked().0[1].1), after);
        }
    }
}
