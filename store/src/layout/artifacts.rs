//! What a layout keeps beside images: lines of `index.json` below which there is no image.
//!
//! ```text
//! index.json ─> a manifest ─> a config and layers that are not file systems: signatures, SBOMs, charts
//!            ─> an index ─> such manifests (a referrers' list, attestations of an image elsewhere)
//! ```
//!
//! An attestation in the index of an image belongs to that index, and is found only by its line there.

use layerlift_archive::{Digest, FileRange};

use super::documents::{self, BadLine, Descriptor, INDEX, Parsed};
use super::image;
use super::names::ImageNames;
use super::reader::{Reader, blob};
use crate::{Artifact, ArtifactBlob, Error, Platform};

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
pub(super) fn of_line(reader: &Reader, Line { descriptor: line, raw }: &Line) -> Option<Artifact> {
    let mut found = Found { reader, kind: None, blobs: Vec::new(), error: None };
    found.add(line, 0).then_some(())?;
    let ImageNames { references, aliases, .. } = ImageNames::of(line);
    Some(Artifact {
        digest: line.digest,
        kind: found.kind?,
        names: references.iter().map(ToString::to_string).chain(aliases).collect(),
        line: raw.clone(),
        blobs: found.error.map_or(Ok(found.blobs), Err),
    })
}

/// What is below a line.
struct Found<'a> {
    reader: &'a Reader,
    kind: Option<String>,
    blobs: Vec<ArtifactBlob>,
    error: Option<Error>,
}

impl Found<'_> {
    /// Adds a manifest or an index with all below it. Whether there is no image, as far as it can be read.
    fn add(&mut self, descriptor: &Descriptor, depth: usize) -> bool {
        let Ok(json) = self.reader.blob(descriptor, INDEX, "manifest") else { return false };
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
                self.kind.get_or_insert_with(|| manifest.config.media_type.clone());
                for part in [&manifest.config].into_iter().chain(&manifest.layers) {
                    self.add_part(descriptor.digest, &Ok(part.clone()));
                }
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
        if let Err(error) = added {
            self.error.get_or_insert(error);
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
