//! Whether reading has to wait for a disk: then it is worth to have more threads that wait.
//!
//! Nothing of it is felt while files come from the page cache: a fill is timed with a clock that needs no
//! system call, and one that is quick says all. One that took long may have lost its processor to somebody
//! else. So after it the bytes that the kernel fetched from storage for this thread (`read_bytes` in
//! `/proc/thread-self/io`) are compared around the next few. Readers go on counting, and the workers take
//! over again when nothing comes from a disk any more.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use super::schedule::ToFill;

/// A buffer of small files from the page cache takes less than half of this.
const SLOW: Duration = Duration::from_millis(1);
/// Fills that are watched after a slow one.
const WATCHED: usize = 8;
/// How many of them have to have fetched something: a few pages that are missing are not a cold disk.
const WAITED: usize = 6;

/// What a worker knows of its own fills.
#[derive(Default)]
pub(super) struct Watch {
    left: usize,
    waited: usize,
    /// What was fetched until the last one; `None` where nobody can say.
    before: Option<u64>,
}

impl Watch {
    /// Fills gaps, and notes whether that had to wait.
    pub(super) fn fill(&mut self, to_fill: &mut ToFill<'_>) -> io::Result<()> {
        let began = Instant::now();
        let result = to_fill.fill();
        if self.left > 0 {
            let now = fetched();
            self.left -= 1;
            self.waited += usize::from(now > self.before);
            self.before = now;
        } else if began.elapsed() > SLOW {
            *self = Watch { left: WATCHED, waited: 0, before: fetched() };
        }
        result
    }

    /// Whether files have to be waited for.
    pub(super) fn has_waited(&self) -> bool {
        self.waited >= WAITED
    }
}

/// Fills gaps, and says whether that had to wait; `true` where nobody can say.
pub(super) fn fill(to_fill: &mut ToFill<'_>) -> (io::Result<()>, bool) {
    let before = fetched();
    let result = to_fill.fill();
    (result, before.is_none_or(|before| fetched().is_none_or(|after| after > before)))
}

thread_local! {
    /// Open as long as the thread is there, so that a look at it is one system call.
    static IO: Option<File> = File::open("/proc/thread-self/io").ok();
}

/// Bytes that were fetched from storage for this thread.
fn fetched() -> Option<u64> {
    let mut text = [0; 512];
    let len = IO.with(|io| io.as_ref().and_then(|io| io.read_at(&mut text, 0).ok()))?;
    let line = text[..len].split(|&byte| byte == b'\n').find_map(|line| line.strip_prefix(b"read_bytes:"))?;
    str::from_utf8(line).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use rustix::fs::{Advice, fadvise};

    use super::*;

    #[test]
    fn bytes_from_a_disk_are_counted() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&vec![7; 1 << 20]).unwrap();
        file.as_file().sync_all().unwrap();
        let read = || {
            let before = fetched()?;
            fs::read(file.path()).unwrap();
            fetched().map(|after| after - before)
        };
        let Some(cached) = read() else {
            eprintln!("skipped: bytes_from_a_disk_are_counted: there is no /proc/thread-self/io");
            return;
        };
        assert_eq!(cached, 0);
        fadvise(file.as_file(), 0, None, Advice::DontNeed).unwrap();
        const TMPFS: u64 = 0x0102_1994;
        if rustix::fs::statfs(file.path()).unwrap().f_type as u64 == TMPFS {
            eprintln!("skipped: bytes_from_a_disk_are_counted: the temporary folder is in memory");
            return;
        }
        assert!(read().unwrap() > 0);
    }
}
