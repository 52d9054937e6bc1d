//! Names in completions: what the script of a shell asks the program for, and what the program answers.
//!
//! ```text
//! layerlift __complete bash "$COMP_WORDBREAKS" "${COMP_LINE:0:COMP_POINT}"
//! layerlift __complete zsh|fish WORD… WORD          the last word is the one at the cursor
//! ```
//!
//! It prints a candidate on each line, or nothing and exits with 1: then the script offers its own words. It
//! reports no error, waits for no slow disk, and writes nothing.

mod asked;
mod line;
mod names;
mod scripts;

use std::env;
use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use asked::Asked;
use line::{Word, bash_words};
pub(crate) use scripts::script;

use crate::output::print;

/// The word by which scripts ask. A user has no use for it, so it is not in the definition of the program.
const COMMAND: &str = "__complete";

/// A user who waits longer for Tab presses it again.
const PATIENCE: Duration = Duration::from_secs(3);

/// Answers a script, if this process was started by one.
pub(crate) fn answer() -> Option<ExitCode> {
    let mut args = env::args_os().skip(1);
    if args.next()? != COMMAND {
        return None;
    }
    let (args, (send, receive)) = (args.collect(), mpsc::channel());
    // It may read a disk that does not answer, and ends with the process then.
    thread::spawn(move || send.send(candidates(args)));
    let found = receive.recv_timeout(PATIENCE).ok().flatten().unwrap_or_default();
    let printed =
        !found.is_empty() && print(&found.into_iter().map(|one| one + "\n").collect::<String>()).is_ok();
    Some(ExitCode::from(u8::from(!printed)))
}

/// What can stand in the place of the last word. `None` if that is not the place of a name.
fn candidates(args: Vec<OsString>) -> Option<Vec<String>> {
    let mut args = args.into_iter().map(|arg| arg.into_string().ok());
    let shell = args.next()??;
    let rest: Vec<String> = args.collect::<Option<_>>()?;
    let (words, last) = match (&*shell, &*rest) {
        ("bash", [breaks, line]) => bash_words(line, breaks)?,
        ("zsh", [words @ .., last]) => (words.to_vec(), Word::whole(last)),
        // The word as it is typed, perhaps with a quote that is open.
        ("fish", [words @ .., last]) => (words.to_vec(), bash_words(&format!("- {last}"), "")?.1),
        _ => return None,
    };
    let asked = Asked::new(&words, &last.text)?;
    let found = names::candidates(&asked);
    Some(match &*shell {
        "fish" => found,
        // The shell replaces the word from where it begins for it: in bash, behind the last colon.
        _ => {
            found.into_iter().map(|name| format!("{}{name}", asked.option)[last.begin..].to_owned()).collect()
        }
    })
}
