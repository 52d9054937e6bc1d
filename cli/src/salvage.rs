//! `save --salvage`: the stores that repairs come from, and the report.

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use layerlift_archive::Options as WriteOptions;
use layerlift_export::{FileResult, Outlook, Plan, Prepared, RepairSource, SalvageReport, SalvagedFile};
use layerlift_store::{OpenOptions, Store, open_all};

use crate::error::Error;
use crate::report::Reporter;

/// How many files a line lists.
const LISTED: usize = 20;

/// The stores and archives that repairs come from.
#[derive(Default)]
pub(crate) struct Repairs(Vec<(PathBuf, Box<dyn Store>)>);

impl Repairs {
    /// Opens them. One that cannot be opened is an error: the user named it.
    pub(crate) fn open(paths: &[PathBuf], reporter: &Reporter) -> Result<Self, Error> {
        let mut stores = Vec::new();
        for path in paths {
            let before = stores.len();
            let mut failed = None;
            for opened in open_all(path, &OpenOptions::default()).map_err(Error::Open)? {
                match opened {
                    Ok(opened) => stores.push((opened.root, opened.store)),
                    Err(error) => {
                        reporter.warn_error(&error);
                        failed = Some(error);
                    }
                }
            }
            if let Some(error) = failed.filter(|_| stores.len() == before) {
                return Err(Error::Open(error));
            }
        }
        Ok(Repairs(stores))
    }

    /// Reads every layer of a plan, and mends the damaged ones.
    pub(crate) fn salvage(
        &self,
        plan: Plan,
        store: &dyn Store,
        options: &WriteOptions<'_>,
    ) -> Result<Plan, Error> {
        let sources = self.0.iter();
        let sources =
            sources.map(|(path, store)| RepairSource { name: path.display().to_string(), store: &**store });
        let sources: Vec<RepairSource<'_>> = sources.collect();
        Ok(plan.salvage(store, &sources, options)?)
    }
}

/// What `save --salvage` could do about a damaged layer.
pub(crate) fn words(outlook: &Outlook) -> String {
    const MORE: &str = "--repair-from may name a store or an archive that has its bytes";
    match outlook {
        Outlook::Same(layer) => format!("save --salvage could take its bytes from {layer}"),
        Outlook::Files(files) => {
            let all = |result| files.iter().all(|file| file.result == result);
            let mut lines: Vec<String> = files.iter().take(LISTED).map(file).collect();
            if files.len() > LISTED {
                lines.push(format!("{} more files", files.len() - LISTED));
            }
            let lines = lines.join(", ");
            match files.is_empty() {
                true => format!("save --salvage could save it as it is, with another digest; {MORE}"),
                false if all(FileResult::Repaired) => {
                    format!("save --salvage could repair it exactly: {lines}")
                }
                false => format!("save --salvage could save it with another digest: {lines}; {MORE}"),
            }
        }
        _ => format!("save --salvage cannot help alone: {MORE}"),
    }
}

fn file(file: &SalvagedFile) -> String {
    let what = match (file.result, &file.from) {
        (FileResult::Repaired, Some(from)) => format!("from {from}"),
        (FileResult::Kept, _) => "as it is".to_owned(),
        _ => "left out".to_owned(),
    };
    format!("{} ({}) {what}", file.path, file.found.state)
}

/// Writes the report into a layout, beside those of earlier salvages: `salvage.json`, `salvage.2.json`, …
pub(crate) fn report_beside(prepared: &Prepared, folder: &Path) -> Result<(), Error> {
    let Some(report) = prepared.salvaged() else { return Ok(()) };
    let bytes = report.to_json();
    for number in 1_u32.. {
        let mut path = folder.join(SalvageReport::FILE);
        if number > 1 {
            path.set_extension(format!("{number}.json"));
        }
        // A new layout has the report in its tree already.
        if fs::read(&path).is_ok_and(|there| there == bytes) {
            break;
        }
        let written = File::create_new(&path).and_then(|mut file| file.write_all(&bytes));
        match written {
            Ok(()) => break,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(source) => return Err(Error::SalvageReport { path, source }),
        }
    }
    Ok(())
}

/// Writes the report to a file.
pub(crate) fn report(prepared: &Prepared, path: &Path) -> Result<(), Error> {
    let nothing = Default::default();
    let report = prepared.salvaged().unwrap_or(&nothing);
    fs::write(path, report.to_json()).map_err(|source| Error::SalvageReport { path: path.to_owned(), source })
}
