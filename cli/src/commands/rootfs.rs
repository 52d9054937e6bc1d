//! `layerlift rootfs`: the root file system of a container or an image as a tar or a directory.

use std::path::PathBuf;

use layerlift_archive::{Content, NotKept};
use layerlift_store::{Container, Error as StoreError, Faults, ImageKey, RootFs};

use super::containers;
use crate::args::{Rootfs, is_stdin};
use crate::collisions;
use crate::destination::Destination;
use crate::error::Error;
use crate::progress::{Files, Progress};
use crate::report::Reporter;
use crate::sources::{Source, Sources};
use crate::status::Status;
use crate::tar_output;

pub(crate) fn run(args: &Rootfs, reporter: &Reporter) -> Result<Status, Error> {
    let destination = Destination::parse(args.output.as_deref());
    destination.check_tar()?;
    collisions::check_file(&destination, &args.store.place.root)?;
    let root_fs = find(args, reporter)?;
    reporter.notices(root_fs.notices());
    let progress = Progress::new(&args.show, reporter);
    let faults = args.keep_going.then(Faults::leaving_out);
    let noting = faults.as_ref();
    if root_fs.is_of_tars() {
        progress.begin("read", root_fs.tar_len());
    }
    let tree = root_fs.read_observed(noting, &progress)?;
    reporter.notices(tree.notices());
    args.path.as_deref().map_or(Ok(()), |path| tree.check(path, &args.name))?;
    let within = args.path.as_deref();
    let (bytes, not_kept) = match &destination {
        Destination::Dir(path) => {
            progress.begin("write", Some(tree.bytes(within)?));
            tar_output::write_dir(path, &progress, |sink| tree.write_files(within, noting, sink))?
        }
        _ => {
            let tar = tree.tar(within, noting)?;
            progress.begin("write", Some(tar.len()));
            let bytes = tar_output::write(&destination, &progress, |out| tar.write_to(out, noting))?;
            (bytes, NotKept::default())
        }
    };
    progress.end();
    let status = match (report(&not_kept, reporter), tar_output::report(faults, reporter)) {
        (Status::Done, read) => read,
        (written, _) => written,
    };
    progress.finish(&Files { output: destination.name(), bytes });
    Ok(status)
}

/// Says what a directory lacks. Only root may give files away and make devices.
fn report(not_kept: &NotKept, reporter: &Reporter) -> Status {
    let mut status = Status::Done;
    let counted = |(count, path): &(u64, PathBuf), one: &str, several: &str| {
        let first = format!("/{}", path.display());
        match count {
            1 => format!("1 {one}: {first}"),
            _ => format!("{count} {several}, first {first}"),
        }
    };
    if let Some(owners) = &not_kept.owners {
        let entries = counted(owners, "entry", "entries");
        reporter.warn(&format!("only root can set owners: this user has them instead in {entries}"));
    }
    if let Some(devices) = &not_kept.devices {
        status = Status::Incomplete;
        reporter
            .warn(&format!("only root can make devices: left out {}", counted(devices, "device", "devices")));
    }
    if let Some(attributes) = &not_kept.attributes {
        status = Status::Incomplete;
        let entries = counted(attributes, "entry lacks", "entries lack");
        reporter.warn(&format!(
            "attributes could not be set, which only root or not every file system can: {entries}"
        ));
    }
    status
}

/// The directories of what a name means: of a container, else of an image.
fn find(args: &Rootfs, reporter: &Reporter) -> Result<RootFs, Error> {
    let sources = Sources::open_all(&args.store, reporter)?;
    if let Some(id) = args.name.strip_prefix("orphan:") {
        return Ok(containers::orphan(&sources, id)?.1.root_fs()?);
    }
    let near = match containers::find(&sources.able(), &args.name) {
        Ok((source, container)) => return of_container(source, &container),
        Err(Error::Store(StoreError::NoContainer { suggestions, .. })) => suggestions,
        Err(error) => return Err(error),
    };
    let has_containers = !sources.able().is_empty();
    // An image is looked up in one namespace of containerd, as elsewhere. A pipe gives an archive only once.
    let may_be_pipe = args.store.place.root.iter().any(|root| is_stdin(root));
    let sources = if may_be_pipe { sources } else { Sources::open(&args.store, reporter)? };
    let (place, selected) = match sources.resolve(&args.name, reporter) {
        Err(Error::Store(StoreError::NotFound { suggestions, .. })) if has_containers => {
            return Err(containers::neither(&args.name, near, suggestions));
        }
        resolved => resolved?,
    };
    let source = &sources.opened[place];
    let mut keys: Vec<ImageKey> = Vec::new();
    for selected in selected {
        for key in selected.choose_all(&*source.store, &args.store.platforms())? {
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
    }
    let [key] = &*keys else {
        let candidates = keys.iter().map(|key| key.id().to_owned()).collect();
        return Err(StoreError::Ambiguous { name: args.name.clone(), candidates, drivers: false }.into());
    };
    let image = source.store.image(key)?;
    let folder = Destination::parse(args.output.as_deref()).folder();
    let folder = args.temp_dir.clone().or(folder).unwrap_or_else(std::env::temp_dir);
    Ok(RootFs::of_image(&*source.store, &image, &folder)?)
}

fn of_container(source: &Source, container: &Container) -> Result<RootFs, Error> {
    let name = || container.names.first().map_or(container.key.id(), String::as_str).to_owned();
    let ability = source.store.containers();
    let found = match ability {
        Some(ability) => ability.root_fs(container)?,
        None => None,
    };
    found.ok_or_else(|| Error::NoLayer(name()))
}
