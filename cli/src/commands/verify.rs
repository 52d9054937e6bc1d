//! `layerlift verify`: reads every layer, compares it with what is recorded, writes nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use layerlift_archive::Options;
use layerlift_export::{ErrorKind, ImageReport, Report, outlook, verify_artifacts, verify_each};
use layerlift_store::{Artifact, Broken, ImageKey, Needs, Platforms};
use serde::Serialize;

use super::images::short;
use crate::args::Verify;
use crate::chain::{as_type, chain};
use crate::error::Error;
use crate::message::Message;
use crate::output::{print, print_json};
use crate::progress::Progress;
use crate::report::Reporter;
use crate::salvage;
use crate::signals;
use crate::size::human;
use crate::sources::{Source, Sources, broken_error};
use crate::status::Status;
use crate::table::Table;
use crate::threads::limit_threads;

mod request;
mod step;

use request::Request;
use step::{Step, Summary};

/// For machines.
#[derive(Debug, Default, Serialize)]
struct Outcome {
    images: Vec<ImageJson>,
    layers: Vec<LayerJson>,
    /// Number of images whose bytes differ from what was recorded.
    damaged: usize,
    /// Number of images that are not sound, for whatever reason.
    unsound: usize,
    /// What is not an image: signatures, charts.
    artifacts: Vec<ArtifactJson>,
    /// What the stores had on record and have no longer, apart from images.
    lost: Vec<String>,
}

#[derive(Debug, Serialize)]
struct ArtifactJson {
    digest: String,
    #[serde(rename = "type")]
    kind: String,
    references: Vec<String>,
    root: String,
    sound: bool,
    error: Option<String>,
}

#[derive(Debug, Serialize)]
struct ImageJson {
    id: String,
    references: Vec<String>,
    /// Of an image of an index that has several here.
    #[serde(skip_serializing_if = "Option::is_none")]
    platform: Option<String>,
    driver: String,
    root: String,
    layers: Vec<String>,
    /// Bytes of the tars of its layers.
    size: u64,
    sound: bool,
    /// What a partial archive leaves out of it, on purpose.
    #[serde(skip_serializing_if = "Needs::is_empty")]
    needs: Needs,
    /// What is wrong, if it is not sound.
    kind: Option<&'static str>,
    /// Number of its layers that the store has nothing to compare with.
    unchecked: usize,
    /// Number of these that had a digest which is lost: the image cannot be saved as it was.
    computed: usize,
    error: Option<String>,
}

#[derive(Debug, Serialize)]
struct LayerJson {
    id: String,
    /// What messages call it.
    #[serde(skip)]
    name: String,
    driver: String,
    root: String,
    diff_id: Option<String>,
    size: u64,
    sound: bool,
    kind: Option<&'static str>,
    checked: bool,
    computed: bool,
    error: Option<String>,
    /// What a salvage could do about the error.
    salvage: Option<String>,
}

