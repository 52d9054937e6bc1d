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

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;

use super::bigdata;
use super::images::{File, Found, Images};
use super::records::{self, Flawed, ImageRecord, LayerId, LayerRecord};
use crate::driver;
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
        let mut of_images: BTreeMap<usize, Error> = lost.images.into_iter().collect();
        for place in 0..self.places.len() {
            self.find_images(place, of_images.remove(&place), names)?;
        }
        let without_layers: Vec<(usize, Error)> =
            lost.layers.into_iter().filter(|(place, _)| self.has_layers(*place)).collect();
        let found = self.find_layers();
        if without_layers.is_empty()
            && let Some(first) = found.first()
        {
            let path = self.path(first.1, File::Layers);
            let count = count(found.len(), "layer");
            let why = format!("it has no usable record of {count}, found by the rule of their ids");
            self.lost.push(Error::malformed(path, why));
            self.unrecorded.extend(found.into_iter().map(|(id, _)| id.to_string()));
        }
        for (_, error) in without_layers {
            let means = "layers are found by their ids, for images whose config can be read";
            self.lost.push(explained(error, means));
        }
        Ok(())
    }

    /// Makes a record of each folder of an image that has none. `lost` says why the file of records is not
    /// whole; one that is can still lack a record, or have one that cannot be read.
    fn find_images(
        &mut self,
        place: usize,
        lost: Option<Error>,
        names: &mut BTreeMap<String, String>,
    ) -> Result<(), Error> {
        let folder = format!("{}-images", self.driver);
        let listed = match (self.places[place].try_list(&folder), &lost) {
            (Err(_), None) => return Ok(()),
            (listed, _) => listed?,
        };
        let ids = listed.iter().filter_map(|name| name.to_str()).filter(|name| crate::hex_id(name));
        let ids: Vec<&str> = ids.filter(|id| !self.images.contains_key(*id)).collect();
        if ids.is_empty() {
            self.note_layers_without_images(place, lost);
            return Ok(());
        }
        let dir = self.places[place].dir(&folder)?;
        let mut found = Vec::new();
        for id in ids {
            let flawed = self.flawed.iter().position(|found| found.place == place && found.record.what == id);
            match of_folder(&dir, id) {
                Ok(Some(record)) => {
                    self.images.insert(id.to_owned(), Found { place, record });
                    let flawed = flawed.map(|at| self.flawed.remove(at).record);
                    for name in flawed.iter().flat_map(|flawed| &flawed.names) {
                        names.entry(name.clone()).or_insert_with(|| id.to_owned());
                    }
                    found.push((id.to_owned(), flawed));
                }
                // A removal that was interrupted leaves such a folder.
                Ok(None) if lost.is_none() => {}
                _ if flawed.is_some() => {}
                unusable => {
                    let why = "its record is lost, and its folder has no config".to_owned();
                    let record = Flawed::new(id.to_owned(), &unusable.err().unwrap_or(why));
                    self.flawed.push(Found { place, record });
                }
            }
        }
        self.find_tops(&dir, place);
        let named = self.names_of_containers(place, &found);
        let means = match (named.is_empty(), lost.is_some()) {
            (true, true) => "images are found by their folders, and their names are lost",
            (false, true) => {
                "images are found by their folders, and only names that a container has are known"
            }
            (true, false) => "it is found by its folder, and its names are lost",
            (false, false) => "it is found by its folder, and only names that a container has are known",
        };
        for (name, id) in named {
            names.entry(name).or_insert(id);
        }
        match lost {
            Some(error) => self.lost.push(explained(error, means)),
            None => self.note_unrecorded(place, found, means),
        }
        Ok(())
    }

    /// Notes images that a whole file of records does not have, or has in a way that cannot be read.
    fn note_unrecorded(&mut self, place: usize, found: Vec<(String, Option<Flawed>)>, means: &str) {
        let path = self.path(place, File::Images);
        for (id, flaw) in found {
            let why = match flaw {
                Some(Flawed { why, names, .. }) => {
                    let means =
                        if names.is_empty() { means } else { "it is found by its folder, and by name" };
                    format!("the record of image {id} cannot be read ({why}); {means}")
                }
                None => format!("it has no record of image {id}; {means}"),
            };
            self.lost.push(Error::malformed(&path, why));
            self.unrecorded.push(id);
        }
    }

    /// A store without images may have no file of records, or an empty one. But only images have layers that
    /// are recorded with a digest.
    fn note_layers_without_images(&mut self, place: usize, lost: Option<Error>) {
        let Some(error) = lost else { return };
        if self.images.values().any(|found| found.place == place) {
            let means = "images are found by their folders, and their names are lost";
            return self.lost.push(explained(error, means));
        }
        let of_images = self.layers.values().filter(|found| found.place == place);
        let of_images = of_images.filter(|found| found.record.diff_id().is_some()).count();
        if of_images > 0 {
            let are = if of_images == 1 { "is" } else { "are" };
            let means = format!("no image is found, and {} {are} left", count(of_images, "layer"));
            self.lost.push(explained(error, &means));
        }
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

    /// Makes the records of layers that images need and whose tar-split data or directories are there.
    /// Returns the layers, and their places.
    fn find_layers(&mut self) -> Vec<(LayerId, usize)> {
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
        let mut found = Vec::new();
        for record in made {
            let file = format!("{}-layers/{}.tar-split.gz", self.driver, record.id);
            let id = record.id.to_string();
            let has_directory = |place: &Root| {
                let driver = driver::find_containers(&self.driver);
                driver.is_ok_and(|driver| driver.open(place, &id, "an image").is_ok())
            };
            let here = |place: &Root| place.exists(&file).unwrap_or(false) || has_directory(place);
            let Some(place) = self.places.iter().position(here) else { continue };
            match self.layers.entry(record.id) {
                // Its id says which layer is below it.
                Entry::Occupied(mut entry) if entry.get().record.parent != record.parent => {
                    found.push((record.id, entry.get().place));
                    entry.get_mut().record.parent = record.parent;
                }
                Entry::Occupied(_) => {}
                Entry::Vacant(entry) => {
                    found.push((record.id, place));
                    entry.insert(Found { place, record });
                }
            }
        }
        found
    }

    /// Whether the chain below a layer has no record somewhere.
    fn lacks_a_layer(&self, top: LayerId) -> bool {
        let mut next = Some(top);
        // A circle of parents has no base.
        for _ in 0..=self.layers.len() {
            match next.map(|id| self.layers.get(&id)) {
                Some(Some(found)) => next = found.record.parent,
                Some(None) => return true,
                None => return false,
            }
        }
        true
    }

    /// Names that containers have for images that were found in this place.
    fn names_of_containers(&self, place: usize, found: &[(String, Option<Flawed>)]) -> Vec<(String, String)> {
        let mut names = Vec::new();
        if found.is_empty() {
            return names;
        }
        for file in ["containers.json", "volatile-containers.json"] {
            let file = format!("{}-containers/{file}", self.driver);
            let Ok(records) = records::read::<ContainerRecord>(&self.places[place], &file) else { continue };
            for record in records.good {
                let metadata = record.metadata.unwrap_or_default();
                let name = serde_json::from_str::<Metadata>(&metadata).ok().and_then(|it| it.image_name);
                let (Some(name), Some(id)) = (name, record.image) else { continue };
                let is_name = Reference::parse(&name, Rules::Distribution).is_ok() && !crate::hex_id(&name);
                if is_name && found.iter().any(|(found, _)| *found == id) {
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

/// A number of things.
fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// The record of an image whose folder is in `dir`. `None` if the folder has no config; the error says why
/// the config cannot be read.
fn of_folder(dir: &Root, id: &str) -> Result<Option<ImageRecord>, String> {
    let files = dir.list(id).map_err(|error| error.to_string())?;
    let keys: Vec<String> = files.iter().filter_map(|file| bigdata::key(file.to_str()?)).collect();
    let config = format!("sha256:{id}");
    let created = match keys.contains(&config) {
        true => described(dir, id).map_err(|error| error.to_string())?.created,
        // A list has an index and no config.
        false if keys.iter().any(|key| key == "manifest") => None,
        false => return Ok(None),
    };
    Ok(Some(ImageRecord::of_folder(id.to_owned(), keys, created)))
}

/// What the config of an image says.
fn described(dir: &Root, id: &str) -> Result<Described, Error> {
    let record = ImageRecord::of_folder(id.to_owned(), vec![format!("sha256:{id}")], None);
    let config = bigdata::documents(dir, &record)?.config;
    Ok(Described { diff_ids: config.diff_ids, created: config.created })
}
