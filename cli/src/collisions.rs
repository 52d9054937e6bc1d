//! Outputs that would replace one another, or something that is read for them.
//!
//! An output appears under its name when it is complete. By then, what had this name before is still open and
//! is read to its end; afterwards it is lost. Of an archive from which another leaves out its layers, nothing
//! would be left.

use std::fs::{File, Metadata};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use layerlift_archive::{Volumes, final_path};

use crate::args::Save;
use crate::destination::Destination;
use crate::error::Error;

/// Something that will be written.
struct Output<'p> {
    /// What messages call it.
    what: &'static str,
    path: &'p Path,
    place: Place,
}

/// Where a file is or will be.
enum Place {
    /// At this path, behind all links; with its device and number, if it is there.
    File(PathBuf, Option<(u64, u64)>),
    /// Volumes of an archive, whose names begin with this path, and their list.
    Volumes(PathBuf),
}

/// Refuses an export that would replace a file that it reads, or an output of its own. `others` are read,
/// too.
pub(crate) fn check(args: &Save, others: &[PathBuf], destination: &Destination) -> Result<(), Error> {
    let delivery = &args.delivery;
    let mut outputs = Vec::new();
    match destination {
        Destination::Stream => outputs.extend(standard_output()),
        Destination::File(path) if delivery.volume_size.is_some() => {
            let place = Place::Volumes(behind_links(path.parent(), path));
            outputs.push(Output { what: "a volume of the archive", path, place });
        }
        Destination::File(path) => outputs.extend(output("the archive", path)),
        Destination::Dir(_) | Destination::Registry(_) => {}
    }
    outputs.extend(delivery.digest_file.iter().filter_map(|path| output("the file with its digest", path)));
    outputs.extend(args.salvage_report.iter().filter_map(|path| output("the report of the salvage", path)));
    for (at, output) in outputs.iter().enumerate() {
        if let Some(other) = outputs[..at].iter().find(|other| other.place.meets(&output.place)) {
            let (path, first, second) = (output.path.to_owned(), other.what, output.what);
            return Err(Error::SameOutput { path, first, second });
        }
    }
    let root = &args.store.place.root;
    let partial = &args.partial;
    let lists = &args.choice.from_file;
    let of_parts = partial.since.iter().chain(&partial.have);
    let inputs = root.iter().chain(others).chain(of_parts).chain(&args.repair_from).chain(lists);
    inputs_stay(inputs.map(PathBuf::as_path), &outputs)
}

/// The same for one output in a file.
pub(crate) fn check_file(destination: &Destination, inputs: &[PathBuf]) -> Result<(), Error> {
    let output = match destination {
        Destination::Stream => standard_output(),
        Destination::File(path) => output("the output", path),
        Destination::Dir(_) | Destination::Registry(_) => None,
    };
    inputs_stay(inputs.iter().map(PathBuf::as_path), output.as_slice())
}

fn inputs_stay<'p>(inputs: impl Iterator<Item = &'p Path>, outputs: &[Output<'_>]) -> Result<(), Error> {
    for input in inputs {
        for place in read_at(input) {
            if let Some(output) = outputs.iter().find(|output| output.place.meets(&place)) {
                return Err(Error::InputIsOutput { path: input.to_owned(), what: output.what });
            }
        }
    }
    Ok(())
}

/// What is read of an input: a file; of a volume, all of its archive.
fn read_at(input: &Path) -> Vec<Place> {
    // A directory is read in many places, and none of them is written to.
    let metadata = match input == Path::new("-") {
        true => stat(io::stdin()),
        false => input.metadata().ok(),
    };
    let Some(metadata) = metadata.filter(Metadata::is_file) else { return Vec::new() };
    let mut places = vec![Place::at(input, Some(&metadata))];
    if let Some((whole, _)) = Volumes::parse(input) {
        places.push(Place::Volumes(behind_links(whole.parent(), &whole)));
    }
    places
}

fn output<'p>(what: &'static str, path: &'p Path) -> Option<Output<'p>> {
    let metadata = path.metadata().ok();
    // /dev/null takes everything, and loses nothing.
    let is_device = metadata.as_ref().is_some_and(|found| found.file_type().is_char_device());
    (!is_device).then(|| Output { what, path, place: Place::at(path, metadata.as_ref()) })
}

/// Standard output, if something can be written over there.
fn standard_output() -> Option<Output<'static>> {
    let metadata = stat(io::stdout()).filter(|found| !found.file_type().is_char_device())?;
    let place = Place::File(PathBuf::new(), Some(number(&metadata)));
    Some(Output { what: "the archive", path: Path::new("-"), place })
}

fn stat(handle: impl AsFd) -> Option<Metadata> {
    File::from(handle.as_fd().try_clone_to_owned().ok()?).metadata().ok()
}

fn number(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

/// The path with the real folder in which it is.
fn behind_links(folder: Option<&Path>, path: &Path) -> PathBuf {
    let folder = folder.filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    folder.join(path.file_name().unwrap_or_default())
}

impl Place {
    fn at(path: &Path, metadata: Option<&Metadata>) -> Self {
        let path = final_path(path).unwrap_or_else(|_| path.to_owned());
        Place::File(behind_links(path.parent(), &path), metadata.map(number))
    }

    /// Whether a file of one is a file of the other.
    fn meets(&self, other: &Self) -> bool {
        match (self, other) {
            (Place::Volumes(one), Place::Volumes(other)) => one == other,
            (Place::Volumes(whole), Place::File(file, _)) | (Place::File(file, _), Place::Volumes(whole)) => {
                Volumes::has(whole, file)
            }
            (Place::File(one, number), Place::File(other, other_number)) => {
                one == other || (number.is_some() && number == other_number)
            }
        }
    }
}
