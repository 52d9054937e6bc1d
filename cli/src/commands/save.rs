//! `layerlift save`: names become images, images a plan; what the plan prepares goes to an output.

use std::collections::BTreeSet;
use std::path::PathBuf;

use layerlift_archive::{CompressionLevel, Options as WriteOptions, Spools};
use layerlift_export::{
    Error as ExportError, Format, LayerCompression, Layout, Omission, Options, Plan, SalvageReport,
    Selection, plan, select_all, select_partial,
};
use layerlift_store::{OpenOptions, Platforms, Reference, Rules, Store};

use super::containers;
use crate::args::Save;
use crate::collisions;
use crate::delivery;
use crate::destination::{Destination, Output};
use crate::error::Error;
use crate::output::print;
use crate::partial;
use crate::progress::{LeftOut, Progress, Summary};
use crate::registry::{Destined, Pushing};
use crate::report::Reporter;
use crate::requests::{self, Requests};
use crate::salvage::{self, Repairs, ReportFile};
use crate::signals::Guard;
use crate::sources::{Source, Sources, join, named};
use crate::status::Status;
use crate::terminal::visible;
use crate::threads::limit_threads;

pub(crate) fn run(args: &Save, reporter: &Reporter) -> Result<Status, Error> {
    export(args, &Input::Stores, reporter)
}

/// Where the images come from.
pub(crate) enum Input<'a> {
    /// The stores that the arguments mean.
    Stores,
    /// Archives that are completed, also from these other stores.
    Parts {
        others: &'a [PathBuf],
        /// Whether only the images of archives are meant that leave something out.
        only_partial: bool,
    },
}

/// Exports images.
pub(crate) fn export(args: &Save, input: &Input<'_>, reporter: &Reporter) -> Result<Status, Error> {
    if !args.names_something() {
        return Err(Error::NothingNamed);
    }
    // Read once: standard input cannot be read again, should the export begin again.
    let listed = requests::with_listed(args)?;
    let args = listed.as_ref().unwrap_or(args);
    let destination = Destination::parse(args.output.as_deref());
    // A registry takes images as an OCI archive has them.
    let pushed = match (&destination, args.format) {
        (Destination::Registry(_), None | Some(Format::OciArchive)) => {
            Some(Save { format: Some(Format::OciArchive), ..args.clone() })
        }
        (Destination::Registry(_), Some(format)) => return Err(Error::FormatOfRegistry(format)),
        _ => None,
    };
    let args = pushed.as_ref().unwrap_or(args);
    let compression = destination.compression(args.archive_compress)?;
    if !args.dry_run {
        destination.check(args.format())?;
        delivery::check(&args.delivery, &destination, compression.is_some())?;
        let others = if let Input::Parts { others, .. } = input { others } else { &[][..] };
        collisions::check(args, others, &destination)?;
    }
    let pushing = match &destination {
        Destination::Registry(place) => Some(Pushing::begin(place, args)?),
        _ => None,
    };
    let report = args.salvage_report.as_ref().filter(|_| !args.dry_run);
    let mut report = report.map(|path| ReportFile::begin(path)).transpose()?;
    let threads = args.work.threads();
    limit_threads(threads);

    for tries_left in (0..TRIES).rev() {
        let error =
            match once(args, input, (&destination, pushing.as_ref()), compression, &mut report, reporter)? {
                Ended::With(status) => return Ok(status),
                Ended::Changed(error) => error,
            };
        // What has left through a pipe cannot be taken back.
        if destination.folder().is_none() && pushing.is_none() {
            reporter.error(&error);
            return Ok(Status::Torn);
        }
        if tries_left == 0 {
            return Err(error);
        }
        reporter.warn_error(&error);
        reporter.warn("the store has changed while it was read; beginning again with what it has now");
    }
    Ok(Status::Incomplete)
}

/// How often an export begins that finds its store changed.
const TRIES: usize = 5;

/// How one try ended.
enum Ended {
    With(Status),
    /// With `--keep-going`: a layer was sound before the output was begun, and is not any more.
    Changed(Error),
}

