//! The directories that Docker 1.10 to 24 wrote beside `manifest.json`, for an archive that has lost it.
//!
//! ```text
//! repositories      {"bench/many":{"1.0":"1ca3…"}}: the top directory of an image, in each of its names
//! <id>/json         "parent", and in the top directory "created" as the config has it
//! <id>/layer.tar    a layer; the config's diff id proves it when it is read
//! ```
//!
//! Their ids are made up (Docker, `image/v1`, `CreateID`), so that nothing but the number of layers and the
//! time leads from a config to its directories.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::documents::LAYERS;
use super::names::ImageNames;
use super::reader::Reader;
use super::v1::{self, RawV1Json};
use crate::json::{self, Unique};
use crate::model::config::Config;
use crate::{Error, V1Id};

/// What the directories of an image say of it.
#[derive(Debug)]
pub(super) struct Chain {
    created: Option<String>,
    /// Files, base first.
    pub(super) layers: Vec<String>,
    pub(super) names: ImageNames,
}

/// All images that have such directories.
#[derive(Debug)]
pub(super) struct Chains(Vec<Chain>);

impl Chains {
    /// Reads the documents of all directories. One that cannot be read leads nowhere.
    pub(super) fn read(reader: &Reader) -> Result<Self, Error> {
        let files = reader.files();
        let mut documents: HashMap<V1Id, RawV1Json> = HashMap::new();
        for id in v1::ids(files)? {
            let Ok(Some(raw)) = files.try_read(&format!("{id}/json"), json::LIMIT) else { continue };
            if let Ok(document) = json::object(&raw) {
                documents.insert(id, document);
            }
        }
        let repositories = files.try_read(v1::REPOSITORIES, json::LIMIT).ok().flatten().unwrap_or_default();
        let repositories = json::object::<Unique<Unique<String>>>(&repositories).ok();
        let mut names: BTreeMap<String, ImageNames> = BTreeMap::new();
        for (repository, tags) in repositories.map(|names| names.0).unwrap_or_default() {
            for (tag, id) in tags.0 {
                names.entry(id).or_default().add(&format!("{repository}:{tag}"));
            }
        }
        let parents: HashSet<V1Id> = documents.values().filter_map(parent).collect();
        let mut tops: Vec<&V1Id> = documents.keys().collect();
        tops.retain(|id| names.contains_key(id.as_str()) || !parents.contains(id));
        tops.sort();
        let chain = |top: &V1Id| {
            let names = names.get(top.as_str()).cloned().unwrap_or_default();
            Some(Chain { created: documents[top].created.clone(), layers: layers(&documents, top)?, names })
        };
        Ok(Chains(tops.into_iter().filter_map(chain).collect()))
    }

    /// The directories of the image that has this config, if only one can be meant.
    pub(super) fn of(&self, config: &Config) -> Option<&Chain> {
        let alike =
            |chain: &&Chain| chain.layers.len() == config.diff_ids.len() && chain.created == config.created;
        let mut found = self.0.iter().filter(alike);
        let first = found.next()?;
        found.next().is_none().then_some(first)
    }
}

fn parent(document: &RawV1Json) -> Option<V1Id> {
    V1Id::parse(document.parent.as_deref()?)
}

/// The files of the layers up to `top`. `None` if they do not end.
fn layers(documents: &HashMap<V1Id, RawV1Json>, top: &V1Id) -> Option<Vec<String>> {
    let mut layers = Vec::new();
    let mut next = Some(top.clone());
    while let Some(id) = next {
        if layers.len() == LAYERS {
            return None;
        }
        next = parent(documents.get(&id)?);
        layers.push(format!("{id}/layer.tar"));
    }
    layers.reverse();
    Some(layers)
}
