//! What a command line asks for at its last word, by the definition of the program.

use std::env::var_os;
use std::path::PathBuf;

use clap::{Arg, Command, CommandFactory};
use layerlift_store::{OpenOptions, StoreKind};

use crate::args::Args;

/// Names that are asked for.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) images: bool,
    pub(super) containers: bool,
    pub(super) volumes: bool,
    /// What is before the name in the same word: `--exclude=`, or nothing.
    pub(super) option: String,
    /// The beginning of the name.
    pub(super) typed: String,
    /// Where stores are; none for the usual places.
    pub(super) roots: Vec<PathBuf>,
    pub(super) open: OpenOptions,
}

/// What was read of a line.
#[derive(Default)]
struct Reading {
    command: String,
    /// Positional arguments before the last word.
    positional: usize,
    /// After `--`.
    only_positional: bool,
    roots: Vec<PathBuf>,
    store: Option<StoreKind>,
    partition: Option<String>,
    follow: Vec<PathBuf>,
}

impl Asked {
    /// `None` if the last word is not in the place of a name.
    pub(super) fn new(words: &[String], last: &str) -> Option<Self> {
        let program = Args::command();
        let (mut level, mut reading) = (&program, Reading::default());
        let mut waiting: Option<&Arg> = None;
        for word in words {
            if let Some(option) = waiting.take() {
                reading.option(option, word);
            } else if !reading.only_positional && word == "--" {
                reading.only_positional = true;
            } else if !reading.only_positional && word.starts_with('-') && word.len() > 1 {
                let (option, value) = option_of(level, word)?;
                match (option.get_action().takes_values(), value) {
                    (true, Some(value)) => reading.option(option, value),
                    (true, None) => waiting = Some(option),
                    (false, _) => {}
                }
            } else if let Some(command) = level.find_subcommand(word) {
                level = command;
                // `image ls` is `images`.
                reading.command = match command.get_name() {
                    "ls" => "images".to_owned(),
                    name => name.to_owned(),
                };
            } else if level.has_subcommands() {
                return None;
            } else {
                reading.positional += 1;
            }
        }
        let (place, option, typed) = match waiting {
            Some(option) => (option.get_id().as_str(), "", last),
            None if last.starts_with("--") && !reading.only_positional => {
                let (name, typed) = last.split_once('=')?;
                let (option, _) = option_of(level, name)?;
                (option.get_id().as_str(), &last[..=name.len()], typed)
            }
            None if last.starts_with('-') => return None,
            None => ("", "", last),
        };
        let (images, containers, volumes) = reading.names_at(place)?;
        let (option, typed) = (option.to_owned(), typed.to_owned());
        let (roots, open) = reading.stores(containers || volumes);
        Some(Asked { images, containers, volumes, option, typed, roots, open })
    }
}

impl Reading {
    /// Notes the value of an option.
    fn option(&mut self, option: &Arg, value: &str) {
        match option.get_id().as_str() {
            "root" => self.roots.push(value.into()),
            "follow" => self.follow.push(value.into()),
            "driver" | "namespace" => self.partition = Some(value.to_owned()),
            "store" => self.store = kind(value),
            _ => {}
        }
    }

    /// Whether names of images, of containers, of volumes can stand in this option (in none: where names
    /// stand).
    fn names_at(&self, place: &str) -> Option<(bool, bool, bool)> {
        match (&*self.command, place, self.positional) {
            ("save" | "push" | "images" | "verify", "", _) | ("save", "exclude", _) => {
                Some((true, false, false))
            }
            ("inspect", "", _) | ("rootfs", "", 0) => Some((true, true, false)),
            ("containers", "", _) | ("save" | "push", "containers", _) => Some((false, true, false)),
            ("volume", "", 0) => Some((false, false, true)),
            _ => None,
        }
    }

