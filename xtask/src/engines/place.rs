//! Where the programs of an engine run: on this machine, or in a chroot that has other versions of them.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::process;

/// What programs find in a chroot: nothing of this machine's environment.
const ENVIRONMENT: [(&str, &str); 4] = [
    ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
    ("HOME", "/root"),
    ("LANG", "C.UTF-8"),
    ("TZ", "UTC"),
];

/// A root directory with programs.
#[derive(Clone, Default)]
pub(crate) struct Place(Option<PathBuf>);

impl Place {
    /// This machine.
    pub(crate) const HERE: Place = Place(None);

    /// A chroot. What its programs need is mounted already.
    pub(crate) fn chroot(folder: &Path) -> Self {
        Place(Some(folder.to_owned()))
    }

    /// A program with arguments, in a process group of its own. In a chroot, `chroot` replaces itself with
    /// it, so the process id is that of the program.
    pub(crate) fn program<S: AsRef<OsStr>>(
        &self,
        name: impl AsRef<OsStr>,
        arguments: impl IntoIterator<Item = S>,
    ) -> Command {
        let Some(root) = &self.0 else { return process::program(name, arguments) };
        let mut command = process::program("chroot", [root]);
        command.arg(name).args(arguments).env_clear().envs(ENVIRONMENT).current_dir("/");
        command
    }

    /// Where this machine sees a path of it.
    pub(crate) fn outside(&self, path: &Path) -> PathBuf {
        match &self.0 {
            Some(root) => root.join(path.strip_prefix("/").unwrap_or(path)),
            None => path.to_owned(),
        }
    }

    /// Whether it has a program.
    pub(crate) fn has(&self, name: &str) -> bool {
        let Some(root) = &self.0 else { return process::installed(name) };
        ["usr/sbin", "usr/bin"].iter().any(|folder| root.join(folder).join(name).is_file())
    }
}
