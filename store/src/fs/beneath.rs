//! Opens a path below a directory: the kernel confines it (`openat2`), or this crate does ([`walk`]).
//!
//! Two things can be refused. Kernels before 5.6 do not know `openat2` (ENOSYS), and neither do the seccomp
//! filters of older container runtimes, which answer EPERM. The kernel also answers EPERM where `O_NOATIME`
//! is used by someone who is neither root nor the file's owner. Another try without one of the two shows
//! which it was. Refusals are remembered, since an export opens tens of thousands of files.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fd::BorrowedFd;
use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::{Errno, Result};

use super::walk;

/// How symbolic links on the way are treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Links {
    /// They are errors.
    Refused,
    /// They are followed, with the directory as `/`.
    Inside,
}

/// How often `openat2` is tried; see [`ask_kernel`].
const TRIES: usize = 16;

/// What was refused to this process.
static REFUSED: Refused = Refused { openat2: AtomicBool::new(false), noatime: AtomicBool::new(false) };

/// Opens `path` below `dir`, without changing its access time if possible.
pub(super) fn open(dir: BorrowedFd<'_>, path: &Path, flags: OFlags, links: Links) -> Result<OwnedFd> {
    let kernel = |flags| ask_kernel(dir, path, flags, links);
    REFUSED.open(flags, &kernel, &|flags| walk::open(dir, path, flags, links))
}

/// Opens `name` in `dir`, without following a link. `openat` does not confine a path, so `name` is checked to
/// be a single component.
pub(super) fn open_in(dir: BorrowedFd<'_>, name: &[u8], flags: OFlags) -> Result<OwnedFd> {
    if matches!(name, b"" | b"." | b"..") || name.contains(&b'/') {
        return Err(Errno::INVAL);
    }
    REFUSED
        .without_atime(flags | OFlags::NOFOLLOW, &|flags| rustix::fs::openat(dir, name, flags, Mode::empty()))
}

pub(super) fn ask_kernel(dir: BorrowedFd<'_>, path: &Path, flags: OFlags, links: Links) -> Result<OwnedFd> {
    let how = ResolveFlags::NO_MAGICLINKS
        | match links {
            Links::Refused => ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS,
            Links::Inside => ResolveFlags::IN_ROOT,
        };
    let open = || rustix::fs::openat2(dir, path, flags, Mode::empty(), how);
    // While something is renamed, the kernel cannot decide where `..` leads, and asks for another try.
    (1..TRIES).map(|_| open()).find(|opened| !matches!(opened, Err(Errno::AGAIN))).unwrap_or_else(open)
}

struct Refused {
    openat2: AtomicBool,
    noatime: AtomicBool,
}

impl Refused {
    /// Opens with `kernel`, or with `walk` if that is refused.
    fn open<T>(
        &self,
        flags: OFlags,
        kernel: &dyn Fn(OFlags) -> Result<T>,
        walk: &dyn Fn(OFlags) -> Result<T>,
    ) -> Result<T> {
        if !self.openat2.load(Ordering::Relaxed) {
            match self.without_atime(flags, kernel) {
                Err(Errno::NOSYS) => self.openat2.store(true, Ordering::Relaxed),
                Err(Errno::AGAIN) => {}
                Err(Errno::PERM) => {
                    let opened = self.without_atime(flags, walk);
                    if opened.is_ok() {
                        self.openat2.store(true, Ordering::Relaxed);
                    }
                    return opened;
                }
                opened => return opened,
            }
        }
        self.without_atime(flags, walk)
    }

    fn without_atime<T>(&self, flags: OFlags, open: &dyn Fn(OFlags) -> Result<T>) -> Result<T> {
        // O_PATH descriptors cannot be read from.
        if flags.contains(OFlags::PATH) || self.noatime.load(Ordering::Relaxed) {
            return open(flags);
        }
        match open(flags | OFlags::NOATIME) {
            Err(Errno::PERM) => {
                let opened = open(flags);
                if opened.is_ok() {
                    self.noatime.store(true, Ordering::Relaxed);
                }
                opened
            }
            opened => opened,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    /// The calls that are made for a file and then for another, and their results. `kernel` and `walk` answer
    /// the calls.
    fn calls(
        flags: OFlags,
        kernel: fn(bool) -> Result<()>,
        walk: fn(bool) -> Result<()>,
    ) -> [(String, Result<()>); 2] {
        let refused = Refused { openat2: AtomicBool::new(false), noatime: AtomicBool::new(false) };
        [(), ()].map(|()| {
            let calls = RefCell::new(Vec::new());
            let noatime = |flags: OFlags, name: &'static str| {
                let noatime = flags.contains(OFlags::NOATIME);
                calls.borrow_mut().push(format!("{name}{}", if noatime { "+noatime" } else { "" }));
                noatime
            };
            let opened = refused.open(flags, &|flags| kernel(noatime(flags, "openat2")), &|flags| {
                walk(noatime(flags, "walk"))
            });
            (calls.into_inner().join(" "), opened)
        })
    }

    #[test]
    fn tells_apart_what_was_refused() {
        type Answer = fn(bool) -> Result<()>;
        let fine: Answer = |_| Ok(());
        let foreign: Answer = |noatime| if noatime { Err(Errno::PERM) } else { Ok(()) };
        let refused: Answer = |_| Err(Errno::PERM);
        let unknown: Answer = |_| Err(Errno::NOSYS);
        let absent: Answer = |_| Err(Errno::NOENT);
        let busy: Answer = |_| Err(Errno::AGAIN);
        for (kernel, walk, first, second, opened) in [
            (fine, fine, "openat2+noatime", "openat2+noatime", Ok(())),
            (absent, fine, "openat2+noatime", "openat2+noatime", Err(Errno::NOENT)),
            // Another user's file.
            (foreign, foreign, "openat2+noatime openat2", "openat2", Ok(())),
            // A seccomp filter.
            (refused, fine, "openat2+noatime openat2 walk+noatime", "walk+noatime", Ok(())),
            // Both.
            (refused, foreign, "openat2+noatime openat2 walk+noatime walk", "walk", Ok(())),
            // The file itself is refused, which says nothing about others.
            (
                refused,
                refused,
                "openat2+noatime openat2 walk+noatime walk",
                "openat2+noatime openat2 walk+noatime walk",
                Err(Errno::PERM),
            ),
            (
                refused,
                absent,
                "openat2+noatime openat2 walk+noatime",
                "openat2+noatime openat2 walk+noatime",
                Err(Errno::NOENT),
            ),
            // An old kernel.
            (unknown, fine, "openat2+noatime walk+noatime", "walk+noatime", Ok(())),
            (unknown, foreign, "openat2+noatime walk+noatime walk", "walk", Ok(())),
            (busy, fine, "openat2+noatime walk+noatime", "openat2+noatime walk+noatime", Ok(())),
        ] {
            let expected = [(first.to_owned(), opened), (second.to_owned(), opened)];
            assert_eq!(calls(FILE, kernel, walk), expected);
        }
        let path = calls(OFlags::PATH, refused, fine);
        assert_eq!(path.map(|(calls, _)| calls), ["openat2 walk", "walk"]);
    }

    const FILE: OFlags = OFlags::RDONLY;
}
