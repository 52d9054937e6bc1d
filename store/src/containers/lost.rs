//! What is left of an image or a layer whose record is lost: a file of records that is missing, empty or cut
//! off, as after a power loss.
//!
//! ```text
//! <driver>-images/<image id>/            the documents of an image: config, manifests
//! <driver>-layers/<layer id>.tar-split.gz
//! <driver>-containers/containers.json    the names that the images of containers had
//! ```
//!
//! A layer's id follows from its parent's and its diff id, and the config of an image has all diff ids. Their
//! digests prove what was found.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;

use super::bigdata;
use super::images::{Found, Images};
use super::records::{self, Flawed, ImageRecord, LayerId, LayerRecord};
use crate::{DiffId, Error, Reference, Root, Rules};

/// Files of records that do not have all they had, by the places that they are in.
#[derive(Debug, Default)]
pub(super) struct Lost {
    pub(super) images: Vec<(usize, Error)>,
    pub(super) layers: Vec<(usize, Error)>,
}

/// A container's record, as far as it knows its image.
#[derive(Deserialize)]
struct ContainerRecord {
    image: Option<String>,
    /// JSON in a string.
    metadata: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Metadata {
    image_name: Option<String>,
}

/// What a config says of its image.
struct Described {
    diff_ids: Vec<DiffId>,
    created: Option<String>,
}

impl Images {
    /// Looks for what lost records described, and notes what cannot be found again.
    pub(super) fn find_lost(
        &mut self,
        lost: Lost,
        names: &mut BTreeMap<String, String>,
    ) -> Result<(), Error> {
        for (place, error) in lost.images {
            self.find_images(place, error, names)?;
        }
        let without_layers: Vec<(usize, Error)> =
            lost.layers.into_iter().filter(|(place, _)| self.has_layers(*place)).collect();
        if without_layers.is_empty() {
            return Ok(());
        }
        self.find_layers();
        for (_, error) in without_layers {
            let means = "layers are found by their ids, for images whose config can be read";
            self.lost.push(explained(error, means));
        }
        Ok(())
    }

    /// Makes a record of each folder of an image.
    fn find_images(
        &mut self,
        place: usize,
        error: Error,
        names: &mut BTreeMap<String, String>,
    ) -> Result<(), Error> {
        let folder = format!("{}-images", self.driver);
        let listed = self.places[place].try_list(&folder)?;
        let ids = listed.iter().filter_map(|name| name.to_str()).filter(|name| crate::hex_id(name));
        let ids: Vec<&str> = ids.filter(|id| !self.images.contains_key(*id)).collect();
        let no_images = ids.is_empty() && self.images.values().all(|found| found.place != place);
        if no_images {
            // A store without images may have no file, or an empty one; but only images have layers that are
            // recorded with a digest.
            let of_images = self.layers.values().filter(|found| found.place == place);
            let of_images = of_images.filter(|found| found.record.diff_id().is_some()).count();
            if of_images > 0 {
                let layers = if of_images == 1 { "1 layer is" } else { &format!("{of_images} layers are") };
                self.lost.push(explained(error, &format!("no image is found, and {layers} left")));
            }
            return Ok(());
        }
        let dir = self.places[place].dir(&folder)?;
        for id in ids {
            match of_folder(&dir, id) {
                Ok(record) => drop(self.images.insert(id.to_owned(), Found { place, record })),
                Err(why) => {
                    let record = Flawed { what: id.to_owned(), why };
                    self.flawed.push(Found { place, record });
                }
            }
        }
        self.find_tops(&dir, place);
        let named = self.names_of_containers(place);
        let means = match named.is_empty() {
            true => "images are found by their folders, and their names are lost",
            false => "images are found by their folders, and only names that a container has are known",
        };
        for (name, id) in named {
            names.entry(name).or_insert(id);
        }
        self.lost.push(explained(error, means));
        Ok(())
    }

    /// The top layers of images whose records were made from their folders: by the rule of ids, or if a layer
    /// has another id, by the parents and diff ids of recorded layers.
    fn find_tops(&mut self, dir: &Root, place: usize) {
        let recorded = self.layers.values().map(|found| &found.record);
        let by_parent: HashMap<(Option<LayerId>, DiffId), LayerId> =
            recorded.filter_map(|layer| Some(((layer.parent, layer.diff_id()?), layer.id))).collect();
        for (id, found) in self.images.iter_mut().filter(|(_, found)| found.place == place) {
            if found.record.layer.is_some() {
                continue;
            }
            let Ok(described) = described(dir, id) else { continue };
            found.record.layer = described.diff_ids.iter().fold(None, |parent, diff_id| {
                let by_rule = LayerId::by_rule(parent, *diff_id);
                let other = || by_parent.get(&(parent, *diff_id)).copied().unwrap_or(by_rule);
                Some(if self.layers.contains_key(&by_rule) { by_rule } else { other() })
            });
        }
    }

