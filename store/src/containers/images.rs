//! The images and layers of one driver, from all places that belong to a store: its root, a separate image
//! store, additional stores. The first place that has an image, a name or a layer wins, as it does for the
//! engines.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use super::lost::Lost;
use super::records::{self, Flawed, ImageRecord, LayerId, LayerRecord};
use crate::{Broken, Error, Notice, Reference, Root};

/// The most layers that an image may have. Engines that have a limit stop at 500.
const TALLEST: usize = 2000;

/// The images of one driver.
#[derive(Debug)]
pub(super) struct Images {
    pub(super) driver: String,
    pub(super) places: Vec<Root>,
    pub(super) images: BTreeMap<String, Found<ImageRecord>>,
    references: HashMap<String, Vec<Reference>>,
    pub(super) layers: HashMap<LayerId, Found<LayerRecord>>,
    /// Layers whose record cannot be understood, and why.
    pub(super) flawed_layers: HashMap<LayerId, Found<String>>,
    /// Records of `images.json` and `layers.json` that cannot be understood.
    pub(super) flawed: Vec<Found<Flawed>>,
    /// Ids of images and layers that have no record in a file that is whole.
    pub(super) unrecorded: Vec<String>,
    /// Files of records that are missing, empty or cut off, and what that means.
    pub(super) lost: Vec<Error>,
    /// What is odd, and hides no image.
    pub(super) notices: Vec<Notice>,
    /// Files that could not be read, and why. Those that everything depends on are an error at once.
    unread: Vec<Found<(File, Error)>>,
}

/// A record, and the place that it is in.
#[derive(Debug)]
pub(super) struct Found<T> {
    pub(super) place: usize,
    pub(super) record: T,
}

/// A file of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum File {
    Images,
    Layers,
    /// Layers of containers that need not survive a crash.
    Volatile,
}

impl Images {
    /// Reads the records of a driver in all places.
    ///
    /// An engine that removes an image between its record and those of its layers leaves a record without
    /// layers, or a folder without a record: then all are read again, until nothing changes any more.
    pub(super) fn read(driver: &str, places: Vec<Root>) -> Result<Self, Error> {
        const TRIES: usize = 4;
        let mut found = Images::read_once(driver, places.clone())?;
        for _ in 1..TRIES {
            let torn = found.torn();
            if torn.is_empty() {
                break;
            }
            let again = Images::read_once(driver, places.clone())?;
            let same = again.torn() == torn;
            found = again;
            if same {
                break;
            }
        }
        Ok(found)
    }

    /// The images whose chains have gaps, and what was found without its record.
    fn torn(&self) -> Vec<String> {
        let gap = |found: &&Found<ImageRecord>| self.chain(&found.record).is_err();
        let gaps = self.images.values().filter(gap).map(|found| found.record.id.clone());
        gaps.chain(self.unrecorded.iter().cloned()).collect()
    }

    /// Images come first: an engine at work stores an image after its layers, so that the layers of every
    /// image that is seen are there.
    fn read_once(driver: &str, places: Vec<Root>) -> Result<Self, Error> {
        let mut found = Images {
            driver: driver.to_owned(),
            places,
            images: BTreeMap::new(),
            references: HashMap::new(),
            layers: HashMap::new(),
            flawed_layers: HashMap::new(),
            flawed: Vec::new(),
            unrecorded: Vec::new(),
            lost: Vec::new(),
            notices: Vec::new(),
            unread: Vec::new(),
        };
        let mut names = BTreeMap::new();
        let mut lost = Lost::default();
        for place in 0..found.places.len() {
            found.tolerate(place, File::Images, |found| found.add_images(place, &mut names, &mut lost))?;
        }
        for place in 0..found.places.len() {
            found.tolerate(place, File::Layers, |found| found.add_layers(place, File::Layers, &mut lost))?;
            found.tolerate(place, File::Volatile, |found| {
                found.add_layers(place, File::Volatile, &mut lost)
            })?;
        }
        found.find_lost(lost, &mut names)?;
        for (name, id) in names {
            found.references.entry(id).or_default().push(Reference::stored(&name));
        }
        Ok(found)
    }

