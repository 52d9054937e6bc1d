//! An error and its causes.

use std::error::Error as StdError;
use std::io;
use std::sync::Arc;

use crate::error::Error;

/// An error of a chain of causes.
pub(crate) type Link<'e> = &'e (dyn StdError + 'static);

/// The error and its causes, without the wrappers that only pass another error on.
pub(crate) fn chain(error: Link<'_>) -> impl Iterator<Item = Link<'_>> {
    std::iter::successors(Some(unwrapped(error)), |error| (*error).source().map(unwrapped))
}

fn unwrapped(error: Link<'_>) -> Link<'_> {
    let inner: Option<Link<'_>> = if let Some(error) = as_type::<Error>(error) {
        match error {
            Error::Store(inner) | Error::Open(inner) => Some(inner),
            Error::Export(inner) => Some(inner),
            Error::Archive(inner) => Some(inner),
            #[cfg(feature = "registry")]
            Error::Registry(inner) => Some(inner),
            _ => None,
        }
    } else if let Some(error) = as_type::<layerlift_export::Error>(error) {
        match error {
            layerlift_export::Error::Store(inner) => Some(inner),
            layerlift_export::Error::Archive(inner) => Some(inner),
            _ => None,
        }
    } else if let Some(error) = error.downcast_ref::<layerlift_archive::Explanation>() {
        Some(error.get_ref())
    } else {
        // A reader's error is an I/O error that carries the store's.
        as_type::<io::Error>(error).and_then(|error| error.get_ref()).map(|inner| inner as Link<'_>)
    };
    inner.map_or(error, unwrapped)
}

/// The error as an `E`, which an enum may hold boxed or shared.
pub(crate) fn as_type<E: StdError + 'static>(error: Link<'_>) -> Option<&E> {
    let boxed = || error.downcast_ref::<Box<E>>().map(|error| &**error);
    let shared = || error.downcast_ref::<Arc<E>>().map(|error| &**error);
    error.downcast_ref::<E>().or_else(boxed).or_else(shared)
}
