//! Runs the program.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::schema;

/// The program, ready for arguments, and shielded from the caller's terminal and home.
pub(crate) fn layerlift() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_layerlift"));
    command.stdin(Stdio::null()).env_remove("XDG_DATA_HOME").env("HOME", "/nonexistent");
    command.env_remove("LAYERLIFT_ROOT").env_remove("LAYERLIFT_STORE");
    for name in ["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY"] {
        command.env_remove(name).env_remove(name.to_ascii_lowercase());
    }
    command
}

/// `save --root ROOT`, ready for more.
pub(crate) fn save(root: &Path) -> Command {
    let mut command = layerlift();
    command.arg("save").arg("--root").arg(root);
    command
}

/// Runs it to its end. What it prints as JSON has to be as it is documented.
#[track_caller]
pub(crate) fn output(command: &mut Command) -> Output {
    let output = command.output().expect("the program starts");
    if command.get_program() == env!("CARGO_BIN_EXE_layerlift") {
        schema::compare(command, &output);
    }
    output
}

/// The exit status, and the messages on standard error.
pub(crate) fn ended(output: &Output) -> (Option<i32>, String) {
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Whether this process runs as root. If not, prints which test is skipped, and why.
pub(crate) fn is_root(what: &str, why: &str) -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        skipped(what, &format!("needs root {why}"));
    }
    root
}

/// Reports a skipped test. The test runner captures what `eprintln!` prints, so this writes to standard error
/// itself.
pub(crate) fn skipped(what: &str, why: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED: {what}: {why}");
}
