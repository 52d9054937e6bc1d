//! `layerlift volumes` and `layerlift volume`: what a store has of volumes, and their data as a tar.

mod export;
mod rows;

use serde::Serialize;
use std::collections::BTreeMap;

use crate::args::Volumes;
use crate::commands::images::short;
use crate::error::Error;
use crate::output::{print, print_json};
use crate::report::Reporter;
use crate::size::human;
use crate::sources::Sources;
use crate::status::Status;
use crate::table::Table;

use rows::Row;

pub(crate) use export::run as export;

/// A volume for machines.
#[derive(Serialize)]
struct VolumeJson<'a> {
    name: &'a str,
    driver: &'a str,
    labels: &'a BTreeMap<String, String>,
    options: &'a BTreeMap<String, String>,
    anonymous: bool,
    created: Option<&'a str>,
    /// Names of containers.
    used_by: &'a [String],
    /// Where its data are, if not in the store.
    device: Option<&'a str>,
    size: Option<u64>,
    path: String,
    store: &'a str,
    root: String,
}

pub(crate) fn run(args: &Volumes, reporter: &Reporter) -> Result<Status, Error> {
    let sources = Sources::open_all(&args.place, reporter)?;
    let mut status = sources.warn_of_failed(reporter);
    sources.warn_of_unable("volumes", reporter);
    let rows = rows::all(&sources, &mut status, reporter)?;
    let mut sized = Vec::new();
    for row in &rows {
        let size = row.volume.size().unwrap_or_else(|error| {
            reporter.warn_error(&error.within(format!("volume {}", row.volume.name)));
            status = Status::Incomplete;
            None
        });
        sized.push((row, size));
    }
    if args.json {
        let all: Vec<VolumeJson<'_>> = sized.iter().map(|(row, size)| VolumeJson::new(row, *size)).collect();
        print_json(&all)?;
    } else {
        print(&table(&sized, args.no_trunc))?;
    }
    Ok(status)
}

fn table(rows: &[(&Row<'_>, Option<u64>)], no_trunc: bool) -> String {
    let mut table = Table::new(&["VOLUME NAME", "DRIVER", "SIZE", "USED BY", "PATH"]);
    for (row, size) in rows {
        let volume = &row.volume;
        let name = match volume.is_anonymous() && !no_trunc {
            true => short(&volume.name).to_owned(),
            false => volume.name.clone(),
        };
        let path = match &volume.device {
            Some(_) if volume.in_memory => format!("{} (data in memory)", volume.path.display()),
            Some(device) => format!("{} (data at {device})", volume.path.display()),
            None => volume.path.display().to_string(),
        };
        let size = size.map_or_else(|| "N/A".to_owned(), human);
        table.row(vec![name, volume.driver.clone(), size, row.used_by.join(", "), path]);
    }
    table.render()
}

impl<'a> VolumeJson<'a> {
    fn new(row: &'a Row<'_>, size: Option<u64>) -> Self {
        let volume = &row.volume;
        VolumeJson {
            name: &volume.name,
            driver: &volume.driver,
            labels: &volume.labels,
            options: &volume.options,
            anonymous: volume.is_anonymous(),
            created: volume.created.as_deref(),
            used_by: &row.used_by,
            device: volume.device.as_deref(),
            size,
            path: volume.path.display().to_string(),
            store: row.source.kind.name(),
            root: row.source.root.display().to_string(),
        }
    }
}
