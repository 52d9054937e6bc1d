//! Which formats there are, and what each can hold.

use std::fmt;

use layerlift_archive::Compression;
use layerlift_store::{Document, Reference, Rules};

/// An output format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Format {
    /// `blobs/`, `index.json`, `manifest.json`, `oci-layout`, `repositories`: loads on every engine.
    #[default]
    DockerArchive,
    /// `<id>/{VERSION,json,layer.tar}` and `repositories`: what Docker 1.8 wrote.
    DockerV1,
    /// `blobs/`, `index.json`, `manifest.json`, `oci-layout`: what OCI tools read.
    OciArchive,
}

impl Format {
    /// All formats, for programs in which a user chooses.
    pub const ALL: &[Format] = &[Format::DockerArchive, Format::DockerV1, Format::OciArchive];

    /// As it is written on a command line.
    pub fn name(self) -> &'static str {
        match self {
            Format::DockerArchive => "docker-archive",
            Format::DockerV1 => "docker-v1",
            Format::OciArchive => "oci-archive",
        }
    }

    /// Whether a directory of this format can get more images: then [`crate::Layout`] adds them.
    pub fn extends(self) -> bool {
        match self {
            Format::OciArchive => true,
            Format::DockerArchive | Format::DockerV1 => false,
        }
    }

    /// Whether the digests of an image's layers must be known before its documents can be made.
    pub(crate) fn needs_digests(self, document: &Document) -> bool {
        match (self, document) {
            (Format::DockerArchive | Format::OciArchive, _) | (Format::DockerV1, Document::Config { .. }) => {
                true
            }
            (Format::DockerV1, Document::V1(_)) => false,
        }
    }

    /// Whether an archive can hold a layer with this compression. docker-v1 says `layer.tar` and means it.
    pub(crate) fn takes(self, compression: Compression) -> bool {
        match self {
            Format::DockerV1 => compression == Compression::None,
            Format::DockerArchive | Format::OciArchive => {
                matches!(compression, Compression::None | Compression::Gzip | Compression::Zstd)
            }
        }
    }

    /// Whether a layer that is stored with this compression stays so unless another is requested: whether all
    /// that reads the format reads the layer.
    pub(crate) fn keeps(self, compression: Compression) -> bool {
        match self {
            Format::DockerArchive => matches!(compression, Compression::None | Compression::Gzip),
            Format::DockerV1 | Format::OciArchive => self.takes(compression),
        }
    }

    /// Engines that read the format, but not layers with this compression.
    pub(crate) fn refused_by(self, compression: Compression) -> Option<&'static str> {
        match (self, compression) {
            (Format::DockerArchive, Compression::Zstd) => Some("Docker before 23 and containerd before 1.5"),
            _ => None,
        }
    }

    /// Whether an archive can hold what is not an image. Engines take every manifest of the other formats for
    /// an image.
    pub(crate) fn holds_artifacts(self) -> bool {
        self == Format::OciArchive
    }

    /// Whether an archive can hold several images behind one name.
    pub(crate) fn holds_indexes(self) -> bool {
        match self {
            Format::DockerArchive | Format::OciArchive => true,
            Format::DockerV1 => false,
        }
    }

    /// Whether `manifest.json` has the names in another form than the index, as Docker spells them.
    pub(crate) fn spells_twice(self) -> bool {
        self == Format::OciArchive
    }

    /// A name as an archive of this format has it. `None` for a digest in an archive that holds only tags:
    /// engines leave those out too. The error says why the name cannot be in an archive.
    pub(crate) fn spell(
        self,
        document: &Document,
        reference: &Reference,
    ) -> Result<Option<Reference>, &'static str> {
        match (self, document) {
            (Format::DockerV1, Document::V1(_)) => Ok(Some(reference.clone())),
            _ if reference.is_digest() => Ok(None),
            (Format::OciArchive, _) => Ok(Some(reference.clone())),
            (Format::DockerV1 | Format::DockerArchive, _) => {
                reference.check(Rules::Distribution)?;
                Ok(Some(reference.familiar()))
            }
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
