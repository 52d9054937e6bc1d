//! From images of a store to the tree of an archive format.
//!
//! ```text
//! names ──select──> images ──plan──> what will be written, and what it costs ──build──> Tree
//! ```
//!
//! ```no_run
//! use layerlift_export::{Options, plan, select};
//! use layerlift_store::{OpenOptions, open};
//!
//! let store = open("/var/lib/docker".as_ref(), &OpenOptions::default())?;
//! let selection = select(&*store, &["alpine:3.20".to_owned()])?;
//! let mut plan = plan(&*store, selection, &Options::default())?;
//! println!("{plan}");
//! let tree = plan.build(&layerlift_archive::Options::default())?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod document;
mod dry_run;
mod error;
mod format;
mod layers;
mod plan;
mod prepare;
mod select;
mod verify;

pub use error::{Error, Hint};
pub use format::Format;
pub use layerlift_archive::ErrorKind;
pub use plan::{LayerCompression, Options, Plan, PlannedImage, plan};
pub use select::{Selection, TagPolicy, select, select_all};
pub use verify::{ImageReport, LayerReport, Report, verify};
