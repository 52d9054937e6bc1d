//! Standard error: warnings, errors, and with `--progress json` everything as one object on a line.
//!
//! ```text
//! layerlift: error: cannot read layer 4f…: open vfs/dir/4f…/etc/passwd: permission denied
//! hint: run it as root
//! ```

use std::error::Error as StdError;
use std::io::{self, IsTerminal, Write};
use std::sync::Mutex;

use indicatif::ProgressBar;
use serde::Serialize;

use crate::args::{Args, Command, ProgressKind, Work};
use crate::error::{Error, Status, as_type, chain, remedy};
use crate::output::visible;

/// Says what has to be said.
pub(crate) struct Reporter {
    quiet: bool,
    json: bool,
    /// Whether damage ends the command, and need not.
    stops_at_damage: bool,
    /// The bar that is on the terminal at the moment, so that a message does not tear it.
    bar: Mutex<Option<ProgressBar>>,
}

/// An error in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    /// What went wrong and why, from the outside in.
    pub(crate) text: String,
    /// What the user can do.
    pub(crate) hints: Vec<String>,
}

#[derive(Serialize)]
struct Event<'a> {
    event: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    hints: &'a [String],
}

impl Reporter {
    pub(crate) fn new(args: &Args) -> Self {
        let work: Option<&Work> = match &args.command {
            Command::Save(save) => Some(&save.work),
            Command::Verify(verify) => Some(&verify.work),
            _ => None,
        };
        Reporter {
            quiet: work.is_some_and(|work| work.quiet),
            json: work.is_some_and(|work| work.progress == ProgressKind::Json),
            stops_at_damage: matches!(&args.command, Command::Save(save) if !save.keep_going),
            bar: Mutex::new(None),
        }
    }

    /// Something to know.
    pub(crate) fn warn(&self, text: &str) {
        if !self.quiet {
            self.say("warning", &Message::of_text(text));
        }
    }

