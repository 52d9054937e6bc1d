//! Where a layer's files are if they are named by the digests of their contents (composefs).
//!
//! ```text
//! {"version":1,"entries":[{"type":"reg","name":"bin/sh","size":700,"digest":"sha256:5e9b…"}, …]}
//! 5e/9b…                    the contents, in the layer's directory
//! ```
//!
//! The document is the table of contents of a zstd:chunked layer. An entry `chunk` repeats the name of a
//! large file; `reg` has the digest of the whole. Source: containers/storage, `pkg/chunked`.

use std::collections::HashMap;

use layerlift_archive::Digest;
use serde::Deserialize;

use crate::json;

/// The files of a layer by name.
#[derive(Debug)]
pub(crate) struct Objects(HashMap<Vec<u8>, Vec<Object>>);

#[derive(Debug)]
struct Object {
    size: u64,
    /// Below the layer's directory.
    path: String,
}

#[derive(Deserialize)]
struct Contents {
    entries: Option<Vec<Entry>>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "type")]
    kind: String,
    name: String,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    digest: String,
}

impl Objects {
    /// Reads a table of contents; the error says what is wrong with it.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let contents: Contents = json::object(bytes)?;
        let mut files: HashMap<Vec<u8>, Vec<Object>> = HashMap::new();
        for Entry { kind, name, size, digest } in contents.entries.unwrap_or_default() {
            if kind != "reg" || digest.is_empty() {
                continue;
            }
            let digest: Digest = digest.parse().map_err(|error| format!("of {name:?}, {error}"))?;
            let hex = digest.hex();
            let path = format!("{}/{}", &hex[..2], &hex[2..]);
            files.entry(plain(name.as_bytes()).to_vec()).or_default().push(Object { size, path });
        }
        Ok(Objects(files))
    }

    /// The path of a file. Of several with one name and size the last one counts, as on disk.
    pub(super) fn find(&self, name: &[u8], size: u64) -> Option<&str> {
        let mut objects = self.0.get(plain(name))?.iter().rev();
        objects.find(|object| object.size == size).map(|object| &*object.path)
    }
}

/// A name without what the formats write differently in front of it.
fn plain(mut name: &[u8]) -> &[u8] {
    while let Some(rest) = name.strip_prefix(b"./").or_else(|| name.strip_prefix(b"/")) {
        name = rest;
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_digests() {
        let (a, b) = ("0a".repeat(32), "0b".repeat(32));
        let toc = format!(
            r#"{{"version":1,"entries":[
            {{"type":"dir","name":"./bin/"}},
            {{"type":"reg","name":"./bin/sh","size":7,"digest":"sha256:{a}"}},
            {{"type":"chunk","name":"./bin/sh","digest":"sha256:{b}","size":9}},
            {{"type":"reg","name":"empty"}}]}}"#
        );
        let objects = Objects::parse(toc.as_bytes()).unwrap();
        assert_eq!(objects.find(b"bin/sh", 7), Some(&*format!("0a/{}", "0a".repeat(31))));
        for (name, size) in [(&b"bin/sh"[..], 9), (b"bin", 0), (b"empty", 0), (b"bin/s", 7)] {
            assert_eq!(objects.find(name, size), None);
        }
        assert!(Objects::parse(br#"{"version":1,"entries":null}"#).is_ok());
        assert!(
            Objects::parse(br#"{"entries":[{"type":"reg","name":"x","digest":"sha256:../.."}]}"#).is_err()
        );
    }
}
