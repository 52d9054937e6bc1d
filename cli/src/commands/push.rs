//! `layerlift push`: what `save` selects, to a registry or into a layout.

use std::path::PathBuf;

use layerlift_archive::CompressionLevel;
use layerlift_export::{Format, LayerCompression, TagPolicy};

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
        // As skopeo has it: what follows the first colon is the name.
        let (dir, name) = layout.split_once(':').map_or((layout, None), |(dir, name)| (dir, Some(name)));
        if dir.is_empty() || name == Some("") {
            return Err(Error::NoDestination(to.clone()));
        }
        save.ref_name = name.map(str::to_owned);
        save.output = Some(PathBuf::from(format!("{}/", dir.trim_end_matches('/'))));
        several(&save, name.is_some())?;
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
        format: Some(Format::OciArchive),
        tags: TagPolicy::Named,
        compress: args.compress.or(Some(LayerCompression::Packed(CompressionLevel::GZIP))),
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
        ref_name: None,
        work: args.work.clone(),
        store: args.store.clone(),
    }
}
