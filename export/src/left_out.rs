//! Images that cannot be exported: with `keep_going` they are left out, otherwise the first is the error.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::draft::Draft;
use crate::{Error, ErrorKind, Options};

/// What has been left out so far.
pub(crate) struct LeftOut {
    keep_going: bool,
    salvage: bool,
    errors: Vec<Error>,
}

impl LeftOut {
    pub(crate) fn new(options: &Options) -> Self {
        LeftOut { keep_going: options.keep_going, salvage: options.salvage, errors: Vec::new() }
    }

    /// Leaves something out; fails with the error if that is not allowed.
    pub(crate) fn add(&mut self, error: Error) -> Result<(), Error> {
        if !self.keep_going || error.ends_all() {
            return Err(error);
        }
        self.errors.push(error);
        Ok(())
    }

    /// What succeeded; `None` if it failed and is left out.
    pub(crate) fn keep<T>(&mut self, result: Result<T, Error>) -> Result<Option<T>, Error> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(error) => self.add(error).map(|()| None),
        }
    }

    /// The same for what belongs to an image but is not needed to run it: a salvage does without it, too.
    pub(crate) fn keep_beside<T>(&mut self, result: Result<T, Error>) -> Result<Option<T>, Error> {
        match result {
            Err(error) if self.salvage && !error.ends_all() => {
                self.errors.push(error);
                Ok(None)
            }
            result => self.keep(result),
        }
    }

    /// Notes what is left out of images that are exported.
    pub(crate) fn note(&mut self, errors: Vec<Error>) {
        self.errors.extend(errors);
    }

    pub(crate) fn into_errors(self) -> Vec<Error> {
        self.errors
    }
}

/// The images that have none of the bad layers. `bad` says what is wrong with the layers at these places,
/// `id` a layer's id.
pub(crate) fn without(
    drafts: Vec<Draft>,
    bad: impl IntoIterator<Item = (usize, Error)>,
    id: impl Fn(usize) -> String,
    left_out: &mut LeftOut,
) -> Result<Vec<Draft>, Error> {
    let mut bad: BTreeMap<usize, Error> = bad.into_iter().collect();
    let mut reported: HashMap<usize, (String, ErrorKind)> = HashMap::new();
    let mut good = Vec::with_capacity(drafts.len());
    for draft in drafts {
        let is_bad = |index: &&usize| bad.contains_key(index) || reported.contains_key(index);
        let Some(&index) = draft.layers.iter().find(is_bad) else {
            good.push(draft);
            continue;
        };
        let places = draft.layers.iter().zip(&draft.image.layers);
        let mut seen = HashSet::new();
        let bad_places = places.filter(|(index, _)| bad.contains_key(index) && seen.insert(**index));
        let lacking: Vec<_> = bad_places.filter_map(|(_, layer)| layer.left_out.as_ref()).collect();
        // The first image reports the cause, the next ones refer to it.
        let error = match bad.remove(&index) {
            Some(error) => error.with_left_out(&lacking),
            None => {
                let (image, kind) = reported[&index].clone();
                Error::Shared { layer: id(index), image, kind }
            }
        };
        reported.entry(index).or_insert_with(|| (draft.name.clone(), error.kind()));
        left_out.add(error.of_image(&draft.name))?;
    }
    Ok(good)
}
