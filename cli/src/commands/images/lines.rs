//! The lines of `layerlift images`: one for each tag of an image.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashSet};

use layerlift_store::Reference;

use super::rows::Row;
use crate::args::Order;

/// A line: an image under one of its names.
pub(super) struct Line<'r> {
    pub(super) row: &'r Row,
    pub(super) repository: String,
    pub(super) tag: String,
    pub(super) digest: String,
}

/// All lines, in an order.
pub(super) fn lines(rows: &[Row], digests: bool, order: Order) -> Vec<Line<'_>> {
    let mut lines = Vec::new();
    for row in rows {
        let names = names(&row.image.references, row.digest().as_deref(), digests);
        lines.extend(names.into_iter().map(|[repository, tag, digest]| Line {
            row,
            repository,
            tag,
            digest,
        }));
    }
    let by: Option<fn(&Line<'_>, &Line<'_>) -> Ordering> = match order {
        Order::Created => None,
        Order::Id => Some(|a, b| a.row.image.key.id().cmp(b.row.image.key.id())),
        Order::Repository => Some(|a, b| (&a.repository, &a.tag).cmp(&(&b.repository, &b.tag))),
        Order::Size => Some(|a, b| a.row.image.size.cmp(&b.row.image.size)),
        Order::Tag => Some(|a, b| (&a.tag, &a.repository).cmp(&(&b.tag, &b.repository))),
    };
    if let Some(by) = by {
        lines.sort_by(by);
    }
    lines
}

/// The images of lines, each once, in the order of its first line.
pub(super) fn images<'r>(lines: &[Line<'r>]) -> impl Iterator<Item = &'r Row> {
    let mut seen = HashSet::new();
    lines.iter().map(|line| line.row).filter(move |row| seen.insert(std::ptr::from_ref(*row)))
}

/// Repository, tag and digest, a line for each; as Docker does, a digest has lines of its own only where it
/// is asked for or where a tag is missing. `own` is the digest of what is not named by one.
fn names(references: &[Reference], own: Option<&str>, digests: bool) -> Vec<[String; 3]> {
    let none = || "<none>".to_owned();
    let mut repositories: BTreeMap<&str, (Vec<&str>, Vec<&str>)> = BTreeMap::new();
    for reference in references {
        let (tags, with_digest) = repositories.entry(reference.repository()).or_default();
        let list = if reference.is_digest() { with_digest } else { tags };
        list.push(reference.tag_or_digest());
    }
    let mut lines = Vec::new();
    for (repository, (tags, found)) in repositories {
        let found = if digests { found } else { Vec::new() };
        let tags = if tags.is_empty() { vec!["<none>"] } else { tags };
        let found = if found.is_empty() { vec![own.unwrap_or("<none>")] } else { found };
        for tag in tags {
            lines.extend(found.iter().map(|&digest| [repository, tag, digest].map(str::to_owned)));
        }
    }
    if lines.is_empty() {
        lines.push([none(), none(), own.map_or_else(none, str::to_owned)]);
    }
    lines
}
