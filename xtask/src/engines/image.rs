//! What an engine, or the check that built it, says about an image.

use std::collections::BTreeSet;
use std::path::Path;

use super::process::{program, text};
use crate::Outcome;

/// An image as an engine lists it, or as a check built it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Image {
    /// The config's digest, 64 hex digits.
    pub(crate) id: String,
    /// `interop/shapes:1.0`: familiar names, as Docker shows them.
    pub(crate) tags: BTreeSet<String>,
    /// Digests of the uncompressed layers, base first, 64 hex digits each.
    pub(crate) diff_ids: Vec<String>,
}

/// The digest of a file, 64 hex digits.
pub(crate) fn sha256(file: &Path) -> Outcome<String> {
    let line = text(program("sha256sum", ["-b", "--"]).arg(file))?;
    // sha256sum puts a backslash in front of the digest where it escapes the name.
    Ok(line.trim_start_matches('\\').chars().take(64).collect())
}

/// A name without the prefixes that differ between engines, so that their answers can be compared.
pub(crate) fn familiar(name: &str) -> String {
    let name = name.strip_prefix("docker.io/").or_else(|| name.strip_prefix("localhost/")).unwrap_or(name);
    name.strip_prefix("library/").unwrap_or(name).to_owned()
}

/// A digest without `sha256:`.
pub(crate) fn hex(digest: &str) -> String {
    digest.strip_prefix("sha256:").unwrap_or(digest).to_owned()
}
