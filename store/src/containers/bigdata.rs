//! `<driver>-images/<image id>/`: the documents of an image, under keys that are not always file names.
//!
//! ```text
//! manifest                              the manifest that was stored last
//! =bWFuaWZlc3Qtc2hhMjU2OjE5ZjI…        "manifest-sha256:19f2…", one per manifest; also of an index
//! =c2hhMjU2OjgwMTQ…                     "sha256:8014…", the config
//! =c2lnbmF0dXJlLTE5ZjI…                 "signature-19f2…": not needed here
//! ```
//!
//! Source: containers/storage, `store.go`, `makeBigDataBaseName`; containers/image,
//! `storage/storage_image.go`.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use layerlift_archive::Digest;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::records::ImageRecord;
use crate::model::config::{self, Config};
use crate::{Error, Manifest, Root, json};

/// The key of the manifest that was stored last.
const MANIFEST: &str = "manifest";

/// The file of a key: the key itself if it consists of `.`, digits and lower-case letters, else base64. The
/// engine's check ignores the last character, which can be any.
pub(super) fn file_name(key: &str) -> String {
    let plain = |c: char| c == '.' || c.is_ascii_digit() || c.is_ascii_lowercase();
    if key.trim_start_matches(plain).chars().count() <= 1 {
        key.to_owned()
    } else {
        format!("={}", STANDARD.encode(key))
    }
}

/// The key of a file, the reverse of [`file_name`].
pub(super) fn key(file: &str) -> Option<String> {
    match file.strip_prefix('=') {
        Some(encoded) => String::from_utf8(STANDARD.decode(encoded).ok()?).ok(),
        None => Some(file.to_owned()),
    }
}

/// Whether the image can have a config. With a manifest of Docker's schema 1 it has none.
pub(super) fn has_config(image: &ImageRecord) -> bool {
    image.big_data_names.iter().any(|key| key.starts_with("sha256:"))
}

/// All digests that lead to an image.
pub(super) fn digests(image: &ImageRecord) -> impl Iterator<Item = &str> {
    let manifests = image.big_data_digests.iter().filter(|(key, _)| key.starts_with(MANIFEST));
    image.digest.iter().chain(manifests.map(|(_, digest)| digest)).map(String::as_str)
}

/// The documents of an image.
pub(super) struct Documents {
    pub(super) raw: Vec<u8>,
    pub(super) config: Config,
    pub(super) manifests: Vec<Manifest>,
}

/// What distinguishes manifests from one another.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    config: Option<Descriptor>,
    history: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Descriptor {
    digest: String,
}

/// Reads the config and the manifests of an image, each compared with its digest. `dir` is the driver's
/// `-images`.
pub(super) fn documents(dir: &Root, image: &ImageRecord) -> Result<Documents, Error> {
    let listed = |key: &str| image.big_data_names.iter().any(|name| name == key);
    let latest = if listed(MANIFEST) { Some(manifest(dir, image, MANIFEST)?) } else { None };
    let digest = match (&latest, format!("sha256:{}", image.id)) {
        (_, id) if listed(&id) => id,
        (Some((head, _)), _) if head.config.is_some() => {
            head.config.as_ref().map(|config| config.digest.clone()).unwrap_or_default()
        }
        _ => return Err(without_config(dir, image)),
    };
    let expected = digest
        .parse::<Digest>()
        .map_err(|error| Error::malformed(path(dir, image, MANIFEST), format!("of its config, {error}")))?;
    let raw = verified(dir, image, &digest, "config", Some(expected))?;
    let config = config::parse(&raw).map_err(|why| Error::malformed(path(dir, image, &digest), why))?;

    let names_it = |head: &Head| head.config.as_ref().is_some_and(|config| config.digest == digest);
    let mut manifests: Vec<Manifest> = Vec::new();
    if let Some((head, found)) = latest {
        if !names_it(&head) {
            let why = format!("it does not name the image's config {digest}");
            return Err(Error::malformed(path(dir, image, MANIFEST), why));
        }
        manifests.push(found);
    }
    for key in image.big_data_names.iter().filter(|key| key.starts_with("manifest-")) {
        let (head, found) = manifest(dir, image, key)?;
        if names_it(&head) && manifests.iter().all(|known| known.digest != found.digest) {
            manifests.push(found);
        }
    }
    Ok(Documents { raw, config, manifests })
}

