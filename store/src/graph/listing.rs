//! The listing, as `docker images` shows it: every image with a name, and every image that is not the parent
//! of another.
//!
//! Each `json` is read once, in parallel, and each chain is walked once however many images share it.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::catalog::GraphCatalog;
use super::document::{self, GraphDocument};
use super::images::Images;
use super::{chain, repositories};
use crate::names::MOMENTS;
use crate::{Broken, Error, ErrorKind, ImageSummary, Listing, Reference, V1Id, driver, parallel};

/// What the listing needs of an image.
struct Node {
    parent: Option<V1Id>,
    created: Option<String>,
    size: Option<u64>,
}

/// All images by id. An image that cannot be read, or whose parents cannot, is an error.
type Nodes = BTreeMap<V1Id, Result<Node, Error>>;

/// The size and the number of layers of an image and its ancestors, or which of them cannot be read.
type Sum<'n> = Result<(Option<u64>, usize), &'n V1Id>;

/// The listing. Beside a running Docker, an image that is removed between its name and its document looks
/// as if it were missing. So names and ids are read again, and if they have changed, so is everything.
pub(super) fn list(images: &Images) -> Result<Listing, Error> {
    let ids = || images.graph.list(".");
    let mut moments = 1;
    loop {
        let before = ids()?;
        let catalog = GraphCatalog::read(images);
        let listing = at_one_moment(images, &catalog)?;
        let missing = |broken: &Broken| broken.error.kind() == ErrorKind::Missing;
        let complete = listing.lost.is_empty() && !listing.broken.iter().any(missing);
        let names = repositories::names(&images.root, &images.driver);
        let changed = || names.changed(&catalog.names) || ids().is_ok_and(|now| now != before);
        if complete || moments == MOMENTS || !changed() {
            return Ok(listing);
        }
        moments += 1;
    }
}

fn at_one_moment(images: &Images, catalog: &GraphCatalog<'_>) -> Result<Listing, Error> {
    let mut listing = Listing { lost: catalog.names.lost.clone(), ..Listing::default() };
    let names_are_lost = !listing.lost.is_empty();
    let mut nodes = read(images)?;
    break_chains(images, &mut nodes);
    let mut references: BTreeMap<V1Id, Vec<Reference>> = BTreeMap::new();
    let ids: Vec<V1Id> = nodes.keys().cloned().collect();
    for (id, named) in catalog.names.by_image() {
        match complete(&ids, id) {
            Some(id) => references.entry(id).or_default().extend(named),
            None => {
                let error = images.no_image(id, &named);
                let named_as = || named.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                let what = if id.is_empty() { named_as() } else { id.to_owned() };
                listing.broken.push(Broken::new(what, named, error));
            }
        }
    }
    let parents: HashSet<&V1Id> =
        nodes.values().filter_map(|node| node.as_ref().ok()?.parent.as_ref()).collect();
    let mut sums = HashMap::new();
    for (id, node) in &nodes {
        let mut references = references.remove(id).unwrap_or_default();
        // An image that has lost its name looks like one that only others were built on.
        let intermediate = references.is_empty() && parents.contains(id) && !names_are_lost;
        references.sort();
        match sum(&nodes, id, &mut sums) {
            Ok((size, layers)) => {
                let created = node.as_ref().ok().and_then(|node| node.created.clone());
                let key = images.key(id.as_str());
                let summary = ImageSummary { created, size, ..ImageSummary::new(key, references, layers) };
                match intermediate {
                    true => listing.intermediate.push(summary),
                    false => listing.images.push(summary),
                }
            }
            // Its descendants have the error.
            Err(_) if intermediate => {}
            Err(broken) => {
                let error = nodes[broken].as_ref().err().cloned();
                listing.broken.extend(error.map(|error| Broken::new(id.to_string(), references, error)));
            }
        }
    }
    listing.sort();
    Ok(listing)
}

/// Reads all images in parallel.
fn read(images: &Images) -> Result<Nodes, Error> {
    let names = images.graph.list(".")?;
    let ids: Vec<V1Id> = names.iter().filter_map(|name| V1Id::parse(name.to_str()?)).collect();
    let inventory = match driver::inventory(&images.driver) {
        Some(dir) => Some((dir, images.root.try_list(dir)?)),
        None => None,
    };
    let absent = |id: &V1Id| {
        let (dir, names) = inventory.as_ref()?;
        let there = names.binary_search_by(|name| name.as_os_str().cmp(id.as_str().as_ref())).is_ok();
        (!there).then(|| images.root.join(format!("{dir}/{id}")))
    };
    let one = |id: &V1Id| {
        if let Some(path) = absent(id) {
            return Err(Error::Missing {
                of: format!("image {id}"),
                what: "layer",
                id: id.to_string(),
                path,
            });
        }
        let document = GraphDocument::read(&images.graph, id)?;
        let parent = chain::parent(images, id, &document, &|prefix| Ok(complete(&ids, prefix)))?;
        let size = document::layer_size(&images.graph, id);
        Ok(Node { parent, created: document.created, size })
    };
    Ok(parallel::map(&ids, |id| (id.clone(), one(id))).into_iter().collect())
}

/// The only one of the sorted ids that begins with a prefix.
fn complete(ids: &[V1Id], prefix: &str) -> Option<V1Id> {
    let first = ids.partition_point(|id| id.as_str() < prefix);
    let mut matching = ids[first..].iter().take_while(|id| id.as_str().starts_with(prefix));
    let id = matching.next().filter(|_| !prefix.is_empty())?;
    matching.next().is_none().then(|| id.clone())
}

/// Replaces images whose parent is missing, or whose parents lead back to them, by errors. After that, every
/// chain has an end.
fn break_chains(images: &Images, nodes: &mut Nodes) {
    let mut broken = Vec::new();
    let mut walks: HashMap<&V1Id, usize> = HashMap::new();
    for (walk, start) in nodes.keys().enumerate() {
        let mut at = start;
        while walks.insert(at, walk).is_none() {
            let Some(Ok(Node { parent: Some(parent), .. })) = nodes.get(at) else { break };
            if !nodes.contains_key(parent) {
                let path = images.graph.join(parent.as_str());
                let of = format!("image {at}");
                broken
                    .push((at.clone(), Error::Missing { of, what: "parent", id: parent.to_string(), path }));
                break;
            }
            match walks.get(parent) {
                Some(&other) if other == walk => {
                    let path = images.graph.join(format!("{at}/json"));
                    broken.push((at.clone(), Error::malformed(path, chain::leads_back(at, parent))));
                    break;
                }
                Some(_) => break,
                None => at = parent,
            }
        }
    }
    for (id, error) in broken {
        nodes.insert(id, Err(error));
    }
}

fn sum<'n>(nodes: &'n Nodes, top: &'n V1Id, sums: &mut HashMap<&'n V1Id, Sum<'n>>) -> Sum<'n> {
    let mut path = Vec::new();
    let mut at = Some(top);
    let mut result: Sum<'n> = Ok((Some(0), 0));
    while let Some(id) = at {
        match (sums.get(id), nodes.get(id)) {
            (Some(known), _) => {
                result = *known;
                break;
            }
            (None, Some(Ok(node))) => {
                path.push((id, node.size));
                at = node.parent.as_ref();
            }
            (None, Some(Err(_)) | None) => {
                result = Err(id);
                break;
            }
        }
    }
    for (id, size) in path.into_iter().rev() {
        result = result.map(|(total, layers)| {
            (total.zip(size).map(|(total, size)| total.saturating_add(size)), layers + 1)
        });
        sums.insert(id, result);
    }
    result
}
