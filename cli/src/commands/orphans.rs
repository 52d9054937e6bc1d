//! `layerlift stores --orphans`: directories of layers that no record names.

use jiff::Timestamp;
use layerlift_store::discover::Place;
use layerlift_store::{OpenOptions, Orphan};
use serde::Serialize;

use super::images::short;
use crate::error::Error;
use crate::output::{print, print_json};
use crate::report::Reporter;
use crate::size::human;
use crate::status::Status;
use crate::table::Table;
use crate::time::ago;

/// An orphan for machines.
#[derive(Serialize)]
struct OrphanJson {
    driver: String,
    id: String,
    #[serde(skip)]
    short_id: String,
    path: String,
    /// RFC 3339.
    modified: Option<String>,
    size: Option<u64>,
    /// The layers below, the uppermost first; null for one that is missing.
    below: Vec<Option<String>>,
    buildkit: bool,
}

pub(super) fn run(
    places: Vec<Place>,
    options: &OpenOptions,
    json: bool,
    reporter: &Reporter,
) -> Result<Status, Error> {
    let mut status = Status::Done;
    let mut failed = |error: &layerlift_store::Error| {
        reporter.warn_error(error);
        status = Status::Incomplete;
    };
    let mut rows = Vec::new();
    for place in places {
        let detected = match place.found {
            Ok(detected) => detected,
            Err(error) => {
                failed(&error);
                continue;
            }
        };
        for detected in detected {
            let found = detected
                .open(options)
                .and_then(|store| store.containers().map_or(Ok(Vec::new()), |ability| ability.orphans()));
            match found {
                Ok(orphans) => rows.extend(orphans.iter().map(|orphan| {
                    let size = orphan.size().map_err(|error| failed(&error)).ok();
                    OrphanJson::new(orphan, size)
                })),
                Err(error) => failed(&error),
            }
        }
    }
    if json {
        print_json(&rows)?
    } else {
        print(&table(&rows))?
    }
    Ok(status)
}

impl OrphanJson {
    fn new(orphan: &Orphan, size: Option<u64>) -> Self {
        let modified = Timestamp::from_second(orphan.modified_secs).ok();
        OrphanJson {
            driver: orphan.driver.clone(),
            id: orphan.id.clone(),
            short_id: orphan.short_id(),
            path: orphan.path.display().to_string(),
            modified: modified.map(|time| time.to_string()),
            size,
            below: orphan.below.clone(),
            buildkit: orphan.is_of_buildkit(),
        }
    }
}

fn table(rows: &[OrphanJson]) -> String {
    let now = Timestamp::now();
    let mut table = Table::new(&["ORPHAN", "DRIVER", "MODIFIED", "SIZE", "BELOW", "PATH"]);
    for row in rows {
        let missing = row.below.iter().filter(|below| below.is_none()).count();
        let below = match (row.below.first(), missing) {
            (None, _) => String::new(),
            (Some(_), 1..) => format!("{} layers, {missing} missing", row.below.len()),
            (Some(first), 0) => {
                let first = first.as_deref().map_or("", short);
                match row.below.len() {
                    1 => first.to_owned(),
                    len => format!("{first} and {} more", len - 1),
                }
            }
        };
        let note = if row.buildkit { " (cache of BuildKit?)" } else { "" };
        table.row(vec![
            row.short_id.clone(),
            row.driver.clone(),
            ago(row.modified.as_deref(), now),
            row.size.map_or_else(|| "N/A".to_owned(), human),
            below,
            format!("{}{note}", row.path),
        ]);
    }
    table.render()
}
