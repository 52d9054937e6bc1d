//! Containers with what is shown of them, and which one a name means.

use layerlift_store::{Container, Containers as Ability, Error as StoreError};

use crate::error::Error;
use crate::report::Reporter;
use crate::sources::Source;
use crate::status::Status;

/// A container, and where it is.
pub(in crate::commands) struct Row<'s> {
    pub(super) source: &'s Source,
    pub(super) root: String,
    pub(super) container: Container,
    /// Bytes of its writable layer; `None` where it has none, or where it cannot be read.
    pub(super) size: Option<u64>,
}

/// The container that a name means, and its store.
pub(in crate::commands) fn find<'s>(
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

/// The error for a name that is of no container and of no image, with similar names of both.
pub(in crate::commands) fn neither(name: &str, mut containers: Vec<String>, images: Vec<String>) -> Error {
    containers.extend(images);
    containers.sort();
    containers.dedup();
    StoreError::Neither { name: name.to_owned(), suggestions: containers }.into()
}

/// A container with the size of its layer. A layer that cannot be read is reported.
pub(super) fn row<'s>(
    source: &'s Source,
    ability: &dyn Ability,
    container: Container,
    status: &mut Status,
    reporter: &Reporter,
) -> Row<'s> {
    let size = ability.written(&container.key).unwrap_or_else(|error| {
        let name = container.names.first().map_or(container.key.id(), String::as_str);
        reporter.warn_error(&error.within(format!("the writable layer of container {name}")));
        *status = Status::Incomplete;
        None
    });
    Row { source, root: source.root.display().to_string(), container, size }
}
