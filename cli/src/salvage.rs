//! `save --salvage`: the stores that repairs come from, and the report.

use std::fs::{self, File, Permissions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use layerlift_archive::{Options as WriteOptions, final_path};
use layerlift_export::{FileResult, Outlook, Plan, Prepared, RepairSource, SalvageReport, SalvagedFile};
use layerlift_store::{OpenOptions, Opened, Store};

use tempfile::NamedTempFile;

use crate::error::Error;
use crate::report::Reporter;
use crate::sources::named;

/// How many files a line lists.
const LISTED: usize = 20;

/// The stores and archives that repairs come from.
#[derive(Default)]
pub(crate) struct Repairs(Vec<Opened>);

impl Repairs {
    /// Opens them. One that cannot be opened is an error: the user named it.
    pub(crate) fn open(paths: &[PathBuf], reporter: &Reporter) -> Result<Self, Error> {
        named(paths, &OpenOptions::default().with_all_partitions(true), reporter).map(Repairs)
    }

    /// Reads every layer of a plan, and mends the damaged ones.
    pub(crate) fn salvage(
        &self,
        plan: Plan,
        store: &dyn Store,
        options: &WriteOptions<'_>,
    ) -> Result<Plan, Error> {
        let sources = self.0.iter();
        let sources = sources.map(|Opened { root, store, .. }| RepairSource {
            name: root.display().to_string(),
            store: &**store,
        });
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

/// Where the report of a salvage goes, besides the archive.
pub(crate) struct ReportFile {
    path: PathBuf,
    draft: Draft,
}

enum Draft {
    /// In the folder of the file, which stays as it is until the report is complete.
    File(NamedTempFile),
    /// A pipe or a device.
    Stream(File),
}

impl ReportFile {
    /// Refuses now what would fail after all the work.
    pub(crate) fn begin(path: &Path) -> Result<Self, Error> {
        let failed = |source| Error::SalvageReport { path: path.to_owned(), source };
        let followed = final_path(path).map_err(failed)?;
        let draft = match followed.metadata() {
            Ok(metadata) if metadata.is_dir() => return Err(failed(ErrorKind::IsADirectory.into())),
            Ok(metadata) if !metadata.is_file() => {
                Draft::Stream(File::options().write(true).open(&followed).map_err(failed)?)
            }
            _ => {
                folder(&followed).metadata().map_err(failed)?;
                let mode = Permissions::from_mode(0o666);
                let draft = tempfile::Builder::new().permissions(mode).tempfile_in(folder(&followed));
                Draft::File(draft.map_err(|error| failed(error.kind().into()))?)
            }
        };
        Ok(ReportFile { path: followed, draft })
    }

    /// Writes it.
    pub(crate) fn write(self, prepared: &Prepared) -> Result<(), Error> {
        let nothing = Default::default();
        let bytes = prepared.salvaged().unwrap_or(&nothing).to_json();
        let ReportFile { path, draft } = self;
        let written = match draft {
            Draft::Stream(mut file) => file.write_all(&bytes),
            Draft::File(mut file) => {
                file.write_all(&bytes).and_then(|()| Ok(file.persist(&path).map(drop)?))
            }
        };
        written.map_err(|source| Error::SalvageReport { path, source })
    }
}

/// The folder that a file is in.
fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
