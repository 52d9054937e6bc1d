//! Kinds of id. They look alike and mean different things, so they never share a type.

use std::fmt;
use std::str::FromStr;

use layerlift_archive::{Digest, ParseDigestError};

macro_rules! digest_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub Digest);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = ParseDigestError;

            fn from_str(text: &str) -> Result<Self, ParseDigestError> {
                text.parse().map($name)
            }
        }
    };
}

digest_id! {
    /// The digest of a layer's uncompressed tar.
    DiffId
}
digest_id! {
    /// The digest of a stack of layers, from the base to one of them.
    ChainId
}
digest_id! {
    /// The digest of an image's config document.
    ImageId
}

impl ChainId {
    /// The chain id of a single layer is its diff id. That of a larger stack is hashed from the chain id
    /// below and the diff id of the top layer (OCI image specification, "Layer ChainID").
    pub fn new(parent: Option<ChainId>, diff: DiffId) -> Self {
        match parent {
            None => ChainId(diff.0),
            Some(parent) => ChainId(Digest::of(format!("{parent} {diff}").as_bytes())),
        }
    }
}

/// The id of a v1 image, and of its top layer: 64 hex digits, which are not the digest of anything.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct V1Id(String);

impl V1Id {
    /// Parses 64 lower-case hex digits.
    pub fn parse(text: &str) -> Option<Self> {
        hex_id(text).then(|| V1Id(text.to_owned()))
    }

    /// The 64 hex digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for V1Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether `text` is 64 lower-case hex digits, which are safe as a component of a path.
pub fn hex_id(text: &str) -> bool {
    Digest::from_hex(text).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chain_of_two() {
        let base = DiffId(Digest::of(b"base"));
        let top = DiffId(Digest::of(b"top"));
        let chain = ChainId::new(None, base);
        assert_eq!(chain.0, base.0);
        let both = ChainId::new(Some(chain), top);
        assert_eq!(both.0, Digest::of(format!("{} {}", base.0, top.0).as_bytes()));
    }
}
