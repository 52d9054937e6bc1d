//! Where container engines keep images: opening a store, names, tags and ids, parent chains, and the bytes of
//! a layer. Some stores also know containers and volumes ([`Store::containers`]).
//!
//! Nothing here writes below a store's root, takes a lock there or mounts anything; a store is untrusted
//! input.
//!
//! A program that lists images and reads their layers. It fails on a changed byte, because the plain call for
//! the bytes of a layer compares them with what is recorded ([`LayerTar::reader`]); [`Store::images`] reports
//! images that cannot be read beside those that can.
//!
//! ```no_run
#![doc = include_str!("../examples/verified.rs")]
//! ```

mod archive;
mod bolt;
mod containerd;
mod containers;
mod diff;
pub mod discover;
mod docker;
mod driver;
mod engines;
mod error;
mod fs;
mod graph;
mod hint;
mod id;
mod image_files;
mod joined;
mod json;
mod kind;
mod layer;
mod layout;
pub mod lookup;
mod model;
mod names;
mod parallel;
mod places;
mod pushed;
mod reference;
mod sqlite;
mod store;
mod tarsplit;

#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzz {
    //! For `store/fuzz` alone.
    pub use crate::bolt::fuzz::{database as bolt, seal as seal_bolt};
    pub use crate::diff::flat::fuzz::flatten;
    pub use crate::tarsplit::fuzz::line as tar_split_line;
}

pub use archive::lists_at_once;
pub use diff::tree::{FileTree, RootFs};
pub use diff::{DiffTar, Fault, Faults, FilesTar};
pub use discover::{Opened, Place, detect, open, open_all};
pub use driver::orphans::Orphan;
pub use error::Error;
pub use fs::Root;
pub use hint::Hint;
pub use id::{ChainId, DiffId, ImageId, V1Id, hex_id};
pub use joined::Joined;
pub use kind::{Detected, OpenOptions, StoreKind};
pub use layer::{
    BlobLayer, DiffLayer, Found, LayerDir, LayerTar, OtherFile, Part, Parts, RecordedFile, SplitLayer,
    TarReader, Written,
};
pub use layerlift_archive::ErrorKind;
pub use model::{
    AddressRange, Artifact, ArtifactBlob, Broken, Container, ContainerKey, ContainerListing, ContainerRecord,
    ContainerState, ContainerStatus, Document, Image, ImageKey, ImageSummary, Index, IndexLine, IndexSummary,
    IndexTree, Keyring, Layer, LayerKey, LeadsTo, Listing, Manifest, Member, Mount, Needs, Network,
    NetworkListing, Notice, ParsePlatformError, Platform, Platforms, Pod, Port, Remembered, Requirement,
    Requirements, Selected, Subject, V1Document, Volume, VolumeListing,
};
pub use reference::{Reference, Rules};
pub use store::{Containers, Store};

/// The examples of the README compile.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
