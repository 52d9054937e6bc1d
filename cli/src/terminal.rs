//! Writing to the terminal: lines on standard error, and text that is safe to print.

use std::env::var_os;
use std::io::{self, IsTerminal, Write};
use std::sync::LazyLock;

/// Writes a line to standard error.
pub(crate) fn write_line(text: &str) {
    // Nobody is left to hear that standard error is closed.
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Says that a signal ended the program. Also called on the thread that handles signals.
pub(crate) fn interrupted() {
    // The terminal has echoed ^C, perhaps behind a bar.
    let start = if io::stderr().is_terminal() { "\n" } else { "" };
    write_line(&format!("{start}layerlift: interrupted"));
}

/// The word that says what a message is: in a colour on a terminal, unless `NO_COLOR` is set or the terminal
/// is a dumb one.
pub(crate) fn styled(level: &str) -> String {
    static COLOURED: LazyLock<bool> = LazyLock::new(|| {
        let set = |name| var_os(name).filter(|value| !value.is_empty());
        let dumb = set("TERM").is_none_or(|term| term == "dumb");
        io::stderr().is_terminal() && !dumb && set("NO_COLOR").is_none()
    });
    match (*COLOURED, level) {
        (false, _) => level.to_owned(),
        (true, "error") => format!("\x1b[1;31m{level}\x1b[0m"),
        (true, "warning") => format!("\x1b[1;33m{level}\x1b[0m"),
        (true, _) => format!("\x1b[1;36m{level}\x1b[0m"),
    }
}

/// The text with its control characters spelled out, newlines apart. Names come from stores, whose authors
/// may not be trusted, and a terminal obeys escape sequences and characters that reorder text.
pub(crate) fn visible(text: &str) -> String {
    let mut visible = String::with_capacity(text.len());
    for c in text.chars() {
        if (c.is_control() && c != '\n') || reorders(c) {
            visible.extend(c.escape_default());
        } else {
            visible.push(c);
        }
    }
    visible
}

/// The text with line ends spelled out, unless the line after them is indented, as lists in messages are. A
/// name with a line end in it must not look like a message of its own.
pub(crate) fn one_message(text: &str) -> String {
    let mut lines = text.split('\n');
    let mut message = lines.next().unwrap_or_default().to_owned();
    for line in lines {
        message.push_str(if line.starts_with("  ") { "\n" } else { "\\n" });
        message.push_str(line);
    }
    message
}

/// Characters that change the direction of text, so that a name can look like another (Unicode's property
/// Bidi_Control), and those that end a line.
fn reorders(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_look_like_messages() {
        for (text, expected) in [
            ("a", "a"),
            ("one of\n  a\n  b", "one of\n  a\n  b"),
            ("x\nlayerlift: error: y", "x\\nlayerlift: error: y"),
            ("x\n", "x\\n"),
        ] {
            assert_eq!(one_message(text), expected);
        }
    }

    #[test]
    fn control_characters_are_spelled_out() {
        for (text, expected) in [
            ("base:latest\n", "base:latest\n"),
            ("bäse", "bäse"),
            ("\u{1b}[2J", "\\u{1b}[2J"),
            ("a\u{202e}b\u{2066}c\u{2069}\u{200f}", "a\\u{202e}b\\u{2066}c\\u{2069}\\u{200f}"),
            ("a\u{2028}b", "a\\u{2028}b"),
        ] {
            assert_eq!(visible(text), expected);
        }
    }
}
