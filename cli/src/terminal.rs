//! What a terminal is sent besides data.

use std::io::{self, IsTerminal, Write};

/// Writes a line to standard error.
pub(crate) fn write_line(text: &str) {
    // Where standard error is closed nobody can be informed.
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Says that a signal ended the program, also from the thread that signals arrive in.
pub(crate) fn interrupted() {
    // The terminal has echoed ^C, perhaps behind a bar.
    let start = if io::stderr().is_terminal() { "\n" } else { "" };
    write_line(&format!("{start}layerlift: interrupted"));
}

/// The text with control characters spelled out: anybody can put them into a store's names, and a terminal
/// obeys them. Newlines stay.
pub(crate) fn visible(text: &str) -> String {
    let mut visible = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() && c != '\n' { visible.extend(c.escape_default()) } else { visible.push(c) }
    }
    visible
}
