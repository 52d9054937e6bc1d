//! All targets, as many at a time as there are processors.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::thread;

use layerlift_fuzz::Target;

use crate::search::{FILLS, HANGS};
use crate::{Args, Outcome, findings};

/// Temporary files need no disk.
const MEMORY: &str = "/dev/shm";

/// Searches with each target for its part of the time.
pub(crate) fn run(targets: &[Target], args: &Args) -> Outcome {
    let workers = thread::available_parallelism().map_or(1, usize::from).min(targets.len().max(1));
    let seconds = (args.seconds * workers as u64 / targets.len().max(1) as u64).max(1);
    let memory = Path::new(MEMORY);
    let scratch = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }?;
    println!("{} targets, {seconds} s each, {workers} at a time; seed {}", targets.len(), args.seed);
    let left = Mutex::new(targets.to_vec());
    let found = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(target) = next(&left) {
                    if let Err(error) = one(&target, seconds, args, scratch.path()) {
                        found.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(error.to_string());
                    }
                }
            });
        }
    });
    let found = found.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    if found.is_empty() { Ok(()) } else { Err(found.join("\n").into()) }
}

fn next(left: &Mutex<Vec<Target>>) -> Option<Target> {
    left.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).pop()
}

/// Runs this program for one target. Its error has the input's file, however the process ended.
fn one(target: &Target, seconds: u64, args: &Args, scratch: &Path) -> Outcome {
    let name = target.name;
    let temporary = scratch.join(name);
    fs::create_dir(&temporary)?;
    let current: PathBuf = scratch.join(format!("{name}.input"));
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--target", name, "--seconds", &seconds.to_string(), "--seed", &args.seed.to_string()]);
    command.arg("--findings").arg(&args.findings).arg("--current").arg(&current);
    let output =
        command.env("TMPDIR", &temporary).stderr(Stdio::piped()).stdout(Stdio::inherit()).output()?;
    let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    let Some(how) = how_it_died(output.status) else {
        return if output.status.success() { Ok(()) } else { Err(message.into()) };
    };
    let bytes = fs::read(&current).unwrap_or_default();
    let (len, rest) =
        bytes.split_first_chunk().ok_or_else(|| format!("{name}: {how} before the first input"))?;
    let input = &rest[..rest.len().min(u64::from_le_bytes(*len) as usize)];
    let file = findings::save(&args.findings, name, input)?;
    Err(format!("{name}: {how} in {} {message}", file.display()).into())
}

/// An end that is a finding by itself.
fn how_it_died(status: ExitStatus) -> Option<String> {
    match (status.code(), status.signal()) {
        (Some(HANGS), _) => Some("HANG".to_owned()),
        (Some(FILLS), _) => Some("TOO MUCH MEMORY".to_owned()),
        (_, Some(signal)) => Some(format!("KILLED by signal {signal}")),
        _ => None,
    }
}
