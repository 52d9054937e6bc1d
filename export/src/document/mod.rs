//! The documents of images, and conversions between the two kinds that Docker has had.
//!
//! ```text
//! v1 documents ──to_config──> config        until 1.9: one per layer     since 1.10: one per image
//!              <───to_v1────
//! ```

pub(crate) mod commit;
pub(crate) mod edit;
pub(crate) mod go_json;
pub(crate) mod salvaged;
pub(crate) mod to_config;
pub(crate) mod to_v1;
pub(crate) mod v1_image;

#[cfg(test)]
mod docker_tests;
