//! Real engines, each with its own folders, sockets and user, and what they need: processes that are sure to
//! end, a scratch folder that is sure to be removed, tars made by hand.

pub(crate) mod authority;
pub(crate) mod chroot;
pub(crate) mod containerd;
pub(crate) mod containers;
pub(crate) mod daemon;
pub(crate) mod docker;
pub(crate) mod http;
pub(crate) mod image;
pub(crate) mod place;
pub(crate) mod process;
pub(crate) mod proxy;
pub(crate) mod registry;
pub(crate) mod scratch;
pub(crate) mod suite;
pub(crate) mod tarball;
pub(crate) mod tokens;
pub(crate) mod user;
