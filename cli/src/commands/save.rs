//! `layerlift save`: names to images, images to a plan, the plan to a tree, the tree to an output.

use std::path::Path;

use layerlift_archive::{Existing, Options as WriteOptions};
use layerlift_export::{Options, Plan, Selection, plan, select_all};

use crate::args::Save;
use crate::destination::Destination;
use crate::error::Error;
use crate::output::print;
use crate::progress::{Progress, Summary};
use crate::report::Reporter;
use crate::sources::{Source, Sources};
use crate::status::Status;

pub(crate) fn run(args: &Save, reporter: &Reporter) -> Result<Status, Error> {
    let destination = Destination::parse(args.output.as_deref());
    if args.archive_compress.is_some() && matches!(destination, Destination::Dir(_)) {
        return Err(Error::CompressedDirectory);
    }
    if !args.dry_run {
        destination.check(args.format)?;
    }
    let threads = args.work.threads();
    super::limit_threads(threads);

    let sources = Sources::open(&args.store, reporter)?;
    let (source, selection, mut status) = if args.all {
        all(&sources, reporter)?
    } else {
        by_name(&sources, &args.names, args.keep_going, reporter)?
    };
    let temp_dir = args.temp_dir.clone().or_else(|| destination.folder()).unwrap_or_else(std::env::temp_dir);
    let options = Options {
        format: args.format,
        tags: args.tags,
        keep_going: args.keep_going,
        layers: args.compress.unwrap_or_default(),
        extend: destination.extended(args.format).map(Path::to_owned),
        temp_dir,
    };
    let mut plan = plan(&*source.store, selection, &options)?;
    let mut told = tell_left_out(&plan, 0, reporter);

    if args.dry_run {
        // With its warnings.
        print(&crate::terminal::visible(&plan.to_string()))?;
    } else {
        let warned = tell_warnings(&plan, 0, reporter);
        if plan.images.is_empty() {
            return Err(Error::NothingLeft);
        }
        if let Some(len) = plan.tar_len().filter(|_| args.archive_compress.is_none()) {
            destination.check_space(len)?;
        }
        let progress = Progress::new(&args.work, reporter);
        let write_options = WriteOptions::default()
            .with_threads(threads)
            .with_compression(args.archive_compress)
            .with_observer(&progress);
        let first_pass_len = plan.first_pass_len();
        if first_pass_len != Some(0) {
            progress.begin("prepare", first_pass_len);
        }
        let tree = plan.build(&write_options)?;
        progress.end();
        tell_warnings(&plan, warned, reporter);
        told = tell_left_out(&plan, told, reporter);
        if plan.images.is_empty() {
            return Err(Error::NothingLeft);
        }
        let bytes = destination.len_of(&tree);
        if args.archive_compress.is_none() {
            destination.check_space(bytes)?;
        }
        progress.begin("write", Some(bytes));
        let existing = match destination.extended(args.format) {
            Some(_) => Existing::Extend,
            None => Existing::Refuse,
        };
        destination.write(&tree, existing, &write_options)?;
        let bytes = destination.written().unwrap_or(bytes);
        let (images, layers) = (plan.images.len(), plan.layer_count());
        progress.finish(&Summary { output: destination.name(), bytes, images, layers });
    }
    if told > 0 {
        status = Status::Incomplete;
    }
    Ok(status)
}

/// Every image of the one store that has any.
fn all<'s>(sources: &'s Sources, reporter: &Reporter) -> Result<(&'s Source, Selection, Status), Error> {
    let status = sources.warn_of_failed(reporter);
    let mut with_images = Vec::new();
    for source in &sources.opened {
        let selection = select_all(&*source.store)?;
        if !selection.images.is_empty() || !selection.broken.is_empty() {
            with_images.push((source, selection));
        }
    }
    if with_images.len() > 1 {
        let stores = with_images.iter().map(|(source, _)| source.to_string()).collect();
        return Err(Error::DifferentStores { stores });
    }
    let (source, selection) = with_images.pop().ok_or(Error::NoImages)?;
    Ok((source, selection, status))
}

/// The images that names mean; all have to be in one store, since layers are shared within it.
fn by_name<'s>(
    sources: &'s Sources,
    names: &[String],
    keep_going: bool,
    reporter: &Reporter,
) -> Result<(&'s Source, Selection, Status), Error> {
    let mut selection = Selection::default();
    let mut status = Status::Done;
    let mut places = Vec::new();
    for name in names {
        match sources.resolve(name, reporter) {
            Ok((place, images)) => {
                places.push((place, name));
                selection.images.extend(images);
            }
            Err(error) if keep_going => {
                reporter.error(&error);
                status = Status::Incomplete;
            }
            Err(error) => return Err(error),
        }
    }
    let Some(&(first, _)) = places.first() else { return Err(Error::NothingLeft) };
    if places.iter().any(|&(place, _)| place != first) {
        let line = |&(place, name): &(usize, &String)| format!("{name} in {}", sources.opened[place]);
        return Err(Error::DifferentStores { stores: places.iter().map(line).collect() });
    }
    Ok((&sources.opened[first], selection, status))
}

/// Says what there is to know beyond what was said before; returns how much that is by now.
fn tell_warnings(plan: &Plan, told: usize, reporter: &Reporter) -> usize {
    plan.warnings.iter().skip(told).for_each(|warning| reporter.warn(warning));
    plan.warnings.len()
}

/// Says what is left out beyond what was said before; returns how many that are by now.
fn tell_left_out(plan: &Plan, told: usize, reporter: &Reporter) -> usize {
    plan.left_out.iter().skip(told).for_each(|error| reporter.error(error));
    plan.left_out.len()
}
