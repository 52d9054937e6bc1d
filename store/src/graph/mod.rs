//! Docker's graph store, 1.5 to 1.9 (2015): each layer is an image, which names its parent.
//!
//! ```text
//! graph/<id>/
//!   json               describes the image; without id and parent if it was pulled since 1.8.3
//!   layersize          bytes of the layer's files in decimal
//!   checksum           of pushed and pulled images; not needed here
//!   tar-data.json.gz   tar-split metadata of the layer (since 1.8.0)
//!   v1Compatibility    as it was pulled (since 1.8.3); not needed here
//!   parent             the real parent, where `json` names another (since 1.8.3)
//! graph/_tmp/          leftovers
//! repositories-<driver>   names and tags, for each graph driver that was ever in use
//! <driver>/…<id>…      files of layers, see `driver`
//! ```
//!
//! Checked with data roots of 1.5.0 to 1.9.1. The rules are those of `graph/graph.go` and `graph/tags.go` in
//! 1.8.3.

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

/// Looks for this kind of store in a data root.
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

/// Opens the store of a data root, for the driver that the options choose, or the one in use.
pub(crate) fn open(root: Root, options: &OpenOptions) -> Result<GraphStore, Error> {
    let Some(graph) = try_graph(&root)? else {
        return Err(Error::no_store(
            root.path(),
            "it does not have the directory graph of Docker 1.5 to 1.9",
        ));
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
