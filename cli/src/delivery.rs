//! How an archive is delivered: in volumes, and with its digest.

use std::path::Path;

use layerlift_archive::{
    Digest, Options, Tree, Unfinished, Volumes, WrittenVolumes, write_text, write_volumes,
};
use serde::Serialize;

use crate::args::Delivery;
use crate::destination::Destination;
use crate::error::Error;
use crate::report::Reporter;
use crate::signals::Guard;
use crate::size::human;

/// What was written.
#[derive(Default)]
pub(crate) struct Delivered {
    /// What was read of an archive that was not completed.
    pub(crate) unfinished: Option<Unfinished>,
    /// The digest of the archive, if it was computed on the way.
    pub(crate) digest: Option<Digest>,
    pub(crate) volumes: Option<WrittenVolumes>,
}

/// What is announced before the first byte, for machines.
#[derive(Serialize)]
struct Announced<'a> {
    event: &'a str,
    count: u64,
    size: u64,
    bytes: u64,
}

/// Refuses at the start what would otherwise fail at the end.
pub(crate) fn check(delivery: &Delivery, destination: &Destination, compressed: bool) -> Result<(), Error> {
    if let Some(path) = &delivery.digest_file {
        Destination::File(path.clone()).check_tar()?;
    }
    match destination {
        Destination::Dir(_) if delivery.is_in_order() => Err(Error::DirectoryInOrder),
        Destination::Registry(_) if delivery.is_in_order() || compressed => Err(Error::RegistryInOrder),
        Destination::Stream if delivery.volume_size.is_some() => Err(Error::StreamInVolumes),
        Destination::File(_) if delivery.volume_size.is_some() && destination.folder().is_none() => {
            Err(Error::StreamInVolumes)
        }
        _ if delivery.volume_size.is_some() && compressed => Err(Error::CompressedVolumes),
        Destination::File(path) if delivery.volume_size.is_some() && !delivery.resume => none_there(path),
        _ => Ok(()),
    }
}

/// Volumes replace none that are there: a failure would leave some of each set.
fn none_there(path: &Path) -> Result<(), Error> {
    let folder = |source| Error::Folder { path: path.parent().unwrap_or(path).to_owned(), source };
    match Volumes::there(path).map_err(folder)?.into_iter().next() {
        Some(there) => Err(Error::VolumesThere(there)),
        None => Ok(()),
    }
}

/// The volumes of an archive of this length; `None` if it is one file.
pub(crate) fn volumes(delivery: &Delivery, destination: &Destination, len: u64) -> Option<Volumes> {
    match (destination, delivery.volume_size) {
        (Destination::File(path), Some(size)) => Some(Volumes::new(path, size.get(), len)),
        _ => None,
    }
}

/// Says how many volumes there will be, and refuses to mix them with those of another set.
pub(crate) fn announce(
    volumes: &Volumes,
    delivery: &Delivery,
    destination: &Destination,
    reporter: &Reporter,
) -> Result<(), Error> {
    let count = volumes.count();
    if count > Volumes::MOST {
        return Err(Error::ManyVolumes(count));
    }
    let strangers = volumes
        .strangers()
        .map_err(|source| Error::Folder { path: destination.folder().unwrap_or_default(), source })?;
    if let Some(stranger) = strangers.into_iter().next() {
        return Err(Error::OtherVolume(stranger));
    }
    let mut there = 0;
    for number in (1..=count).filter(|_| delivery.resume) {
        let path = volumes.name(number);
        let len = path.metadata().map_or(0, |found| found.len());
        // One that is cut may be of this archive, one that is longer is not.
        if len > volumes.len_of(number) {
            return Err(Error::LongerVolume(path));
        }
        there += len;
    }
    destination.check_space(volumes.len.saturating_sub(there))?;
    let plural = if count == 1 { "volume" } else { "volumes" };
    let text = format!(
        "{count} {plural} of {}, {} in all: {}{}",
        human(volumes.size.min(volumes.len)),
        human(volumes.len),
        volumes.name(1).display(),
        if count == 1 { String::new() } else { format!(" to {}", volumes.name(count).display()) }
    );
    let (size, bytes) = (volumes.size, volumes.len);
    reporter.announce(&text, &Announced { event: "volumes", count, size, bytes });
    Ok(())
}

/// Writes the volumes.
pub(crate) fn write(
    tree: &Tree,
    volumes: &Volumes,
    delivery: &Delivery,
    options: &Options<'_>,
) -> Result<Delivered, Error> {
    let _guard = Guard::new();
    let written = write_volumes(tree, volumes, delivery.resume, options)?;
    Ok(Delivered { unfinished: None, digest: Some(written.digest), volumes: Some(written) })
}

/// Writes the digest where it was asked for.
pub(crate) fn write_digest(
    delivery: &Delivery,
    destination: &Destination,
    digest: Option<Digest>,
) -> Result<(), Error> {
    let Some((path, digest)) = delivery.digest_file.as_ref().zip(digest) else { return Ok(()) };
    let name = match destination {
        Destination::File(path) => path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        Destination::Stream | Destination::Dir(_) | Destination::Registry(_) => "-".to_owned(),
    };
    Ok(write_text(path, format!("{}  {name}\n", digest.hex()).as_bytes())?)
}
