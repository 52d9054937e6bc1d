//! House rules that neither the compiler nor clippy knows. Each check returns its complaints; all of them are shown.

mod dependencies;
mod source;
mod texts;

use std::fs;

use crate::{Outcome, workspace};

/// Runs all checks.
pub(crate) fn run() -> Outcome {
    let mut complaints = dependencies::check()?;
    let files = workspace::files()?;
    let mut checked = 0;
    for file in &files {
        // What is not UTF-8 is a fixture.
        let Ok(text) = fs::read_to_string(workspace::root().join(file)) else { continue };
        checked += 1;
        if file.extension().is_some_and(|extension| extension == "rs") {
            complaints.extend(source::check(file, &text));
        }
        complaints.extend(texts::check(file, &text));
    }
    for complaint in &complaints {
        eprintln!("{complaint}");
    }
    if complaints.is_empty() {
        println!("tidy: {checked} files, nothing to complain about");
        Ok(())
    } else {
        Err(format!("{} things are not tidy", complaints.len()).into())
    }
}
