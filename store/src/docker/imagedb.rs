//! `image/<driver>/imagedb`: the configs of images, named by their digest, and what Docker notes beside them.
//!
//! ```text
//! imagedb/content/sha256/<image id>            the config, byte for byte as it came or was built
//! imagedb/metadata/sha256/<image id>/parent    "sha256:<image id>": the image that a build step began with
//! ```

use std::collections::{HashMap, HashSet};

use layerlift_archive::Digest;

use crate::model::config::{self, Config};
use crate::{Error, Notice, Root, hex_id, json};

const CONTENT: &str = "imagedb/content/sha256";
const METADATA: &str = "imagedb/metadata/sha256";

/// Ids of all images, sorted. Other names are leftovers of interrupted writes.
pub(super) fn ids(root: &Root) -> Result<Vec<String>, Error> {
    let names = root.try_list(CONTENT)?;
    Ok(names.into_iter().filter_map(|name| name.into_string().ok()).filter(|name| hex_id(name)).collect())
}

/// Ids of images that have notes and may have lost their config, sorted. Docker removes an image's notes
/// before its config.
///
/// Without them, steps of builds look like images without a name, and `notices` says so.
pub(super) fn noted(root: &Root, ids: &[String], notices: &mut Vec<Notice>) -> Vec<String> {
    // Docker makes the folder when it first starts.
    let (names, why) = match root.try_list(METADATA) {
        Ok(names) if names.is_empty() && matches!(root.exists(METADATA), Ok(false)) => {
            (names, Some("it is missing".to_owned()))
        }
        Ok(names) => (names, None),
        Err(error) => (Vec::new(), Some(error.to_string())),
    };
    if let Some(why) = why.filter(|_| !ids.is_empty()) {
        let what = format!("{why}; steps of builds look like images without a name");
        notices.push(Notice::new(root.join(METADATA), what));
    }
    names.into_iter().filter_map(|name| name.into_string().ok()).filter(|name| hex_id(name)).collect()
}

/// Whether an image exists. `id` is 64 hex digits.
pub(super) fn exists(root: &Root, id: &str) -> Result<bool, Error> {
    root.exists(format!("{CONTENT}/{id}"))
}

/// The config of an image, verified. An `id` that is not 64 hex digits can only come from
/// `repositories.json`.
pub(super) fn config(root: &Root, id: &str) -> Result<(Vec<u8>, Config), Error> {
    let Some(digest) = Digest::from_hex(id) else {
        let path = root.join(super::repositories::FILE);
        return Err(Error::malformed(path, format!("it names an image {id:?}, which is not a digest")));
    };
    let file = format!("{CONTENT}/{id}");
    let path = root.join(&file);
    let Some(raw) = root.try_read(&file, json::LIMIT)? else {
        let of = format!("image {id}");
        return Err(Error::Missing { of, what: "config", id: id.to_owned(), path });
    };
    let found = Digest::of(&raw);
    if found != digest {
        return Err(Error::damaged(path, format!("its digest is {found}, which is not its name")));
    }
    match config::parse(&raw) {
        Ok(config) => Ok((raw, config)),
        Err(why) => Err(Error::malformed(path, why)),
    }
}

/// Images that are steps in the build of another image, which itself is not a step. Images that only name
/// each other as parents are not steps. `notices` has the parents that cannot be read.
pub(super) fn build_steps(
    root: &Root,
    ids: &[String],
    noted: &[String],
    notices: &mut Vec<Notice>,
) -> HashSet<String> {
    let mut parents: HashMap<&str, String> = HashMap::new();
    let built = noted.iter().map(String::as_str);
    for id in built.filter(|name| ids.binary_search_by(|id| id.as_str().cmp(name)).is_ok()) {
        let file = format!("{METADATA}/{id}/parent");
        match parent(root, &file) {
            Ok(Some(parent)) => _ = parents.insert(id, parent.hex()),
            Ok(None) => {}
            Err(why) => {
                let what = format!("{why}; the steps that image {id} was built in may be listed as images");
                notices.push(Notice::new(root.join(&file), what));
            }
        }
    }
    let named: HashSet<&str> = parents.values().map(String::as_str).collect();
    let mut steps = HashSet::new();
    for mut id in parents.keys().copied().filter(|id| !named.contains(id)) {
        while let Some(parent) = parents.get(id)
            && steps.insert(parent.clone())
        {
            id = parent;
        }
    }
    steps
}

/// The parent that is noted in a file; `None` if the file does not exist.
fn parent(root: &Root, file: &str) -> Result<Option<Digest>, String> {
    let Some(bytes) = root.try_read(file, 1 << 20).map_err(|error| error.to_string())? else {
        return Ok(None);
    };
    let digest = std::str::from_utf8(&bytes).ok().and_then(|text| text.trim().parse().ok());
    digest.map(Some).ok_or_else(|| "it does not have the id of an image".to_owned())
}
