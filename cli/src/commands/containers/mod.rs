//! `layerlift containers`: what a store keeps of containers, as `docker ps -a` prints it.

mod inspect;
mod json;
mod table;

use jiff::Timestamp;
use layerlift_store::{Container, Containers as Ability, Error as StoreError};

use crate::args::Containers;
use crate::error::Error;
use crate::output::{print, print_json};
use crate::report::Reporter;
use crate::sources::{Source, Sources};
use crate::status::Status;

pub(super) use inspect::{Inspected, row_of};
pub(super) use json::ContainerJson;

/// A container, and where it is.
pub(super) struct Row {
    pub(super) root: String,
    pub(super) store: &'static str,
    pub(super) container: Container,
    /// Bytes of its writable layer; `None` where it has none, or where it cannot be read.
    pub(super) size: Option<u64>,
}

pub(crate) fn run(args: &Containers, reporter: &Reporter) -> Result<Status, Error> {
    let sources = Sources::open_all(&args.place, reporter)?;
    let mut status = sources.warn_of_failed(reporter);
    let able = sources.able();
    if able.is_empty() {
        let stores: Vec<String> = sources.opened.iter().map(|source| source.kind.to_string()).collect();
        reporter.warn(&format!("containers are not read from stores of kind {}", stores.join(", ")));
    }
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
            let known = |row: &Row| row.container.key == container.key;
            if !rows.iter().any(known) {
                rows.push(row(source, ability, container, &mut status, reporter));
            }
        }
    }
    if args.json {
        let containers: Vec<ContainerJson<'_>> = rows.iter().map(ContainerJson::new).collect();
        print_json(&containers)?;
    } else {
        print(&table::render(&rows, args.no_trunc, sources.several(), Timestamp::now()))?;
    }
    Ok(status)
}

/// The container that a name means, and its store.
pub(super) fn find<'s>(
    able: &[(&'s Source, &'s dyn Ability)],
    name: &str,
) -> Result<(&'s Source, Container), Error> {
    let mut found = Vec::new();
    let mut near: Vec<String> = Vec::new();
    let mut failure = None;
    for (source, ability) in able {
        match ability.containers()?.find(name) {
            Ok(container) => found.push((*source, container.clone())),
            Err(StoreError::NoContainer { suggestions, .. }) => near.extend(suggestions),
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    match (found.len(), failure) {
        (0, failure) => {
            near.sort();
            near.dedup();
            let unknown = StoreError::NoContainer { name: name.to_owned(), suggestions: near };
            Err(failure.unwrap_or(unknown).into())
        }
        (1, _) => Ok(found.remove(0)),
        _ => {
            let stores = found.iter().map(|(source, _)| source.to_string()).collect();
            Err(Error::SeveralStores { name: name.to_owned(), stores })
        }
    }
}

/// A container with the size of its layer. A layer that cannot be read is reported.
fn row(
    source: &Source,
    ability: &dyn Ability,
    container: Container,
    status: &mut Status,
    reporter: &Reporter,
) -> Row {
    let size = ability.written(&container.key).unwrap_or_else(|error| {
        let name = container.names.first().map_or(container.key.id(), String::as_str);
        reporter.warn_error(&error.within(format!("the writable layer of container {name}")));
        *status = Status::Incomplete;
        None
    });
    Row { root: source.root.display().to_string(), store: source.kind.name(), container, size }
}
