//! Reports to standard error: warnings and errors, with `--progress json` as an object on a line each.
//!
//! ```text
//! layerlift: error: cannot read layer 4f…: cannot open vfs/dir/4f…/etc/passwd: permission denied
//! hint: reading an engine's store usually takes root: try sudo
//! ```

use std::collections::HashSet;
use std::error::Error as StdError;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use indicatif::ProgressBar;
use layerlift_export::Warning;
use serde::Serialize;

use crate::about::About;
use crate::args::{Args, Command, ProgressKind, Show};
use crate::error::Error;
use crate::message::Message;
use crate::status::Status;
use crate::terminal::{interrupted, one_message, styled, visible, write_line};

/// Reports to standard error.
pub(crate) struct Reporter {
    quiet: bool,
    json: bool,
    /// Whether an image that cannot be read ends the command, although `--keep-going` would let it go on.
    stops_at_image: bool,
    /// The progress bar that is on the terminal. A message has to hide it for a moment.
    bar: Mutex<Option<ProgressBar>>,
    /// What was said: images share documents, and a listing has what its images have.
    noticed: Mutex<HashSet<layerlift_store::Notice>>,
    /// Whether the hint about other platforms was given.
    hinted: AtomicBool,
}

#[derive(Serialize)]
struct Event<'a> {
    event: &'a str,
    message: &'a str,
    #[serde(flatten)]
    fields: Option<&'a Warning>,
    #[serde(flatten)]
    about: Option<&'a About>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    hints: &'a [String],
}

impl Reporter {
    pub(crate) fn new(args: &Args) -> Self {
        let show: Option<&Show> = match &args.command {
            Command::Save(save) => Some(&save.work.show),
            Command::Push(push) => Some(&push.work.show),
            Command::Join(join) => Some(&join.work.show),
            Command::Verify(verify) => Some(&verify.work.show),
            Command::Rootfs(rootfs) => Some(&rootfs.show),
            Command::Volume(volume) => Some(&volume.show),
            _ => None,
        };
        Reporter {
            quiet: show.is_some_and(|show| show.quiet),
            json: show.is_some_and(|show| show.progress == ProgressKind::Json),
            stops_at_image: match &args.command {
                Command::Save(save) => !save.leaves_out(),
                Command::Push(push) => !push.choice.keep_going,
                Command::Join(join) => !join.keep_going,
                _ => false,
            },
            bar: Mutex::new(None),
            noticed: Mutex::default(),
            hinted: AtomicBool::new(false),
        }
    }

    /// Before the arguments are known.
    pub(crate) fn of_usage(json: bool) -> Self {
        Reporter {
            quiet: false,
            json,
            stops_at_image: false,
            bar: Mutex::new(None),
            noticed: Mutex::default(),
            hinted: AtomicBool::new(false),
        }
    }

    /// An error that has its words.
    pub(crate) fn message(&self, message: &Message) {
        self.say("error", message);
    }

    /// A warning.
    pub(crate) fn warn(&self, text: &str) {
        if !self.quiet {
            self.say("warning", &Message::of_text(text));
        }
    }

    /// Something that an archive cannot give as the store has it. Its fields are for machines.
    pub(crate) fn warning(&self, warning: &Warning) {
        if self.quiet {
            return;
        }
        let mut message = Message::of_text(&warning.to_string());
        let is_of_platforms = matches!(warning, Warning::PlatformsLeftOut { .. });
        if is_of_platforms && !self.hinted.swap(true, Ordering::Relaxed) {
            let hint = "--all-platforms takes all that are here; --platform chooses";
            message.hints.push(hint.to_owned());
        }
        if self.json {
            let (fields, Message { text, hints, .. }) = (Some(warning), &message);
            return self.event(&Event { event: "warning", message: text, fields, about: None, hints });
        }
        self.say("warning", &message);
    }

    /// An error that does not stop the command, as a warning.
    pub(crate) fn warn_error(&self, error: &(dyn StdError + 'static)) {
        if !self.quiet {
            self.say("warning", &Message::of(error));
        }
    }

    /// What a store had on record and has no longer; returns whether there is anything.
    pub(crate) fn lost(&self, errors: &[layerlift_store::Error]) -> bool {
        // A page that cannot be read is lost to each of the tables that go through it.
        let mut said = HashSet::new();
        let first = |error: &&layerlift_store::Error| said.insert(format!("{error:?}"));
        errors.iter().filter(first).for_each(|error| self.error(error));
        !errors.is_empty()
    }

    /// What is odd about a store and was read nevertheless.
    pub(crate) fn notices(&self, notices: &[layerlift_store::Notice]) {
        for notice in notices {
            let mut said = self.noticed.lock().unwrap_or_else(PoisonError::into_inner);
            if said.insert(notice.clone()) {
                self.warn(&notice.to_string());
            }
        }
    }

    /// An error after which the command goes on with the rest.
    pub(crate) fn error(&self, error: &(dyn StdError + 'static)) {
        self.say("error", &Message::of(error));
    }

    /// The error that ends the command. A closed pipe is not reported: its reader closed it.
    pub(crate) fn fatal(&self, error: &Error) -> Status {
        let status = error.status();
        match status {
            Status::Done | Status::Cut => {}
            Status::Interrupted => interrupted(),
            _ => {
                let mut message = Message::of(error);
                if status == Status::Incomplete
                    && message.hints.is_empty()
                    && self.stops_at_image
                    && !error.is_of_registry()
                {
                    let hint = "export the rest with --keep-going; layerlift verify lists every fault";
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

    /// A line for people, or an event for machines.
    pub(crate) fn announce(&self, text: &str, event: &impl Serialize) {
        match self.json {
            true => self.event(event),
            false => self.note(text),
        }
    }

    /// An event for machines; nothing for others.
    pub(crate) fn event(&self, event: &impl Serialize) {
        if let (true, Ok(line)) = (self.json, serde_json::to_string(event)) {
            self.line(&line);
        }
    }

    /// Sets the progress bar that is on the terminal.
    pub(crate) fn set_bar(&self, bar: Option<ProgressBar>) {
        *self.bar.lock().unwrap_or_else(PoisonError::into_inner) = bar;
    }

    fn say(&self, level: &str, message: &Message) {
        if self.json {
            return self.event(&Event {
                event: level,
                message: &message.text,
                fields: None,
                about: Some(&message.about),
                hints: &message.hints,
            });
        }
        let mut lines = format!("layerlift: {}: {}", styled(level), visible(&one_message(&message.text)));
        for hint in &message.hints {
            lines.push_str(&format!("\n{}: {}", styled("hint"), visible(hint)));
        }
        self.line(&lines);
    }

    fn line(&self, text: &str) {
        let bar = self.bar.lock().unwrap_or_else(PoisonError::into_inner);
        match &*bar {
            Some(bar) => bar.suspend(|| write_line(text)),
            None => write_line(text),
        }
    }
}
