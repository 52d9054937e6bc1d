//! Writing to standard output, archives apart.

use std::io::{self, Write};

use crate::error::Error;

/// Prints text. A reader that closed its pipe is an error, which the program does not report.
pub(crate) fn print(text: &str) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(Error::Stdout)
}

/// Prints a value as indented JSON.
pub(crate) fn print_json(value: &impl serde::Serialize) -> Result<(), Error> {
    let mut text = serde_json::to_string_pretty(value).map_err(|error| Error::Stdout(error.into()))?;
    text.push('\n');
    print(&text)
}
