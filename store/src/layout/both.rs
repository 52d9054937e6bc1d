//! What names the images: `index.json`, `manifest.json`, or both. Neither hides what the other names, and one
//! that cannot be read hides nothing at all.
//!
//! Docker has written archives in which only `manifest.json` has all images: 25.0.0 and 25.0.1 wrote
//! `"manifests":null` for an image that was named by its id, and later ones leave all but one of several
//! digests out of `index.json`.

use super::documents::{self, BUILDKIT_CACHE, INDEX, LAYOUT, MANIFEST, Parsed};
use super::images::{Builder, Contents};
use super::reader::{Json, Reader};
use super::{Here, manifest_json, salvage};
use crate::kind::StoreKind;
use crate::{Error, Keyring, Notice};

/// The documents of a layout or an archive.
pub(super) struct Documents {
    index: Document,
    manifest: Document,
}

enum Document {
    Absent,
    /// It says what it should.
    Good(Json),
    /// It is there and has no list, as Docker 25.0 wrote it.
    NoList(Error),
    Unreadable(Error),
}

impl Documents {
    /// Reads those that are there. What the system refuses to read is an error.
    pub(super) fn read(reader: &Reader, here: &Here) -> Result<Self, Error> {
        let index = |json: &Json| match json.parsed() {
            Ok(Parsed::Index(_)) => Ok(true),
            Ok(_) => Ok(false),
            Err(why) => Err(why),
        };
        let manifest = |json: &Json| manifest_json::parse(json.raw()).map(|_| true);
        Ok(Documents {
            index: Document::read(reader, INDEX, here.index, index)?,
            manifest: Document::read(reader, MANIFEST, here.manifest, manifest)?,
        })
    }

    /// Whether what makes a directory or an archive of this kind is there, be it readable or not.
    pub(super) fn are_there(&self, kind: StoreKind) -> bool {
        let document = if kind == StoreKind::OciLayout { &self.index } else { &self.manifest };
        !matches!(document, Document::Absent)
    }

    /// All images that the documents name. If one of them cannot be read, those that can be found without it
    /// are there too.
    pub(super) fn contents(self, reader: &Reader, keys: &Keyring) -> Result<Contents, Error> {
        let mut builder = Builder::new(reader, keys);
        let mut unreadable: Vec<(&str, Error)> = Vec::new();
        let mut no_list = None;
        let mut good = 0;
        let is_new = matches!((&self.index, &self.manifest), (Document::NoList(_), Document::Absent))
            && reader.try_json(INDEX)?.is_some_and(|json| documents::has_null_list(json.raw()));
        let only_items = matches!((&self.index, &self.manifest), (Document::Absent, Document::Good(_)));
        match self.index {
            Document::Absent => {}
            Document::Good(json) => {
                builder.notice(check_version(reader)?);
                builder.add_index(&json)?;
                good += 1;
            }
            Document::NoList(error) => no_list = Some(error),
            Document::Unreadable(error) => unreadable.push((INDEX, error)),
        }
        match self.manifest {
            Document::Absent => {}
            Document::Good(json) => {
                builder.add_items(&json, good > 0)?;
                good += 1;
            }
            Document::NoList(error) | Document::Unreadable(error) => unreadable.push((MANIFEST, error)),
        }
        if good == 0 {
            // Nothing else says what it should have listed.
            unreadable.extend(no_list.map(|error| (INDEX, error)));
        }
        if builder.has_unread() {
            let named = builder.count();
            salvage::add(reader, &mut builder)?;
            builder.report_unread(good > 1 && builder.count() == named);
        }
        if unreadable.is_empty() {
            if only_items && let Some(config) = salvage::unnamed(reader, &builder)? {
                salvage::add(reader, &mut builder)?;
                let why = format!("it does not name {config}, the config of an image");
                builder.lose(reader.malformed(MANIFEST, why));
            }
            return Ok(builder.finish());
        }
        let named = builder.count();
        salvage::add(reader, &mut builder)?;
        let found = builder.count() - named;
        // As `umoci init` writes it.
        if is_new && found == 0 && reader.files().list("blobs/sha256")?.is_empty() {
            return Ok(builder.finish());
        }
        if good == 0 && found == 0 {
            return Err(unreadable.remove(0).1);
        }
        let mut contents = builder.finish();
        for (name, error) in unreadable {
            if good > 0 && found == 0 {
                let why = match error {
                    Error::Malformed { why, .. } | Error::Damaged { why, .. } => why,
                    error => error.to_string(),
                };
                let what = format!("{why}; the images are those of {}", other(name));
                contents.notices.push(Notice::new(reader.files().join(name), what));
            } else {
                let what =
                    format!("{name}, which names images; those whose blobs are whole are listed by id");
                contents.lost.push(error.within(what));
            }
        }
        Ok(contents)
    }
}

impl Document {
    fn read(
        reader: &Reader,
        name: &'static str,
        here: bool,
        has_list: impl Fn(&Json) -> Result<bool, String>,
    ) -> Result<Self, Error> {
        if !here {
            return Ok(Document::Absent);
        }
        let json = match reader.try_json(name) {
            Ok(Some(json)) => json,
            Ok(None) => return Ok(Document::Absent),
            Err(error @ (Error::Malformed { .. } | Error::Damaged { .. })) => {
                return Ok(Document::Unreadable(error));
            }
            Err(error) => return Err(error),
        };
        Ok(match (blank(json.raw()), has_list(&json)) {
            (Some(why), _) => Document::Unreadable(reader.malformed(name, why)),
            (None, Ok(true)) => Document::Good(json),
            (None, Ok(false)) => Document::NoList(reader.malformed(name, no_list(&json))),
            (None, Err(why)) => Document::Unreadable(reader.malformed(name, why)),
        })
    }
}

/// Why a document has no list.
fn no_list(json: &Json) -> &'static str {
    match json.parsed() {
        Ok(Parsed::Artifact(artifact)) if artifact.kind == BUILDKIT_CACHE => {
            "it is a build cache of BuildKit, which has no image; `--output type=oci` writes the image"
        }
        _ => "it has no list of manifests",
    }
}

/// What a power loss leaves of a file.
fn blank(bytes: &[u8]) -> Option<&'static str> {
    match bytes.iter().find(|byte| **byte != 0) {
        None if bytes.is_empty() => Some("it is empty"),
        None => Some("it has only zero bytes"),
        Some(_) => None,
    }
}

fn other(name: &str) -> &'static str {
    if name == INDEX { MANIFEST } else { INDEX }
}

/// The only version of the layout so far is 1.0.0. `oci-layout` may be missing, as for Docker; one that says
/// nothing is only odd.
fn check_version(reader: &Reader) -> Result<Option<Notice>, Error> {
    let odd =
        |why: String| Ok(Some(Notice::new(reader.files().join(LAYOUT), format!("{why}; it is not needed"))));
    let json = match reader.try_json(LAYOUT) {
        Ok(Some(json)) => json,
        Ok(None) => return Ok(None),
        Err(Error::Malformed { why, .. } | Error::Damaged { why, .. }) => return odd(why),
        Err(error) => return Err(error),
    };
    if let Some(why) = blank(json.raw()) {
        return odd(why.to_owned());
    }
    let version = match documents::layout_version(json.raw()) {
        Ok(version) => version,
        Err(why) => return odd(why),
    };
    if version.starts_with("1.") {
        return Ok(None);
    }
    let what = format!("{} is an image layout of version {version:?}", reader.files().path().display());
    Err(Error::unsupported(what, "version 1.0.0 is known"))
}
