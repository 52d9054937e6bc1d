//! What can go wrong on the way from names to a tree.

/// Why an export could not be planned or prepared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The store could not answer.
    #[error(transparent)]
    Store(#[from] layerlift_store::Error),
    /// A first pass (hashing, spooling) failed.
    #[error(transparent)]
    Archive(#[from] layerlift_archive::Error),
    /// An image cannot be exported.
    #[error("cannot export {image}")]
    Image {
        /// Its name, or its id.
        image: String,
        /// Why.
        source: Box<Error>,
    },
    /// A document says something that the format has no place for.
    #[error("{what} is damaged: {why}")]
    Document {
        /// "config of image 4f…".
        what: String,
        /// What is wrong.
        why: String,
    },
}