/// Plans, prepares and writes.
fn once(
    args: &Save,
    input: &Input<'_>,
    (destination, pushing): (&Destination, Option<&Pushing>),
    compression: Option<CompressionLevel>,
    report: &mut Option<ReportFile>,
    reporter: &Reporter,
) -> Result<Ended, Error> {
    let (sources, partial_only) = match input {
        Input::Stores => (Sources::open_finding(&args.store, args.choice.find_blobs, reporter)?, None),
        Input::Parts { others, only_partial } => {
            let others = named(others, &OpenOptions::default().with_all_partitions(true), reporter)?;
            let joined = join(&args.store.place.root, others, &OpenOptions::default())?;
            let selection = only_partial.then(|| select_partial(&joined)).transpose()?;
            (Sources::of_joined(joined, &args.store.place.root), selection)
        }
    };
    let (source, mut selection, mut status) = match partial_only {
        Some(selection) => {
            let is_whole = !reporter.lost(&selection.lost);
            let status = if is_whole { Status::Done } else { Status::Incomplete };
            (&sources.opened[0], selection, status)
        }
        None if args.all => all(&sources, &args.platforms(), reporter)?,
        None => by_name(&sources, args, reporter)?,
    };
    let temp_dir = args.temp_dir.clone().or_else(|| destination.folder()).unwrap_or_else(std::env::temp_dir);
    let repairs = args.salvage.then(|| Repairs::open(&args.repair_from, reporter)).transpose()?;
    let other_side = partial::other_side(&args.partial, &*source.store)?;
    let options = Options::default()
        .with_other_side(other_side)
        .with_as_archived(sources.joined)
        .with_salvage(args.salvage)
        .with_format(args.format())
        .with_tags(args.tags)
        .with_keep_going(args.leaves_out())
        .with_recorded_only(args.choice.no_rebuild)
        .with_keep_index(args.choice.keep_index)
        .with_layers(args.compress.unwrap_or(if pushing.is_some() {
            LayerCompression::Packed(CompressionLevel::GZIP)
        } else {
            LayerCompression::default()
        }))
        .with_check(args.choice.check)
        .with_temp_dir(&temp_dir);
    let mut destined = match pushing {
        Some(pushing) => pushing.destined(&*source.store, &selection, args.dry_run, &())?,
        None => Destined::default(),
    };
    let there = std::mem::take(&mut destined.there);
    let options = options.with_there(there).with_ref_name(args.ref_name.clone());
    if let Some(name) = &args.ref_name {
        rename(&mut selection, name)?;
    }
    let layout = destination.layout(args.format())?;
    let plan = plan(&*source.store, selection, &options)?;
    if report_left_out(plan.left_out(), reporter) {
        status = Status::Incomplete;
    }
    if args.dry_run && pushing.is_none() {
        print(&visible(&plan.to_string()))?;
    } else {
        let at_once = compression.is_none() && !args.delivery.is_in_order();
        // What is spooled may be the output already.
        let _guard = destination.folder().map(|_| Guard::new());
        let spools = destination.spools(layout.is_some(), at_once, &temp_dir)?;
        let pushing = pushing.map(|pushing| (pushing, &destined));
        let output = (destination, (layout, pushing, &spools), compression, report);
        match write(plan, (&*source.store, repairs), output, args, reporter) {
            Ok(false) => {}
            Ok(true) => status = Status::Incomplete,
            Err(error) if args.leaves_out() && error.is_of_content() => return Ok(Ended::Changed(error)),
            Err(error) => return Err(error),
        }
    }
    Ok(Ended::With(status))
}

/// A layout that gets more images, or a registry; and where layers of unknown length are spooled.
type Targets<'a> = (Option<Layout>, Option<(&'a Pushing, &'a Destined)>, &'a Spools);

