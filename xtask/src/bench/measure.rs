//! One run of one program: time on the wall and on the processor, peak memory, first byte.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::engines::process::program;

/// What a run took.
#[derive(Clone, Copy, Default)]
pub(crate) struct Run {
    pub(crate) wall: Duration,
    /// User and system, of the program and what it started; a daemon's is not in it.
    pub(crate) cpu: Duration,
    /// Peak resident size in bytes, of the largest process.
    pub(crate) memory: u64,
    /// When the first byte came; only for a pipe.
    pub(crate) first_byte: Option<Duration>,
}

/// Runs a command. With `drain`, its standard output is read to the end, as `cat >/dev/null` does. With `sync`, a sync of the file
/// system belongs to the time.
pub(crate) fn run(command: &[String], folder: &Path, drain: bool, sync: bool) -> Outcome<Run> {
    let figures = folder.join("figures");
    let mut timed = program("/usr/bin/time", ["-q", "-f", "%U %S %M", "-o"]);
    timed.arg(&figures).args(command).stderr(Stdio::piped());
    timed.stdout(if drain { Stdio::piped() } else { Stdio::null() });
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
    if sync {
        Command::new("sync").arg("-f").arg(folder).status()?;
    }
    let wall = began.elapsed();
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{}: {}: {}", command.join(" "), output.status, said.trim()).into());
    }
    let text = fs::read_to_string(&figures)?;
    let numbers: Vec<f64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [user, system, kib] = numbers[..] else { return Err(format!("time said {text:?}").into()) };
    Ok(Run { wall, cpu: Duration::from_secs_f64(user + system), memory: (kib * 1024.0) as u64, first_byte })
}

/// The median of each figure.
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

/// Number of calls to the system that open, read or close something, and number of regular temporary files made, of a whole run.
pub(crate) fn count_calls(command: &[String], folder: &Path) -> Outcome<(u64, u64)> {
    let log = folder.join("calls");
    let mut traced =
        program("strace", ["-f", "-q", "-e", "trace=openat2,openat,read,pread64,close,statx", "-o"]);
    traced.arg(&log).args(command).stdout(Stdio::null()).stderr(Stdio::null());
    if !traced.status()?.success() {
        return Err(format!("{} failed under strace", command.join(" ")).into());
    }
    let text = fs::read_to_string(&log)?;
    let temporary = text.lines().filter(|line| line.contains("O_TMPFILE") || line.contains("/.tmp")).count();
    fs::remove_file(&log)?;
    Ok((text.lines().count() as u64, temporary as u64))
}