pub(crate) fn run(args: &Verify, reporter: &Reporter) -> Result<Status, Error> {
    let threads = args.work.threads();
    limit_threads(threads);
    let sources = Sources::open_finding(&args.store, args.find_blobs, reporter)?;
    let mut requests: Vec<Request> = sources.opened.iter().map(|_| Request::default()).collect();
    // Everything that is here, unless some platforms are asked for.
    let platforms = &match args.store.platforms() {
        Platforms::Usual => Platforms::All,
        some => some,
    };
    let mut status = Status::Done;
    let mut outcome = Outcome::default();
    if args.names.is_empty() {
        status = sources.warn_of_failed(reporter);
        for (source, request) in sources.opened.iter().zip(&mut requests) {
            let listing = source.store.images()?;
            reporter.notices(&listing.notices);
            let lost = [listing.lost.clone(), source.store.missing()?].concat();
            request.add_all(&*source.store, listing, platforms);
            if reporter.lost(&lost) {
                status = Status::Incomplete;
            }
            outcome.lost.extend(lost.iter().map(|error| Message::of(error).text));
        }
        // A filter may leave images out. If it leaves none over, the errors say what there is.
        if requests.iter().all(Request::is_empty) {
            requests.iter_mut().for_each(|request| request.broken.append(&mut request.other_platforms));
        }
    } else {
        for name in &args.names {
            let (place, selected) = sources.resolve(name, reporter)?;
            for selected in selected {
                requests[place].add(&*sources.opened[place].store, selected, platforms)?;
            }
        }
    }

    let progress = Progress::new(&args.work.show, reporter);
    let (ended, of) = (AtomicUsize::new(0), requests.iter().map(|request| request.images.len()).sum());
    let each = |report: &Report, place: usize| {
        let n = ended.fetch_add(1, Ordering::Relaxed) + 1;
        let step = Step::new(report, place, (n, of));
        progress.step((n, of), &step.words(), !step.sound, &step);
    };
    let options = Options::default().with_threads(threads).with_observer(&progress);
    let mut errors = Vec::new();
    for (source, request) in sources.opened.iter().zip(requests) {
        progress.begin("verify", None);
        let report = verify_each(&*source.store, &request.images, &options, &each);
        report.images.iter().for_each(|image| reporter.notices(&image.notices));
        report.layers.iter().for_each(|layer| reporter.notices(&layer.notices));
        if report.layers.iter().any(|layer| layer.computed) {
            status = Status::Incomplete;
        }
        outcome.add(source, report, &request.platforms, &mut errors);
        let of_artifacts = verify_artifacts(request.artifacts.clone(), &options);
        outcome.add_artifacts(source, request.artifacts, of_artifacts, &mut errors);
        request.broken.into_iter().for_each(|broken| outcome.add_broken(source, broken, &mut errors));
    }
    progress.end();
    if signals::cancelled() {
        return Err(Error::Archive(layerlift_archive::Error::Cancelled));
    }

    report_errors(&errors, reporter);
    for layer in &outcome.layers {
        if let Some(words) = &layer.salvage {
            reporter.note(&format!("layer {}: {words}", layer.name));
        }
    }
    if args.json {
        print_json(&outcome)?;
    } else if !args.work.show.quiet {
        print(&table(&outcome))?;
    }
    progress.finish(&outcome.summary());
    if outcome.unsound > 0 || outcome.artifacts.iter().any(|artifact| !artifact.sound) {
        status = Status::Incomplete;
    }
    Ok(status)
}

/// Reports each error. A link that hides a whole directory is reported once, not for every layer behind it.
fn report_errors(errors: &[Box<dyn std::error::Error>], reporter: &Reporter) {
    let mut links: BTreeMap<&Path, usize> = BTreeMap::new();
    for error in errors {
        let link = chain(&**error).find_map(|error| match as_type(error) {
            Some(layerlift_store::Error::Link { path, .. }) => Some(path.as_path()),
            _ => None,
        });
        let seen = link.map(|path| links.entry(path).or_default());
        if seen.as_ref().is_none_or(|count| **count == 0) {
            reporter.error(&**error);
        }
        seen.into_iter().for_each(|count| *count += 1);
    }
    for (path, count) in links.into_iter().filter(|(_, count)| *count > 1) {
        let others = if count == 2 { "1 more" } else { &format!("{} more", count - 1) };
        reporter.note(&format!("{others} could not be read because of the link {}", path.display()));
    }
}

impl Outcome {
    fn summary(&self) -> Summary {
        Summary {
            images: self.images.len(),
            layers: self.layers.len(),
            bytes: self.layers.iter().map(|layer| layer.size).sum(),
            unsound: self.unsound,
        }
    }

    fn push(&mut self, image: ImageJson) {
        self.unsound += usize::from(!image.sound);
        self.damaged += usize::from(image.kind == Some(word(ErrorKind::Damaged)));
        self.images.push(image);
    }

