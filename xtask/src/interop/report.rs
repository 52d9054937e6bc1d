//! Collects the names of the checks that passed, failed, or were not run.

use std::time::Instant;

use crate::Outcome;
use crate::engines::process;

/// Counts the checks, and prints a line as soon as each one ends.
#[derive(Default)]
pub(crate) struct Report {
    passed: usize,
    failures: Vec<String>,
    not_run: Vec<String>,
}

impl Report {
    /// Runs a check. Returns whether it passed.
    pub(crate) fn check(&mut self, name: &str, check: impl FnOnce() -> Outcome) -> bool {
        self.step(name, check).is_some()
    }

    /// Runs a step that others depend on. Returns its value if it passed.
    pub(crate) fn step<T>(&mut self, name: &str, step: impl FnOnce() -> Outcome<T>) -> Option<T> {
        if process::interrupted() {
            return None;
        }
        let start = Instant::now();
        match step() {
            Ok(value) => {
                println!("passed   {name} ({:.1} s)", start.elapsed().as_secs_f64());
                self.passed += 1;
                Some(value)
            }
            Err(error) if process::interrupted() => {
                println!("stopped  {name}: {error}");
                None
            }
            Err(error) => {
                println!("FAILED   {name}: {error}");
                self.failures.push(name.to_owned());
                None
            }
        }
    }

    /// Records a check that cannot run here.
    pub(crate) fn not_run(&mut self, name: &str, why: &str) {
        println!("not run  {name}: {why}");
        self.not_run.push(name.to_owned());
    }

    /// An engine that has been started. If it does not start, what needs it is not run.
    pub(crate) fn started<T>(&mut self, name: &str, engine: Outcome<T>) -> Option<T> {
        engine.map_err(|error| self.not_run(name, &error.to_string())).ok()
    }

    /// Prints the checks that failed or were not run, and the counts.
    pub(crate) fn finish(self) -> Outcome {
        for (title, names) in [("not run", &self.not_run), ("failed", &self.failures)] {
            for name in names {
                println!("{title}: {name}");
            }
        }
        println!("{} passed, {} failed, {} not run", self.passed, self.failures.len(), self.not_run.len());
        if process::interrupted() {
            return Err("interrupted".into());
        }
        match (self.failures.len(), self.passed) {
            (0, 0) => Err("nothing was checked".into()),
            (0, _) => Ok(()),
            (failed, _) => Err(format!("{failed} checks failed").into()),
        }
    }
}