    fn stores(self, all_partitions: bool) -> (Vec<PathBuf>, OpenOptions) {
        let variable = |name| var_os(name).filter(|value| !value.is_empty());
        let mut roots = self.roots;
        if roots.is_empty() {
            roots.extend(variable("LAYERLIFT_ROOT").map(PathBuf::from));
        }
        let mut open = OpenOptions::default().with_all_partitions(all_partitions).with_follow(self.follow);
        open.kind = self.store.or_else(|| kind(variable("LAYERLIFT_STORE")?.to_str()?));
        open.partition = self.partition;
        (roots, open)
    }
}

fn kind(name: &str) -> Option<StoreKind> {
    StoreKind::ALL.iter().copied().find(|kind| kind.name() == name)
}

/// The option in a word, and its value if it is in the same word. Of several short ones, the last.
fn option_of<'c, 'w>(command: &'c Command, word: &'w str) -> Option<(&'c Arg, Option<&'w str>)> {
    if let Some(long) = word.strip_prefix("--") {
        let (name, value) = long.split_once('=').map_or((long, None), |(name, value)| (name, Some(value)));
        let option = command.get_arguments().find(|arg| arg.get_long() == Some(name))?;
        return Some((option, value));
    }
    let mut found = None;
    for (at, short) in word.char_indices().skip(1) {
        let option = command.get_arguments().find(|arg| arg.get_short() == Some(short))?;
        if option.get_action().takes_values() {
            let value = &word[at + short.len_utf8()..];
            return Some((
                option,
                Some(value.strip_prefix('=').unwrap_or(value)).filter(|value| !value.is_empty()),
            ));
        }
        found = Some((option, None));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(line: &str) -> Option<Asked> {
        let mut words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let last = words.pop()?;
        Asked::new(&words, &last)
    }

    #[test]
    fn places_of_names() {
        for (line, expected) in [
            ("save ", Some((true, false, false, "", ""))),
            ("save a b", Some((true, false, false, "", "b"))),
            ("save -o x.tar b", Some((true, false, false, "", "b"))),
            ("save -ox.tar -- b", Some((true, false, false, "", "b"))),
            ("save --exclude b", Some((true, false, false, "", "b"))),
            ("save --exclude=b:", Some((true, false, false, "--exclude=", "b:"))),
            ("save --container w", Some((false, true, false, "", "w"))),
            ("image save b", Some((true, false, false, "", "b"))),
            ("image ls b", Some((true, false, false, "", "b"))),
            ("ls b", Some((true, false, false, "", "b"))),
            ("--root /x images b", Some((true, false, false, "", "b"))),
            ("images -qf dangling=true b", Some((true, false, false, "", "b"))),
            ("push a", Some((true, false, false, "", "a"))),
            ("verify a", Some((true, false, false, "", "a"))),
            ("inspect a", Some((true, true, false, "", "a"))),
            ("rootfs a", Some((true, true, false, "", "a"))),
            ("containers a b", Some((false, true, false, "", "b"))),
            ("volume d", Some((false, false, true, "", "d"))),
            ("", None),
            ("sav", None),
            ("save -o ", None),
            ("save --root ", None),
            ("save --root=", None),
            ("save -", None),
            ("save --ex", None),
            ("save --nosuch a", None),
            ("rootfs a b", None),
            ("volume d e", None),
            ("stores ", None),
            ("nosuch a", None),
        ] {
            let found = asked(line);
            let found = found
                .as_ref()
                .map(|asked| (asked.images, asked.containers, asked.volumes, &*asked.option, &*asked.typed));
            assert_eq!(found, expected, "{line}");
        }
    }

    #[test]
    fn stores_of_a_line() {
        let asked = asked("--root /a save --root=/b --store docker --driver vfs --follow /c x").unwrap();
        assert_eq!(asked.roots, ["/a", "/b"].map(PathBuf::from));
        assert_eq!(asked.open.kind, Some(StoreKind::Docker));
        assert_eq!(asked.open.partition.as_deref(), Some("vfs"));
        assert_eq!(asked.open.follow, [PathBuf::from("/c")]);
    }
}
