//! One run of one program: time on the wall and on the processors, peak memory, first byte, temporary files.

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

/// What a run took.
#[derive(Clone, Copy, Default)]
pub(crate) struct Run {
    pub(crate) wall: Duration,
    /// User and system, of the program, what it started, and the daemon that worked for it.
    pub(crate) cpu: Duration,
    /// Peak resident size in bytes, of the largest process that was started.
    pub(crate) memory: u64,
    /// When the first byte came; only for a pipe.
    pub(crate) first_byte: Option<Duration>,
}

/// A program and how it is run.
pub(crate) struct Contender {
    pub(crate) what: String,
    pub(crate) command: Vec<String>,
    /// The process that does the work, where that is a daemon.
    pub(crate) daemon: Option<u32>,
    /// layerlift's time is at most this part of this one's.
    pub(crate) goal: Option<f64>,
}

/// Where the output goes, and what belongs to the time.
#[derive(Clone)]
pub(crate) struct Place {
    /// Removed after each run.
    pub(crate) out: PathBuf,
    /// Standard output is read to its end, as `cat >/dev/null` does.
    pub(crate) drain: bool,
    /// A sync of the file system belongs to the time.
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
            Command::new("sync").status()?;
            fs::write("/proc/sys/vm/drop_caches", "3")?;
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
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(format!("{}: {}: {}", self.command.join(" "), output.status, said.trim()).into());
        }
        let by_daemon = self.daemon.map(cpu_of).unwrap_or_default().saturating_sub(before);
        let text = fs::read_to_string(&figures)?;
        let numbers: Vec<f64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        let [user, system, kib] = numbers[..] else { return Err(format!("time said {text:?}").into()) };
        let cpu = Duration::from_secs_f64(user + system) + by_daemon;
        Ok(Run { wall, cpu, memory: (kib * 1024.0) as u64, first_byte })
    }

    /// Runs it once and watches: the most bytes that lay in these folders for temporary files while it ran, or in files without
    /// a name.
    pub(crate) fn temporary(&self, place: &Place, folders: &[PathBuf]) -> Outcome<u64> {
        let done = AtomicBool::new(false);
        let all = || size_of(folders) + size_without_name();
        let before = all();
        thread::scope(|scope| {
            let watcher = scope.spawn(|| {
                let mut most = before;
                while !done.load(Ordering::Relaxed) {
                    most = most.max(all());
                    thread::sleep(Duration::from_millis(20));
                }
                most
            });
            let run = self.run(place);
            done.store(true, Ordering::Relaxed);
            let most = watcher.join().map_err(|_| "the watcher panicked")?;
            run.map(|_| most - before)
        })
    }
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

/// Removes an output, whatever it is.
pub(crate) fn clear(out: &Path) -> Outcome {
    match fs::symlink_metadata(out) {
        Ok(metadata) if metadata.is_dir() => Ok(fs::remove_dir_all(out)?),
        Ok(_) => Ok(fs::remove_file(out)?),
        Err(_) => Ok(()),
    }
}

/// What a process has used so far, and its children that have ended; in hundredths of a second, as the kernel counts.
fn cpu_of(process: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // The name, in parentheses, may have blanks in it.
    let numbers = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: u64 = numbers.skip(11).take(4).filter_map(|word| word.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

/// Bytes in files that processes have open and that no folder has (any more). Only ours are to be seen: we have a namespace of our own.
fn size_without_name() -> u64 {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let open =
        processes.flat_map(|process| fs::read_dir(process.path().join("fd")).into_iter().flatten().flatten());
    let mut seen = HashSet::new();
    open.filter_map(|file| fs::metadata(file.path()).ok())
        .filter(|file| file.is_file() && file.nlink() == 0 && seen.insert((file.dev(), file.ino())))
        .map(|file| file.blocks() * 512)
        .sum()
}

/// Bytes on the disk below some folders.
fn size_of(folders: &[PathBuf]) -> u64 {
    let mut sum = 0;
    let mut open: Vec<PathBuf> = folders.to_vec();
    while let Some(folder) = open.pop() {
        // Files come and go while one looks.
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
