//! The volumes of all stores, and the containers that use them.

use std::collections::{BTreeMap, HashSet};

use layerlift_store::{ContainerListing, Volume};

use crate::error::Error;
use crate::report::Reporter;
use crate::sources::{Source, Sources};
use crate::status::Status;

/// A volume, and who uses it.
pub(super) struct Row<'s> {
    pub(super) source: &'s Source,
    pub(super) volume: Volume,
    /// Names of containers, sorted.
    pub(super) used_by: Vec<String>,
}

/// All volumes by name. A data root of Docker may have two stores, of which each knows its own containers:
/// its volumes are there once.
pub(super) fn all<'s>(
    sources: &'s Sources,
    status: &mut Status,
    reporter: &Reporter,
) -> Result<Vec<Row<'s>>, Error> {
    let mut rows: Vec<Row<'s>> = Vec::new();
    for (source, ability) in sources.able() {
        let mut users: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let containers = ability.containers().unwrap_or_else(|error| {
            reporter.error(&error.within("which containers use the volumes"));
            *status = Status::Incomplete;
            ContainerListing::default()
        });
        for (id, error) in containers.broken {
            reporter.warn_error(&error.within(format!("container {id}")));
            *status = Status::Incomplete;
        }
        for container in containers.containers {
            let name = container.names.first().map_or(container.key.id(), String::as_str).to_owned();
            for volume in container.mounts.into_iter().filter_map(|mount| mount.name) {
                users.entry(volume).or_default().push(name.clone());
            }
        }
        let listing = ability.volumes()?;
        reporter.notices(&listing.notices);
        // A database that has both is lost once.
        let known: HashSet<String> = listing.lost.iter().map(ToString::to_string).collect();
        let mut lost = listing.lost;
        lost.extend(containers.lost.into_iter().filter(|error| !known.contains(&error.to_string())));
        if reporter.lost(&lost) {
            *status = Status::Incomplete;
        }
        for volume in listing.volumes {
            let used_by = users.remove(&volume.name).unwrap_or_default();
            match rows.iter_mut().find(|row| row.volume.path == volume.path) {
                Some(row) => row.used_by.extend(used_by),
                None => rows.push(Row { source, volume, used_by }),
            }
        }
    }
    for row in &mut rows {
        row.used_by.sort();
        row.used_by.dedup();
    }
    rows.sort_by(|a, b| a.volume.name.cmp(&b.volume.name));
    Ok(rows)
}