    /// Notes that a file cannot be read, unless everything depends on it: the images and layers of the first
    /// place.
    fn tolerate(
        &mut self,
        place: usize,
        file: File,
        read: impl FnOnce(&mut Self) -> Result<(), Error>,
    ) -> Result<(), Error> {
        match read(self) {
            Err(error) if place == 0 && file != File::Volatile => Err(error),
            Err(error) => {
                self.unread.push(Found { place, record: (file, error) });
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    /// Of several images with one name or one id, the last one of a place has it.
    fn add_images(
        &mut self,
        place: usize,
        names: &mut BTreeMap<String, String>,
        lost: &mut Lost,
    ) -> Result<(), Error> {
        let records = records::read::<ImageRecord>(&self.places[place], &self.file(File::Images))?;
        lost.images.extend(records.lost.map(|error| (place, error)));
        let mut flawed = records.flawed;
        let (mut here, mut named) = (BTreeMap::new(), BTreeMap::new());
        for record in records.good {
            if !crate::hex_id(&record.id) {
                flawed.push(Flawed::new(record.id, "its id is not 64 hex digits"));
                continue;
            }
            named.extend(record.names.iter().map(|name| (name.clone(), record.id.clone())));
            if let Some(first) = here.insert(record.id.clone(), record) {
                flawed.push(Flawed::new(first.id, "it is there twice; the second one counts"));
            }
        }
        for (id, record) in here {
            self.images.entry(id).or_insert(Found { place, record });
        }
        for (name, id) in named {
            names.entry(name).or_insert(id);
        }
        self.flawed.extend(flawed.into_iter().map(|record| Found { place, record }));
        Ok(())
    }

    /// Of several layers with one id, the first one counts.
    fn add_layers(&mut self, place: usize, file: File, lost: &mut Lost) -> Result<(), Error> {
        let records = records::read::<LayerRecord>(&self.places[place], &self.file(file))?;
        match (file, records.lost) {
            (File::Layers, lost_here) => lost.layers.extend(lost_here.map(|error| (place, error))),
            // Images do not need the layers of containers.
            (_, Some(Error::Malformed { path, why })) if why != records::EMPTY => {
                self.notices.push(Notice::new(path, format!("{why}; no image needs the layers in it")));
            }
            _ => {}
        }
        for record in records.good {
            self.layers.entry(record.id).or_insert(Found { place, record });
        }
        for flawed in records.flawed {
            match LayerId::parse(&flawed.what) {
                Some(id) => {
                    self.flawed_layers.entry(id).or_insert(Found { place, record: flawed.why });
                }
                None if file == File::Layers => self.flawed.push(Found { place, record: flawed }),
                None => {}
            }
        }
        Ok(())
    }

    /// All images by id, each with its names.
    pub(super) fn all(&self) -> impl Iterator<Item = (&ImageRecord, &[Reference])> {
        self.images
            .iter()
            .map(|(id, found)| (&found.record, self.references.get(id).map_or(&[][..], Vec::as_slice)))
    }

    /// Ids that begin with `prefix`, sorted.
    pub(super) fn ids(&self, prefix: &str) -> impl Iterator<Item = &String> {
        let from = self.images.range(prefix.to_owned()..).map(|(id, _)| id);
        from.take_while(move |id| id.starts_with(prefix))
    }

    /// An image, and the directory that has its documents.
    pub(super) fn image(&self, id: &str) -> Result<(&ImageRecord, Root), Error> {
        let not_found = || Error::not_found(format!("{id} of driver {}", self.driver));
        let found = self.images.get(id).ok_or_else(not_found)?;
        Ok((&found.record, self.places[found.place].dir(format!("{}-images", self.driver))?))
    }

    /// The layers of an image, base first.
    pub(super) fn chain(&self, image: &ImageRecord) -> Result<Vec<&LayerRecord>, Error> {
        if image.is_incomplete() {
            let place = self.images.get(&image.id).map_or(0, |found| found.place);
            let path = self.path(place, File::Images);
            return Err(Error::Incomplete { what: format!("image {}", image.id), path });
        }
        let mut chain: Vec<&LayerRecord> = Vec::new();
        let mut next = image.layer;
        while let Some(id) = next {
            let of = chain
                .last()
                .map_or_else(|| format!("image {}", image.id), |above| format!("layer {}", above.id));
            let record = self.layer(id, &of)?;
            if chain.len() == TALLEST {
                let circle = chain.iter().any(|above| above.id == id);
                let why =
                    if circle { "its parents lead back to it" } else { "it is the 2000th of its image" };
                return Err(self.malformed_layer(id, why));
            }
            if record.is_incomplete() {
                let path = self.layer_path(id);
                return Err(Error::Incomplete { what: format!("layer {id}"), path });
            }
            chain.push(record);
            next = record.parent;
        }
        chain.reverse();
        Ok(chain)
    }

    /// The record of a layer that `of` needs.
    pub(super) fn layer(&self, id: LayerId, of: &str) -> Result<&LayerRecord, Error> {
        if let Some(found) = self.layers.get(&id) {
            return Ok(&found.record);
        }
        if let Some(flawed) = self.flawed_layers.get(&id) {
            let why = format!("layer {id}: {}", flawed.record);
            return Err(Error::malformed(self.path(flawed.place, File::Layers), why));
        }
        let path = self.path(0, File::Layers);
        Err(Error::Missing { of: of.to_owned(), what: "layer", id: id.to_string(), path })
    }

    /// The places, the one that has the layer's record first.
    pub(super) fn places_of(&self, id: LayerId) -> impl Iterator<Item = &Root> {
        let first = self.layers.get(&id).map_or(0, |found| found.place);
        let others = (0..self.places.len()).filter(move |place| *place != first);
        std::iter::once(first).chain(others).map(|place| &self.places[place])
    }

    /// An error about a layer's record.
    pub(super) fn malformed_layer(&self, id: LayerId, why: &str) -> Error {
        Error::malformed(self.layer_path(id), format!("layer {id}: {why}"))
    }

    /// The file with a layer's tar-split data, in one of its places.
    pub(super) fn tar_split_file(&self, id: LayerId) -> String {
        format!("{}-layers/{id}.tar-split.gz", self.driver)
    }

    /// The files that have records of layers, in each place.
    pub(super) fn layer_lists(&self) -> [String; 2] {
        [self.file(File::Layers), self.file(File::Volatile)]
    }

    /// Whether a list has a record of the layer.
    pub(super) fn is_recorded(&self, id: LayerId) -> bool {
        self.layers.contains_key(&id)
    }

    /// The file that has a layer's record.
    pub(super) fn layer_path(&self, id: LayerId) -> PathBuf {
        let place = self.layers.get(&id).map_or(0, |found| found.place);
        self.path(place, File::Layers)
    }

    /// Records that could not be understood.
    pub(super) fn broken(&self) -> Vec<Broken> {
        let flawed = self.flawed.iter().map(|Found { place, record }| {
            let why = format!("{}: {}", record.what, record.why);
            let error = Error::malformed(self.path(*place, File::Images), why);
            Broken::new(&record.what, Vec::new(), error)
        });
        flawed.collect()
    }

    /// Why the records may not be all that there were.
    pub(super) fn lost(&self) -> impl Iterator<Item = Error> {
        self.lost.iter().chain(self.unread.iter().map(|found| &found.record.1)).cloned()
    }

    /// Why a name may exist and still not be found.
    pub(super) fn unread(&self) -> Option<Error> {
        let mut files = self.unread.iter().map(|found| &found.record);
        let unread = files.find(|(file, _)| *file == File::Images).map(|(_, error)| error);
        unread.or(self.lost.first()).cloned()
    }

    pub(super) fn path(&self, place: usize, file: File) -> PathBuf {
        self.places[place].join(self.file(file))
    }

    fn file(&self, file: File) -> String {
        let driver = &self.driver;
        match file {
            File::Images => format!("{driver}-images/images.json"),
            File::Layers => format!("{driver}-layers/layers.json"),
            File::Volatile => format!("{driver}-layers/volatile-layers.json"),
        }
    }
}
