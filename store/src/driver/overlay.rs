//! Layers of the driver `overlay` that are overlays rather than whole trees.
//!
//! ```text
//! overlay/<id>/root       most layers: a whole tree, its files hard-linked to the parent's
//! overlay/<id>/upper      the others: what was changed, as overlayfs keeps it
//! overlay/<id>/lower-id   and the id of the layer whose root is below; no newline
//! ```
//!
//! Containers are kept this way, and so are images whose parent had no `root`
//! (`daemon/graphdriver/overlay/overlay.go`, 1.8.3).

use crate::{Error, Root, hex_id};

/// The changes of a layer, and the id of the layer below. `None` if the layer is not kept this way.
pub(crate) fn upper(root: &Root, id: &str) -> Result<Option<(Root, String)>, Error> {
    let file = format!("overlay/{id}/lower-id");
    let Some(lower) = root.try_read(&file, 256)? else { return Ok(None) };
    let Some(upper) = root.try_dir(format!("overlay/{id}/upper"))? else { return Ok(None) };
    match std::str::from_utf8(&lower).ok().filter(|lower| hex_id(lower)) {
        Some(lower) => Ok(Some((upper, lower.to_owned()))),
        None => Err(Error::malformed(root.join(file), "it has no id of a layer")),
    }
}
