//! One run of the program, and what no run may ever do.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::Outcome;
use crate::engines::process;

/// No run on a fixture takes this long, not even under strace on a busy machine.
const LIMIT: Duration = Duration::from_secs(30);

/// How one run ended.
pub(crate) struct Ran {
    pub(crate) line: String,
    pub(crate) status: Option<i32>,
    pub(crate) signal: Option<i32>,
    pub(crate) late: bool,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// Runs a command to its end.
    pub(crate) fn of(mut command: Command) -> Outcome<Self> {
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        let line = words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
        match process::output_within(&mut command, LIMIT) {
            Ok(output) => Ok(Ran {
                line,
                status: output.status.code(),
                signal: output.status.signal(),
                late: false,
                stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
                stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            }),
            Err(error) if error.to_string().contains("not done after") => {
                let (stdout, stderr) = (String::new(), error.to_string());
                Ok(Ran { line, status: None, signal: None, late: true, stdout, stderr })
            }
            Err(error) => Err(error),
        }
    }

    /// A run whose end somebody else has seen.
    pub(crate) fn ended(status: Option<i32>, line: &str) -> Self {
        let (stdout, stderr) = (String::new(), String::new());
        Ran { line: line.to_owned(), status, signal: None, late: false, stdout, stderr }
    }

    /// What is wrong with any run that ends like this: a panic, a signal, no end, an unknown status.
    pub(crate) fn complaint(&self) -> Option<&'static str> {
        if self.late {
            Some("does not end")
        } else if self.stderr.contains("panicked at") || self.status == Some(101) {
            Some("panic")
        } else if self.signal.is_some() {
            Some("ended by a signal")
        } else if !matches!(self.status, Some(0..=3)) {
            Some("unknown status")
        } else {
            None
        }
    }

    /// The lines of standard error that say something: hints and their continuations are left out.
    pub(crate) fn said(&self) -> impl Iterator<Item = &str> {
        self.stderr.lines().filter(|line| line.starts_with("layerlift:"))
    }

    /// For a file of a finding.
    pub(crate) fn shown(&self) -> String {
        let end = |text: &str| {
            let lines: Vec<&str> = text.lines().collect();
            lines[lines.len().saturating_sub(40)..].join("\n")
        };
        format!(
            "{}\nstatus {:?}, signal {:?}\n--- standard error\n{}\n--- standard output\n{}\n",
            self.line,
            self.status,
            self.signal,
            end(&self.stderr),
            end(&self.stdout)
        )
    }
}

/// `save --all --keep-going` of a root to a file.
pub(crate) fn save(layerlift: &Path, root: &Path, format: &str, output: &Path) -> Command {
    let mut command = process::program(layerlift, ["save", "--all", "--keep-going", "--format", format]);
    command.arg("--root").arg(root).arg("-o").arg(output);
    command
}

/// A command that prints, such as `images` or `verify`.
pub(crate) fn ask(layerlift: &Path, words: &[&str], root: &Path) -> Command {
    let mut command = process::program(layerlift, words);
    command.arg("--root").arg(root);
    command
}
