//! The arguments that several commands have: which stores, how to work.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueEnum, ValueHint};
use layerlift_store::{Platform, Platforms, StoreKind};

use super::values::{MAX_THREADS, kinds, root, threads};

/// Which stores.
#[derive(Debug, Clone, ClapArgs)]
#[command(next_help_heading = "Store")]
pub(crate) struct PlaceArgs {
    /// Data root of an engine (/var/lib/docker, say), the root of a mounted disk or a home with such stores
    /// in the usual places, an image layout, an archive, or - for an archive on standard input [default: the
    /// usual places on this machine]. Archives can be several, which are then one source.
    #[arg(long, value_name = "PATH", value_hint = ValueHint::FilePath, value_parser = root())]
    pub(crate) root: Vec<PathBuf>,
    /// Follow this symbolic link, which stands where a store keeps a directory of its own
    /// (/var/lib/docker/overlay2, say). Links that stay below --root are followed anyway.
    #[arg(long, value_name = "PATH", value_hint = ValueHint::FilePath)]
    pub(crate) follow: Vec<PathBuf>,
    /// Only stores of this kind.
    #[arg(long, value_name = "KIND", value_parser = kinds())]
    pub(crate) store: Option<StoreKind>,
    /// Only images of this graph driver (overlay2, vfs, aufs, ...).
    #[arg(long, value_name = "DRIVER")]
    pub(crate) driver: Option<String>,
    /// Only images in this namespace of containerd (k8s.io, moby, default, ...) [default: the one that has
    /// images].
    #[arg(long, value_name = "NAMESPACE", conflicts_with = "driver")]
    pub(crate) namespace: Option<String>,
}

/// Which stores, and which images of an index.
#[derive(Debug, Clone, ClapArgs)]
#[command(next_help_heading = "Store")]
pub(crate) struct StoreArgs {
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    /// Only images for OS/ARCH[/VARIANT]. Can be given several times [default for an index: this machine's
    /// platform, or the only one].
    #[arg(long, value_name = "PLATFORM")]
    pub(crate) platform: Vec<Platform>,
}

impl AsRef<PlaceArgs> for PlaceArgs {
    fn as_ref(&self) -> &PlaceArgs {
        self
    }
}

impl AsRef<PlaceArgs> for StoreArgs {
    fn as_ref(&self) -> &PlaceArgs {
        &self.place
    }
}

impl StoreArgs {
    /// The images of an index that are meant.
    pub(crate) fn platforms(&self) -> Platforms {
        Platforms::of(self.platform.iter().cloned())
    }
}

/// How to work, and how much to report.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct Work {
    #[command(flatten)]
    pub(crate) show: Show,
    /// Number of threads; the output does not depend on it [default: one for each processor].
    #[arg(short, long = "jobs", value_name = "N", value_parser = threads)]
    pub(crate) jobs: Option<NonZeroUsize>,
}

/// How much to report.
#[derive(Debug, Clone, Copy, ClapArgs)]
pub(crate) struct Show {
    /// Print errors only.
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// How to show progress on standard error.
    #[arg(long, value_name = "HOW", value_enum, default_value_t = ProgressKind::Auto)]
    pub(crate) progress: ProgressKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProgressKind {
    /// A bar if standard error is a terminal, else nothing.
    Auto,
    /// A line every few seconds.
    Plain,
    /// A JSON object on each line, for machines; warnings and errors too.
    Json,
    /// Nothing.
    None,
}

impl Work {
    /// Number of threads.
    pub(crate) fn threads(&self) -> NonZeroUsize {
        self.jobs.unwrap_or_else(processors)
    }
}

/// A thread for each processor, within reason.
pub(crate) fn processors() -> NonZeroUsize {
    let most = NonZeroUsize::new(MAX_THREADS).unwrap_or(NonZeroUsize::MIN);
    std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN).min(most)
}
