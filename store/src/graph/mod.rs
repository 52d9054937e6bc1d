//! Docker's graph store, 1.5 to 1.9 (2015): an image for each layer, which names its parent.
//!
//! ```text
//! graph/<id>/
//!   json               describes the image; since 1.8.3, if pulled, without its id and its parent
//!   layersize          bytes of the layer's files, decimal
//!   checksum           of pushed and pulled ones; not needed here
//!   tar-data.json.gz   tar-split metadata of the layer (since 1.8.0)
//!   v1Compatibility    as it was pulled (since 1.8.3); not needed here
//!   parent             its real parent, where `json` says another (since 1.8.3)
//! graph/_tmp/          leftovers
//! repositories-<driver>   names and tags, for each graph driver that was ever in use
//! <driver>/…<id>…      files of layers, see `driver`
//! ```
//!
//! An image exists if both `graph/` and the driver have its id. Checked with data roots of 1.5.0 to 1.9.1;
//! the rules are those of 1.8.3's `graph/graph.go` and `graph/tags.go`.

mod catalog;
mod chain;
mod document;
mod images;
mod listing;
mod repositories;
mod select;
mod store;

use std::io;

use crate::kind::{Detected, OpenOptions, StoreKind};
use crate::{Error, Root};

pub(crate) use store::GraphStore;

use images::Images;

/// What there is of this kind of store in a data root.
pub(crate) fn detect(root: &Root) -> Result<Option<Detected>, Error> {
    let Some(graph) = try_graph(root)? else { return Ok(None) };
    let mut drivers = repositories::drivers(root)?;
    let mut evidence = vec!["graph".to_owned()];
    evidence.extend(drivers.iter().map(|driver| repositories::file(driver)));
    if drivers.is_empty() {
        drivers = select::with_layers(root, &graph)?;
    }
    if drivers.is_empty() {
        return Ok(None);
    }
    Ok(Some(Detected {
        kind: StoreKind::DockerGraph,
        root: root.path().to_owned(),
        partitions: drivers,
        evidence,
    }))
}

/// Opens the store of a data root, for the driver that the options name or that is in use.
pub(crate) fn open(root: Root, options: &OpenOptions) -> Result<GraphStore, Error> {
    let Some(graph) = try_graph(&root)? else {
        return Err(Error::no_store(root.path(), "it has no directory graph, as Docker 1.5 to 1.9 had"));
    };
    let driver = select::driver(&root, &graph, options.partition.as_deref())?;
    Ok(GraphStore::new(Images::new(root, graph, driver)))
}

fn try_graph(root: &Root) -> Result<Option<Root>, Error> {
    match root.try_dir("graph") {
        Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotADirectory => Ok(None),
        graph => graph,
    }
}
