//! The layers below the writable layer of a container, when records agree and when they do not.
//!
//! | what says it | |
//! |---|---|
//! | `layers.json`, `volatile-layers.json` | `parent` of the layer, and so on down |
//! | `overlay/<layer>/lower` | what the engine mounted; decides if both are there |
//! | `images.json` | the layers of the container's image; decides if nothing else does |
//!
//! Podman 5.8 writes what is in `lower` with ids, too, as `lower-layers`. `volatile-layers.json` is not
//! flushed to disk, so a power loss may take the record of a container's layer and leave its directory.

use std::collections::BTreeSet;

use super::images::{File, Images};
use super::records::LayerId;
use crate::driver::lower::Lower;
use crate::{Error, driver};

/// Mount options have at most a page.
const LIMIT: u64 = 1 << 16;

/// What is below a container's own layer.
#[derive(Debug)]
pub(super) struct Chain {
    /// The uppermost first.
    pub(super) below: Vec<LayerId>,
    /// What is wrong with the records, if others had to be asked.
    pub(super) flaw: Option<Flaw>,
}

/// What is wrong with the records of a container's layer.
#[derive(Debug)]
pub(super) enum Flaw {
    /// There is none, or none that can be read.
    Lost,
    /// They name other layers than the engine mounted, or than the image has.
    Other,
}

impl Images {
    /// The layers below the layer `id` of the container that messages call `of`.
    pub(super) fn below(&self, id: &str, image: Option<&str>, of: &str) -> Result<Chain, Error> {
        let mut chain = self.noted_below(id, image, of)?;
        if self.begins_with_copy(&chain.below) {
            chain.below.remove(0);
            chain.flaw = chain.flaw.filter(|flaw| matches!(flaw, Flaw::Lost));
        }
        Ok(chain)
    }

    /// Whether the first layer is a copy of the second one, with the owners of a container with ids of its
    /// own. Overlay mounts both, and the records of layers know only the copy.
    fn begins_with_copy(&self, below: &[LayerId]) -> bool {
        let record = |at: usize| self.layer(*below.get(at)?, "").ok();
        let (Some(copy), Some(original)) = (record(0), record(1)) else { return false };
        let same = copy.diff_id().is_some() && copy.diff_id() == original.diff_id();
        copy.has_own_ids() && !original.has_own_ids() && same
    }

    fn noted_below(&self, id: &str, image: Option<&str>, of: &str) -> Result<Chain, Error> {
        let recorded = self.recorded(id, of);
        if let Ok(recorded) = &recorded
            && self.is_mounted_so(id, recorded)
        {
            return Ok(Chain { below: recorded.clone(), flaw: None });
        }
        let mounted = self.mounted(id);
        let (below, flaw) = match (recorded, mounted) {
            (Ok(recorded), Ok(Some(mounted))) if recorded == mounted => (recorded, None),
            (recorded, Ok(Some(mounted))) => {
                (mounted, Some(if recorded.is_ok() { Flaw::Other } else { Flaw::Lost }))
            }
            (Ok(recorded), mounted) if !recorded.is_empty() => {
                // What was mounted cannot be read any more; the records are whole.
                drop(mounted);
                (recorded, None)
            }
            (recorded, mounted) => {
                let of_image = image.and_then(|image| self.layers_of(image));
                match (recorded, mounted, of_image) {
                    (Ok(_), _, Some(layers)) if !layers.is_empty() => (layers, Some(Flaw::Other)),
                    (Err(_), _, Some(layers)) => (layers, Some(Flaw::Lost)),
                    (_, Err(error), _) | (Err(error), ..) => return Err(error),
                    // A container without an image, or of one without layers.
                    (Ok(recorded), ..) => (recorded, None),
                }
            }
        };
        Ok(Chain { below, flaw })
    }

