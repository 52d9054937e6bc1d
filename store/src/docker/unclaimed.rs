//! The directory of a layer whose `cache-id` is lost, as after a power loss: one that no other layer and no
//! container has, and whose files, with the layer's tar-split data, have the layer's diff id.
//!
//! ```text
//! <driver>/<cache id>/                        a directory for each layer, and two for each container
//! layerdb/sha256/<chain id>/cache-id          those of layers
//! layerdb/mounts/<container>/{mount-id,init-id}    those of containers
//! ```

use std::collections::HashSet;

use layerlift_archive::Check;

use super::layerdb::LayerDb;
use crate::driver::Driver;
use crate::tarsplit::{self, Record, SplitLayer};
use crate::{ChainId, DiffId, Error, Notice, Root};

/// Finds the layer. `lost` is what is wrong with its `cache-id`, and the error if no directory is the
/// layer's.
pub(super) fn find(
    data: &Root,
    driver: &Driver,
    layers: &LayerDb,
    (chain, diff_id): (ChainId, DiffId),
    lost: Error,
) -> Result<SplitLayer, Error> {
    let claimed: HashSet<String> = layers.cache_ids()?;
    for id in driver.ids(data)?.into_iter().filter(|id| !claimed.contains(id)) {
        let Some((metadata, path)) = layers.tar_split(chain)? else { break };
        let Ok(tree) = driver.open(data, &id, "a layer") else { continue };
        let Ok(Record::Exact(layer)) = tarsplit::open(tree, metadata, path, Some(diff_id), None) else {
            continue;
        };
        let check = Check { name: &id, content: &layer };
        if layerlift_archive::digest(&check).is_ok_and(|found| found == diff_id.0) {
            let why = match &lost {
                Error::Missing { what: "directory", id, .. } => format!("directory {id} is missing"),
                Error::Missing { .. } => "it is missing".to_owned(),
                Error::Malformed { why, .. } => why.clone(),
                other => other.to_string(),
            };
            let what = format!("{why}; the layer's digest proves that its directory is {id}");
            return Ok(layer.noticed(Notice::new(layers.path(chain, "cache-id"), what)));
        }
    }
    Err(lost)
}
