//! What CI runs, in the order in which failures are cheap.

use std::time::Instant;

use clap::Args;
use xshell::cmd;

use crate::{Outcome, tidy, workspace};

#[derive(Args)]
pub(crate) struct Options {
    /// Also check against real engines (needs root and the engines)
    #[arg(long)]
    interop: bool,
}

/// Runs all steps and stops at the first that fails.
pub(crate) fn run(options: &Options) -> Outcome {
    let shell = workspace::shell()?;
    step("formatting", || Ok(cmd!(shell, "cargo fmt --all --check").quiet().run()?))?;
    step("tidy", tidy::run)?;
    step("clippy", || {
        Ok(cmd!(shell, "cargo clippy --quiet --workspace --all-targets -- -D warnings").quiet().run()?)
    })?;
    step("tests", || Ok(cmd!(shell, "cargo test --quiet --workspace").quiet().run()?))?;
    step("features", || {
        cmd!(shell, "cargo test --quiet -p layerlift-archive --no-default-features --lib").quiet().run()?;
        Ok(cmd!(shell, "cargo check --quiet -p layerlift --no-default-features").quiet().run()?)
    })?;
    step("fuzz", || Ok(cmd!(shell, "cargo xtask fuzz --seconds 60").quiet().run()?))?;
    step("documentation", || {
        let _flags = shell.push_env("RUSTDOCFLAGS", "-D warnings");
        Ok(cmd!(shell, "cargo doc --quiet --workspace --no-deps").quiet().run()?)
    })?;
    if options.interop {
        step("real engines", || Ok(cmd!(shell, "cargo xtask interop").quiet().run()?))?;
    }
    Ok(())
}

fn step(name: &str, run: impl FnOnce() -> Outcome) -> Outcome {
    println!("==> {name}");
    let start = Instant::now();
    run().map_err(|error| format!("{name}: {error}"))?;
    println!("    {name}: fine ({:.1} s)", start.elapsed().as_secs_f64());
    Ok(())
}
