//! The first pass: hash layers that have no digest, spool those that have no length, and with `keep_going` check all.

use std::collections::BTreeMap;
use std::path::Path;

use layerlift_archive::{Check, Digest, Error as ArchiveError, Options, Tree};
use layerlift_store::{DiffId, LayerTar};
use rayon::iter::{IntoParallelIterator, ParallelIterator};

use crate::format::Blob;
use crate::layers::{self, Planned, State, computed};
use crate::{Error, Plan};

impl Plan {
    /// Does what has to come first (hash layers that have no digest, spool those that have no length, with
    /// [`crate::Options::keep_going`] check all), in parallel, and makes the tree.
    ///
    /// Afterwards [`Plan::images`] has the ids that engines will show, and [`Plan::left_out`] what turned out to be damaged.
    pub fn build(&mut self, options: &Options<'_>) -> Result<Tree, Error> {
        let mut damaged = BTreeMap::new();
        for (index, spooled) in self.spool(options) {
            match spooled {
                Ok(blob) => self.layers[index].state = State::Measured(blob),
                Err(error) => self.failed(&mut damaged, index, error)?,
            }
        }
        for (index, found) in self.check(options) {
            match (found, &mut self.layers[index].state) {
                (Ok(digest), State::Measured(blob)) => {
                    // Whoever writes the layer checks that these are still its bytes.
                    blob.digest = Some(digest);
                    blob.diff_id = blob.diff_id.or(Some(DiffId(digest)));
                    blob.content = layers::expecting(blob.content.clone(), blob.digest);
                }
                (Ok(_), _) => {}
                (Err(error), _) => self.failed(&mut damaged, index, error)?,
            }
        }
        if !damaged.is_empty() {
            self.without(damaged)?;
            self.tree = None;
        }
        if self.tree.is_none() {
            self.try_tree()?;
        }
        self.tell_new_ids();
        Ok(self.tree.clone().expect("every layer is measured and hashed"))
    }

    /// Which ids came of layers whose digests could not be kept.
    fn tell_new_ids(&mut self) {
        for (image, source) in self.images.iter().zip(&self.sources) {
            let old = source.image.image_id();
            if let (Some(old), Some(new)) = (old, image.image_id.filter(|&new| old != Some(new))) {
                let warning =
                    format!("{}: the image has the id {new} in the archive, not {old}", source.name);
                if !self.warnings.contains(&warning) {
                    self.warnings.push(warning);
                }
            }
        }
    }

    fn failed(
        &self,
        damaged: &mut BTreeMap<usize, Error>,
        index: usize,
        error: ArchiveError,
    ) -> Result<(), Error> {
        let error = Error::from(error);
        if error.ends_all() {
            return Err(error);
        }
        damaged.insert(index, error);
        Ok(())
    }

    /// Produces layers that have no length, side by side.
    fn spool(&self, options: &Options<'_>) -> Vec<(usize, Result<Blob, ArchiveError>)> {
        let folder = match self.options.temp_dir.as_path() {
            none if none == Path::new("") => std::env::temp_dir(),
            folder => folder.to_owned(),
        };
        let unmeasured: Vec<(usize, &Planned, &LayerTar)> = self
            .layers
            .iter()
            .enumerate()
            .filter_map(|(index, layer)| match &layer.state {
                State::Unmeasured(tar) => Some((index, layer, tar)),
                State::Measured(_) | State::Damaged => None,
            })
            .collect();
        let compression = self.options.layers.target();
        let spool = |(index, layer, tar): (usize, &Planned, &LayerTar)| {
            let hash = layer.needs_digest;
            (index, computed::spool(&layer.name(), tar, &folder, compression, hash, options))
        };
        if compression.is_some() {
            // One after another: each is compressed on all threads.
            return unmeasured.into_iter().map(spool).collect();
        }
        in_parallel(options, || unmeasured.into_par_iter().map(spool).collect())
    }

    /// Hashes what is measured and has to be hashed.
    fn check(&self, options: &Options<'_>) -> Vec<(usize, Result<Digest, ArchiveError>)> {
        let all = self.options.keep_going;
        let measured = self.layers.iter().enumerate().filter_map(|(index, layer)| match &layer.state {
            State::Measured(blob) if all || layer.ready().is_none() => Some((index, layer.name(), blob)),
            _ => None,
        });
        let measured: Vec<_> = measured.collect();
        let checks: Vec<_> =
            measured.iter().map(|(_, name, blob)| Check { name, content: &*blob.content }).collect();
        let found = layerlift_archive::check(&checks, options);
        measured.iter().map(|(index, ..)| *index).zip(found).collect()
    }
}

/// Runs rayon's work on as many threads as the options say.
pub(crate) fn in_parallel<T: Send>(options: &Options<'_>, work: impl FnOnce() -> T + Send) -> T {
    match rayon::ThreadPoolBuilder::new().num_threads(options.threads.get()).build() {
        Ok(pool) => pool.install(work),
        // No more threads to be had: rayon's own pool does it.
        Err(_) => work(),
    }
}
