//! From images of a store to the tree of an archive format.
//!
//! ```text
//! names ──select──> images ──plan──> what will be written, and what it costs ──build──> Tree
//! ```

mod error;
mod format;
mod plan;
mod verify;

pub use error::Error;
pub use format::Format;
pub use plan::{Options, Plan, PlannedImage, Selection, TagPolicy, plan, select, select_all};
pub use verify::{ImageReport, LayerReport, Report, verify};
