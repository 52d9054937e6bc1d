//! What is fuzzed. Each target takes any bytes, and answers with what it found or what was wrong with them.

mod archives;
mod bolt;
mod flat;
mod headers;
mod json_edits;
mod references;
mod repositories;
mod storage_conf;
mod stores;
mod tar_split;
mod walk;

/// A function that is fuzzed.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name.
    pub name: &'static str,
    /// Panics if a property does not hold.
    pub run: fn(&[u8]) -> String,
    /// Where the search begins.
    pub corpus: fn() -> Vec<Vec<u8>>,
}

/// All targets.
pub const TARGETS: [Target; 10] = [
    Target { name: "archives", run: archives::run, corpus: archives::corpus },
    Target { name: "bolt", run: bolt::run, corpus: bolt::corpus },
    Target { name: "flat", run: flat::run, corpus: flat::corpus },
    Target { name: "headers", run: headers::run, corpus: headers::corpus },
    Target { name: "json_edits", run: json_edits::run, corpus: json_edits::corpus },
    Target { name: "references", run: references::run, corpus: references::corpus },
    Target { name: "repositories", run: repositories::run, corpus: repositories::corpus },
    Target { name: "storage_conf", run: storage_conf::run, corpus: storage_conf::corpus },
    Target { name: "stores", run: stores::run, corpus: stores::corpus },
    Target { name: "tar_split", run: tar_split::run, corpus: tar_split::corpus },
];
