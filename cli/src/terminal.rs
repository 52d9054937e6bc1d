//! Writing to the terminal: lines on standard error, and text that is safe to print.

use std::io::{self, IsTerminal, Write};

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

/// The text with its control characters spelled out, newlines apart. Names come from stores, whose authors
/// may not be trusted, and a terminal obeys escape sequences.
pub(crate) fn visible(text: &str) -> String {
    let mut visible = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() && c != '\n' { visible.extend(c.escape_default()) } else { visible.push(c) }
    }
    visible
}