    fn add(
        &mut self,
        source: &Source,
        report: Report,
        platforms: &HashMap<ImageKey, String>,
        errors: &mut Vec<Box<dyn std::error::Error>>,
    ) {
        let root = source.root.display().to_string();
        for image in &report.images {
            let json = ImageJson::new(&root, image, &report);
            self.push(ImageJson { platform: platforms.get(&image.key).cloned(), ..json });
        }
        let outlooks = outlook(&*source.store, &report);
        for (layer, outlook) in report.layers.iter().zip(outlooks) {
            self.layers.push(LayerJson {
                id: layer.key.id().to_owned(),
                name: source.store.layer_name(&layer.key),
                driver: layer.key.partition().to_owned(),
                root: root.clone(),
                diff_id: layer.expected.map(|id| id.to_string()),
                size: layer.len,
                sound: layer.error.is_none(),
                kind: layer.kind().map(word),
                checked: layer.recorded,
                computed: layer.computed,
                error: layer.error.as_ref().map(|error| Message::of(error).text),
                salvage: outlook.as_ref().map(salvage::words),
            });
        }
        let of_images = report.images.into_iter().filter_map(|image| image.error);
        let of_layers = report.layers.into_iter().filter_map(|layer| layer.error);
        errors.extend(of_images.chain(of_layers).map(|error| error.into()));
    }

    fn add_artifacts(
        &mut self,
        source: &Source,
        artifacts: Vec<Artifact>,
        found: Vec<Option<layerlift_export::Error>>,
        errors: &mut Vec<Box<dyn std::error::Error>>,
    ) {
        for (artifact, error) in artifacts.into_iter().zip(found) {
            self.artifacts.push(ArtifactJson {
                digest: artifact.digest.to_string(),
                kind: artifact.kind,
                references: artifact.names,
                root: source.root.display().to_string(),
                sound: error.is_none(),
                error: error.as_ref().map(|error| Message::of(error).text),
            });
            errors.extend(error.map(Into::into));
        }
    }

    fn add_broken(&mut self, source: &Source, broken: Broken, errors: &mut Vec<Box<dyn std::error::Error>>) {
        self.push(ImageJson {
            id: broken.what.clone(),
            references: broken.references.iter().map(ToString::to_string).collect(),
            platform: None,
            driver: String::new(),
            root: source.root.display().to_string(),
            layers: Vec::new(),
            size: 0,
            needs: Needs::default(),
            sound: false,
            kind: Some(word(broken.error.kind())),
            unchecked: 0,
            computed: 0,
            error: Some(Message::of(&broken.error).text),
        });
        errors.push(broken_error(broken).into());
    }
}

impl ImageJson {
    fn new(root: &str, image: &ImageReport, report: &Report) -> Self {
        let layers = || image.layers.iter().filter_map(|&index| report.layers.get(index));
        ImageJson {
            id: image.key.id().to_owned(),
            references: image.references.iter().map(ToString::to_string).collect(),
            platform: None,
            driver: image.key.partition().to_owned(),
            root: root.to_owned(),
            layers: layers().map(|layer| layer.key.id().to_owned()).collect(),
            size: layers().map(|layer| layer.len).sum(),
            needs: image.needs.clone(),
            sound: report.is_sound(image),
            kind: report.kind(image).map(word),
            unchecked: layers().filter(|layer| !layer.recorded).count(),
            computed: layers().filter(|layer| layer.computed).count(),
            error: image.error.as_ref().map(|error| Message::of(error).text),
        }
    }
}

/// What is wrong with an image or a layer, in a word. Only changed bytes are damage.
fn word(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Damaged => "damaged",
        ErrorKind::Malformed => "malformed",
        ErrorKind::Missing => "missing",
        // Here, but for other platforms than the one that is asked for.
        ErrorKind::NotFound => "not-found",
        ErrorKind::Unsupported | ErrorKind::Request => "unsupported",
        _ => "unreadable",
    }
}

