//! A place of its own: a temporary folder, and namespaces in which every mount and every daemon ends with the task, even if
//! the task is killed.

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

/// Starts this program again in mount and process namespaces of its own, and ends as that does. Inside, only sees to signals.
pub(crate) fn enter_namespaces() -> Outcome {
    if std::env::var_os(INSIDE).is_some() {
        return handle_signals();
    }
    let namespaces =
        ["--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--mount-proc"];
    run(program("unshare", namespaces).arg("true")).map_err(|error| {
        format!("needs root and the right to mount (a container has it only if privileged): {error}")
    })?;
    let mut inner = Command::new("unshare")
        .args(namespaces)
        .arg(std::env::current_exe()?)
        .args(std::env::args_os().skip(1))
        .env(INSIDE, "1")
        // unshare turns a deaf ear to signals while it waits; its group has the one who listens.
        .process_group(0)
        .spawn()?;
    handle_signals()?;
    let mut told = false;
    let status = loop {
        if let Some(status) = inner.try_wait()? {
            break status;
        }
        if interrupted() && !told {
            signal("TERM", &format!("-{}", inner.id()));
            told = true;
        }
        thread::sleep(Duration::from_millis(50));
    };
    std::process::exit(status.code().unwrap_or(1))
}

impl Scratch {
    /// A new folder where temporary files go.
    pub(crate) fn new(keep: bool) -> Outcome<Self> {
        Scratch::made(&std::env::temp_dir(), keep)
    }

    /// A new folder in another one.
    pub(crate) fn below(folder: &Path) -> Outcome<Self> {
        Scratch::made(folder, false)
    }

    /// Its name is short, because the path of a unix socket holds 107 bytes.
    fn made(folder: &Path, keep: bool) -> Outcome<Self> {
        let made = text(program("mktemp", ["-d", "-p"]).arg(folder).arg("layerlift-XXXXXXXX"))?;
        let path = PathBuf::from(made.trim_end());
        // An ordinary user works in there too.
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

/// Unmounts whatever is mounted below a folder.
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
            // By a program that bears with names of any bytes and with what was made unreadable.
            let _ = Command::new("rm").args(["-rf", "--one-file-system", "--"]).arg(&self.path).status();
        }
    }
}

impl Mount {
    /// Mounts with the arguments of mount(8); `at` is the last of them.
    pub(crate) fn new(arguments: &[&str], what: &Path, at: &Path) -> Outcome<Self> {
        run(program("mount", arguments).arg(what).arg(at))?;
        Ok(Mount { at: at.to_owned() })
    }

    /// A new file system in a file, as large as the checks need.
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
        // Whoever cleared the folder may have unmounted it already.
        let mut umount = Command::new("umount");
        let unmounted =
            umount.arg(&self.at).stderr(Stdio::null()).status().is_ok_and(|status| status.success());
        if !unmounted {
            let _ = Command::new("umount").arg("-l").arg(&self.at).stderr(Stdio::null()).status();
        }
    }
}
