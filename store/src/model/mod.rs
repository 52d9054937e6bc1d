//! Images as all stores describe them: keys, documents and layers, indexes of images for several platforms,
//! listings; containers. No bytes of layers.

mod artifact;
pub(crate) mod config;
mod container;
mod image;
mod index;
mod key;
mod listing;
pub(crate) mod members;
mod network;
mod notice;
mod platform;
mod remembered;
mod requirement;
mod tree;
mod volume;

pub use artifact::{Artifact, ArtifactBlob};
pub use container::{
    Container, ContainerListing, ContainerRecord, ContainerState, ContainerStatus, Mount, Pod, Port,
};
pub use image::{Document, Image, Layer, Manifest, V1Document};
pub use index::{Index, Member, Selected, Subject};
pub use key::{ContainerKey, ImageKey, Keyring, LayerKey};
pub use listing::{Broken, ImageSummary, IndexSummary, Listing};
pub use network::{AddressRange, Network, NetworkListing};
pub use notice::Notice;
pub use platform::{ParsePlatformError, Platform, Platforms};
pub use remembered::Remembered;
pub use requirement::{Needs, Requirement, Requirements};
pub use tree::{IndexLine, IndexTree, LeadsTo};
pub use volume::{Volume, VolumeListing};
