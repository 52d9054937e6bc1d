//! Saves while the engine runs, and watches the kernel's list of locks meanwhile.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::engines::process;
use crate::interop::listing::Listing;

/// How long nobody reads the archive. Meanwhile, a save waits if it has more to write than a pipe holds.
const HELD: Duration = Duration::from_millis(500);

/// Runs a save that writes into a pipe. It must not lock a file, and `root` must stay as it is.
pub(super) fn save(command: &mut Command, root: &Path, output: &Path) -> Outcome {
    let before = at_rest(root)?;
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let owner = format!(" {} ", child.id());
    let start = Instant::now();
    let mut locked = None;
    while start.elapsed() < HELD {
        let locks = fs::read_to_string("/proc/locks")?;
        locked = locked.or(locks.lines().find(|line| line.contains(&owner)).map(str::to_owned));
        thread::sleep(Duration::from_millis(1));
    }
    let mut stdout = child.stdout.take().ok_or("the program has no output")?;
    let mut archive = Vec::new();
    stdout.read_to_end(&mut archive)?;
    let mut said = String::new();
    if let Some(mut stderr) = child.stderr.take() {
        stderr.read_to_string(&mut said)?;
    }
    let status = process::wait(&mut child, Duration::from_secs(60))?;
    if !status.success() {
        return Err(format!("layerlift save: {status}: {}", said.trim()).into());
    }
    if let Some(line) = locked {
        return Err(format!("it locks a file: {line}").into());
    }
    fs::write(output, archive)?;
    before.same(&Listing::of(root)?)
}

/// Waits until the engine has removed what nothing needs any more.
fn at_rest(root: &Path) -> Outcome<Listing> {
    let mut before = None;
    for _ in 0..20 {
        // What disappears meanwhile is an error.
        let now = Listing::of(root).ok();
        match now {
            Some(now) if before.as_ref() == Some(&now) => return Ok(now),
            now => before = now,
        }
        thread::sleep(HELD);
    }
    Err("the engine does not come to rest".into())
}
