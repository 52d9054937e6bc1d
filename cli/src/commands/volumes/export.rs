//! `layerlift volume`: the data of a volume as a tar.

use std::io::{self, BufWriter, Write};

use layerlift_archive::{Error as ArchiveError, write_file_with};
use layerlift_store::{Error as StoreError, Volume, VolumeListing};

use crate::args::Volume as Arguments;
use crate::destination::Destination;
use crate::error::Error;
use crate::report::Reporter;
use crate::signals::{Guard, cancelled};
use crate::sources::Sources;
use crate::status::Status;

pub(crate) fn run(args: &Arguments, reporter: &Reporter) -> Result<Status, Error> {
    let destination = Destination::parse(args.output.as_deref());
    if let Destination::Dir(path) = destination {
        return Err(Error::OutputIsDirectory(path));
    }
    destination.check_tar()?;
    let sources = Sources::open_all(&args.place, reporter)?;
    let volume = find(&sources, &args.name)?;
    volume.check(args.path.as_deref())?;
    let write = |out: &mut dyn Write| {
        let written = volume.write_tar(args.path.as_deref(), &mut Stoppable(out));
        match written {
            Err(_) if cancelled() => Err(ArchiveError::Cancelled.into()),
            written => written.map_err(Error::from),
        }
    };
    match &destination {
        Destination::File(path) => {
            let _guard = Guard::new();
            write_file_with(path, write)?;
        }
        _ => {
            let mut out = BufWriter::with_capacity(256 << 10, io::stdout().lock());
            write(&mut out)?;
            out.flush().map_err(Error::Stdout)?;
        }
    }
    Ok(Status::Done)
}

/// The volume that a name means in the stores.
fn find(sources: &Sources, name: &str) -> Result<Volume, Error> {
    let mut found: Vec<(String, Volume)> = Vec::new();
    let mut failure = None;
    for (source, ability) in sources.able() {
        let listing: VolumeListing = ability.volumes()?;
        match listing.find(name) {
            // Two stores of one data root have the same volumes.
            Ok(volume) if found.iter().any(|(_, known)| known.path == volume.path) => {}
            Ok(volume) => found.push((source.to_string(), volume.clone())),
            Err(error) => drop(failure.get_or_insert(error)),
        }
    }
    match found.len() {
        0 => {
            let unknown = StoreError::NoVolume { name: name.to_owned(), suggestions: Vec::new() };
            Err(failure.unwrap_or(unknown).into())
        }
        1 => Ok(found.remove(0).1),
        _ => {
            let stores = found.into_iter().map(|(source, _)| source).collect();
            Err(Error::SeveralStores { name: name.to_owned(), stores })
        }
    }
}

/// Ends with an error once a signal has come.
struct Stoppable<'a>(&'a mut dyn Write);

impl Write for Stoppable<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if cancelled() {
            return Err(io::Error::other("interrupted"));
        }
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
