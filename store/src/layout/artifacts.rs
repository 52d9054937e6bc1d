//! What a layout keeps beside images: lines of `index.json` below which there is no image.
//!
//! ```text
//! index.json ─> a manifest ─> a config and layers that are not file systems: signatures, SBOMs, charts
//!            ─> an index ─> such manifests (a referrers' list, attestations of an image elsewhere)
//! ```
//!
//! An attestation in the index of an image belongs to that index, and is found only by its line there.

use layerlift_archive::{Digest, FileRange};

use super::documents::{self, BadLine, Descriptor, INDEX, ImageManifest, Parsed};
use super::image;
use super::names::ImageNames;
use super::reader::{Reader, blob};
use crate::{Artifact, ArtifactBlob, Error, ErrorKind, Platform};

/// Indexes within one another.
const DEPTH: usize = 4;

/// A line of `index.json`, or what stands for one.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) descriptor: Descriptor,
    /// Its bytes.
    pub(super) raw: String,
}

/// The lines of `index.json` that can be parsed.
pub(super) fn lines(reader: &Reader) -> Vec<Line> {
    let Ok(Some(index)) = reader.try_json(INDEX) else { return Vec::new() };
    let Ok(Parsed::Index(lines)) = index.parsed() else { return Vec::new() };
    let raw = documents::lines(index.raw());
    let line = |(descriptor, raw): (&Result<Descriptor, BadLine>, &&serde_json::value::RawValue)| {
        Some(Line { descriptor: descriptor.as_ref().ok()?.clone(), raw: raw.get().to_owned() })
    };
    lines.iter().zip(&raw).filter_map(line).collect()
}

/// Everything in these lines that is not an image and names none.
pub(super) fn find(reader: &Reader, lines: &[Line]) -> Vec<Artifact> {
    lines.iter().filter_map(|line| of_line(reader, line)).collect()
}

/// What a line leads to, if that is not an image and names none.
pub(super) fn of_line(reader: &Reader, line: &Line) -> Option<Artifact> {
    let mut found = Found::new(reader);
    found.add(&line.descriptor, 0).then_some(())?;
    let error = found.error.take().or(found.never_had.take());
    found.artifact(line, error)
}

/// The part that a store has of what a line leads to, if it never had the rest: `Ok` if its blobs are here
/// that were ever here. `None` if it has all of it, or nothing.
pub(super) fn in_part(reader: &Reader, line: &Line) -> Option<Artifact> {
    let mut found = Found::new(reader);
    if !found.add(&line.descriptor, 0) {
        // Perhaps an image.
        found = Found::new(reader);
        let json = reader.manifest(&line.descriptor).ok()?;
        let Ok(Parsed::Manifest(manifest)) = json.parsed() else { return None };
        found.add_manifest(&line.descriptor, manifest);
        found.add_part(line.descriptor.digest, &Ok(line.descriptor.clone()));
    }
    found.never_had.take()?;
    let error = found.error.take();
    found.artifact(line, error)
}

/// What is below a line.
struct Found<'a> {
    reader: &'a Reader,
    kind: Option<String>,
    blobs: Vec<ArtifactBlob>,
    error: Option<Error>,
    /// A blob that the engine has no record of.
    never_had: Option<Error>,
}

impl<'a> Found<'a> {
    fn new(reader: &'a Reader) -> Self {
        Found { reader, kind: None, blobs: Vec::new(), error: None, never_had: None }
    }

    fn artifact(self, line: &Line, error: Option<Error>) -> Option<Artifact> {
        let ImageNames { references, aliases, .. } = ImageNames::of(&line.descriptor);
        Some(Artifact {
            digest: line.descriptor.digest,
            kind: self.kind?,
            names: references.iter().map(ToString::to_string).chain(aliases).collect(),
            line: line.raw.clone(),
            blobs: error.map_or(Ok(self.blobs), Err),
        })
    }

    fn add_manifest(&mut self, descriptor: &Descriptor, manifest: &ImageManifest) {
        self.kind.get_or_insert_with(|| manifest.config.media_type.clone());
        for part in [&manifest.config].into_iter().chain(&manifest.layers) {
            self.add_part(descriptor.digest, &Ok(part.clone()));
        }
    }

    /// Adds a manifest or an index with all below it. Whether there is no image, as far as it can be read.
    fn add(&mut self, descriptor: &Descriptor, depth: usize) -> bool {
        let Ok(json) = self.reader.manifest(descriptor) else { return false };
        let known = descriptor.platform.as_ref().is_none_or(Platform::is_known);
        match json.parsed() {
            Ok(Parsed::Index(lines)) if depth < DEPTH => {
                let below = |line: &Result<Descriptor, BadLine>| match line {
                    Ok(line) => self.add(line, depth + 1),
                    Err(_) => false,
                };
                if !lines.iter().all(below) {
                    return false;
                }
            }
            Ok(Parsed::Artifact(artifact)) => {
                self.kind.get_or_insert_with(|| artifact.kind.clone());
                artifact.blobs.iter().for_each(|part| self.add_part(descriptor.digest, part));
            }
            Ok(Parsed::Manifest(manifest)) if !known || image::is_of_artifact(self.reader, manifest) => {
                self.add_manifest(descriptor, manifest);
            }
            _ => return false,
        }
        self.add_part(descriptor.digest, &Ok(descriptor.clone()));
        true
    }

    /// Adds a blob that this manifest names.
    fn add_part(&mut self, of: Digest, part: &Result<Descriptor, String>) {
        let added = match part {
            Ok(part) => self.content(of, part).map(|content| {
                self.blobs.push(ArtifactBlob { media_type: part.media_type.clone(), content });
            }),
            Err(why) => Err(self.reader.malformed(&blob(of), why)),
        };
        let Err(error) = added else { return };
        let was_here = |part: &Descriptor| self.reader.files().is_recorded(part.digest);
        let lacks = error.kind() == ErrorKind::Missing && self.reader.lacks_layers();
        match part {
            Ok(part) if lacks && !was_here(part) => drop(self.never_had.get_or_insert(error)),
            _ => drop(self.error.get_or_insert(error)),
        }
    }

    fn content(&self, of: Digest, part: &Descriptor) -> Result<FileRange, Error> {
        let name = blob(part.digest);
        let files = self.reader.files();
        if let Some(digest) = files.sha512_of(part.digest) {
            let what = format!("{of} is not an image, and names a blob by its SHA-512 digest ({digest})");
            return Err(Error::unsupported(what, "regctl can copy it"));
        }
        let Some(place) = files.try_find(&name)? else {
            return Err(files.missing(&format!("manifest {of}"), "blob", &part.digest.to_string(), &name));
        };
        self.reader.check_size(&place.name, place.range.len, part)?;
        Ok(FileRange { digest: Some(part.digest), ..place.range })
    }
}
