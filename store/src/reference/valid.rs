//! Which names are valid, by whose rules.
//!
//! | | [`Docker18`] | [`Distribution`] | [`Stored`] |
//! |---|---|---|---|
//! | who | Docker until 1.9 | engines since 1.10 | tools that write layouts |
//! | registry | anything | host name or address, port | its characters |
//! | component | `[a-z0-9]+`, joined by `.` `_` `-` | also by `__`, `--`, `---`, … | also by `..`, `._`, … |
//! | bytes | 255 in the path | 255 in the full name | 255 in the name |
//! | looks like an id | refused | refused | allowed |
//! | tag | `[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}` | the same | the same |
//! | digest | `algorithm:hex` | 32 hex digits or more | as `Distribution` |
//!
//! [`Docker18`]: Rules::Docker18
//! [`Distribution`]: Rules::Distribution
//! [`Stored`]: Rules::Stored

use super::normalize::{familiar_name, full_name};
use super::split_registry;

/// Longest repository in bytes.
const LONGEST: usize = 255;
/// Longest tag in bytes.
const LONGEST_TAG: usize = 128;
/// Fewest hex digits of a digest: 128 bits.
const SHORTEST_DIGEST: usize = 32;

/// Whose rules a name has to follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rules {
    /// Docker 1.8, the rules of graph stores (1.8.3: `registry/config.go`, `graph/tags.go`; distribution 2.1:
    /// `registry/api/v2/names.go`).
    Docker18,
    /// Engines since Docker 1.10 (github.com/distribution/reference, `regexp.go`). One name that breaks these
    /// rules makes `docker load` refuse the whole archive.
    ///
    /// Where versions differ, the strictest counts: the full name has at most 255 bytes (since 2023, the path
    /// has), and what looks like an id is refused even before a tag.
    Distribution,
    /// Names in layouts and archives. They need not load elsewhere, they only have to look like names: an
    /// annotation may hold any text.
    Stored,
}

impl Rules {
    /// Checks a repository, with or without its registry.
    ///
    /// # Errors
    ///
    /// Says what is wrong with it.
    pub fn check_repository(self, repository: &str) -> Result<(), &'static str> {
        let (registry, path) = split_registry(repository);
        let mut components = path.split('/');
        let (valid, looks_like_id) = match self {
            Rules::Docker18 => {
                (registry.is_none_or(is_registry_1_8) && is_path_1_8(path), crate::hex_id(path))
            }
            Rules::Distribution => {
                let short = full_name(repository).len() <= LONGEST;
                let valid = registry.is_none_or(is_registry) && components.all(is_component);
                (short && valid, crate::hex_id(familiar_name(repository)))
            }
            Rules::Stored => {
                let short = repository.len() <= LONGEST;
                let valid = registry.is_none_or(is_stored_registry) && components.all(is_stored_component);
                (short && valid, false)
            }
        };
        match self {
            _ if looks_like_id => Err("it looks like the id of an image"),
            _ if valid => Ok(()),
            Rules::Distribution => Err("its repository is not valid today"),
            Rules::Docker18 | Rules::Stored => Err("its repository is not valid"),
        }
    }

    /// Checks a tag. All engines have the same rule.
    ///
    /// # Errors
    ///
    /// Says what is wrong with it.
    pub fn check_tag(self, tag: &str) -> Result<(), &'static str> {
        let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        let valid = tag.len() <= LONGEST_TAG
            && tag.bytes().next().is_some_and(word)
            && tag.bytes().all(|b| word(b) || b == b'.' || b == b'-');
        match self {
            _ if valid => Ok(()),
            Rules::Distribution => Err("its tag is not valid today"),
            Rules::Docker18 | Rules::Stored => Err("its tag is not valid"),
        }
    }

    /// Checks a digest: an algorithm, a colon, hex digits.
    ///
    /// # Errors
    ///
    /// Says what is wrong with it.
    pub fn check_digest(self, digest: &str) -> Result<(), &'static str> {
        let valid = digest.split_once(':').is_some_and(|(algorithm, hex)| {
            let long_enough = match self {
                Rules::Docker18 => !hex.is_empty() && is_algorithm_1_8(algorithm),
                Rules::Distribution | Rules::Stored => {
                    hex.len() >= SHORTEST_DIGEST && is_algorithm(algorithm)
                }
            };
            long_enough && hex.bytes().all(|b| b.is_ascii_hexdigit())
        });
        if valid { Ok(()) } else { Err("what follows @ is not a digest (sha256: and 64 hex digits)") }
    }
}

/// Docker 1.8 checked the hyphens only; an `@` would have ended the repository.
fn is_registry_1_8(text: &str) -> bool {
    !text.starts_with('-') && !text.ends_with('-') && !text.contains('@')
}

/// Components of letters and digits, joined by one separator each; 1 to 255 bytes.
pub(super) fn is_path_1_8(path: &str) -> bool {
    let run = |run: &str| !run.is_empty() && run.bytes().all(is_alphanumeric);
    path.len() <= LONGEST && path.split(['/', '.', '_', '-']).all(run)
}

/// `[a-zA-Z0-9-_+.]+`.
fn is_algorithm_1_8(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_+.".contains(&b))
}

/// Host and perhaps port. The host is a name, an address, or an IPv6 address in brackets.
fn is_registry(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let label = |label: &str| {
        !label.starts_with('-')
            && !label.ends_with('-')
            && !label.is_empty()
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    let host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(address) => !address.is_empty() && address.bytes().all(|b| b.is_ascii_hexdigit() || b == b':'),
        None => host.split('.').all(label),
    };
    host && port.is_none_or(|port| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()))
}

/// `[a-z0-9]+`, joined by `.`, `_`, `__` or any number of `-`.
fn is_component(text: &str) -> bool {
    let separator = |run: &str| matches!(run, "." | "_" | "__") || run.bytes().all(|b| b == b'-');
    let mut separators = text.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    has_alphanumeric_ends(text) && separators.all(separator)
}

/// `[A-Za-z][A-Za-z0-9]*`, joined by one of `-_+.`.
fn is_algorithm(text: &str) -> bool {
    let part = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphabetic()) && part.bytes().all(|b| b.is_ascii_alphanumeric())
    };
    text.split(['-', '_', '+', '.']).all(part)
}

/// The characters of host names and addresses.
fn is_stored_registry(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric() || b".-:[]_".contains(&b))
}

/// The characters of a component, with any separators between its ends.
fn is_stored_component(text: &str) -> bool {
    has_alphanumeric_ends(text) && text.bytes().all(|b| is_alphanumeric(b) || b"._-".contains(&b))
}

fn has_alphanumeric_ends(text: &str) -> bool {
    let ends = [text.bytes().next(), text.bytes().next_back()];
    ends.into_iter().all(|end| end.is_some_and(is_alphanumeric))
}

fn is_alphanumeric(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}
