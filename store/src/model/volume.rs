//! Volumes: what a store keeps of each.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::Notice;
use crate::diff::tree::components;
use crate::diff::{Faults, FilesTar, LayerDir, written};
use crate::{Error, Root};

/// What [`crate::Containers::volumes`] found.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct VolumeListing {
    /// By name.
    pub volumes: Vec<Volume>,
    /// What the store had on record and has no longer: labels, drivers.
    pub lost: Vec<Error>,
    /// What is odd and was read nevertheless.
    pub notices: Vec<Notice>,
}

/// A volume.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Volume {
    /// Its name; 64 hex digits if nobody gave it one.
    pub name: String,
    /// `local`, or the name of a plugin.
    pub driver: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Options that it was made with.
    pub options: BTreeMap<String, String>,
    /// RFC 3339: what the engine recorded, or else the time of the volume's folder.
    pub created: Option<String>,
    /// The directory of its data on this machine.
    pub path: PathBuf,
    /// Where its data are if not in the store: a directory of the host, a device, an address.
    pub device: Option<String>,
    /// Whether its data were in memory (`type=tmpfs`), and ended with it.
    pub in_memory: bool,
    /// The directory, or why it cannot be read.
    data: Result<Root, Error>,
}

impl Volume {
    /// A volume whose data are in `volumes/<name>/_data` below a root.
    pub(crate) fn new(root: &Root, name: &str) -> Self {
        let place = Path::new("volumes").join(name).join("_data");
        let data = root.dir(&place).map_err(|error| match error {
            error if error.is_io_not_found() => {
                let why = "the data of the volume are not in the store".to_owned();
                Error::NotThere { path: root.join(&place), why }
            }
            error => error,
        });
        Volume {
            name: name.to_owned(),
            driver: "local".to_owned(),
            labels: BTreeMap::new(),
            options: BTreeMap::new(),
            created: None,
            path: root.join(place),
            device: None,
            in_memory: false,
            data,
        }
    }

    /// Says where the data are, if the options say so. A volume that is mounted from elsewhere has an empty
    /// directory in the store. `kind` is what `mount` calls the type of a file system.
    pub(crate) fn mounted(mut self, device: Option<&str>, kind: Option<&str>) -> Self {
        self.device = device.filter(|device| !device.is_empty()).map(str::to_owned);
        self.in_memory = kind.is_some_and(|kind| kind == "tmpfs" || kind == "ramfs");
        self
    }

    /// Whether nobody gave it a name.
    pub fn is_anonymous(&self) -> bool {
        crate::hex_id(&self.name)
    }

    /// Bytes of its files, each counted once. `None` if they are elsewhere.
    pub fn size(&self) -> Result<Option<u64>, Error> {
        match self.data() {
            Err(Error::Elsewhere { .. }) => Ok(None),
            data => written::of(data?, &LayerDir::Upper).map(Some),
        }
    }

    /// The directory of its data. An error that names the place if they are elsewhere.
    fn data(&self) -> Result<&Root, Error> {
        let elsewhere = |place: String| Error::Elsewhere { volume: self.name.clone(), place };
        match (&self.device, &self.data) {
            (Some(_), _) if self.in_memory => Err(elsewhere("lost, because they were in memory".to_owned())),
            (Some(device), _) => Err(elsewhere(format!("at {device}"))),
            (None, Err(_)) if self.driver != "local" => {
                Err(elsewhere(format!("where its driver {} keeps them", self.driver)))
            }
            (None, data) => data.as_ref().map_err(Clone::clone),
        }
    }

    /// Its files as a tar, with an entry `./` for the directory itself; or only what is at a path in
    /// it. Bytes are compared with nothing, as nothing is recorded of them.
    ///
    /// Its length is known from names, sizes and attributes; no file is read before the tar is.
    /// With `faults`, what cannot be read is left out if they say so.
    pub fn tar(&self, within: Option<&Path>, faults: Option<&Faults>) -> Result<FilesTar, Error> {
        let data = self.data()?;
        let within = within.map(|path| self.within(data, path)).transpose()?.flatten();
        FilesTar::of_dir(data, within, faults)
    }

    /// Whether [`Volume::tar`] can begin: whether the data are here, and the path in them.
    pub fn check(&self, within: Option<&Path>) -> Result<(), Error> {
        let data = self.data()?;
        within.map_or(Ok(()), |path| self.within(data, path).map(drop))
    }

    /// A path in the volume, as the names in its tar have it; `None` for the whole volume.
    fn within(&self, data: &Root, path: &Path) -> Result<Option<Vec<u8>>, Error> {
        let clean = components(path).filter(|clean| !clean.is_empty());
        let relative = clean.as_deref().map(|clean| Path::new(OsStr::from_bytes(clean)));
        let found = match relative {
            None => components(path).is_some(),
            Some(relative) => {
                self.check_links(data, path, relative)?;
                data.exists(relative)?
            }
        };
        if !found {
            let name = format!("{} in volume {}", path.display(), self.name);
            return Err(Error::NoFile { name });
        }
        Ok(clean)
    }

    /// Refuses a path that leads through a link.
    fn check_links(&self, data: &Root, path: &Path, relative: &Path) -> Result<(), Error> {
        let mut above: Vec<&Path> = relative.ancestors().skip(1).collect();
        above.reverse();
        for prefix in above.into_iter().filter(|prefix| !prefix.as_os_str().is_empty()) {
            if data.try_link(prefix)?.is_some() {
                let name = format!("{} in volume {}", path.display(), self.name);
                return Err(Error::BehindLink { name, link: prefix.display().to_string() });
            }
        }
        Ok(())
    }
}

impl VolumeListing {
    /// The volume of this name, or the only one without a given name that begins so.
    pub fn find(&self, name: &str) -> Result<&Volume, Error> {
        if let Some(volume) = self.volumes.iter().find(|volume| volume.name == name) {
            return Ok(volume);
        }
        let begins = |volume: &&Volume| volume.is_anonymous() && volume.name.starts_with(name);
        let found: Vec<&Volume> = self.volumes.iter().filter(begins).filter(|_| !name.is_empty()).collect();
        match &*found {
            [only] => Ok(only),
            [] => {
                let near = |known: &&Volume| strsim::jaro(&known.name, name) > 0.8;
                let suggestions = self.volumes.iter().filter(near).take(5).map(|near| near.name.clone());
                Err(Error::NoVolume { name: name.to_owned(), suggestions: suggestions.collect() })
            }
            several => {
                let candidates = several.iter().map(|volume| volume.name.clone()).collect();
                Err(Error::Ambiguous { name: name.to_owned(), candidates, drivers: false })
            }
        }
    }
}
