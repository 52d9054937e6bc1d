//! The documents of images: read, and converted between the two shapes that Docker has had.
//!
//! ```text
//! v1 documents ──up──> config        Docker until 1.9: one for each layer     since 1.10: one for the image
//!              <─down─
//! ```

pub(crate) mod down;
pub(crate) mod edit;
pub(crate) mod json;
mod record;
pub(crate) mod time;
pub(crate) mod up;
mod v1image;

/// What genuine engines made of documents; see `tests/fixtures/README.md`.
#[cfg(test)]
mod genuine;
