//! Standard output, for everything that is not an archive.

use std::io::{self, Write};

use crate::error::Error;

/// Prints data. A reader that went away is an error that the program keeps to itself.
pub(crate) fn print(text: &str) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(Error::Stdout)
}

/// Prints a value as JSON, in lines.
pub(crate) fn print_json(value: &impl serde::Serialize) -> Result<(), Error> {
    let mut text = serde_json::to_string_pretty(value).map_err(|error| Error::Stdout(error.into()))?;
    text.push('\n');
    print(&text)
}

/// The text with control characters spelled out: names in a store are anybody's, and a terminal obeys what it is sent.
/// Newlines stay.
pub(crate) fn visible(text: &str) -> String {
    let mut visible = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() && c != '\n' { visible.extend(c.escape_default()) } else { visible.push(c) }
    }
    visible
}