fn table(outcome: &Outcome) -> String {
    // One that could not be read may have none.
    let drivers: BTreeSet<&str> =
        outcome.images.iter().map(|image| &*image.driver).filter(|driver| !driver.is_empty()).collect();
    let several_drivers = drivers.len() > 1;
    let several_platforms = outcome.images.iter().any(|image| image.platform.is_some());
    let mut headings = vec!["IMAGE", "IMAGE ID", "LAYERS", "SIZE"];
    headings.extend(several_platforms.then_some("PLATFORM"));
    headings.extend(several_drivers.then_some("DRIVER"));
    headings.push("RESULT");
    let mut table = Table::new(&headings);
    for image in &outcome.images {
        let result = match (image.kind, image.unchecked) {
            // A layer is missing, so its image is not complete.
            (Some("missing"), _) => "INCOMPLETE".to_owned(),
            (Some(kind), _) => kind.replace('-', " ").to_uppercase(),
            (None, _) if image.computed == 1 => "1 layer can only be computed".to_owned(),
            (None, _) if image.computed > 1 => format!("{} layers can only be computed", image.computed),
            (None, 0) => "ok".to_owned(),
            (None, 1) => "readable, 1 layer unchecked".to_owned(),
            (None, n) => format!("readable, {n} layers unchecked"),
        };
        let needs = if image.needs.is_empty() { String::new() } else { format!(", needs {}", image.needs) };
        let result = format!("{result}{needs}");
        let id = if image.references.contains(&image.id) { "<unknown>" } else { short(&image.id) };
        let layers = (image.layers.len() + image.needs.layers).to_string();
        let mut cells = vec![names(&image.references), id.to_owned(), layers, human(image.size)];
        cells.extend(several_platforms.then(|| image.platform.clone().unwrap_or_default()));
        cells.extend(several_drivers.then(|| image.driver.clone()));
        cells.push(result);
        table.row(cells);
    }
    table.render()
}

/// The names of an image; only a few if there are many.
fn names(references: &[String]) -> String {
    const SHOWN: usize = 3;
    match references.len() {
        0 => "<none>".to_owned(),
        n if n <= SHOWN => references.join(", "),
        n => format!("{}, {} more", references[..SHOWN - 1].join(", "), n - SHOWN + 1),
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;

    #[test]
    fn what_stands_out() {
        let image = |name: &str, digit: char, kind: Option<ErrorKind>| ImageJson {
            id: digit.to_string().repeat(64),
            references: vec![name.to_owned()],
            platform: None,
            driver: "vfs".to_owned(),
            root: "/d".to_owned(),
            layers: vec!["x".to_owned(); 3],
            size: 1_234_567,
            needs: Needs::default(),
            sound: kind.is_none(),
            kind: kind.map(word),
            unchecked: 0,
            computed: 0,
            error: None,
        };
        let images = vec![
            image("base:latest", 'a', None),
            image("app:1.0", 'b', Some(ErrorKind::Damaged)),
            image("app:1.1", 'c', Some(ErrorKind::Missing)),
            image("app:1.2", 'd', Some(ErrorKind::Environment)),
        ];
        assert_snapshot!(table(&Outcome { images, ..Outcome::default() }), @r"
        IMAGE         IMAGE ID       LAYERS   SIZE     RESULT
        base:latest   aaaaaaaaaaaa   3        1.23MB   ok
        app:1.0       bbbbbbbbbbbb   3        1.23MB   DAMAGED
        app:1.1       cccccccccccc   3        1.23MB   INCOMPLETE
        app:1.2       dddddddddddd   3        1.23MB   UNREADABLE
        ");

        let mut images = vec![image("base:latest", 'a', None), image("base:latest", 'a', None)];
        images[0].unchecked = 2;
        images[1].computed = 1;
        images[1].driver = "overlay2".to_owned();
        assert_snapshot!(table(&Outcome { images, ..Outcome::default() }), @r"
        IMAGE         IMAGE ID       LAYERS   SIZE     DRIVER     RESULT
        base:latest   aaaaaaaaaaaa   3        1.23MB   vfs        readable, 2 layers unchecked
        base:latest   aaaaaaaaaaaa   3        1.23MB   overlay2   1 layer can only be computed
        ");
    }
}
