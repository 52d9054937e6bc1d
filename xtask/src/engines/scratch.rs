//! A temporary folder, and namespaces in which all mounts and daemons end with the task, even if the task is
//! killed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use super::process::{handle_signals, installed, interrupted, program, run, signal, text};
use crate::Outcome;

/// Set for the inner one of the two processes.
const INSIDE: &str = "LAYERLIFT_XTASK_INSIDE";

/// A folder that is removed at the end, with what is mounted below it.
pub(crate) struct Scratch {
    path: PathBuf,
    keep: bool,
}

/// Something mounted, until it is dropped.
pub(crate) struct Mount {
    at: PathBuf,
}

/// Starts this program again in its own mount and process namespaces, and exits with its status. Inside of
/// them, only sets up signal handling.
pub(crate) fn enter_namespaces() -> Outcome {
    if std::env::var_os(INSIDE).is_some() {
        return handle_signals();
    }
    let namespaces =
        ["--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--mount-proc"];
    run(program("unshare", namespaces).arg("true")).map_err(|error| {
        format!("this needs root and permission to mount (in a container: --privileged): {error}")
    })?;
    let mut inner = Command::new("unshare")
        .args(namespaces)
        .arg(std::env::current_exe()?)
        .args(std::env::args_os().skip(1))
        .env(INSIDE, "1")
        // unshare ignores signals while it waits. The process that handles them is in its group.
        .process_group(0)
        .spawn()?;
    handle_signals()?;
    let mut signalled = false;
    let status = loop {
        if let Some(status) = inner.try_wait()? {
            break status;
        }
        if interrupted() && !signalled {
            signal("TERM", &format!("-{}", inner.id()));
            signalled = true;
        }
        thread::sleep(Duration::from_millis(50));
    };
    std::process::exit(status.code().unwrap_or(1))
}

impl Scratch {
    /// A new folder in the system's folder for temporary files.
    pub(crate) fn new(keep: bool) -> Outcome<Self> {
        Scratch::made(&std::env::temp_dir(), keep)
    }

    /// A new folder in the given one.
    pub(crate) fn below(folder: &Path) -> Outcome<Self> {
        Scratch::made(folder, false)
    }

    /// The name is short, because the path of a Unix socket is limited to 107 bytes.
    fn made(folder: &Path, keep: bool) -> Outcome<Self> {
        let made = text(program("mktemp", ["-d", "-p"]).arg(folder).arg("layerlift-XXXXXXXX"))?;
        let path = PathBuf::from(made.trim_end());
        // An ordinary user works in it too.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        Ok(Scratch { path, keep })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// An empty folder in it.
    pub(crate) fn folder(&self, name: &str) -> Outcome<PathBuf> {
        let folder = self.path.join(name);
        fs::create_dir_all(&folder)?;
        Ok(folder)
    }
}

/// Unmounts everything below a folder.
pub(crate) fn unmount_below(folder: &Path) {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let places = mounts
        .lines()
        .filter_map(|line| line.split(' ').nth(1))
        .filter(|place| Path::new(place).starts_with(folder));
    // The innermost come last in the list.
    for place in places.collect::<Vec<_>>().iter().rev() {
        let _ = Command::new("umount").args(["-l", place]).status();
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        unmount_below(&self.path);
        if self.keep {
            println!("kept: {}", self.path.display());
        } else {
            // rm copes with names of any bytes and with unreadable folders.
            let _ = Command::new("rm").args(["-rf", "--one-file-system", "--"]).arg(&self.path).status();
        }
    }
}

impl Mount {
    /// Runs mount(8) with these arguments, followed by `what` and `at`.
    pub(crate) fn new(arguments: &[&str], what: &Path, at: &Path) -> Outcome<Self> {
        run(program("mount", arguments).arg(what).arg(at))?;
        Ok(Mount { at: at.to_owned() })
    }

    /// A file system in memory, which grows as it is filled.
    pub(crate) fn memory(at: &Path) -> Outcome<Self> {
        Mount::new(&["-t", "tmpfs", "-o", "mode=755,size=75%"], Path::new("layerlift"), at)
    }

    /// A new btrfs in a file, large enough for the checks.
    pub(crate) fn btrfs(file: &Path, at: &Path) -> Outcome<Self> {
        if !installed("mkfs.btrfs") {
            return Err("mkfs.btrfs is not installed".into());
        }
        fs::File::create(file)?.set_len(1 << 30)?;
        run(program("mkfs.btrfs", ["--quiet"]).arg(file))?;
        Mount::new(&["-o", "loop"], file, at)
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Removing the folder may have unmounted it already.
        let mut umount = Command::new("umount");
        let unmounted =
            umount.arg(&self.at).stderr(Stdio::null()).status().is_ok_and(|status| status.success());
        if !unmounted {
            let _ = Command::new("umount").arg("-l").arg(&self.at).stderr(Stdio::null()).status();
        }
    }
}
