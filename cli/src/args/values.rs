//! What values of options may be.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::builder::{PathBufValueParser, PossibleValuesParser, TypedValueParser};
use layerlift_archive::{CompressionLevel, ParseCompressionError};
use layerlift_export::{Format, LayerCheck, LayerCompression, TagPolicy};
use layerlift_store::StoreKind;

/// More threads than this only cost memory.
pub(crate) const MAX_THREADS: usize = 256;

pub(crate) fn kinds() -> impl TypedValueParser<Value = StoreKind> {
    named(StoreKind::ALL, StoreKind::name)
}

pub(crate) fn formats() -> impl TypedValueParser<Value = Format> {
    named(Format::ALL, Format::name)
}

/// What `-` stands for as a place of images.
const STDIN: &str = "/dev/stdin";

/// A path; `-` is standard input, which may be a pipe or a file.
pub(crate) fn root() -> impl TypedValueParser<Value = PathBuf> {
    let stdin = |path: PathBuf| if path == Path::new("-") { PathBuf::from(STDIN) } else { path };
    PathBufValueParser::new().map(stdin)
}

/// Whether a place is standard input, which can be read once if it is a pipe.
pub(crate) fn is_stdin(root: &Path) -> bool {
    root == Path::new(STDIN)
}

pub(crate) fn layer_compression(text: &str) -> Result<LayerCompression, ParseCompressionError> {
    if text == "none" { Ok(LayerCompression::Plain) } else { text.parse().map(LayerCompression::With) }
}

pub(crate) fn checks() -> impl TypedValueParser<Value = LayerCheck> {
    named(&[LayerCheck::Digest, LayerCheck::DiffIds], |check| match check {
        LayerCheck::Digest => "digests",
        LayerCheck::DiffIds => "diff-ids",
    })
}

pub(crate) fn tags() -> impl TypedValueParser<Value = TagPolicy> {
    named(&[TagPolicy::Named, TagPolicy::Keep], |policy| match policy {
        TagPolicy::Named => "named",
        TagPolicy::Keep => "keep",
    })
}

/// Takes one of a closed set by the name that the libraries give it.
fn named<T: Copy + Send + Sync + 'static>(
    all: &'static [T],
    name: fn(T) -> &'static str,
) -> impl TypedValueParser<Value = T> {
    PossibleValuesParser::new(all.iter().map(|&one| name(one)))
        .try_map(move |text| all.iter().copied().find(|&one| name(one) == text).ok_or("no such value"))
}

pub(crate) fn threads(text: &str) -> Result<NonZeroUsize, String> {
    match text.parse::<NonZeroUsize>() {
        Ok(n) if n.get() <= MAX_THREADS => Ok(n),
        _ => Err(format!("a number from 1 to {MAX_THREADS} is expected")),
    }
}

/// What `--archive-compress` asks for: a compression, or none.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ArchiveCompression(pub(crate) Option<CompressionLevel>);

impl FromStr for ArchiveCompression {
    type Err = ParseCompressionError;

    fn from_str(text: &str) -> Result<Self, ParseCompressionError> {
        if text == "none" {
            return Ok(ArchiveCompression(None));
        }
        text.parse().map(|level| ArchiveCompression(Some(level)))
    }
}
