//! What CI runs, in the order in which failures are cheap.

use std::time::Instant;

use clap::Args;
use xshell::{Shell, cmd};

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
    step("features", || features(&shell))?;
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

/// Every crate without libdeflate, zstd, xz and bzip2, and that a reader of stores then builds no C.
fn features(shell: &Shell) -> Outcome {
    cmd!(shell, "cargo test --quiet -p layerlift-archive --no-default-features --lib").quiet().run()?;
    cmd!(shell, "cargo check --quiet -p layerlift --no-default-features").quiet().run()?;
    let tree =
        cmd!(shell, "cargo tree -p layerlift-store --no-default-features -e normal,build --prefix none");
    let tree = tree.quiet().read()?;
    let c = ["libdeflate-sys", "zstd-sys", "liblzma-sys", "bzip2-sys", "cc"];
    let built = tree.lines().filter_map(|line| line.split(' ').next()).find(|name| c.contains(name));
    match built {
        Some(name) => Err(format!("layerlift-store builds C without its features: {name}").into()),
        None => Ok(()),
    }
}

fn step(name: &str, run: impl FnOnce() -> Outcome) -> Outcome {
    println!("==> {name}");
    let start = Instant::now();
    run().map_err(|error| format!("{name}: {error}"))?;
    println!("    {name}: fine ({:.1} s)", start.elapsed().as_secs_f64());
    Ok(())
}
