//! What an error is about, for machines that do not read words.

use layerlift_archive::Error as ArchiveError;
use layerlift_export::Error as ExportError;
use layerlift_store::{Error as StoreError, ErrorKind};
use serde::Serialize;

use crate::chain::{Link, as_type, chain};

/// The parts of an event that only some errors have.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct About {
    /// `request`, `not-found`, `missing`, `damaged`, `malformed`, `unsupported`, `environment`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) kind: Option<&'static str>,
    /// The image, by a name or its id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) image: Option<String>,
    /// The layer, by its id in the store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) layer: Option<String>,
    /// The file or directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) file: Option<String>,
}

impl About {
    pub(crate) fn of(error: Link<'_>) -> Self {
        let mut about = About::default();
        for link in chain(error) {
            if let Some(error) = as_type::<ExportError>(link) {
                about.kind = about.kind.or_else(|| word(error.kind()));
                match error {
                    ExportError::Image { image, .. } => about.image = Some(image.clone()),
                    ExportError::Layer { layer, .. } => about.layer = Some(layer.clone()),
                    _ => {}
                }
            } else if let Some(error) = as_type::<ArchiveError>(link) {
                about.kind = about.kind.or_else(|| word(error.kind()));
                match error {
                    ArchiveError::Content { entry, .. }
                    | ArchiveError::Mismatch { entry, .. }
                    | ArchiveError::Length { entry, .. } => {
                        about.layer = about.layer.or_else(|| entry.strip_prefix("layer ").map(str::to_owned));
                    }
                    ArchiveError::Output { path, .. } => about.file = Some(path.display().to_string()),
                    _ => {}
                }
            } else if let Some(error) = as_type::<StoreError>(link) {
                about.kind = about.kind.or_else(|| word(error.kind()));
                // The innermost is the file itself.
                about.file = error.path().map(|path| path.display().to_string()).or(about.file);
            }
        }
        about
    }
}

fn word(kind: ErrorKind) -> Option<&'static str> {
    Some(match kind {
        ErrorKind::Request => "request",
        ErrorKind::NotFound => "not-found",
        ErrorKind::Missing => "missing",
        ErrorKind::Damaged => "damaged",
        ErrorKind::Malformed => "malformed",
        ErrorKind::Unsupported => "unsupported",
        ErrorKind::Environment => "environment",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn from_the_outside_in() {
        let damaged =
            StoreError::Damaged { path: "/d/tar-split.json.gz".into(), why: "it is empty".to_owned() };
        let layer = ExportError::Layer { layer: "4f".to_owned(), source: Box::new(damaged.into()) };
        let image = ExportError::Image { image: "base:1".to_owned(), source: Box::new(layer) };
        let expected = About {
            kind: Some("damaged"),
            image: Some("base:1".to_owned()),
            layer: Some("4f".to_owned()),
            file: Some("/d/tar-split.json.gz".to_owned()),
        };
        assert_eq!(About::of(&image), expected);
        let not_found = StoreError::NotFound { name: "x".to_owned(), suggestions: Vec::new() };
        assert_eq!(About::of(&not_found), About { kind: Some("not-found"), ..About::default() });
    }
}
