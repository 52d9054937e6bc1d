//! A daemon that does not outlive this process.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

use super::process::{interrupted, signal};
use crate::Outcome;

/// How long a daemon may take to start, and to stop.
const LIMIT: Duration = Duration::from_secs(60);

/// A running daemon. Dropping it stops it, by its process id.
pub(crate) struct Daemon(Child);

impl Daemon {
    /// Starts it and waits until `answers` is true. Its output goes to `log`.
    pub(crate) fn start(mut command: Command, log: &Path, answers: impl Fn() -> bool) -> Outcome<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        let file = File::create(log)?;
        command.stdout(file.try_clone()?).stderr(file);
        let mut daemon = Daemon(command.spawn().map_err(|error| format!("{name}: {error}"))?);
        let deadline = Instant::now() + LIMIT;
        while !answers() {
            if interrupted() {
                return Err("interrupted".into());
            }
            if daemon.0.try_wait()?.is_some() || Instant::now() > deadline {
                let log = fs::read_to_string(log)?;
                let why = log.lines().last().unwrap_or("its log is empty");
                return Err(format!("{name} does not start: {why}").into());
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(daemon)
    }

    /// Its process id.
    pub(crate) fn process(&self) -> u32 {
        self.0.id()
    }

    /// Stops it and waits for its end.
    pub(crate) fn stop(mut self) -> Outcome {
        self.end(LIMIT)
    }

    /// Kills it, so that it writes nothing more.
    pub(crate) fn kill(mut self) -> Outcome {
        signal("KILL", &self.0.id().to_string());
        self.0.wait()?;
        Ok(())
    }

    fn end(&mut self, limit: Duration) -> Outcome {
        signal("TERM", &self.0.id().to_string());
        let deadline = Instant::now() + limit;
        while self.0.try_wait()?.is_none() {
            if Instant::now() > deadline {
                // With its children.
                signal("KILL", &format!("-{}", self.0.id()));
                self.0.wait()?;
                return Err(format!("a daemon had to be killed after {} s", limit.as_secs()).into());
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) {
            // Shorter than the limit, since this process is about to end, perhaps on ctrl-C.
            let _ = self.end(Duration::from_secs(15));
        }
    }
}
