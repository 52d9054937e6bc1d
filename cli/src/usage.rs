//! Errors of the command line, in the form of the program's own.

use clap::CommandFactory;
use clap::error::ErrorKind;

use crate::args::Args;
use crate::message::Message;
use crate::report::Reporter;
use crate::status::Status;

/// Prints help or the version, which clap calls errors, or says what is wrong with the command line.
pub(crate) fn report(error: &clap::Error) -> Status {
    match error.kind() {
        ErrorKind::DisplayHelp
        | ErrorKind::DisplayVersion
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let status = if error.use_stderr() { Status::Nothing } else { Status::Done };
            // Standard output or error may be closed, and then nobody reads this.
            let _ = error.print();
            status
        }
        _ => {
            let words = || std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned());
            let message = message(&error.render().to_string(), words());
            Reporter::of_usage(wants_json(words())).message(&message);
            Status::Nothing
        }
    }
}

/// Whether `--progress json` is among the words, which could not be read as a whole.
fn wants_json(words: impl Iterator<Item = String>) -> bool {
    let words: Vec<String> = words.take_while(|word| word != "--").collect();
    words.iter().any(|word| word == "--progress=json")
        || words.windows(2).any(|pair| pair[0] == "--progress" && pair[1] == "json")
}

/// What clap says, taken apart: the error, its tips, and where the command is explained.
fn message(text: &str, mut words: impl Iterator<Item = String>) -> Message {
    let text = text.strip_prefix("error: ").unwrap_or(text);
    let mut message = Message::of_text("");
    for paragraph in text.split("\n\n") {
        let paragraph = paragraph.trim_matches('\n');
        if paragraph.trim_start().starts_with("tip: ") {
            let tips = paragraph.lines().map(str::trim_start);
            message.hints.extend(tips.map(|tip| tip.strip_prefix("tip: ").unwrap_or(tip).to_owned()));
        } else if !["Usage: ", "For more information"].iter().any(|start| paragraph.starts_with(start))
            && !paragraph.is_empty()
        {
            if !message.text.is_empty() {
                message.text.push_str("\n  ");
            }
            message.text.push_str(paragraph.trim_start());
        }
    }
    let program = Args::command();
    let command = words.find(|word| program.find_subcommand(word).is_some());
    let command = command.map_or_else(String::new, |command| format!(" {command}"));
    message.hints.push(format!("layerlift{command} --help shows how it is used"));
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(words: &[&str]) -> (String, Vec<String>) {
        let all = ["layerlift"].iter().chain(words);
        let error = Args::command().try_get_matches_from(all).unwrap_err();
        let words = words.iter().map(|&word| word.to_owned());
        let Message { text, hints, .. } = message(&error.render().to_string(), words);
        (text, hints)
    }

    #[test]
    fn one_look() {
        let help = "layerlift save --help shows how it is used".to_owned();
        assert_eq!(
            said(&["save", "--formt=x", "a"]),
            (
                "unexpected argument '--formt' found".to_owned(),
                vec!["a similar argument exists: '--format'".to_owned(), help.clone()]
            )
        );
        let (text, hints) = said(&["save", "--all", "x"]);
        assert!(text.starts_with("the argument '--all' cannot be used with"), "{text}");
        assert_eq!(hints, [help]);
        let (text, hints) = said(&["save", "--format", "x", "a"]);
        assert!(text.contains("invalid value 'x' for '--format <FORMAT>'"), "{text}");
        assert!(text.contains("\n  [possible values: "), "{text}");
        assert_eq!(hints, ["layerlift save --help shows how it is used"]);
        assert!(said(&["volumse"]).0.contains("unrecognized subcommand 'volumse'"));
    }

    #[test]
    fn for_machines() {
        let asked = |words: &[&str]| wants_json(words.iter().map(|&word| word.to_owned()));
        assert!(asked(&["save", "--progress", "json", "--x"]) && asked(&["save", "--progress=json"]));
        assert!(!asked(&["save", "--", "--progress=json"]) && !asked(&["save", "--progress", "plain"]));
    }
}
