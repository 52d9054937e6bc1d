//! `layerlift volume`: the data of a volume as a tar.

use layerlift_archive::Content;
use layerlift_store::{Error as StoreError, Faults, Volume, VolumeListing};

use crate::args::Volume as Arguments;
use crate::destination::Destination;
use crate::error::Error;
use crate::progress::{Files, Progress};
use crate::report::Reporter;
use crate::sources::Sources;
use crate::status::Status;
use crate::tar_output;

pub(crate) fn run(args: &Arguments, reporter: &Reporter) -> Result<Status, Error> {
    let destination = Destination::parse(args.output.as_deref());
    tar_output::check(&destination)?;
    let sources = Sources::open_all(&args.place, reporter)?;
    let (volume, is_uncertain) = find(&sources, &args.name, reporter)?;
    volume.check(args.path.as_deref())?;
    let progress = Progress::new(&args.show, reporter);
    let faults = args.keep_going.then(Faults::leaving_out);
    let tar = volume.tar(args.path.as_deref(), faults.as_ref())?;
    progress.begin("write", Some(tar.len()));
    let bytes = tar_output::write(&destination, &progress, |out| tar.write_to(out, faults.as_ref()))?;
    progress.end();
    let mut status = tar_output::report(faults, reporter);
    if is_uncertain && volume.size()? == Some(0) {
        reporter.warn(&format!("volume {} has no data here; they may be elsewhere", volume.name));
        status = Status::Incomplete;
    }
    progress.finish(&Files { output: destination.name(), bytes });
    Ok(status)
}

/// The volume that a name means in the stores, and whether a record is lost that may have said that its data
/// are elsewhere.
fn find(sources: &Sources, name: &str, reporter: &Reporter) -> Result<(Volume, bool), Error> {
    let mut found: Vec<(String, Volume)> = Vec::new();
    let mut is_uncertain = false;
    let mut failure = None;
    for (source, ability) in sources.able() {
        let listing: VolumeListing = ability.volumes()?;
        match listing.find(name) {
            // Two stores of one data root have the same volumes.
            Ok(volume) if found.iter().any(|(_, known)| known.path == volume.path) => {}
            Ok(volume) => {
                // What is lost may be that its data are elsewhere.
                listing.lost.iter().for_each(|error| reporter.warn_error(error));
                is_uncertain |= !listing.lost.is_empty();
                reporter.notices(&listing.notices);
                found.push((source.to_string(), volume.clone()));
            }
            Err(error) => drop(failure.get_or_insert(error)),
        }
    }
    match found.len() {
        0 => {
            let unknown = StoreError::NoVolume { name: name.to_owned(), suggestions: Vec::new() };
            Err(failure.unwrap_or(unknown).into())
        }
        1 => Ok((found.remove(0).1, is_uncertain)),
        _ => {
            let stores = found.into_iter().map(|(source, _)| source).collect();
            Err(Error::SeveralStores { name: name.to_owned(), stores })
        }
    }
}
