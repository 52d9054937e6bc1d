//! What can be done about an error, as values that a program words.

use std::borrow::Cow;
use std::path::PathBuf;

/// What can be done about an error, for a program to word.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Hint {
    /// Choose a kind of store ([`crate::OpenOptions::kind`]).
    ChooseKind,
    /// Choose one of several drivers ([`crate::OpenOptions::partition`]).
    ChoosePartition,
    /// Choose one of these namespaces ([`crate::OpenOptions::partition`]).
    ChooseNamespace(Vec<String>),
    /// Choose one of several roots.
    ChooseRoot,
    /// Use one of these roots, which are below the one that was given.
    NameRoot(Vec<PathBuf>),
    /// Read the store in a user namespace: some of its files belong to subordinate ids of its user.
    UserNamespace,
    /// Choose a platform ([`crate::Selected::choose`]).
    ChoosePlatform,
    /// Similar names that exist.
    Similar(Vec<String>),
    /// Say that this link is to be followed ([`crate::OpenOptions::follow`]).
    FollowLink(PathBuf),
    /// Mount the first directory in place of the second, which is a link now.
    MountInPlace(PathBuf, PathBuf),
    /// Unpack or mount it, and use what is then in it as the root.
    NameContents {
        /// How, as a clause.
        how: Cow<'static, str>,
        /// Where in it the root is; empty if it is the top, or not known.
        below: PathBuf,
    },
    /// Write the root file system of the container ([`crate::Containers::root_fs`]), which needs no record of
    /// how it was run.
    RootFs,
    /// See which layers no record names ([`crate::Containers::orphans`]): one of them may be a container's.
    Orphans,
    /// Name what has the layers that an archive leaves out, too.
    NameOtherHalf,
    /// Anything else, in words.
    Other(Cow<'static, str>),
}
