//! Real engines, each with folders, sockets and a user of its own, and what they need: processes that end, a place that
//! vanishes, tars made by hand.

pub(crate) mod containerd;
pub(crate) mod containers;
pub(crate) mod daemon;
pub(crate) mod docker;
pub(crate) mod image;
pub(crate) mod process;
pub(crate) mod registry;
pub(crate) mod scratch;
pub(crate) mod tarball;
pub(crate) mod user;
