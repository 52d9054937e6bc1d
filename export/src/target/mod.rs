//! Targets: what keeps blobs by digest and takes one after another. A file for each.

use layerlift_archive::{Content, Options};
use rayon::iter::{IntoParallelIterator, ParallelIterator};

use crate::Error;
use crate::bundle::{Blob, Bundle, Descriptor, Root};
use crate::first_pass::in_parallel;

mod ahead;
mod layout;
#[cfg(feature = "registry")]
mod registry;

pub use ahead::{Ahead, put_ahead};
pub use layout::Layout;
#[cfg(feature = "registry")]
pub use registry::{
    Address, Events, Outcome, Placed, Registry, RegistryError, RegistryHint, RegistryOptions, Repository,
    placed,
};

/// Something that keeps blobs by digest: a layout, a registry. [`push`] fills it.
pub trait Target: Sync {
    /// Whether the blob is there, whole, so that it need not be put. `options` are those of [`Target::put`];
    /// what is only compared is not counted as done.
    fn has(&self, blob: &Descriptor, options: &Options<'_>) -> Result<bool, Error>;

    /// Takes a blob. It must not be there, or count as there, before all its bytes have come and are those of
    /// the content's digest ([`layerlift_archive::verified`]).
    ///
    /// Called from several threads at once. `options.threads` is this blob's share of them;
    /// `options.observer` hears of the bytes that are done, and is asked whether to go on.
    fn put(&self, blob: &Descriptor, content: &dyn Content, options: &Options<'_>) -> Result<(), Error>;

    /// Makes images known under their names, all at once where the target can do that. The last call, once
    /// all blobs are there.
    fn tag(&self, roots: &[Root]) -> Result<(), Error>;
}

/// Puts what a target lacks of a bundle: layers and configs side by side, then the manifests, each behind
/// what it names, then the names. What it has put before a failure, the target may keep or remove.
///
/// A blob that is left out of the bundle must be there.
pub fn push(bundle: &Bundle, target: &dyn Target, options: &Options<'_>) -> Result<(), Error> {
    let (manifests, others): (Vec<&Blob>, Vec<&Blob>) =
        bundle.blobs.iter().partition(|blob| blob.descriptor.names_others());
    let at_once = options.threads.min(others.len().try_into().unwrap_or(std::num::NonZeroUsize::MIN));
    let share = options.threads.get().div_ceil(at_once.get()).try_into().unwrap_or(options.threads);
    let each = options.with_threads(share);
    in_parallel(&options.with_threads(at_once), || {
        others.into_par_iter().try_for_each(|blob| put(blob, target, &each))
    })?;
    manifests.into_iter().try_for_each(|blob| put(blob, target, options))?;
    target.tag(&bundle.roots)
}

fn put(
    Blob { descriptor, content, .. }: &Blob,
    target: &dyn Target,
    options: &Options<'_>,
) -> Result<(), Error> {
    if options.observer.cancelled() {
        return Err(layerlift_archive::Error::Cancelled.into());
    }
    let there = target.has(descriptor, options)?;
    match content {
        Some(content) if there => {
            options.observer.advance(content.len());
            Ok(())
        }
        Some(content) => target.put(descriptor, &**content, options),
        None if there => Ok(()),
        None => Err(Error::LeftOut { digest: descriptor.digest }),
    }
}
