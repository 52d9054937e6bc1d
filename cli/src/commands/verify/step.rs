//! What `verify` says of each image while it works, and at the end.

use layerlift_export::Report;
use serde::Serialize;

use super::{short, word};
use crate::progress::{Words, plural};
use crate::size::human;

/// What was found out about an image, as soon as all of it is read.
#[derive(Serialize)]
pub(super) struct Step {
    event: &'static str,
    id: String,
    references: Vec<String>,
    pub(super) sound: bool,
    kind: Option<&'static str>,
    image: usize,
    images: usize,
}

impl Step {
    pub(super) fn new(report: &Report, place: usize, (image, images): (usize, usize)) -> Self {
        let one = &report.images[place];
        let kind = report.kind(one).map(word);
        Step {
            event: "image",
            id: one.key.id().to_owned(),
            references: one.references.iter().map(ToString::to_string).collect(),
            sound: kind.is_none(),
            kind,
            image,
            images,
        }
    }

    pub(super) fn words(&self) -> String {
        let name = self.references.first().map_or(short(&self.id), String::as_str);
        format!("{name}: {}", self.kind.unwrap_or("ok"))
    }
}

/// The last line.
#[derive(Serialize)]
pub(super) struct Summary {
    pub(super) images: usize,
    pub(super) layers: usize,
    /// Of the layers' tars.
    pub(super) bytes: u64,
    /// Number of images that are not sound.
    pub(super) unsound: usize,
}

impl Words for Summary {
    fn words(&self) -> String {
        let (images, layers) = (plural(self.images, "image"), plural(self.layers, "layer"));
        let verdict = match self.unsound {
            0 => "all sound".to_owned(),
            n => format!("{n} not sound"),
        };
        format!("verified {images}, {layers}, {}: {verdict}", human(self.bytes))
    }
}
