//! Runs other programs, with a time limit, and ends them on ctrl-C.

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

/// No single step takes this long, not even on a slow machine.
const LIMIT: Duration = Duration::from_secs(180);

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// From now on, SIGINT, SIGTERM and SIGHUP end the running program, and everything is cleaned up.
pub(crate) fn handle_signals() -> Outcome {
    Ok(ctrlc::set_handler(|| INTERRUPTED.store(true, Ordering::SeqCst))?)
}

/// Whether one of these signals arrived.
pub(crate) fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::SeqCst)
}

/// A program with arguments, in a process group of its own, so that ctrl-C at the terminal reaches only this
/// process.
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

/// Runs a command and returns its standard output as text. An error has the command and the end of its
/// standard error.
pub(crate) fn text(command: impl BorrowMut<Command>) -> Outcome<String> {
    Ok(String::from_utf8_lossy(&bytes(command)?).into_owned())
}

/// Runs a command and returns its standard output.
pub(crate) fn bytes(mut command: impl BorrowMut<Command>) -> Outcome<Vec<u8>> {
    let command = command.borrow_mut();
    let output = output(&mut *command)?;
    if output.status.success() { Ok(output.stdout) } else { Err(failure(command, &output).into()) }
}

/// Runs a command and ignores its standard output.
pub(crate) fn run(command: impl BorrowMut<Command>) -> Outcome {
    bytes(command).map(drop)
}

/// Runs a command and returns its status and its output.
pub(crate) fn output(command: impl BorrowMut<Command>) -> Outcome<Output> {
    output_within(command, LIMIT)
}

/// Runs a command that may take this long.
pub(crate) fn output_within(mut command: impl BorrowMut<Command>, limit: Duration) -> Outcome<Output> {
    let command = command.borrow_mut();
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| format!("{}: {error}", shown(command)))?;
    let stdout = child.stdout.take().map(collect);
    let stderr = child.stderr.take().map(collect);
    let status = wait(&mut child, limit).map_err(|error| format!("{}: {error}", shown(command)))?;
    let joined =
        |thread: Option<thread::JoinHandle<Vec<u8>>>| thread.and_then(|t| t.join().ok()).unwrap_or_default();
    Ok(Output { status, stdout: joined(stdout), stderr: joined(stderr) })
}

/// Runs a command with its standard output in a file.
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

/// Waits for the child, and kills it at the limit or on a signal.
pub(crate) fn wait(child: &mut Child, limit: Duration) -> Outcome<ExitStatus> {
    let deadline = Instant::now() + limit;
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        let late = Instant::now() > deadline;
        if late || interrupted() {
            // The whole group, so that no child of it keeps running.
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

/// Sends a signal to a process, or to a group if the target has a minus sign.
pub(crate) fn signal(name: &str, target: &str) {
    // It may have ended already.
    let _ = Command::new("kill").args(["-s", name, "--", target]).stderr(Stdio::null()).status();
}

fn failure(command: &Command, output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    let mut last: Vec<&str> = stderr.lines().filter(|line| !line.trim().is_empty()).rev().take(3).collect();
    last.reverse();
    format!("{}: {}: {}", shown(command), output.status, last.join(" | "))
}

/// The command line, shortened.
fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let line = words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
    if line.chars().count() > 300 { line.chars().take(300).chain("...".chars()).collect() } else { line }
}

fn collect(mut pipe: impl Read + Send + 'static) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // Where the pipe breaks, the output ends.
        let _ = pipe.read_to_end(&mut bytes);
        bytes
    })
}
