//! `layerlift check`: whether what a partial archive needs is there.

use layerlift_archive::Options as WriteOptions;
use layerlift_export::{Checked, CheckedRoot, Presence, check};
use layerlift_store::{Listing, OpenOptions, Opened, Store, StoreKind, open};
use serde::Serialize;

use crate::args::Check;
use crate::error::Error;
use crate::output::{print, print_json};
use crate::report::Reporter;
use crate::size::human;
use crate::sources::{broken_error, named};
use crate::status::Status;
use crate::table::Table;

/// For machines.
#[derive(Serialize)]
struct Outcome<'a> {
    /// Whether every layer is there.
    complete: bool,
    /// Whether the engine can save and push the images afterwards.
    saves: bool,
    images: usize,
    layers: Vec<LayerJson<'a>>,
}

#[derive(Serialize)]
struct LayerJson<'a> {
    diff_id: Option<String>,
    digest: Option<String>,
    id: Option<String>,
    size: Option<u64>,
    of: &'a [String],
    result: &'static str,
    root: Option<&'a str>,
}

pub(crate) fn run(args: &Check, reporter: &Reporter) -> Result<Status, Error> {
    let mut archives = Vec::new();
    for path in &args.archives {
        archives.push(open(path, &OpenOptions::default()).map_err(Error::Open)?);
    }
    let mut status = Status::Done;
    let mut several = false;
    for archive in &archives {
        let listing = archive.images()?;
        several |= is_several(&listing);
        for broken in listing.broken {
            reporter.error(&broken_error(broken));
            status = Status::Incomplete;
        }
        if reporter.lost(&listing.lost) {
            status = Status::Incomplete;
        }
    }
    let place = &args.place;
    let mut options = OpenOptions::default().with_follow(place.follow.iter().cloned());
    options.kind = place.store;
    options.partition = place.driver.clone().or_else(|| place.namespace.clone());
    let roots = named(&place.root, &options, reporter)?;
    let root = |opened: &'_ Opened| opened.root.display().to_string();
    let known: Vec<CheckedRoot<'_>> =
        roots.iter().map(|one| CheckedRoot { name: root(one), store: &*one.store }).collect();
    let own: Vec<CheckedRoot<'_>> = args
        .archives
        .iter()
        .zip(&archives)
        .map(|(path, store)| CheckedRoot { name: path.display().to_string(), store: &**store })
        .collect();
    let all: Vec<CheckedRoot<'_>> = known.into_iter().chain(own).collect();
    let stores: Vec<&dyn Store> = archives.iter().map(|archive| &**archive).collect();
    let checked = check(&stores, &all, &WriteOptions::default())?;
    let is_docker_v1 = archives.iter().any(|archive| archive.kind() == StoreKind::DockerV1Archive);
    if is_docker_v1 && !checked.layers.is_empty() && roots.iter().any(|one| is_new(one.store.kind())) {
        reporter.warn("Docker since 1.10 cannot load a docker-v1 archive from which layers are left out");
    }
    let is_podman = |one: &Opened| one.store.kind() == StoreKind::ContainersStorage;
    if several && !checked.layers.is_empty() && roots.iter().any(is_podman) {
        reporter.warn("Podman refuses a part with several images or names; join the parts first");
    }
    if args.json {
        print_json(&Outcome::of(&checked))?;
    } else {
        print(&table(&checked))?;
    }
    if checked.is_complete() { Ok(status) } else { Ok(Status::Incomplete) }
}

/// Whether it is a part whose `index.json` has several entries: one for each name.
fn is_several(listing: &Listing) -> bool {
    let of_images = listing.images.iter().map(|image| &image.references);
    let names = of_images.chain(listing.indexes.iter().map(|index| &index.references));
    let is_partial = listing.images.iter().any(|image| !image.needs.is_empty());
    is_partial && names.map(|names| names.len().max(1)).sum::<usize>() > 1
}

fn is_new(kind: StoreKind) -> bool {
    matches!(kind, StoreKind::Docker | StoreKind::Containerd)
}

impl<'a> Outcome<'a> {
    fn of(checked: &'a Checked) -> Self {
        let layer = |layer: &'a layerlift_export::CheckedLayer| LayerJson {
            diff_id: layer.required.diff_id.map(|id| id.to_string()),
            digest: layer.required.digest.map(|digest| digest.to_string()),
            id: layer.required.id.as_ref().map(ToString::to_string),
            size: layer.required.size,
            of: &layer.required.of,
            result: word(layer.presence),
            root: layer.place.as_deref(),
        };
        Outcome {
            complete: checked.is_complete(),
            saves: checked.is_complete() && checked.count(Presence::OtherBlob) == 0,
            images: checked.images,
            layers: checked.layers.iter().map(layer).collect(),
        }
    }
}

fn word(presence: Presence) -> &'static str {
    match presence {
        Presence::Here => "here",
        Presence::OtherBlob => "other blob",
        Presence::OtherStack => "other stack",
        Presence::OtherPacking => "other packing",
        _ => "missing",
    }
}

/// A line for each layer that is not there, and the verdict.
fn table(checked: &Checked) -> String {
    let mut text = String::new();
    let lacking = checked.layers.iter().filter(|layer| layer.presence != Presence::Here);
    let lacking: Vec<_> = lacking.collect();
    if !lacking.is_empty() {
        let mut table = Table::new(&["LAYER", "BLOB", "SIZE", "OF", "RESULT"]);
        for layer in lacking {
            let required = &layer.required;
            let short = |digest: layerlift_archive::Digest| format!("{:.12}", digest.hex());
            let v1_id = || required.id.as_ref().map(|id| format!("{:.12}", id.as_str()));
            let name = required.diff_id.map(|id| short(id.0)).or_else(v1_id).unwrap_or_default();
            table.row(vec![
                name,
                required.digest.map(short).unwrap_or_default(),
                required.size.map_or_else(|| "N/A".to_owned(), human),
                required.of.first().cloned().unwrap_or_default(),
                match layer.presence {
                    Presence::OtherBlob => "other blob".to_owned(),
                    Presence::OtherStack => "only on top of other layers".to_owned(),
                    Presence::OtherPacking => "only as another blob".to_owned(),
                    _ => "MISSING".to_owned(),
                },
            ]);
        }
        text.push_str(&table.render());
    }
    text.push_str(&words(checked));
    text.push('\n');
    text
}

/// The verdict, in a sentence.
fn words(checked: &Checked) -> String {
    let plural = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    let required = plural(checked.layers.len(), "layer");
    if !checked.is_complete() {
        return format!("incomplete: needs {}", checked.missing);
    }
    match checked.count(Presence::OtherBlob) {
        0 if checked.layers.is_empty() => "complete: nothing is left out".to_owned(),
        0 => format!("complete: all of {required} that it needs are here"),
        n => format!(
            "runs, but is not complete: of {}, the store has other blobs, so the engine's own save and push \
             of it will fail or be incomplete",
            plural(n, "layer")
        ),
    }
}
