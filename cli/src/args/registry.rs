//! The arguments about a registry.

use std::num::NonZeroU64;
use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueHint};

use super::delivery::size;

/// How to talk to a registry.
#[derive(Debug, Clone, Default, ClapArgs)]
#[command(next_help_heading = "Registry")]
pub(crate) struct RegistryArgs {
    /// Read USER:PASSWORD for the registry from standard input [default: what docker login or podman login
    /// has stored].
    #[arg(long)]
    pub(crate) creds_stdin: bool,
    /// Allow plain HTTP, and a certificate that nothing proves, for this registry.
    #[arg(long)]
    pub(crate) insecure: bool,
    /// Trust the authorities in this file (PEM), too. Can be given several times.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) ca: Vec<PathBuf>,
    /// Send layers in parts of this size [default: whole; in parts if the registry says that they are too
    /// large].
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub(crate) chunk: Option<NonZeroU64>,
    /// A repository of the registry that may have layers, so that it takes them from there. Can be given
    /// several times.
    #[arg(long, value_name = "REPO")]
    pub(crate) mount_from: Vec<String>,
}