/// A manifest, and what kind it is.
fn manifest(dir: &Root, image: &ImageRecord, key: &str) -> Result<(Head, Manifest), Error> {
    let malformed = |why| Error::malformed(path(dir, image, key), why);
    let recorded = image.big_data_digests.get(key).map(String::as_str).or(key.strip_prefix("manifest-"));
    let recorded = recorded.map(str::parse::<Digest>).transpose();
    let recorded = recorded.map_err(|error| malformed(format!("by images.json, {error}")))?;
    let raw = bytes(dir, image, key, "manifest")?;
    let head: Head = match json::object(&raw) {
        Ok(head) => head,
        // A manifest that cannot be parsed has usually been changed. Its digest shows that.
        Err(why) => {
            return Err(check(dir, image, key, &raw, recorded).err().unwrap_or_else(|| malformed(why)));
        }
    };
    // Docker's schema 1 signs a part of the manifest; its digest is of that part.
    let expected = recorded.filter(|_| head.history.is_none());
    let digest = check(dir, image, key, &raw, expected)?;
    Ok((head, Manifest { digest, raw }))
}

/// What is kept under a key, compared with its digest.
pub(super) struct BigData {
    pub(super) raw: Vec<u8>,
    pub(super) digest: Digest,
    pub(super) path: PathBuf,
}

/// Reads what is kept under a key, and compares it with what `images.json` says.
pub(super) fn read(dir: &Root, image: &ImageRecord, key: &str, what: &'static str) -> Result<BigData, Error> {
    let path = path(dir, image, key);
    let recorded = image.big_data_digests.get(key).map(|digest| digest.parse::<Digest>()).transpose();
    let recorded = recorded.map_err(|error| Error::malformed(&path, format!("by images.json, {error}")))?;
    let raw = bytes(dir, image, key, what)?;
    let digest = check(dir, image, key, &raw, recorded)?;
    Ok(BigData { raw, digest, path })
}

fn verified(
    dir: &Root,
    image: &ImageRecord,
    key: &str,
    what: &'static str,
    expected: Option<Digest>,
) -> Result<Vec<u8>, Error> {
    let raw = bytes(dir, image, key, what)?;
    check(dir, image, key, &raw, expected).map(|_| raw)
}

fn check(
    dir: &Root,
    image: &ImageRecord,
    key: &str,
    raw: &[u8],
    expected: Option<Digest>,
) -> Result<Digest, Error> {
    let found = Digest::of(raw);
    match expected {
        Some(expected) if expected != found => {
            Err(Error::damaged(path(dir, image, key), format!("its digest is {found}, not {expected}")))
        }
        _ => Ok(found),
    }
}

fn bytes(dir: &Root, image: &ImageRecord, key: &str, what: &'static str) -> Result<Vec<u8>, Error> {
    let file = format!("{}/{}", image.id, file_name(key));
    let of = || format!("image {}", image.id);
    match dir.try_read(&file, json::LIMIT)? {
        Some(raw) => Ok(raw),
        None => Err(Error::Missing { of: of(), what, id: key.to_owned(), path: dir.join(file) }),
    }
}

fn path(dir: &Root, image: &ImageRecord, key: &str) -> PathBuf {
    dir.join(&image.id).join(file_name(key))
}

/// The error for an image without a config: an engine that is storing an image writes its record first, then
/// its documents one by one. Docker's schema 1 has no config.
pub(super) fn without_config(dir: &Root, image: &ImageRecord) -> Error {
    let listed = image.big_data_names.iter().any(|key| key == MANIFEST);
    let schema_1 = match listed.then(|| manifest(dir, image, MANIFEST)) {
        Some(Ok((head, _))) => head.config.is_none(),
        Some(Err(error)) => return error,
        None => false,
    };
    if !schema_1 {
        let why = format!("image {} is incomplete: an engine is storing it, or was interrupted", image.id);
        return Error::NotThere { path: dir.join(&image.id).join(MANIFEST), why };
    }
    let what = format!("image {} has no config: its manifest is of Docker's schema 1", image.id);
    Error::unsupported(what, "`podman save` makes one while it converts the image")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names() {
        for (key, file) in [
            ("manifest", "manifest"),
            ("instances.json", "instances.json"),
            ("sha256:80", "=c2hhMjU2Ojgw"),
            ("Manifest", "=TWFuaWZlc3Q="),
            ("manifesT", "manifesT"),
            ("manifest-", "manifest-"),
            ("manifest--", "=bWFuaWZlc3QtLQ=="),
            ("manifestä", "manifestä"),
            ("ämanifest", "=w6RtYW5pZmVzdA=="),
            ("", ""),
        ] {
            assert_eq!(file_name(key), file, "{key}");
            assert_eq!(super::key(file).as_deref(), Some(key), "{file}");
        }
    }
}
