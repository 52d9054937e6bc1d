//! The manifests below the descriptors of an index, through indexes within indexes.

use std::collections::HashSet;

use layerlift_archive::Digest;

use super::documents::{Descriptor, Parsed};
use super::reader::{Json, Reader, blob};
use crate::{Error, Platform};

/// Limits: indexes within one another, and manifests in all of them.
const DEPTH: usize = 4;
const MANIFESTS: usize = 1 << 12;

/// What was found so far.
pub(super) struct Walk<'a> {
    reader: &'a Reader,
    seen: HashSet<Digest>,
    /// Manifests, attestations apart.
    pub(super) manifests: Vec<Descriptor>,
    /// Digests of the indexes that were entered.
    pub(super) indexes: Vec<Digest>,
    /// The first index, or line of one, that cannot be read.
    pub(super) unread: Option<Error>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(reader: &'a Reader) -> Self {
        Walk { reader, seen: HashSet::new(), manifests: Vec::new(), indexes: Vec::new(), unread: None }
    }

    /// Follows a descriptor of `index.json`.
    pub(super) fn add(&mut self, descriptor: Descriptor) {
        self.descend(descriptor, 0);
    }

    fn descend(&mut self, descriptor: Descriptor, depth: usize) {
        if !self.seen.insert(descriptor.digest) || self.manifests.len() >= MANIFESTS {
            return;
        }
        let index = match self.index(&descriptor) {
            Ok(index) if depth < DEPTH => index,
            Ok(_) => None,
            Err(error) => {
                self.indexes.push(descriptor.digest);
                self.unread.get_or_insert(error);
                return;
            }
        };
        let Some(json) = index else {
            // Attestations of BuildKit are for "unknown/unknown".
            if descriptor.platform.as_ref().is_none_or(Platform::is_known) {
                self.manifests.push(descriptor);
            }
            return;
        };
        self.indexes.push(descriptor.digest);
        let Ok(Parsed::Index(lines)) = json.parsed() else { return };
        for line in lines {
            match line {
                Ok(line) => {
                    let within = Some(descriptor.digest);
                    self.descend(Descriptor { within, ..line.clone() }, depth + 1);
                }
                Err(bad) => {
                    let error = || self.reader.malformed(&blob(descriptor.digest), &bad.why);
                    self.unread.get_or_insert_with(error);
                }
            }
        }
    }

    /// The blob, if it is an index: by its media type, or if that is unknown, by its shape.
    fn index(&self, descriptor: &Descriptor) -> Result<Option<Json>, Error> {
        let known = match descriptor.media_type.as_str() {
            _ if descriptor.is_index() => true,
            "application/vnd.oci.image.manifest.v1+json"
            | "application/vnd.docker.distribution.manifest.v2+json" => return Ok(None),
            _ => false,
        };
        let json = match self.reader.manifest(descriptor) {
            Ok(json) => json,
            Err(error) if known => return Err(error),
            Err(_) => return Ok(None),
        };
        match json.parsed() {
            Ok(Parsed::Index(_)) => Ok(Some(json)),
            Ok(_) => Ok(None),
            Err(why) if known => Err(self.reader.malformed(&blob(descriptor.digest), why)),
            Err(_) => Ok(None),
        }
    }
}
