//! Man pages: what clap makes of the definition, and the sections that readers of man pages look for.

use std::fmt::Write as _;
use std::io;

use clap::{Arg, Command};

use crate::args::STATUS;

/// When what pages say was changed last.
const CHANGED: &str = "2026-11-27";

/// What is in the environment, for the section of that name.
const ENVIRONMENT: &[(&str, &str)] = &[
    ("LAYERLIFT_ROOT", "Used if --root is not given."),
    ("LAYERLIFT_STORE", "Used if --store is not given."),
    ("TMPDIR", "Where temporary files go without --temp-dir if the output is a stream [default: /tmp]."),
    ("NO_COLOR", "If it is set and not empty, messages are not coloured."),
];

/// Where stores are looked for.
const FILES: &[(&str, &str)] = &[
    ("/var/lib/docker", "Docker."),
    ("/var/lib/containerd", "containerd, also that of Kubernetes and nerdctl."),
    ("/var/lib/containers/storage", "Podman, Buildah, CRI-O and skopeo."),
    (
        "~/.local/share/docker, ~/.local/share/containerd, ~/.local/share/containers/storage",
        "Stores of an ordinary user.",
    ),
];

/// The page of a command, or of the program.
pub(crate) fn page(command: &Command, is_program: bool) -> io::Result<Vec<u8>> {
    let man = clap_mangen::Man::new(command.clone());
    let mut page = Vec::new();
    man.render_name_section(&mut page)?;
    page.extend(synopsis(command).into_bytes());
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if is_program {
        man.render_subcommands_section(&mut page)?;
    }
    let mut text = String::from(".SH \"EXIT STATUS\"\n");
    for line in STATUS.lines().skip(1) {
        let (status, meaning) = line.trim_start().split_once("  ").unwrap_or((line, ""));
        entry(&mut text, status, meaning.trim_start());
    }
    for (title, entries) in [("ENVIRONMENT", ENVIRONMENT), ("FILES", FILES)] {
        let _ = writeln!(text, ".SH {title}");
        entries.iter().for_each(|(name, meaning)| entry(&mut text, name, meaning));
    }
    let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    if let Some(examples) = after.strip_prefix("Examples:\n") {
        text.push_str(".SH EXAMPLES\n.EX\n");
        for line in examples.lines() {
            let _ = writeln!(text, "{}", roff(line.strip_prefix("  ").unwrap_or(line)));
        }
        text.push_str(".EE\n");
    }
    text.push_str(".SH \"SEE ALSO\"\n");
    let others: &[&str] = match is_program {
        true => &["docker-save(1)", "podman-save(1)", "skopeo(1)"],
        false => &["layerlift(1)"],
    };
    let others: Vec<String> = others.iter().map(|other| roff(other)).collect();
    let _ = writeln!(text, "{}", others.join(", "));
    let name = command.get_display_name().unwrap_or(command.get_name());
    let version = command.get_version().unwrap_or(env!("CARGO_PKG_VERSION"));
    let head =
        format!(".ie \\n(.g .ds Aq \\(aq\n.el .ds Aq '\n.TH {name} 1 {CHANGED} \"layerlift {version}\"\n");
    Ok(clean(&format!("{head}{}{text}", String::from_utf8_lossy(&page))).into_bytes())
}

/// The same without what readers warn of: breaks beside space, and characters that old ones do not know.
fn clean(page: &str) -> String {
    let lines: Vec<&str> = page.lines().collect();
    let is_space = |at: Option<usize>| {
        let line = at.and_then(|at| lines.get(at));
        line.is_some_and(|line| line.is_empty() || line.starts_with(".sp"))
    };
    let mut cleaned = String::new();
    for (at, line) in lines.iter().enumerate() {
        if *line == ".br" && (is_space(at.checked_sub(1)) || is_space(Some(at + 1))) {
            continue;
        }
        for char in if line.is_empty() { ".sp" } else { line }.chars() {
            let _ = match char.is_ascii() {
                true => write!(cleaned, "{char}"),
                false => write!(cleaned, "\\[u{:04X}]", u32::from(char)),
            };
        }
        cleaned.push('\n');
    }
    cleaned
}

/// How the command is called, with the values of its options.
fn synopsis(command: &Command) -> String {
    let name = command.get_bin_name().unwrap_or(command.get_name());
    let mut text = format!(".SH SYNOPSIS\n\\fB{}\\fR\n", roff(name));
    let mut positional = Vec::new();
    for arg in command.get_arguments().filter(|arg| !arg.is_hide_set()) {
        let value = value(arg);
        let word = match (arg.get_short(), arg.get_long()) {
            (Some(short), _) => format!("-{short}"),
            (None, Some(long)) => format!("--{long}"),
            (None, None) => {
                positional.push((arg.is_required_set(), value));
                continue;
            }
        };
        let value = if value.is_empty() { value } else { format!(" {value}") };
        let _ = writeln!(text, "[\\fB{}\\fR{value}]", roff(&word));
    }
    for (required, value) in positional {
        let _ = match required {
            true => writeln!(text, "{value}"),
            false => writeln!(text, "[{value}]"),
        };
    }
    if command.has_subcommands() {
        text.push_str("\\fICOMMAND\\fR\n");
    }
    text
}

/// The name of the value of an option or argument; nothing if it has none.
fn value(arg: &Arg) -> String {
    if !arg.get_action().takes_values() {
        return String::new();
    }
    let names = arg.get_value_names().unwrap_or_default();
    let id = arg.get_id().as_str().to_uppercase();
    let name = names.first().map_or(&*id, |name| name.as_str());
    let several = matches!(arg.get_action(), clap::ArgAction::Append);
    format!("\\fI{}\\fR{}", roff(name), if several && arg.is_positional() { " ..." } else { "" })
}

/// A word and what it means.
fn entry(text: &mut String, word: &str, meaning: &str) {
    let _ = write!(text, ".TP\n\\fB{}\\fR\n{}\n", roff(word), roff(meaning));
}

/// Text in which nothing is a command of roff.
fn roff(text: &str) -> String {
    let escaped = text.replace('\\', "\\e").replace('-', "\\-").replace('~', "\\(ti").replace('\'', "\\(aq");
    if escaped.starts_with('.') { format!("\\&{escaped}") } else { escaped }
}

#[cfg(test)]
mod tests {
    use super::roff;

    #[test]
    fn text_that_roff_would_read() {
        for (text, expected) in
            [(".x", "\\&.x"), ("a-b", "a\\-b"), ("'x'", "\\(aqx\\(aq"), ("a\\n", "a\\en"), ("~/x", "\\(ti/x")]
        {
            assert_eq!(roff(text), expected);
        }
    }
}
