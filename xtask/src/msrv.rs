//! The oldest Rust that builds the program: `rust-version` in `Cargo.toml`, tried with that toolchain.

use std::fs;

use xshell::cmd;

use crate::{Outcome, workspace};

/// Builds nothing but what `cargo check` needs. The toolchain comes from rustup; without rustup, the check
/// says that it was not run.
pub(crate) fn run() -> Outcome {
    let shell = workspace::shell()?;
    let manifest = fs::read_to_string(workspace::root().join("Cargo.toml"))?;
    let version = manifest.lines().find_map(|line| line.strip_prefix("rust-version = "));
    let version = version.ok_or("Cargo.toml states no rust-version")?.trim_matches('"');
    let toolchain = format!("{version}.0");
    if cmd!(shell, "rustup --version").quiet().ignore_stderr().read().is_err() {
        println!("msrv: not run: rustup, which would install Rust {toolchain}, is not installed");
        return Ok(());
    }
    let install = cmd!(shell, "rustup toolchain install {toolchain} --profile minimal --no-self-update");
    if install.quiet().run().is_err() {
        println!("msrv: not run, rustup cannot install {toolchain}");
        return Ok(());
    }
    // A folder of its own, so that the other toolchain's files are not built again afterwards.
    let target = workspace::target().join("msrv");
    cmd!(shell, "rustup run {toolchain} cargo check --quiet --locked -p layerlift")
        .env("CARGO_TARGET_DIR", target)
        .run()?;
    println!("msrv: Rust {toolchain} builds the program");
    Ok(())
}
