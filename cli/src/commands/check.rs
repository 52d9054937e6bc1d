//! `layerlift check`: whether what a partial archive needs is there.

use layerlift_archive::Options as WriteOptions;
use layerlift_export::{Checked, CheckedLayer, CheckedRoot, Presence, check};
use layerlift_store::{OpenOptions, Opened, Store, StoreKind, detect, open, open_all};
use serde::Serialize;

use crate::args::{Check, PlaceArgs};
use crate::error::Error;
use crate::output::{print, print_json};
use crate::report::Reporter;
use crate::size::human;
use crate::sources::{broken_error, named};
use crate::status::Status;
use crate::table::Table;

/// What `complete` does not say.
const NOT_READ: &str = "(bytes of layers were not read)";

/// For machines.
#[derive(Serialize)]
struct Outcome<'a> {
    /// Whether every engine loads it: every layer is there, and none refuses the archive.
    complete: bool,
    /// Whether the engine can save and push the images afterwards.
    saves: bool,
    /// Why an engine refuses the archive, whatever it has.
    refused: Option<String>,
    /// What is printed as warnings.
    warnings: Vec<String>,
    images: usize,
    /// Of several engines, what the worst one has.
    layers: Vec<LayerJson<'a>>,
    /// The same for each store of an engine.
    stores: Vec<StoreJson<'a>>,
}

#[derive(Serialize)]
struct StoreJson<'a> {
    root: String,
    store: String,
    /// The graph driver or namespace, if the root has several.
    partition: Option<&'a str>,
    complete: bool,
    saves: bool,
    refused: Option<String>,
    layers: Vec<LayerJson<'a>>,
}

#[derive(Serialize)]
struct LayerJson<'a> {
    diff_id: Option<String>,
    digest: Option<String>,
    id: Option<String>,
    size: Option<u64>,
    of: &'a [String],
    /// Whether requires.json lists it.
    listed: bool,
    result: &'static str,
    root: Option<&'a str>,
}

/// A store of an engine.
struct Engine {
    opened: Opened,
    partition: Option<String>,
}

/// What is there for an engine; for none, what is in the archives.
struct Verdict<'e> {
    engine: Option<&'e Engine>,
    checked: Checked,
}

pub(crate) fn run(args: &Check, reporter: &Reporter) -> Result<Status, Error> {
    let mut archives = Vec::new();
    for path in &args.archives {
        archives.push(open(path, &OpenOptions::default()).map_err(Error::Open)?);
    }
    for archive in &archives {
        let listing = archive.images()?;
        reporter.lost(&listing.lost);
        // What only lacks layers is in the table.
        for broken in listing.broken.into_iter().filter(|broken| !broken.only_lacks_layers(&**archive)) {
            reporter.error(&broken_error(broken));
        }
    }
    let (engines, others) = roots(&args.place, reporter)?;
    let own = args.archives.iter().zip(&archives);
    let own = own.map(|(path, store)| (path.display().to_string(), &**store));
    let others = others.iter().map(|one| (one.root.display().to_string(), &*one.store));
    let files: Vec<(String, &dyn Store)> = others.chain(own).collect();
    let stores: Vec<&dyn Store> = archives.iter().map(|archive| &**archive).collect();
    let verdict = |engine: Option<&'_ Engine>| {
        let first = engine.map(|one| (one.opened.root.display().to_string(), &*one.opened.store));
        let roots = first.into_iter().chain(files.iter().cloned());
        let roots: Vec<CheckedRoot<'_>> = roots.map(|(name, store)| CheckedRoot { name, store }).collect();
        check(&stores, &roots, &WriteOptions::default())
    };
    let mut verdicts = Vec::new();
    for engine in &engines {
        verdicts.push(Verdict { engine: Some(engine), checked: verdict(Some(engine))? });
    }
    if engines.is_empty() {
        verdicts.push(Verdict { engine: None, checked: verdict(None)? });
    }
    let worst = worst(&verdicts);
    let mut warnings: Vec<String> = worst.warnings.iter().map(ToString::to_string).collect();
    if let unlisted @ 1.. = worst.unlisted() {
        let layers = format!("{} {}", plural(unlisted, "layer"), if unlisted == 1 { "is" } else { "are" });
        warnings.push(format!("{layers} missing from the archive, and its requires.json does not say so"));
    }
    if verdicts.len() > 1 && verdicts.iter().any(|one| one.checked.is_complete() != worst.is_complete()) {
        let one = "an engine uses one of these stores; name it with --store, --driver or --namespace";
        warnings.push(one.to_owned());
    }
    if args.json {
        print_json(&Outcome::of(&worst, &verdicts, &warnings))?;
    } else {
        let is_one = verdicts.len() == 1;
        let text = |verdict: &Verdict<'_>| table(&verdict.checked, verdict.engine.filter(|_| !is_one));
        print(&verdicts.iter().map(text).collect::<String>())?;
    }
    warnings.iter().for_each(|warning| reporter.warn(warning));
    Ok(if worst.is_complete() { Status::Done } else { Status::Incomplete })
}

