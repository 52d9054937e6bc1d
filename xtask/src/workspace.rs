//! Where the checkout is, and which files belong to it.

use std::path::{Path, PathBuf};

use xshell::{Shell, cmd};

use crate::Outcome;

/// The folder of the workspace's `Cargo.toml`.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is a folder of the workspace")
}

/// A shell in that folder.
pub(crate) fn shell() -> Outcome<Shell> {
    let shell = Shell::new()?;
    shell.change_dir(root());
    Ok(shell)
}

/// Where cargo puts what it builds.
pub(crate) fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => root().join(dir),
        None => root().join("target"),
    }
}

/// Files under version control and new files that are not ignored, relative to the root. Needs git.
pub(crate) fn files() -> Outcome<Vec<PathBuf>> {
    let shell = shell()?;
    let listed = cmd!(shell, "git ls-files -z --cached --others --exclude-standard").quiet().read()?;
    let mut files: Vec<PathBuf> = listed
        .split('\0')
        .filter(|name| !name.is_empty())
        .map(PathBuf::from)
        .filter(|file| root().join(file).is_file())
        .collect();
    files.sort();
    files.dedup();
    Ok(files)
}
