//! `layerlift push`: what `save` selects, to a registry or into a layout.

use std::path::PathBuf;

use layerlift_export::{Format, TagPolicy};

use super::save::{Input, export};
use crate::args::{Delivery, Partial, Push, Save};
use crate::destination::REGISTRY;
use crate::error::Error;
use crate::report::Reporter;
use crate::status::Status;

/// What stands before a layout.
const LAYOUT: &str = "oci:";

pub(crate) fn run(args: &Push, reporter: &Reporter) -> Result<Status, Error> {
    let Some((to, names)) = args.names.split_last() else { return Err(Error::NothingToPush) };
    let mut save = as_save(args, names);
    if to.starts_with(REGISTRY) {
        save.output = Some(PathBuf::from(to));
    } else if let Some(layout) = to.strip_prefix(LAYOUT).filter(|layout| !layout.is_empty()) {
        let (dir, tag) = match layout.rsplit_once(':') {
            Some((dir, tag)) if !tag.contains('/') && !dir.is_empty() => (dir, Some(tag)),
            _ => (layout, None),
        };
        save.layout_tag = tag.map(str::to_owned);
        save.output = Some(PathBuf::from(format!("{}/", dir.trim_end_matches('/'))));
        several(&save, tag.is_some())?;
    } else {
        return Err(Error::NoDestination(to.clone()));
    }
    if !save.names_something() {
        return Err(Error::NothingToPush);
    }
    if !names.is_empty() && args.all {
        return Err(Error::NamesWithAll);
    }
    export(&save, &Input::Stores, reporter)
}

/// Refuses one tag for several names.
pub(crate) fn several(args: &Save, is_tagged: bool) -> Result<(), Error> {
    match args.names.len() + args.choice.containers.len() {
        several if is_tagged && several > 1 => Err(Error::TagForSeveral(several)),
        _ => Ok(()),
    }
}

/// The export that it is, but for its output.
fn as_save(args: &Push, names: &[String]) -> Save {
    Save {
        names: names.to_vec(),
        all: args.all,
        output: None,
        format: Format::OciArchive,
        tags: TagPolicy::Named,
        compress: args.compress,
        archive_compress: None,
        choice: args.choice.clone(),
        delivery: Delivery::default(),
        partial: Partial { exclude: Vec::new(), since: Vec::new(), have: Vec::new() },
        salvage: false,
        repair_from: Vec::new(),
        salvage_report: None,
        temp_dir: args.temp_dir.clone(),
        dry_run: args.dry_run,
        registry: args.registry.clone(),
        layout_tag: None,
        work: args.work.clone(),
        store: args.store.clone(),
    }
}