/// Prepares and writes; returns whether something was left out on the way.
fn write(
    plan: Plan,
    (store, repairs): (&dyn Store, Option<Repairs>),
    (destination, (layout, pushing, spools), compression, report): (
        &Destination,
        Targets<'_>,
        Option<CompressionLevel>,
        &mut Option<ReportFile>,
    ),
    args: &Save,
    reporter: &Reporter,
) -> Result<bool, Error> {
    let compressed = compression.is_some();
    let progress = Progress::new(&args.work.show, reporter);
    let options = WriteOptions::default()
        .with_threads(args.work.threads())
        .with_compression(compression)
        .with_spools(spools)
        .with_observer(&progress);
    let (mut plan, mut incomplete) = (plan, false);
    if let Some(repairs) = repairs {
        progress.begin("salvage", None);
        let before = plan.left_out().len();
        plan = repairs.salvage(plan, store, &options)?;
        progress.end();
        incomplete = report_left_out(&plan.left_out()[before..], reporter);
    }
    plan.warnings().iter().for_each(|warning| reporter.warning(warning));
    if plan.is_empty() {
        return Err(Error::NothingLeft);
    }
    let in_volumes = args.delivery.volume_size.is_some();
    if let Some(len) = plan.tar_len().filter(|_| !compressed && !in_volumes) {
        destination.check_space(len)?;
    }
    // If something is left out at the end, the rest is copied, and there must be room for that.
    let roomy = plan.tar_len().is_some_and(|len| destination.has_room_for_two(len));
    let plan =
        plan.with_unchecked(roomy && !args.delivery.is_in_order() && destination.can_leave_out(compression));
    let first_pass_len = plan.first_pass_len();
    if first_pass_len != Some(0) {
        progress.begin("prepare", first_pass_len);
    }
    let mut prepared = match pushing.filter(|_| !args.dry_run) {
        Some((pushing, destined)) => {
            pushing.prepare(plan, destined, args.leaves_out(), &options, &progress)?
        }
        None => plan.prepare(&options)?,
    };
    progress.end();
    prepared.warnings().iter().for_each(|warning| reporter.warning(warning));
    incomplete |= report_left_out(prepared.left_out(), reporter);
    if let Some((pushing, _)) = pushing {
        if prepared.is_empty() {
            return Err(Error::NothingLeft);
        }
        let left_out = match args.dry_run {
            true => pushing.dry_run(&prepared, &options, reporter)?,
            false => pushing.push((&prepared, store), args, &options, &progress, reporter)?,
        };
        let is_declared = prepared.salvaged().is_some_and(SalvageReport::is_declared);
        report.take().map_or(Ok(()), |report| report.write(&prepared))?;
        return Ok(incomplete || left_out || is_declared);
    }
    let mut layout = layout;
    let (bytes, delivered) = loop {
        if prepared.is_empty() {
            return Err(Error::NothingLeft);
        }
        let output = destination.output(&prepared, layout.take());
        let bytes = output.len();
        let volumes = delivery::volumes(&args.delivery, destination, bytes);
        match &volumes {
            Some(volumes) => delivery::announce(volumes, &args.delivery, destination, reporter)?,
            None if !compressed => destination.check_space(bytes.saturating_sub(spools.kept_len()))?,
            None => {}
        }
        progress.begin("write", Some(bytes));
        let written = match (&volumes, &output) {
            (Some(volumes), Output::Tree(_, tree)) => {
                delivery::write(tree, volumes, &args.delivery, &options)
            }
            _ => output.write(args.leaves_out(), args.delivery.is_in_order(), &options),
        };
        // Another export has made the layout in the meantime.
        if written.as_ref().is_err_and(Error::is_of_full_directory)
            && let Some(made) = destination.layout(args.format())?
        {
            layout = Some(made);
            progress.end();
            continue;
        }
        let mut written = written.map_err(|error| match error {
            Error::Archive(error) => prepared.explain(error.into()).into(),
            Error::Export(error) => prepared.explain(error).into(),
            other => other,
        })?;
        let Some(unfinished) = written.unfinished.take() else {
            let len = destination.written().filter(|_| volumes.is_none());
            break (len.unwrap_or(bytes), written);
        };
        progress.end();
        prepared = prepared.without(unfinished)?;
        incomplete |= report_left_out(prepared.left_out(), reporter);
    };
    let (images, layers) = (prepared.images().len(), prepared.layer_count());
    let left_out = Omission::from(prepared.requirements());
    let left_out =
        (left_out.layers > 0).then_some(LeftOut { layers: left_out.layers, bytes: left_out.bytes });
    delivery::write_digest(&args.delivery, destination, delivered.digest)?;
    progress.finish(&Summary {
        output: destination.name(),
        bytes,
        images,
        layers,
        left_out,
        volumes: delivered.volumes.map(|written| written.digests.len()),
        digest: delivered.digest.map(|digest| digest.to_string()),
    });
    // A tree has the report in it; a layout that gets more images has it beside its index.
    let declared = prepared.salvaged().is_some_and(SalvageReport::is_declared);
    let beside = destination.report_beside(args.format()).filter(|_| declared);
    if let Some(report) = report.take() {
        report.write(&prepared)?;
    }
    if let Some(path) = &beside {
        salvage::report_beside(&prepared, path)?;
    }
    incomplete |= declared;
    Ok(incomplete)
}

