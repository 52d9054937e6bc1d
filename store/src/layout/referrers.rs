//! What refers to an image or an index, and is a line of its own: signatures, SBOMs, lists of such.
//!
//! ```text
//! "subject":{"digest":"sha256:<image>"}   in a manifest (image-spec 1.1), or
//! …:sha256-<image>.sig                    as its tag: cosign's, .att and .sbom too
//! …:sha256-<image>                        an index of referrers, where a registry cannot list them
//! ```

use std::collections::HashSet;

use layerlift_archive::Digest;
use serde::Deserialize;

use super::artifacts::{self, Line};
use super::reader::Reader;
use crate::{Artifact, json};

/// Everything in these lines that refers to one of the digests, or to what refers to it.
pub(super) fn find(reader: &Reader, lines: &[Line], of: &[Digest]) -> Vec<Artifact> {
    let mut known: HashSet<Digest> = of.iter().copied().collect();
    let mut found: Vec<bool> = vec![false; lines.len()];
    let mut left: Vec<(usize, Option<Digest>)> =
        lines.iter().enumerate().map(|(place, line)| (place, subject(reader, line))).collect();
    loop {
        let refers = |&(place, subject): &(usize, Option<Digest>)| {
            subject.is_some_and(|subject| known.contains(&subject)) || is_named(&lines[place], &known)
        };
        let (new, others): (Vec<_>, Vec<_>) = left.into_iter().partition(refers);
        if new.is_empty() {
            break;
        }
        for (place, _) in new {
            found[place] = true;
            known.insert(lines[place].descriptor.digest);
        }
        left = others;
    }
    let found = lines.iter().zip(found).filter(|(_, found)| *found);
    found.filter_map(|(line, _)| artifacts::of_line(reader, line)).collect()
}

/// What a manifest says that it is about.
fn subject(reader: &Reader, line: &Line) -> Option<Digest> {
    #[derive(Deserialize)]
    struct Manifest {
        subject: Option<Subject>,
    }
    #[derive(Deserialize)]
    struct Subject {
        digest: String,
    }
    let json = reader.manifest(&line.descriptor).ok()?;
    json::object::<Manifest>(json.raw()).ok()?.subject?.digest.parse().ok()
}

/// Whether a line has a tag that is made of one of these digests.
fn is_named(line: &Line, known: &HashSet<Digest>) -> bool {
    let name = line.descriptor.image_name.as_deref().or(line.descriptor.ref_name.as_deref());
    let tag = name.unwrap_or_default().rsplit(':').next().unwrap_or_default();
    let hex = tag.strip_prefix("sha256-").and_then(|rest| rest.get(..64));
    hex.and_then(Digest::from_hex).is_some_and(|digest| known.contains(&digest))
}
