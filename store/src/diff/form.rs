//! In whose form a tar is written.

/// The engine in whose form a tar is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Docker's until 1.9.
    Docker18,
    /// containerd's.
    Today,
    /// Docker's with a graph driver (28).
    Docker28,
    /// That of Podman and Buildah (5.8).
    ContainersStorage,
}
