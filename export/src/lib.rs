//! From names of images to an archive, or to blobs in a target.
//!
//! ```text
//! names ──select──> Selection ──plan──> Plan ──prepare──> Prepared ──tree──> Tree, for an output of archive
//!                               metadata    first pass,   Bundle ──push──> Target: a layout, say
//!                               only        spools
//! ```
//!
//! Each step consumes the one before it. A [`Plan`] can be shown, and dropped; after [`Plan::prepare`], what
//! is left is to write.
//!
//! ```no_run
//! use layerlift_export::{Options, plan, select, tree};
//! use layerlift_store::{OpenOptions, open};
//!
//! let store = open("/var/lib/docker".as_ref(), &OpenOptions::default())?;
//! let selection = select(&*store, &["alpine:3.20"], None)?;
//! let plan = plan(&*store, selection, &Options::default())?;
//! println!("{plan}");
//! let options = layerlift_archive::Options::default();
//! let prepared = plan.prepare(&options)?;
//! layerlift_archive::write_file(&tree(&prepared), "alpine.tar".as_ref(), &options)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod artifacts;
mod bundle;
mod committed;
mod document;
mod draft;
mod dry_run;
mod error;
mod first_pass;
mod format;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzz;
mod history;
mod layered;
mod layers;
mod left_out;
mod lines;
mod lists;
mod names;
mod options;
mod partial;
mod plan;
mod prepare;
mod ready;
mod recreate;
mod runtime_spec;
mod salvage;
mod select;
mod target;
mod verify;
mod warning;

pub use artifacts::{artifacts_of, verify_artifacts};
pub use bundle::{Blob, Bundle, Descriptor, Root};
pub use draft::PlannedImage;
pub use error::{Error, Hint};
pub use format::Format;
pub use layerlift_archive::ErrorKind;
pub use options::{BlobThere, LayerCheck, LayerCompression, Options};
pub use partial::{
    Checked, CheckedLayer, CheckedRoot, Omission, OtherSide, Presence, Refusal, check, select_partial,
};
pub use plan::{Plan, plan};
pub use prepare::{Prepared, tree};
pub use ready::Ready;
pub use recreate::{Known, Recipe, compose, recipe};
pub use salvage::{
    FileBytes, FileResult, FoundBytes, Outlook, RepairSource, SalvageReport, Salvaged, SalvagedFile,
    SalvagedImage, SalvagedLayer, outlook,
};
pub use select::{
    Chosen, ChosenContainer, ChosenIndex, ChosenOrphan, Selection, TagPolicy, select, select_all,
};
#[cfg(feature = "registry")]
pub use target::{
    Address, Events, Outcome, Placed, Registry, RegistryError, RegistryHint, RegistryOptions, Repository,
    placed,
};
pub use target::{Ahead, Layout, Target, push, put_ahead};
pub use verify::{ImageReport, LayerReport, Report, verify, verify_each};
pub use warning::Warning;

/// The examples of the README compile.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
