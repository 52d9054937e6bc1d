//! What will be written, and what it takes to know its bytes.

use std::fmt;
use std::path::PathBuf;

use layerlift_archive::Tree;
use layerlift_store::{Broken, ImageId, ImageKey, Reference, Selected, Store};

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
    /// The id that engines show once they have loaded the archive. `None` while it depends on layers that have not been
    /// hashed yet, and where the format leaves it to the engine that loads it.
    pub image_id: Option<ImageId>,
}

/// What is to be exported.
#[derive(Debug, Default)]
pub struct Selection {
    /// The images, in the order of the request; one that several names mean comes several times.
    pub images: Vec<Selected>,
    /// What a store lists and cannot read: an error, unless [`Options::keep_going`] leaves it out.
    pub broken: Vec<Broken>,
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
pub fn select(store: &dyn Store, names: &[String]) -> Result<Selection, Error> {
    let mut selection = Selection::default();
    for name in names {
        selection.images.extend(store.resolve(name)?);
    }
    Ok(selection)
}

/// Everything that a store lists, with all its tags.
pub fn select_all(store: &dyn Store) -> Result<Selection, Error> {
    let _ = store;
    Ok(Selection::default())
}

/// Plans an export from metadata alone.
pub fn plan(store: &dyn Store, selection: Selection, options: &Options) -> Result<Plan, Error> {
    let _ = (store, selection, options);
    Ok(Plan { images: Vec::new(), warnings: Vec::new(), left_out: Vec::new() })
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} images", self.images.len())
    }
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
