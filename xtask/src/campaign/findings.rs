//! What broke a rule, with what it takes to see it again.
//!
//! ```text
//! target/campaign/<number>-<kind>.txt    the rule, the recipe, the program's last words
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use super::program::Ran;
use crate::{Outcome, workspace};

/// As many files are kept; beyond that findings are only counted.
const KEPT: usize = 200;

/// The findings of one run.
pub(crate) struct Findings {
    folder: PathBuf,
    /// How often each rule was broken in the same way.
    found: BTreeMap<String, usize>,
    kept: usize,
}

impl Findings {
    /// Empties the folder of the last run.
    pub(crate) fn new() -> Outcome<Self> {
        let folder = workspace::target().join("campaign");
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        Ok(Findings { folder, found: BTreeMap::new(), kept: 0 })
    }

    /// Keeps one. Those with the same `kind`, `what` and `place` count as one, and only the first is printed.
    pub(crate) fn add(&mut self, kind: &str, what: &str, place: &str, recipe: &str, ran: Option<&Ran>) {
        let key = format!("{kind}: {what} ({place})");
        let times = self.found.entry(key.clone()).or_insert(0);
        *times += 1;
        if *times > 3 || self.kept >= KEPT {
            return;
        }
        self.kept += 1;
        let file = self.folder.join(format!("{:03}-{kind}.txt", self.kept));
        let evidence = ran.map(Ran::shown).unwrap_or_default();
        let written = fs::write(&file, format!("{key}\n\n{recipe}\n\n{evidence}"));
        if *times == 1 {
            println!("FOUND    {key}\n         {}", recipe.replace('\n', "\n         "));
            match written {
                Ok(()) => println!("         kept: {}", file.display()),
                Err(error) => println!("         cannot be kept: {}: {error}", file.display()),
            }
        }
    }

    /// Fails if there are any.
    pub(crate) fn finish(self) -> Outcome {
        if self.found.is_empty() {
            println!("no findings");
            return Ok(());
        }
        for (key, times) in &self.found {
            println!("{times:5} x  {key}");
        }
        let all: usize = self.found.values().sum();
        Err(format!("{all} findings of {} sorts, see {}", self.found.len(), self.folder.display()).into())
    }
}
