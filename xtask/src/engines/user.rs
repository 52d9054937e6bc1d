//! An ordinary user for the checks, who exists only in this mount namespace, in copies of `/etc/passwd` and
//! the like.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::process::{installed, program, run};
use super::scratch::{Mount, Scratch};
use crate::Outcome;

const NAME: &str = "layerlift-interop";
const ID: &str = "54321";
/// The subordinate ids of the user: as many as a container needs.
const SUBORDINATE: &str = "layerlift-interop:1500000000:65536";

/// The user.
#[derive(Clone)]
pub(crate) struct User {
    home: PathBuf,
}

impl User {
    /// Creates the user. The mounts end with this namespace.
    pub(crate) fn make(scratch: &Scratch) -> Outcome<(Self, Vec<Mount>)> {
        if let Some(missing) =
            ["newuidmap", "newgidmap", "setpriv"].iter().find(|program| !installed(program))
        {
            return Err(format!("{missing} is not installed").into());
        }
        let home = scratch.folder("user")?;
        let entries = [
            ("passwd", format!("{NAME}:x:{ID}:{ID}::{}:/bin/sh", home.display())),
            ("group", format!("{NAME}:x:{ID}:")),
            ("subuid", SUBORDINATE.to_owned()),
            ("subgid", SUBORDINATE.to_owned()),
        ];
        let mut mounts = Vec::new();
        for (file, line) in entries {
            let original = Path::new("/etc").join(file);
            let copy = scratch.path().join(file);
            fs::write(&copy, fs::read_to_string(&original)? + &line + "\n")?;
            fs::set_permissions(&copy, fs::Permissions::from_mode(0o644))?;
            mounts.push(Mount::new(&["--bind"], &copy, &original)?);
        }
        let user = User { home };
        fs::create_dir_all(user.runtime())?;
        user.own(&user.home)?;
        fs::set_permissions(user.runtime(), fs::Permissions::from_mode(0o700))?;
        Ok((user, mounts))
    }

    /// Changes the owner of a folder and everything in it to the user.
    pub(crate) fn own(&self, folder: &Path) -> Outcome {
        run(program("chown", ["-R", &format!("{ID}:{ID}")]).arg(folder))
    }

    /// A program that runs as this user.
    pub(crate) fn program(&self, name: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = program("setpriv", ["--reuid", ID, "--regid", ID, "--clear-groups", "--"]);
        let path = std::env::var_os("PATH").unwrap_or_default();
        command.arg(name).env_clear().env("PATH", path).env("HOME", &self.home).env("USER", NAME);
        command.env("XDG_RUNTIME_DIR", self.runtime());
        command
    }

    fn runtime(&self) -> PathBuf {
        self.home.join("runtime")
    }
}