    /// An error that something else goes on after, as a warning.
    pub(crate) fn warn_error(&self, error: &(dyn StdError + 'static)) {
        if !self.quiet {
            self.say("warning", &Message::of(error));
        }
    }

    /// Something that failed, after which the command goes on with the rest.
    pub(crate) fn error(&self, error: &(dyn StdError + 'static)) {
        self.say("error", &Message::of(error));
    }

    /// The failure that ends the command. A pipe whose reader went away is no news to whoever closed it.
    pub(crate) fn fatal(&self, error: &Error) -> Status {
        let status = error.status();
        match status {
            Status::Done | Status::Cut => {}
            Status::Interrupted => interrupted(),
            _ => {
                let mut message = Message::of(error);
                if status == Status::Incomplete && message.hints.is_empty() && self.stops_at_damage {
                    let hint =
                        "--keep-going exports what is sound; layerlift verify lists all that is damaged";
                    message.hints.push(hint.to_owned());
                }
                self.say("error", &message);
            }
        }
        status
    }

    /// A line that is neither warning nor error.
    pub(crate) fn note(&self, text: &str) {
        if !self.quiet {
            self.line(&format!("layerlift: {}", visible(text)));
        }
    }

    /// An event for machines; nothing for others.
    pub(crate) fn event(&self, event: &impl Serialize) {
        if let (true, Ok(line)) = (self.json, serde_json::to_string(event)) {
            self.line(&line);
        }
    }

    /// Which bar is on the terminal from now on.
    pub(crate) fn set_bar(&self, bar: Option<ProgressBar>) {
        *self.bar.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = bar;
    }

    fn say(&self, level: &str, message: &Message) {
        if self.json {
            return self.event(&Event { event: level, message: &message.text, hints: &message.hints });
        }
        let mut lines = format!("layerlift: {level}: {}", message.text);
        for hint in &message.hints {
            lines.push_str("\nhint: ");
            lines.push_str(hint);
        }
        self.line(&visible(&lines));
    }

    fn line(&self, text: &str) {
        let bar = self.bar.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match &*bar {
            Some(bar) => bar.suspend(|| write_line(text)),
            None => write_line(text),
        }
    }
}

/// That a signal ended the program, also from the thread that signals arrive in.
pub(crate) fn interrupted() {
    // The terminal has echoed ^C, perhaps behind a bar.
    let start = if io::stderr().is_terminal() { "\n" } else { "" };
    write_line(&format!("{start}layerlift: interrupted"));
}

fn write_line(text: &str) {
    // Where standard error is closed there is nobody to tell.
    let _ = writeln!(io::stderr().lock(), "{text}");
}

impl Message {
    fn of_text(text: &str) -> Self {
        let (hints, text): (Vec<&str>, Vec<&str>) = text.lines().partition(|line| line.starts_with("hint: "));
        let hint = |line: &str| line.trim_start_matches("hint: ").to_owned();
        Message { text: text.join("\n"), hints: hints.into_iter().map(hint).collect() }
    }

    /// The error and its causes, each once; hints, wherever they stand in the chain, at the end.
    pub(crate) fn of(error: &(dyn StdError + 'static)) -> Self {
        let mut message = Message { text: String::new(), hints: Vec::new() };
        for link in chain(error) {
            let part = Message::of_text(&words(link));
            if !message.text.ends_with(&part.text) {
                if !message.text.is_empty() {
                    message.text.push_str(": ");
                }
                message.text.push_str(&part.text);
            }
            message.hints.extend(part.hints);
        }
        if message.hints.is_empty()
            && let Some(remedy) = remedy(error)
        {
            message.hints.push(remedy.to_owned());
        }
        message.hints.dedup();
        message
    }
}

/// An I/O error without its number and its capital: "no space left on device".
fn words(error: &(dyn StdError + 'static)) -> String {
    let text = error.to_string();
    let is_io = as_type::<io::Error>(error).is_some_and(|error| error.raw_os_error().is_some());
    if !is_io {
        return text;
    }
    let text = text.rsplit_once(" (os error").map_or(text.as_str(), |(text, _)| text);
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}

#[cfg(test)]
mod tests {
    use layerlift_store::Error as Store;

    use super::*;

    #[test]
    fn chains_in_words() {
        let io = |code| io::Error::from_raw_os_error(code);
        let refused = Store::Io { action: "open", path: "/d/etc/shadow".into(), source: io(13) };
        let near = Store::NotFound { name: "bsae".to_owned(), suggestions: vec!["base".to_owned()] };
        let in_reader = layerlift_archive::Error::Content {
            entry: "4f/layer.tar".to_owned(),
            source: Store::Corrupt { path: "/d/x".into(), why: "it is empty".to_owned() }.into_io().into(),
        };
        let full =
            layerlift_archive::Error::Output { action: "write", path: "a.tar".into(), source: io(28).into() };
        for (error, text, hints) in [
            (
                Error::Store(refused.within("layer 4f")),
                "cannot read layer 4f: cannot open /d/etc/shadow: permission denied",
                vec!["reading an engine's store usually takes root: try sudo"],
            ),
            (Error::Export(near.into()), "no such image: bsae", vec!["similar names are base"]),
            (in_reader.into(), "cannot read 4f/layer.tar: /d/x is damaged: it is empty", vec![]),
            (
                full.into(),
                "cannot write a.tar: no space left on device",
                vec![
                    "make room, or name another place with -o, and with --temp-dir for layers that have to be computed",
                ],
            ),
            (
                Error::Open(Store::Io { action: "open", path: "/none".into(), source: io(2) }),
                "cannot open /none: no such file or directory",
                vec!["name the data root of an engine, such as /var/lib/docker"],
            ),
            (
                Error::Store(Store::Io { action: "open", path: "/d/json".into(), source: io(2) }),
                "cannot open /d/json: no such file or directory",
                vec![],
            ),
            (
                Error::Store(Store::Io { action: "open", path: "/d/json".into(), source: io(24) }),
                "cannot open /d/json: too many open files",
                vec![
                    "each layer takes two open files: raise the limit with `ulimit -Hn`, or save fewer images at a time",
                ],
            ),
        ] {
            let expected =
                Message { text: text.to_owned(), hints: hints.into_iter().map(str::to_owned).collect() };
            assert_eq!(Message::of(&error), expected);
        }
    }
}
