//! An index of a layout with all its lines: [`IndexTree`].

use layerlift_archive::Digest;
use serde::Deserialize;

use super::artifacts::{self, Line};
use super::documents::{self, Descriptor, INDEX, OCI_INDEX, Parsed};
use super::reader::{Json, Reader, blob};
use crate::{Error, ErrorKind, Index, IndexLine, IndexTree, LeadsTo, json};

/// Indexes within one another.
const DEPTH: usize = 4;

/// The tree of an index; its members are known.
pub(super) fn of(reader: &Reader, index: &Index) -> Result<IndexTree, Error> {
    let name = blob(index.digest);
    let json = reader.try_json(&name)?.filter(|json| json.digest() == index.digest);
    let missing = || reader.files().missing(INDEX, "index", &index.digest.to_string(), &name);
    below(reader, index, &json.ok_or_else(missing)?, 0)
}

fn below(reader: &Reader, index: &Index, json: &Json, depth: usize) -> Result<IndexTree, Error> {
    let malformed = |why: String| reader.malformed(&blob(json.digest()), why);
    let Parsed::Index(parsed) = json.parsed().map_err(malformed)? else {
        return Err(malformed("it is not an index".to_owned()));
    };
    let raw = documents::lines(json.raw());
    let lines = parsed.iter().zip(raw).filter_map(|(line, raw)| {
        // The listing of images reports a line that cannot be parsed.
        let descriptor = Descriptor { within: Some(json.digest()), ..line.as_ref().ok()?.clone() };
        let line = Line { descriptor, raw: raw.get().to_owned() };
        Some(self::line(reader, index, line, depth))
    });
    let media_type = media_type(json.raw());
    Ok(IndexTree::new(media_type, json.digest(), json.raw().to_vec(), lines.collect()))
}

fn line(reader: &Reader, index: &Index, line: Line, depth: usize) -> IndexLine {
    let Descriptor { digest, platform, .. } = &line.descriptor;
    let (digest, platform) = (*digest, platform.clone());
    let about = about(&line.raw);
    let member = index.members.iter().find(|member| member.manifest == digest);
    if let Some(member) = member {
        let leads_to = match &member.image {
            Some(image) => LeadsTo::Image(image.clone()),
            None => in_part(reader, &line).unwrap_or(LeadsTo::Missing),
        };
        return IndexLine { about, ..IndexLine::new(digest, member.platform.clone(), line.raw, leads_to) };
    }
    let leads_to = match reader.manifest(&line.descriptor) {
        Err(error) if error.kind() == ErrorKind::Missing && !reader.files().is_recorded(digest) => {
            LeadsTo::Missing
        }
        Err(error) => LeadsTo::Unreadable(error),
        Ok(json) => match json.parsed() {
            Ok(Parsed::Index(_)) if depth < DEPTH => match below(reader, index, &json, depth + 1) {
                Ok(tree) => LeadsTo::Index(tree),
                Err(error) => LeadsTo::Unreadable(error),
            },
            _ => match (in_part(reader, &line), artifacts::of_line(reader, &line)) {
                (Some(part), _) => part,
                (None, Some(artifact)) => LeadsTo::Artifact(Box::new(artifact)),
                (None, None) => {
                    LeadsTo::Unreadable(reader.malformed(&blob(digest), "it is not a known manifest"))
                }
            },
        },
    };
    IndexLine { about, ..IndexLine::new(digest, platform, line.raw, leads_to) }
}

fn in_part(reader: &Reader, line: &Line) -> Option<LeadsTo> {
    artifacts::in_part(reader, line).map(|part| LeadsTo::InPart(Box::new(part)))
}

/// The media type that an index gives itself.
fn media_type(raw: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Typed {
        #[serde(rename = "mediaType")]
        media_type: Option<String>,
    }
    let typed = json::object::<Typed>(raw).ok().and_then(|typed| typed.media_type);
    typed.filter(|kind| !kind.is_empty()).unwrap_or_else(|| OCI_INDEX.to_owned())
}

/// What BuildKit's attestations say of the image that they are about.
fn about(line: &str) -> Option<Digest> {
    #[derive(Deserialize)]
    struct Annotated {
        annotations: Option<Annotations>,
    }
    #[derive(Deserialize)]
    struct Annotations {
        #[serde(rename = "vnd.docker.reference.digest")]
        about: Option<String>,
    }
    let line: Annotated = json::object(line.as_bytes()).ok()?;
    line.annotations?.about?.parse().ok()
}
