//! Output formats, one file each.

use std::fmt;

/// An output format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Format {
    /// `blobs/`, `index.json`, `manifest.json`, `oci-layout`, `repositories`: loads on every engine.
    #[default]
    DockerArchive,
    /// `<id>/{VERSION,json,layer.tar}` and `repositories`: what Docker 1.8 wrote.
    DockerV1,
}

impl Format {
    /// All formats, for whoever lets a user choose.
    pub const ALL: &[Format] = &[Format::DockerArchive, Format::DockerV1];

    /// As it is written on a command line.
    pub fn name(self) -> &'static str {
        match self {
            Format::DockerArchive => "docker-archive",
            Format::DockerV1 => "docker-v1",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
