//! Lists of images (`podman manifest create`, `podman build --manifest`): a record without layer and config.
//!
//! ```text
//! manifest          the index as it is now; the record's own digest stays that of the empty index
//! instances.json    {"sha256:63b2…":"containers-storage:[overlay@ROOT+RUNROOT]@d873…", …}: not needed
//! artifacts.json    {}, or what `podman manifest add --artifact` added; not needed
//! ```
//!
//! An image of a list has no name of its own. Podman finds it among all images by the digest of its manifest
//! (libimage, `manifest_list.go`, `LookupInstance`), and so does this.

use std::collections::HashMap;

use layerlift_archive::Digest;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::bigdata;
use super::images::Images;
use super::records::ImageRecord;
use crate::{Error, ImageKey, Index, IndexLine, IndexTree, Keyring, LeadsTo, Member, Platform, json};

const INDEX: &str = "manifest";
const INSTANCES: &str = "instances.json";
const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";

#[derive(Deserialize)]
struct RawIndex<'a> {
    #[serde(rename = "mediaType")]
    media_type: Option<String>,
    #[serde(borrow)]
    manifests: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawLine<'a> {
    digest: String,
    #[serde(borrow)]
    platform: Option<&'a RawValue>,
    artifact_type: Option<String>,
}

/// A line of an index that may be an image.
struct Line {
    manifest: Digest,
    platform: Option<Platform>,
}

/// Whether a record is a list.
pub(super) fn is_list(image: &ImageRecord) -> bool {
    !bigdata::has_config(image) && image.big_data_names.iter().any(|key| key == INSTANCES)
}

/// The index of a list, with the images that are in the store.
pub(super) fn index(keys: &Keyring, images: &Images, id: &str) -> Result<Index, Error> {
    let (record, dir) = images.image(id)?;
    let file = bigdata::read(&dir, record, INDEX, "index")?;
    let lines = parse(&file.raw).map_err(|why| Error::malformed(file.path, why))?;
    let mut by_manifest: HashMap<&str, &str> = HashMap::new();
    for (image, _) in images.all().filter(|(image, _)| !is_list(image)) {
        by_manifest.extend(bigdata::digests(image).map(|digest| (digest, &*image.id)));
    }
    let member = |line: Line| {
        let id = by_manifest.get(&*line.manifest.to_string());
        let image = id.map(|id| keys.image(&images.driver, *id));
        let platform = line.platform.or_else(|| platform_of(images, image.as_ref()?));
        Member::new(line.manifest, platform, image)
    };
    Ok(Index::new(file.digest, lines.into_iter().map(member).collect()))
}

/// The document of an index, if it is one of these lists, with the images that it has here. Podman keeps no
/// attestations.
pub(super) fn tree(images: &Images, index: &Index) -> Result<Option<IndexTree>, Error> {
    for (record, _) in images.all().filter(|(image, _)| is_list(image)) {
        let (record, dir) = images.image(&record.id)?;
        // An index that cannot be read is not this one.
        let Ok(file) = bigdata::read(&dir, record, INDEX, "index") else { continue };
        if file.digest == index.digest {
            let malformed = |why| Error::malformed(&file.path, why);
            let raw: RawIndex<'_> = json::object(&file.raw).map_err(malformed)?;
            let lines = raw.manifests.unwrap_or_default().into_iter().filter_map(|raw| line_of(raw, index));
            let media_type = raw.media_type.unwrap_or_else(|| OCI_INDEX.to_owned());
            let lines = lines.collect();
            return Ok(Some(IndexTree::new(media_type, file.digest, file.raw, lines)));
        }
    }
    Ok(None)
}

fn line_of(raw: &RawValue, index: &Index) -> Option<IndexLine> {
    let line: RawLine<'_> = json::object(raw.get().as_bytes()).ok()?;
    let digest = line.digest.parse().ok()?;
    let member = index.members.iter().find(|member| member.manifest == digest);
    let image = member.and_then(|member| member.image.clone());
    let platform = member.and_then(|member| member.platform.clone());
    let leads_to = image.map_or(LeadsTo::Missing, LeadsTo::Image);
    Some(IndexLine::new(digest, platform, raw.get().to_owned(), leads_to))
}

/// The lines of an index that are not artifacts or attestations.
fn parse(bytes: &[u8]) -> Result<Vec<Line>, String> {
    let index: RawIndex<'_> = json::object(bytes)?;
    let mut lines = Vec::new();
    for raw in index.manifests.unwrap_or_default() {
        let line: RawLine<'_> = json::object(raw.get().as_bytes())?;
        let manifest = line.digest.parse().map_err(|error| format!("in manifests, {error}"))?;
        let platform = line.platform.filter(|platform| platform.get() != "null");
        let platform = platform.map(|platform| Platform::from_json(platform.get().as_bytes())).transpose()?;
        let image = line.artifact_type.is_none_or(|kind| kind.is_empty());
        if image && platform.as_ref().is_none_or(Platform::is_known) {
            lines.push(Line { manifest, platform: platform.filter(|platform| !platform.os.is_empty()) });
        }
    }
    Ok(lines)
}

/// What the config says, where the index does not.
fn platform_of(images: &Images, image: &ImageKey) -> Option<Platform> {
    let (record, dir) = images.image(image.id()).ok()?;
    let documents = bigdata::documents(&dir, record).ok()?;
    Platform::from_json(&documents.raw).ok().filter(|platform| !platform.os.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_an_index() {
        let digest = Digest::of(b"").to_string();
        let line = |more: &str| format!(r#"{{"manifests":[{{"digest":"{digest}"{more}}}]}}"#);
        for (text, expected) in [
            ("{}".to_owned(), Ok(Vec::new())),
            (r#"{"manifests":null}"#.to_owned(), Ok(Vec::new())),
            (line(""), Ok(vec![None])),
            (line(r#","platform":{"os":"linux","architecture":"arm64"}"#), Ok(vec![Some("linux/arm64")])),
            (line(r#","platform":{"os":"","architecture":""}"#), Ok(vec![None])),
            (line(r#","platform":{"os":"unknown","architecture":"unknown"}"#), Ok(Vec::new())),
            (line(r#","artifactType":"text/plain""#), Ok(Vec::new())),
            (r#"{"manifests":[{"digest":"sha256:x"}]}"#.to_owned(), Err("in manifests, ")),
            (r#"{"manifests":[5]}"#.to_owned(), Err("not a JSON object")),
            ("[]".to_owned(), Err("not a JSON object")),
        ] {
            let platform = |line: &Line| line.platform.as_ref().map(Platform::to_string);
            match (parse(text.as_bytes()), expected) {
                (Ok(lines), Ok(expected)) => {
                    let found: Vec<_> = lines.iter().map(platform).collect();
                    assert_eq!(found.iter().map(Option::as_deref).collect::<Vec<_>>(), expected, "{text}");
                }
                (Err(why), Err(part)) => assert!(why.contains(part), "{text}: {why}"),
                (found, _) => panic!("{text}: {:?}", found.map(|lines| lines.len())),
            }
        }
    }
}