/// The stores of engines, and the archives, in which layers are looked up. A root of Docker may have stores
/// that it no longer uses, or not yet: those without any image are left out, if another one has images.
fn roots(place: &PlaceArgs, reporter: &Reporter) -> Result<(Vec<Engine>, Vec<Opened>), Error> {
    let mut options = OpenOptions::default().with_follow(place.follow.iter().cloned());
    options.kind = place.store;
    options.partition = place.driver.clone().or_else(|| place.namespace.clone());
    let (mut engines, mut archives) = (Vec::new(), Vec::new());
    for path in &place.root {
        let mut here = Vec::new();
        for opened in named(std::slice::from_ref(path), &options, reporter)? {
            match opened.store.kind().is_archive() {
                true => archives.push(opened),
                false => here.extend(by_driver(opened, &options)?),
            }
        }
        let has_images = |engine: &Engine| engine.opened.store.images().is_ok_and(|all| !all.is_empty());
        if here.len() > 1 && here.iter().any(has_images) {
            here.retain(has_images);
        }
        engines.append(&mut here);
    }
    Ok((engines, archives))
}

/// Each graph driver of Docker as a store of its own: a daemon uses one.
fn by_driver(opened: Opened, options: &OpenOptions) -> Result<Vec<Engine>, Error> {
    let kind = opened.store.kind();
    let is_new = |found: &layerlift_store::Detected| found.kind == kind;
    let drivers = match kind {
        StoreKind::Docker if options.partition.is_none() => {
            let detected = detect(&opened.root).map_err(Error::Open)?;
            detected.into_iter().find(is_new).map(|found| found.partitions).unwrap_or_default()
        }
        _ => Vec::new(),
    };
    if drivers.len() < 2 {
        return Ok(vec![Engine { opened, partition: options.partition.clone() }]);
    }
    let mut engines = Vec::new();
    for driver in drivers {
        let options = options.clone().with_kind(kind).with_partition(driver.clone());
        for opened in open_all(&opened.root, &options).map_err(Error::Open)? {
            let opened = opened.map_err(Error::Open)?;
            engines.push(Engine { opened, partition: Some(driver.clone()) });
        }
    }
    Ok(engines)
}

