//! An image as it goes into a plan.

use layerlift_store::{Image, LayerTar};

use crate::select::Wanted;

/// An image that a store has, and layers that go on top of it.
pub(crate) struct Layered {
    pub(crate) wanted: Wanted,
    pub(crate) name: String,
    pub(crate) image: Image,
    /// Layers that no store has a record of, the lowest first: what messages call them, and how their tars
    /// come about.
    pub(crate) on_top: Vec<(String, LayerTar)>,
}