    /// Whether any layer was stored in a place.
    fn has_layers(&self, place: usize) -> bool {
        let listed = self.places[place].try_list(format!("{}-layers", self.driver)).unwrap_or_default();
        let is_layer = |name: &str| name.strip_suffix(".tar-split.gz").is_some_and(crate::hex_id);
        listed.iter().any(|name| name.to_str().is_some_and(is_layer))
    }

    /// Makes the records of layers that images need and whose tar-split data are there. Without these nothing
    /// would prove the layer.
    fn find_layers(&mut self) {
        let mut made = Vec::new();
        for (id, found) in &self.images {
            let Some(top) = found.record.layer.filter(|top| self.lacks_a_layer(*top)) else { continue };
            let Ok(dir) = self.places[found.place].dir(format!("{}-images", self.driver)) else { continue };
            let Ok(described) = described(&dir, id) else { continue };
            let mut chain = Vec::new();
            let mut parent = None;
            for diff_id in described.diff_ids {
                let layer = LayerId::by_rule(parent, diff_id);
                chain.push(LayerRecord::of_config(layer, parent, diff_id));
                parent = Some(layer);
            }
            if parent == Some(top) {
                made.extend(chain);
            }
        }
        for record in made {
            let file = format!("{}-layers/{}.tar-split.gz", self.driver, record.id);
            let here = |place: &Root| place.exists(&file).unwrap_or(false);
            if let Some(place) = self.places.iter().position(here) {
                self.layers.entry(record.id).or_insert(Found { place, record });
            }
        }
    }

    /// Whether the chain below a layer has no record somewhere.
    fn lacks_a_layer(&self, top: LayerId) -> bool {
        let mut next = Some(top);
        // A circle is another fault, and not to be followed for ever.
        for _ in 0..=self.layers.len() {
            match next.map(|id| self.layers.get(&id)) {
                Some(Some(found)) => next = found.record.parent,
                Some(None) => return true,
                None => return false,
            }
        }
        false
    }

    /// Names that containers have for images of this place.
    fn names_of_containers(&self, place: usize) -> Vec<(String, String)> {
        let mut names = Vec::new();
        for file in ["containers.json", "volatile-containers.json"] {
            let file = format!("{}-containers/{file}", self.driver);
            let Ok(records) = records::read::<ContainerRecord>(&self.places[place], &file) else { continue };
            for record in records.good {
                let metadata = record.metadata.unwrap_or_default();
                let name = serde_json::from_str::<Metadata>(&metadata).ok().and_then(|it| it.image_name);
                let (Some(name), Some(id)) = (name, record.image) else { continue };
                let is_name = Reference::parse(&name, Rules::Distribution).is_ok() && !crate::hex_id(&name);
                if is_name && self.images.contains_key(&id) {
                    names.push((name, id));
                }
            }
        }
        names
    }
}

/// What a loss means, with its cause.
fn explained(error: Error, means: &str) -> Error {
    match error {
        Error::Malformed { path, why } => Error::malformed(path, format!("{why}; {means}")),
        error => error.within(format!("records of images and layers ({means})")),
    }
}

/// The record of an image whose folder is in `dir`; the error says what the folder lacks.
fn of_folder(dir: &Root, id: &str) -> Result<ImageRecord, String> {
    let files = dir.list(id).map_err(|error| error.to_string())?;
    let keys: Vec<String> = files.iter().filter_map(|file| bigdata::key(file.to_str()?)).collect();
    let config = format!("sha256:{id}");
    // A list has an index and no config.
    if !keys.contains(&config) {
        let is_list = keys.iter().any(|key| key == "manifest");
        return match is_list {
            true => Ok(ImageRecord::of_folder(id.to_owned(), keys, None)),
            false => Err("its record is lost, and its folder has no config".to_owned()),
        };
    }
    let created = described(dir, id).map_err(|error| error.to_string())?.created;
    Ok(ImageRecord::of_folder(id.to_owned(), keys, created))
}

/// What the config of an image says.
fn described(dir: &Root, id: &str) -> Result<Described, Error> {
    let record = ImageRecord::of_folder(id.to_owned(), vec![format!("sha256:{id}")], None);
    let config = bigdata::documents(dir, &record)?.config;
    Ok(Described { diff_ids: config.diff_ids, created: config.created })
}
