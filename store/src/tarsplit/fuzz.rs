//! For `store/fuzz`: the two parsers of lines have to agree.

use super::{line, plain};

/// Parses a line both ways. The error says what is wrong with it.
///
/// # Panics
///
/// If the fast parser accepts what the general one refuses, or reads it in another way.
pub fn line(line: &[u8]) -> Result<(), String> {
    let general = line::parse_any(line);
    if let Some(plain) = plain::parse(line) {
        assert_eq!(Ok(&plain), general.as_ref(), "{}", line.escape_ascii());
    }
    general.map(drop)
}
