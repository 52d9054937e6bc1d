//! House rules that neither the compiler nor clippy knows. Each check returns its complaints; all of them are
//! shown.

mod circles;
mod dependencies;
mod lines;
mod opening;
mod rust;
mod source;
mod texts;
mod words;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::{Outcome, workspace};
use rust::House;

/// Sources in which imports are followed.
const HOUSES: [&str; 4] = ["archive/src", "store/src", "export/src", "cli/src"];

/// The sources of which one room alone opens files.
const CONFINED: &str = "store/src";

/// Runs all checks.
pub(crate) fn run() -> Outcome {
    let mut complaints = dependencies::check()?;
    let mut sources = BTreeMap::new();
    let mut checked = 0;
    for file in workspace::files()? {
        // What is not UTF-8 is a fixture.
        let Ok(text) = fs::read_to_string(workspace::root().join(&file)) else { continue };
        checked += 1;
        if file.extension().is_some_and(|extension| extension == "rs") {
            complaints.extend(source::check(&file, &text));
        }
        complaints.extend(texts::check(&file, &text));
        if texts::is_ours(&file) {
            complaints.extend(lines::check(&file, &text));
        }
        if texts::is_ours(&file) || file.extension().is_some_and(|extension| extension == "snap") {
            complaints.extend(words::check(&file, &text));
        }
        sources.insert(file, text);
    }
    for folder in HOUSES.map(Path::new) {
        complaints.extend(structure(folder, &sources));
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

/// Checks how the files of a crate hang together.
fn structure(folder: &Path, sources: &BTreeMap<PathBuf, String>) -> Vec<String> {
    let own = |(file, text): (&'_ PathBuf, &'_ String)| -> Option<(PathBuf, String)> {
        let relative = file.strip_prefix(folder).ok()?;
        let rust = relative.extension().is_some_and(|extension| extension == "rs");
        rust.then(|| (relative.to_owned(), text.clone()))
    };
    let sources: BTreeMap<PathBuf, String> = sources.iter().filter_map(own).collect();
    let house = House::new(sources.iter().map(|(file, text)| (file.as_path(), text.as_str())));
    let mut complaints = circles::check(folder, &house);
    if folder == Path::new(CONFINED) {
        let line =
            |file: &Path, at: usize| sources.get(file).map_or(0, |text| text[..at].matches('\n').count() + 1);
        complaints.extend(opening::check(folder, &house, line));
    }
    complaints
}
