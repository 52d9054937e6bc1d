//! `image/<driver>/repositories.json`: which names lead to which images.
//!
//! ```text
//! {"Repositories":{
//!   "team/app":{"team/app:1.0":"sha256:<image id>",
//!               "team/app@sha256:<manifest digest>":"sha256:<image id>"}}}
//! ```
//!
//! Names are familiar names: without `docker.io/` and `library/`, but with any other registry.

use super::imagedb;
use super::images::{ImageRoot, Images};
use crate::json;
use crate::names::{Form, Names, NamesFile};

pub(super) const FILE: &str = "repositories.json";

/// The names of one driver.
pub(super) fn file<'i>(all: &'i Images, images: &'i ImageRoot) -> NamesFile<'i> {
    NamesFile {
        dir: &images.root,
        name: FILE.to_owned(),
        form: Form::Names,
        limit: json::LIMIT,
        data: &all.data,
        driver: &images.driver,
    }
}

/// Reads the names of one driver.
pub(super) fn read(all: &Images, images: &ImageRoot) -> Names {
    let layers = || images.root.try_list("layerdb/sha256").is_ok_and(|layers| !layers.is_empty());
    let any = || imagedb::ids(&images.root).map_or(true, |ids| !ids.is_empty() || layers());
    file(all, images).read(any, |id| imagedb::exists(&images.root, id).unwrap_or(false))
}
