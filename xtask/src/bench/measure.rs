//! A run of a program: wall time, CPU time, peak memory, first byte, temporary files.

use std::collections::HashSet;
use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::engines::process::{interrupted, program};

/// What a run cost.
#[derive(Clone, Copy, Default)]
pub(crate) struct Run {
    pub(crate) wall: Duration,
    /// User and system time of the program, its children, and the daemon that worked for it.
    pub(crate) cpu: Duration,
    /// Peak resident size of the largest process, in bytes.
    pub(crate) memory: u64,
    /// When the first byte arrived; only for a pipe.
    pub(crate) first_byte: Option<Duration>,
}

/// A program and how it is run.
pub(crate) struct Contender {
    pub(crate) what: String,
    pub(crate) command: Vec<String>,
    /// The process of the daemon that does the work, if there is one.
    pub(crate) daemon: Option<u32>,
    /// The largest allowed ratio of layerlift's time to this program's.
    pub(crate) goal: Option<f64>,
}

/// Where the output goes, and what the time includes.
#[derive(Clone)]
pub(crate) struct Place {
    /// Removed after each run.
    pub(crate) out: PathBuf,
    /// Standard output is read to its end, as `cat >/dev/null` does.
    pub(crate) drain: bool,
    /// The time includes a sync of the file system.
    pub(crate) sync: bool,
    /// The page cache is emptied before each run.
    pub(crate) cold: bool,
}

impl Contender {
    pub(crate) fn new(what: &str, command: Vec<String>, goal: Option<f64>) -> Self {
        Contender { what: what.to_owned(), command, daemon: None, goal }
    }

    /// Runs it once.
    pub(crate) fn run(&self, place: &Place) -> Outcome<Run> {
        if interrupted() {
            return Err("interrupted".into());
        }
        let folder = place.out.parent().ok_or("an output without a folder")?;
        if place.cold {
            drop_caches()?;
        }
        let figures = folder.join("figures");
        let mut timed = program("/usr/bin/time", ["-q", "-f", "%U %S %M", "-o"]);
        timed.arg(&figures).args(&self.command).stderr(Stdio::piped());
        timed.stdout(if place.drain { Stdio::piped() } else { Stdio::null() });
        let before = self.daemon.map(cpu_of).unwrap_or_default();
        let began = Instant::now();
        let mut child = timed.spawn()?;
        let mut first_byte = None;
        if let Some(mut pipe) = child.stdout.take() {
            let mut buffer = vec![0; 128 << 10];
            while pipe.read(&mut buffer)? > 0 {
                first_byte.get_or_insert_with(|| began.elapsed());
            }
        }
        let output = child.wait_with_output()?;
        if place.sync {
            Command::new("sync").arg("-f").arg(folder).status()?;
        }
        let wall = began.elapsed();
        if !output.status.success() {
            let stderr = String::from_utf8_lossy(&output.stderr);
            return Err(format!("{}: {}: {}", self.command.join(" "), output.status, stderr.trim()).into());
        }
        let by_daemon = self.daemon.map(cpu_of).unwrap_or_default().saturating_sub(before);
        let text = fs::read_to_string(&figures)?;
        let numbers: Vec<f64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        let [user, system, kib] = numbers[..] else { return Err(format!("time printed {text:?}").into()) };
        let cpu = Duration::from_secs_f64(user + system) + by_daemon;
        Ok(Run { wall, cpu, memory: (kib * 1024.0) as u64, first_byte })
    }

    /// Runs it once, and returns the largest number of bytes that were in these folders or in unnamed files
    /// meanwhile. An output has no name either before it is complete, and does not count.
    pub(crate) fn temporary(&self, place: &Place, folders: &[PathBuf]) -> Outcome<u64> {
        let done = AtomicBool::new(false);
        let beside_output = place.out.parent().ok_or("an output without a folder")?;
        let all = || {
            let (beside, elsewhere) = size_without_name(beside_output);
            (beside, elsewhere + size_of(folders))
        };
        let before = all();
        thread::scope(|scope| {
            let watcher = scope.spawn(|| {
                let mut peak = before;
                while !done.load(Ordering::Relaxed) {
                    let now = all();
                    peak = (peak.0.max(now.0), peak.1.max(now.1));
                    thread::sleep(Duration::from_millis(20));
                }
                peak
            });
            let run = self.run(place);
            done.store(true, Ordering::Relaxed);
            let peak = watcher.join().map_err(|_| "the watcher panicked")?;
            let output = fs::metadata(&place.out).map_or(0, |out| out.blocks() * 512);
            run.map(|_| (peak.0 - before.0).saturating_sub(output) + (peak.1 - before.1))
        })
    }
}

/// Empties the page cache, and forgets inodes and names.
pub(crate) fn drop_caches() -> Outcome {
    Command::new("sync").status()?;
    let file = "/proc/sys/vm/drop_caches";
    fs::write(file, "3").map_err(|error| format!("{file}: {error}").into())
}

/// The median of each figure; of memory, the largest.
pub(crate) fn medians(runs: &[Run]) -> Run {
    fn median<T: Ord + Copy + Default>(values: impl Iterator<Item = T>) -> T {
        let mut values: Vec<T> = values.collect();
        values.sort();
        values.get(values.len() / 2).copied().unwrap_or_default()
    }
    let first: Vec<Duration> = runs.iter().filter_map(|run| run.first_byte).collect();
    Run {
        wall: median(runs.iter().map(|run| run.wall)),
        cpu: median(runs.iter().map(|run| run.cpu)),
        memory: runs.iter().map(|run| run.memory).max().unwrap_or_default(),
        first_byte: (!first.is_empty()).then(|| median(first.into_iter())),
    }
}

/// Removes an output, file or directory.
pub(crate) fn clear(out: &Path) -> Outcome {
    match fs::symlink_metadata(out) {
        Ok(metadata) if metadata.is_dir() => Ok(fs::remove_dir_all(out)?),
        Ok(_) => Ok(fs::remove_file(out)?),
        Err(_) => Ok(()),
    }
}

/// The CPU time of a process and its finished children. The kernel counts in hundredths of a second.
fn cpu_of(process: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // The name is in parentheses, and may contain blanks.
    let numbers = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: u64 = numbers.skip(11).take(4).filter_map(|word| word.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

/// Bytes in open files that have no name, or no longer have one: of those in a folder, and of all others. The
/// namespace of the benchmark shows only its own processes.
fn size_without_name(folder: &Path) -> (u64, u64) {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let open =
        processes.flat_map(|process| fs::read_dir(process.path().join("fd")).into_iter().flatten().flatten());
    let mut seen = HashSet::new();
    let mut sizes = (0, 0);
    for file in open {
        let Ok(metadata) = fs::metadata(file.path()) else { continue };
        if !metadata.is_file() || metadata.nlink() > 0 || !seen.insert((metadata.dev(), metadata.ino())) {
            continue;
        }
        let is_beside = fs::read_link(file.path()).is_ok_and(|path| path.parent() == Some(folder));
        *(if is_beside { &mut sizes.0 } else { &mut sizes.1 }) += metadata.blocks() * 512;
    }
    sizes
}

/// Bytes on the disk below some folders.
fn size_of(folders: &[PathBuf]) -> u64 {
    let mut sum = 0;
    let mut open: Vec<PathBuf> = folders.to_vec();
    while let Some(folder) = open.pop() {
        // Files come and go meanwhile.
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.metadata() {
                Ok(metadata) if metadata.is_dir() => open.push(entry.path()),
                Ok(metadata) => sum += metadata.len(),
                Err(_) => {}
            }
        }
    }
    sum
}
