//! Whether reading has to wait for a disk: then it is worth to have more threads that wait.
//!
//! Nothing of it is felt while files come from the page cache: a fill is timed with a clock that needs no
//! system call, and one that is quick says all. One that took long may have lost its processor to somebody
//! else. So after it the kernel's count of voluntary context switches is compared around the next few: a
//! thread that copies from the page cache gives up its processor for nothing. Readers go on counting, and the
//! workers take over again when there is nothing left to wait for.

use std::fs;
use std::io;
use std::time::{Duration, Instant};

use super::schedule::ToFill;

/// A buffer of small files from the page cache takes less than half of this.
const SLOW: Duration = Duration::from_millis(1);
/// Fills that are watched after a slow one.
const WATCHED: usize = 8;
/// How many of them have to have waited: a few pages that are missing are not a cold disk.
const WAITED: usize = 6;

/// What a worker knows of its own fills.
#[derive(Default)]
pub(super) struct Watch {
    left: usize,
    waited: usize,
}

impl Watch {
    /// Fills gaps, and notes whether that had to wait.
    pub(super) fn fill(&mut self, to_fill: &mut ToFill<'_>) -> io::Result<()> {
        let before = if self.left > 0 { voluntary_switches() } else { None };
        let began = Instant::now();
        let result = to_fill.fill();
        match before {
            _ if self.left == 0 => {
                if began.elapsed() > SLOW {
                    *self = Watch { left: WATCHED, waited: 0 };
                }
            }
            Some(before) => {
                self.left -= 1;
                self.waited += usize::from(voluntary_switches().is_some_and(|after| after > before));
            }
            // There is no /proc here.
            None => self.left = 0,
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
    let before = voluntary_switches();
    let result = to_fill.fill();
    (result, before.is_none_or(|before| voluntary_switches().is_none_or(|after| after > before)))
}

/// How often this thread has waited for something.
fn voluntary_switches() -> Option<u64> {
    let status = fs::read_to_string("/proc/thread-self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
    line.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_is_counted() {
        let Some(before) = voluntary_switches() else {
            eprintln!("skipped: waiting_is_counted: there is no /proc/thread-self/status");
            return;
        };
        std::thread::sleep(Duration::from_millis(1));
        assert!(voluntary_switches().unwrap() > before);
    }
}
