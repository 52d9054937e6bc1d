//! `layerlift containers`: the containers of a store, as `docker ps -a` prints them.

mod again;
mod chosen;
mod inspect;
mod json;
mod row;
mod table;

use crate::args::Containers;
use crate::error::Error;
use crate::output::{print, print_json};
use crate::report::Reporter;
use crate::sources::Sources;
use crate::status::Status;
use jiff::Timestamp;
use layerlift_store::{Container, ContainerRecord};

pub(super) use chosen::{choose, orphan};
pub(super) use inspect::{Inspected, row_of};
use json::ContainerJson;
use row::{Row, row};
pub(super) use row::{find, neither};

pub(crate) fn run(args: &Containers, reporter: &Reporter) -> Result<Status, Error> {
    let sources = Sources::open_all(&args.place, reporter)?;
    let mut status = sources.warn_of_failed(reporter);
    let able = sources.able();
    sources.warn_of_unable("containers", reporter);
    let mut rows = Vec::new();
    if args.names.is_empty() {
        for (source, ability) in able {
            let listing = ability.containers()?;
            reporter.notices(&listing.notices);
            if reporter.lost(&listing.lost) {
                status = Status::Incomplete;
            }
            for (id, error) in listing.broken {
                reporter.warn_error(&error.within(format!("container {id}")));
                status = Status::Incomplete;
            }
            for container in listing.containers {
                rows.push(row(source, ability, container, &mut status, reporter));
            }
        }
    } else {
        for name in &args.names {
            let (source, container) = find(&able, name)?;
            let Some(ability) = source.store.containers() else { continue };
            let known = |row: &Row<'_>| row.container.key == container.key;
            if !rows.iter().any(known) {
                if warn_of_damage(&container, reporter) {
                    status = Status::Incomplete;
                }
                rows.push(row(source, ability, container, &mut status, reporter));
            }
        }
    }
    if args.run {
        print(&again::run_lines(&rows, &mut status, reporter))?;
    } else if args.compose {
        print(&again::compose_file(&rows, &mut status, reporter))?;
    } else if args.json {
        let containers: Vec<ContainerJson<'_>> = rows.iter().map(ContainerJson::new).collect();
        print_json(&containers)?;
    } else {
        print(&table::render(&rows, args.no_trunc, sources.several(), Timestamp::now()))?;
    }
    Ok(status)
}

/// Says what is wrong with the records of a container; returns whether anything is.
pub(super) fn warn_of_damage(container: &Container, reporter: &Reporter) -> bool {
    let name = container.names.first().map_or(container.key.id(), String::as_str);
    for error in container.faults() {
        reporter.warn_error(&error.clone().within(format!("all of the record of container {name}")));
    }
    if let ContainerRecord::Storage { lacks: Some(file), .. } = &container.record {
        reporter.warn(&format!("{} does not have how container {name} was run", file.display()));
        return true;
    }
    container.faults().next().is_some()
}
