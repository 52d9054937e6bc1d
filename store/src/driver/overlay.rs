//! Overlays of the driver `overlay` that were never made whole trees.
//!
//! ```text
//! overlay/<id>/root       a layer, mostly: a whole tree, its files hard-linked to the parent's
//! overlay/<id>/upper      otherwise: what was changed, in overlayfs's own form
//! overlay/<id>/lower-id   and the layer whose root is below it; no newline
//! ```
//!
//! That is how containers are kept, and images whose parent had no `root` (`daemon/graphdriver/overlay/overlay.go`, 1.8.3).

use crate::{Error, Root, hex_id};

/// The changes of a layer and the id of the layer below, `None` if it is kept in another way.
pub(crate) fn upper(root: &Root, id: &str) -> Result<Option<(Root, String)>, Error> {
    let file = format!("overlay/{id}/lower-id");
    let Some(lower) = root.try_read(&file, 256)? else { return Ok(None) };
    let Some(upper) = root.try_dir(format!("overlay/{id}/upper"))? else { return Ok(None) };
    match std::str::from_utf8(&lower).ok().filter(|lower| hex_id(lower)) {
        Some(lower) => Ok(Some((upper, lower.to_owned()))),
        None => Err(Error::Corrupt { path: root.join(file), why: "it has no id of a layer".to_owned() }),
    }
}
