//! A build without registries says so.

use std::collections::BTreeMap;

use layerlift_archive::{Observer, Options};
use layerlift_export::{BlobThere, Plan, Prepared, Selection};
use layerlift_store::{DiffId, Store};

use crate::args::Save;
use crate::error::Error;
use crate::progress::Progress;
use crate::report::Reporter;

/// What is known of layers before they are compressed.
#[derive(Default)]
pub(crate) struct Destined {
    pub(crate) there: BTreeMap<DiffId, BlobThere>,
}

/// A registry to push to.
pub(crate) enum Pushing {}

impl Pushing {
    pub(crate) fn begin(_: &str, _: &Save) -> Result<Self, Error> {
        Err(Error::NoRegistries)
    }

    pub(crate) fn destined(
        &self,
        _: &dyn Store,
        _: &Selection,
        _: bool,
        _: &dyn Observer,
    ) -> Result<Destined, Error> {
        Err(Error::NoRegistries)
    }

    pub(crate) fn prepare(
        &self,
        _: Plan,
        _: &Destined,
        _: bool,
        _: &Options<'_>,
        _: &Progress<'_>,
    ) -> Result<Prepared, Error> {
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
