//! Running other programs: never longer than they may, never longer than the person at the terminal wants.

use std::borrow::BorrowMut;
use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::Outcome;

/// No single step takes longer on a slow machine.
const LIMIT: Duration = Duration::from_secs(180);

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// From now on SIGINT, SIGTERM and SIGHUP end what is running, and let everything be cleared away.
pub(crate) fn handle_signals() -> Outcome {
    Ok(ctrlc::set_handler(|| INTERRUPTED.store(true, Ordering::SeqCst))?)
}

/// Whether one of these signals came.
pub(crate) fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::SeqCst)
}

/// A program, by its name, with arguments. In a process group of its own, so that ctrl-C at the terminal reaches only us.
pub(crate) fn program<S: AsRef<OsStr>>(
    name: impl AsRef<OsStr>,
    arguments: impl IntoIterator<Item = S>,
) -> Command {
    let mut command = Command::new(name);
    command.args(arguments).process_group(0).stdin(Stdio::null());
    command
}

/// Whether a program is installed.
pub(crate) fn installed(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(name).is_file())
}

/// Runs it; its standard output as text. A failure says the command and the end of what it said.
pub(crate) fn text(command: impl BorrowMut<Command>) -> Outcome<String> {
    Ok(String::from_utf8_lossy(&bytes(command)?).into_owned())
}

/// Runs it; its standard output.
pub(crate) fn bytes(mut command: impl BorrowMut<Command>) -> Outcome<Vec<u8>> {
    let command = command.borrow_mut();
    let output = output(&mut *command)?;
    if output.status.success() { Ok(output.stdout) } else { Err(failure(command, &output).into()) }
}

/// Runs it, whatever it says.
pub(crate) fn run(command: impl BorrowMut<Command>) -> Outcome {
    bytes(command).map(drop)
}

/// Runs it and returns how it ended, and what it printed.
pub(crate) fn output(mut command: impl BorrowMut<Command>) -> Outcome<Output> {
    let command = command.borrow_mut();
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| format!("{}: {error}", shown(command)))?;
    let stdout = child.stdout.take().map(collect);
    let stderr = child.stderr.take().map(collect);
    let status = wait(&mut child, LIMIT).map_err(|error| format!("{}: {error}", shown(command)))?;
    let joined =
        |thread: Option<thread::JoinHandle<Vec<u8>>>| thread.and_then(|t| t.join().ok()).unwrap_or_default();
    Ok(Output { status, stdout: joined(stdout), stderr: joined(stderr) })
}

/// Runs it with standard output into a file.
pub(crate) fn into_file(mut command: impl BorrowMut<Command>, file: &Path) -> Outcome {
    let command = command.borrow_mut();
    command.stdout(File::create(file)?).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| format!("{}: {error}", shown(command)))?;
    let stderr = child.stderr.take().map(collect);
    let status = wait(&mut child, LIMIT)?;
    let stderr = stderr.and_then(|thread| thread.join().ok()).unwrap_or_default();
    let output = Output { status, stdout: Vec::new(), stderr };
    if status.success() { Ok(()) } else { Err(failure(command, &output).into()) }
}

/// Waits until the child ends by itself, or ends it.
pub(crate) fn wait(child: &mut Child, limit: Duration) -> Outcome<ExitStatus> {
    let deadline = Instant::now() + limit;
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        let late = Instant::now() > deadline;
        if late || interrupted() {
            // The group, so that no helper of it goes on.
            signal("KILL", &format!("-{}", child.id()));
            child.wait()?;
            return Err(if late {
                format!("not done after {} s", limit.as_secs()).into()
            } else {
                "interrupted".into()
            });
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

/// Sends a signal to a process or, with a minus sign, to a group.
pub(crate) fn signal(name: &str, target: &str) {
    // It may have ended already.
    let _ = Command::new("kill").args(["-s", name, "--", target]).stderr(Stdio::null()).status();
}

fn failure(command: &Command, output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    let mut last: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).rev().take(3).collect();
    last.reverse();
    format!("{}: {}: {}", shown(command), output.status, last.join(" | "))
}

/// The command as one would type it, shortened.
fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let line = words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
    if line.chars().count() > 300 { line.chars().take(300).chain("...".chars()).collect() } else { line }
}

fn collect(mut pipe: impl Read + Send + 'static) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // A pipe that breaks ends what was said.
        let _ = pipe.read_to_end(&mut bytes);
        bytes
    })
}
