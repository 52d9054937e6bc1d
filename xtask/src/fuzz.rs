//! Starts `store/fuzz`, which knows the crates: this one looks at them from outside.

use clap::Args;
use xshell::cmd;

use crate::{Outcome, workspace};

#[derive(Args)]
pub(crate) struct Options {
    /// How long, for all targets together
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// More options of the package: --target, --seed, --replay, --findings
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    more: Vec<String>,
}

/// Builds the package and runs it until the time is over or something is found.
pub(crate) fn run(options: &Options) -> Outcome {
    let shell = workspace::shell()?;
    let (seconds, more) = (options.seconds.to_string(), &options.more);
    let package = "layerlift-fuzz";
    let start = cmd!(shell, "cargo run --quiet --package {package} --bin {package} --");
    start.args(["--seconds", &seconds]).args(more).quiet().run()?;
    Ok(())
}
