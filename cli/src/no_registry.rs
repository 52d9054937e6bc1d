//! A build without registries says so.

use std::collections::BTreeMap;

use layerlift_archive::{Observer, Options};
use layerlift_export::{BlobThere, Prepared, Selection};
use layerlift_store::{DiffId, Store};

use crate::args::Save;
use crate::error::Error;
use crate::progress::Progress;
use crate::report::Reporter;

/// A registry to push to.
pub(crate) enum Pushing {}

impl Pushing {
    pub(crate) fn begin(_: &str, _: &Save) -> Result<Self, Error> {
        Err(Error::NoRegistries)
    }

    pub(crate) fn there(
        &self,
        _: &dyn Store,
        _: &Selection,
        _: bool,
        _: &dyn Observer,
    ) -> Result<BTreeMap<DiffId, BlobThere>, Error> {
        Err(Error::NoRegistries)
    }

    pub(crate) fn dry_run(&self, _: &Prepared, _: &Options<'_>, _: &Reporter) -> Result<bool, Error> {
        Err(Error::NoRegistries)
    }

    pub(crate) fn push(
        &self,
        _: (&Prepared, &dyn Store),
        _: &Save,
        _: &Options<'_>,
        _: &Progress<'_>,
        _: &Reporter,
    ) -> Result<bool, Error> {
        Err(Error::NoRegistries)
    }
}
