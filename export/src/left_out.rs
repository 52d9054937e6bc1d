//! Images that cannot be exported: with `keep_going` they are left out, otherwise the first is the error.

use std::collections::{BTreeMap, HashMap};

use crate::plan::Draft;
use crate::{Error, ErrorKind};

/// What has been left out so far.
pub(crate) struct LeftOut {
    keep_going: bool,
    errors: Vec<Error>,
}

impl LeftOut {
    pub(crate) fn new(keep_going: bool) -> Self {
        LeftOut { keep_going, errors: Vec::new() }
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
        // The first image reports the cause, the next ones refer to it.
        let error = match bad.remove(&index) {
            Some(error) => error,
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