/// Of each layer, what the engine has that has least of it.
fn worst(verdicts: &[Verdict<'_>]) -> Checked {
    let mut all = verdicts.iter().map(|one| &one.checked);
    let mut worst = all.next().cloned().unwrap_or_default();
    for checked in all {
        // The same layers in the same order.
        for (known, layer) in worst.layers.iter_mut().zip(&checked.layers) {
            if layer.presence < known.presence {
                *known = layer.clone();
            }
        }
        if checked.missing.layers > worst.missing.layers {
            worst.missing = checked.missing.clone();
        }
        worst.refusal = worst.refusal.or(checked.refusal);
        let new = checked.warnings.iter().filter(|warning| !worst.warnings.contains(warning));
        let new: Vec<_> = new.cloned().collect();
        worst.warnings.extend(new);
    }
    worst
}

impl<'a> Outcome<'a> {
    fn of(worst: &'a Checked, verdicts: &'a [Verdict<'a>], warnings: &[String]) -> Self {
        let of_engine = |verdict: &'a Verdict<'a>| {
            let Engine { opened, partition } = verdict.engine?;
            Some(StoreJson {
                root: opened.root.display().to_string(),
                store: opened.store.kind().to_string(),
                partition: partition.as_deref(),
                complete: verdict.checked.is_complete(),
                saves: saves(&verdict.checked),
                refused: refused(&verdict.checked),
                layers: layers(&verdict.checked),
            })
        };
        Outcome {
            complete: worst.is_complete(),
            saves: saves(worst),
            refused: refused(worst),
            warnings: warnings.to_vec(),
            images: worst.images,
            layers: layers(worst),
            stores: verdicts.iter().filter_map(of_engine).collect(),
        }
    }
}

fn saves(checked: &Checked) -> bool {
    checked.is_complete() && checked.count(Presence::OtherBlob) == 0
}

fn refused(checked: &Checked) -> Option<String> {
    checked.refusal.map(|why| why.to_string())
}

fn layers(checked: &Checked) -> Vec<LayerJson<'_>> {
    checked.layers.iter().map(LayerJson::of).collect()
}

impl<'a> LayerJson<'a> {
    fn of(layer: &'a CheckedLayer) -> Self {
        LayerJson {
            diff_id: layer.required.diff_id.map(|id| id.to_string()),
            digest: layer.required.digest.map(|digest| digest.to_string()),
            id: layer.required.id.as_ref().map(ToString::to_string),
            size: layer.required.size,
            of: &layer.required.of,
            listed: layer.is_listed,
            result: word(layer.presence),
            root: layer.place.as_deref(),
        }
    }
}

fn word(presence: Presence) -> &'static str {
    match presence {
        Presence::Here => "here",
        Presence::OtherBlob => "other blob",
        Presence::OtherStack => "other stack",
        Presence::OtherPacking => "other packing",
        Presence::RecordOnly => "record only",
        _ => "missing",
    }
}

/// A line for each layer that is not there, and the verdict; of several, with the engine.
fn table(checked: &Checked, engine: Option<&Engine>) -> String {
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
                    Presence::RecordOnly => "on record, without its files".to_owned(),
                    _ => "MISSING".to_owned(),
                },
            ]);
        }
        text.push_str(&table.render());
    }
    if let Some(Engine { opened, partition }) = engine {
        let partition = partition.as_ref().map_or_else(String::new, |name| format!(" ({name})"));
        text.push_str(&format!("{}, {}{partition}: ", opened.root.display(), opened.store.kind()));
    }
    text.push_str(&words(checked));
    text.push('\n');
    text
}

/// The verdict, in a sentence.
fn words(checked: &Checked) -> String {
    let mut lacks = Vec::new();
    if !checked.missing.is_empty() {
        lacks.push(format!("needs {}", checked.missing));
    }
    if checked.unreadable > 0 {
        lacks.push("not all of the archive can be read".to_owned());
    }
    let lacks = lacks.join(", and ");
    match (checked.refusal, lacks.is_empty()) {
        (None, true) => {}
        (None, false) => return format!("incomplete: {lacks}"),
        (Some(why), true) => return format!("refused: {why}"),
        (Some(why), false) => return format!("incomplete: {lacks}; refused, too: {why}"),
    }
    let required = plural(checked.layers.len(), "layer");
    match checked.count(Presence::OtherBlob) {
        0 if checked.layers.is_empty() => format!("complete: nothing is left out {NOT_READ}"),
        0 => format!("complete: all of {required} that it needs are here {NOT_READ}"),
        n => format!(
            "runs, but is not complete: of {}, the store has other blobs, so the engine's own save and push \
             of it will fail or be incomplete",
            plural(n, "layer")
        ),
    }
}

fn plural(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}
