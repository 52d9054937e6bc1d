//! Keys: how a store names its images, layers and containers to those who use it.
//!
//! A key says that a store has the image, layer or container. Only the store's [`Keyring`] makes keys, and
//! the store refuses keys of other keyrings. Users type names, and [`crate::Store::resolve`] turns them into
//! keys.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::Error;

/// An image of an open store. One id can be there in several partitions.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImageKey(Key);

/// A layer of an open store. Equal keys mean equal bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LayerKey(Key);

/// A container of an open store.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContainerKey(Key);

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Key {
    partition: String,
    id: String,
    keyring: u64,
}

/// Makes the keys of one open store, and recognises them.
///
/// Every store that implements [`crate::Store`] has one of its own, and keeps it to itself.
///
/// ```
/// use layerlift_store::Keyring;
///
/// let (ours, theirs) = (Keyring::new(), Keyring::new());
/// let key = ours.image("overlay2", "5646c3006f06");
/// assert!(ours.check_image(&key).is_ok());
/// assert!(ours.check_image(&theirs.image("overlay2", "5646c3006f06")).is_err());
/// ```
#[derive(Debug)]
pub struct Keyring {
    number: u64,
}

impl Keyring {
    /// A keyring that differs from all others of this process.
    #[expect(
        clippy::new_without_default,
        reason = "two defaults that are not interchangeable would surprise"
    )]
    pub fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Keyring { number: NEXT.fetch_add(1, Ordering::Relaxed) }
    }

    /// The key of an image. `partition` is empty where a store has only one place for images.
    pub fn image(&self, partition: impl Into<String>, id: impl Into<String>) -> ImageKey {
        ImageKey(self.key(partition.into(), id.into()))
    }

    /// The key of a layer.
    pub fn layer(&self, partition: impl Into<String>, id: impl Into<String>) -> LayerKey {
        LayerKey(self.key(partition.into(), id.into()))
    }

    /// The key of a container.
    pub fn container(&self, partition: impl Into<String>, id: impl Into<String>) -> ContainerKey {
        ContainerKey(self.key(partition.into(), id.into()))
    }

    /// Refuses a key that another keyring made.
    pub fn check_container(&self, key: &ContainerKey) -> Result<(), Error> {
        self.check(&key.0, "container")
    }

    /// Refuses a key that another keyring made.
    pub fn check_image(&self, key: &ImageKey) -> Result<(), Error> {
        self.check(&key.0, "image")
    }

    /// Refuses a key that another keyring made.
    pub fn check_layer(&self, key: &LayerKey) -> Result<(), Error> {
        self.check(&key.0, "layer")
    }

    fn key(&self, partition: String, id: String) -> Key {
        Key { partition, id, keyring: self.number }
    }

    fn check(&self, key: &Key, what: &str) -> Result<(), Error> {
        if key.keyring == self.number {
            return Ok(());
        }
        let name = format!("{} (another store made this key of {what})", key.id);
        Err(Error::NotFound { name, suggestions: Vec::new() })
    }
}

impl ImageKey {
    /// The number of the keyring that made it.
    pub(crate) fn keyring(&self) -> u64 {
        self.0.keyring
    }

    /// The part of the store that has the image: a graph driver, a namespace. Empty if the store has only
    /// one part.
    pub fn partition(&self) -> &str {
        &self.0.partition
    }

    /// 64 hex digits: the config's digest, or the id of a v1 image. In containers-storage it can be another
    /// id, and in containerd it is the manifest's digest; [`crate::Image::image_id`] is always the config's.
    pub fn id(&self) -> &str {
        &self.0.id
    }
}

impl LayerKey {
    /// The number of the keyring that made it.
    pub(crate) fn keyring(&self) -> u64 {
        self.0.keyring
    }

    /// As in [`ImageKey`].
    pub fn partition(&self) -> &str {
        &self.0.partition
    }

    /// The store's own id: a chain id, a v1 id, a blob's digest.
    pub fn id(&self) -> &str {
        &self.0.id
    }
}

impl ContainerKey {
    /// As in [`ImageKey`].
    pub fn partition(&self) -> &str {
        &self.0.partition
    }

    /// 64 hex digits.
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// The key of the image that is made of the container. No store has that image.
    pub fn as_image(&self) -> ImageKey {
        ImageKey(self.0.clone())
    }
}

/// Without the keyring, so that the keys of two openings of a store look the same.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.partition.is_empty() {
            f.write_str(&self.id)
        } else {
            write!(f, "{}/{}", self.partition, self.id)
        }
    }
}

impl fmt::Debug for ImageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ImageKey({:?})", self.0)
    }
}

impl fmt::Debug for LayerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LayerKey({:?})", self.0)
    }
}

impl fmt::Debug for ContainerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContainerKey({:?})", self.0)
    }
}