    /// Whether `lower` of a layer has the short names of these layers.
    fn is_mounted_so(&self, id: &str, below: &[LayerId]) -> bool {
        let text = |id: &str, file: &str| {
            let file = format!("{}/{id}/{file}", self.driver);
            let found = self.places.iter().find_map(|place| place.try_read(&file, LIMIT).ok().flatten());
            found.and_then(|bytes| String::from_utf8(bytes).ok())
        };
        let Some(lower) = text(id, "lower") else { return false };
        let names = below.iter().map(|id| Some(format!("l/{}", text(&id.to_string(), "link")?)));
        self.driver == "overlay" && names.eq(lower.split(':').map(|name| Some(name.to_owned())))
    }

    /// The same by what the engine mounted. `None` if that is not noted: as of a base layer.
    fn mounted(&self, id: &str) -> Result<Option<Vec<LayerId>>, Error> {
        let driver = driver::find_containers(&self.driver)?;
        let mut unusable = None;
        if self.driver != "overlay" {
            return Ok(None);
        }
        for place in &self.places {
            if !place.exists(driver.path(id))? {
                continue;
            }
            let mut lower = Lower::read(driver, place)?;
            for other in &self.places {
                lower = lower.with_names_of(Lower::read(driver, other)?);
            }
            let chain = match lower.chain(id) {
                Ok(chain) if chain.below.is_empty() => return Ok(None),
                chain => chain,
            };
            let known = |below: &Option<String>| below.as_deref().and_then(LayerId::parse);
            let found = chain.as_ref().ok().and_then(|chain| chain.below.iter().map(known).collect());
            if found.is_some() {
                return Ok(found);
            }
            let ids = place.try_read(format!("overlay/{id}/lower-layers"), LIMIT).ok().flatten();
            let ids = ids.and_then(|ids| String::from_utf8(ids).ok()).unwrap_or_default();
            let found: Option<Vec<LayerId>> = ids.trim().split(':').map(LayerId::parse).collect();
            if found.is_some() {
                return Ok(found);
            }
            unusable.get_or_insert_with(|| {
                let path = place.join(format!("overlay/{id}/lower"));
                let nowhere = || Error::malformed(path, "a name in it leads to no layer");
                chain.err().unwrap_or_else(nowhere)
            });
        }
        unusable.map_or(Ok(None), Err)
    }

    /// The same by the records of layers alone.
    fn recorded(&self, id: &str, of: &str) -> Result<Vec<LayerId>, Error> {
        let malformed = || Error::malformed(self.path(0, File::Layers), format!("{of} has no layer {id:?}"));
        let mut next = Some(LayerId::parse(id).ok_or_else(malformed)?);
        let mut found = Vec::new();
        let mut seen = BTreeSet::new();
        while let Some(id) = next {
            if !seen.insert(id) {
                return Err(self.malformed_layer(id, "its parents form a circle"));
            }
            next = self.layer(id, of)?.parent;
            found.extend(next);
        }
        Ok(found)
    }

    /// The layers of an image, the uppermost first. `None` if it is not there, or if their records are lost.
    fn layers_of(&self, image: &str) -> Option<Vec<LayerId>> {
        let found = self.images.get(image)?;
        let chain = self.chain(&found.record).ok()?;
        Some(chain.iter().rev().map(|layer| layer.id).collect())
    }

    /// What an error of records means for containers, by how many.
    pub(super) fn flawed_chains(&self, lost: &[String], other: &[String]) -> Vec<Error> {
        let path = self.path(0, File::Layers);
        let mut all = Vec::new();
        if let [first, more @ ..] = lost {
            let (of, them) = counted(first, more);
            all.push(format!(
                "it has no usable record of the layer of {of}; what is below {them} is known from overlay or \
                 from the image"
            ));
        }
        if let [first, more @ ..] = other {
            let (of, them) = counted(first, more);
            all.push(format!(
                "it has wrong parents for the layer of {of}; what is below {them} is known from overlay or \
                 from the image"
            ));
        }
        all.into_iter().map(|why| Error::malformed(&path, why)).collect()
    }
}

fn counted(first: &str, more: &[String]) -> (String, &'static str) {
    match more.len() {
        0 => (format!("container {first}"), "it"),
        1 => (format!("containers {first} and {}", more[0]), "them"),
        count => (format!("container {first} and {count} others"), "them"),
    }
}