/// Gives the one image that was chosen the name that the index of a layout has for it: a tag beside its own
/// repository, or a whole name.
fn rename(selection: &mut Selection, name: &str) -> Result<(), Error> {
    let images = selection.images.iter_mut().map(|one| (one.image.id().to_owned(), &mut one.reference));
    let indexes = selection.indexes.iter_mut();
    let indexes = indexes.map(|one| (one.index.digest.to_string(), &mut one.reference));
    let containers = selection.containers.iter_mut();
    let containers = containers.map(|one| (one.container.key.id().to_owned(), &mut one.reference));
    let is_tag = Rules::Distribution.check_tag(name).is_ok();
    let whole = Reference::parse(name, Rules::Distribution).ok().filter(|_| !is_tag);
    let mut ids = BTreeSet::new();
    for (id, reference) in images.chain(indexes).chain(containers) {
        let with_tag =
            reference.as_ref().filter(|_| is_tag).map(|own| Reference::new(own.repository(), name));
        *reference = with_tag.or_else(|| whole.clone());
        ids.insert(id);
    }
    if ids.len() > 1 { Err(Error::TagForSeveral(ids.len())) } else { Ok(()) }
}

/// Reports what cannot be exported; returns whether there is anything.
fn report_left_out(errors: &[ExportError], reporter: &Reporter) -> bool {
    errors.iter().for_each(|error| reporter.error(error));
    !errors.is_empty()
}

/// Every image of the one store that has any.
fn all<'s>(
    sources: &'s Sources,
    platforms: &Platforms,
    reporter: &Reporter,
) -> Result<(&'s Source, Selection, Status), Error> {
    let mut status = sources.warn_of_failed(reporter);
    let mut with_images = Vec::new();
    let mut lost = Vec::new();
    for source in &sources.opened {
        let selection = select_all(&*source.store, platforms.clone())?;
        let here = !selection.images.is_empty() || !selection.artifacts.is_empty();
        if here || !selection.broken.is_empty() {
            with_images.push((source, selection));
        } else {
            lost.extend(selection.lost);
        }
    }
    if with_images.len() > 1 {
        let stores = with_images.iter().map(|(source, _)| source.to_string()).collect();
        return Err(Error::DifferentStores { stores });
    }
    let (source, selection) = match with_images.pop() {
        Some(only) => only,
        None => {
            reporter.lost(&lost);
            return Err(Error::NoImages);
        }
    };
    if reporter.lost(&selection.lost) {
        status = Status::Incomplete;
    }
    Ok((source, selection, status))
}

/// The images that names mean; all have to be in one store, since layers are shared within it.
fn by_name<'s>(
    sources: &'s Sources,
    args: &Save,
    reporter: &Reporter,
) -> Result<(&'s Source, Selection, Status), Error> {
    let Requests { requests, incomplete } = Requests::new(args, sources, reporter)?;
    let mut selection = Selection::new(args.platforms());
    let mut status = if incomplete { Status::Incomplete } else { Status::Done };
    let mut places: Vec<(usize, String)> = Vec::new();
    let mut failed = |error: Error| {
        reporter.error(&error);
        status = Status::Incomplete;
    };
    for request in requests {
        let added = sources.resolve(&request.name, reporter).and_then(|(place, found)| {
            places.push((place, request.name.clone()));
            let store = &*sources.opened[place].store;
            let found = request.renamed(selection.add_artifacts(store, found)?)?;
            for selected in &found {
                match selection.add(store, selected) {
                    Err(error) if args.leaves_out() => failed(error.into()),
                    added => added?,
                }
            }
            Ok(())
        });
        match added {
            Err(error) if args.leaves_out() => failed(error),
            added => added?,
        }
    }
    let containers = containers::choose(sources, &args.choice.containers, &mut selection)?;
    places.extend(containers.into_iter().map(|(place, name)| (place, name.clone())));
    let Some(&(first, _)) = places.first() else { return Err(Error::NothingLeft) };
    if places.iter().any(|&(place, _)| place != first) {
        let line = |(place, name): &(usize, String)| format!("{name} in {}", sources.opened[*place]);
        return Err(Error::DifferentStores { stores: places.iter().map(line).collect() });
    }
    Ok((&sources.opened[first], selection, status))
}
