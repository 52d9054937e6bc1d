//! `image/<driver>/layerdb`: the layers of all images. Each is named by its chain id, the digest of the stack
//! of layers that it tops.
//!
//! ```text
//! layerdb/sha256/<chain id>/
//!   diff                 "sha256:<diff id>", the digest of the layer's tar
//!   parent               "sha256:<chain id>" of the stack below; none for a base layer
//!   cache-id             what the driver calls the layer
//!   size                 bytes of its files in decimal
//!   tar-split.json.gz    see `tarsplit`
//! ```
//!
//! The small files have no newline at the end. Docker ignores white space in them, and so does this module.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::driver::lower::INIT;
use crate::{ChainId, DiffId, Error, Notice, Root, driver};

/// Largest size of a file other than tar-split's. The longest that Docker writes has 71 bytes.
const LIMIT: u64 = 1 << 20;

/// The layers of one driver.
#[derive(Clone)]
pub(super) struct LayerDb {
    /// The image root.
    images: Root,
    dir: Root,
}

/// The record of a layer.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) diff_id: DiffId,
    pub(super) parent: Option<ChainId>,
}

impl LayerDb {
    /// Opens the layers of an image root.
    pub(super) fn open(images: &Root) -> Result<Self, Error> {
        Ok(LayerDb { images: images.clone(), dir: images.dir("layerdb/sha256")? })
    }

    /// Reads the record of a layer, and verifies it: the chain id follows from parent and diff id. So parents
    /// cannot form a circle, in which a chain id would be hashed from itself.
    pub(super) fn record(&self, chain: ChainId) -> Result<Record, Error> {
        let record = self.read(chain)?;
        let found = ChainId::new(record.parent, record.diff_id);
        if found != chain {
            let why = format!("the chain id of its diff and parent is {found}");
            return Err(Error::damaged(self.dir.join(chain.0.hex()), why));
        }
        Ok(record)
    }

    /// Whether there is anything of the record of a layer.
    pub(super) fn has(&self, chain: ChainId) -> Result<bool, Error> {
        self.dir.exists(chain.0.hex())
    }

    /// Compares the record of a layer with the config of an image. Both files only repeat what the config and
    /// the folder's name, the chain id, prove; if one of them is lost, that is odd and no more.
    pub(super) fn check(
        &self,
        chain: ChainId,
        parent: Option<ChainId>,
        diff_id: DiffId,
    ) -> Result<Option<Notice>, Error> {
        const PROVEN: &str = "the image's config proves what it should say";
        if self.dir.try_dir(chain.0.hex())?.is_none() {
            return Err(self.missing(chain, "diff"));
        }
        let notice =
            |file, why| Ok(Some(Notice::new(self.dir.join(path(chain, file)), format!("{why}; {PROVEN}"))));
        let record = match self.read(chain) {
            Ok(record) => record,
            Err(Error::Missing { id, .. }) if id == "parent" => {
                return notice("parent", "it is missing".into());
            }
            Err(Error::Missing { .. }) => return notice("diff", "it is missing".into()),
            Err(Error::Malformed { path, why }) => {
                return Ok(Some(Notice::new(path, format!("{why}; {PROVEN}"))));
            }
            Err(error) => return Err(error),
        };
        if record.diff_id != diff_id {
            return notice("diff", format!("it is {}, not {diff_id}", record.diff_id));
        }
        match (record.parent, parent) {
            (found, expected) if found == expected => Ok(None),
            (None, _) => notice("parent", "it is missing".into()),
            (Some(found), None) => notice("parent", format!("it is {found}, but this is a base layer")),
            (Some(found), Some(expected)) => notice("parent", format!("it is {found}, not {expected}")),
        }
    }

    /// What all layers and containers are called by the driver, as far as that can be read.
    pub(super) fn cache_ids(&self) -> Result<HashSet<String>, Error> {
        self.cache_ids_without(None)
    }

    /// The same without one of the containers.
    pub(super) fn cache_ids_without(&self, without: Option<&str>) -> Result<HashSet<String>, Error> {
        let mut ids: HashSet<String> = self.by_cache_id()?.into_keys().collect();
        let Some(mounts) = self.images.try_dir("layerdb/mounts")? else { return Ok(ids) };
        for container in
            mounts.list(".")?.into_iter().filter(|id| without.is_none_or(|without| id != without))
        {
            for file in ["mount-id", "init-id"] {
                let id = mounts.try_read(Path::new(&container).join(file), LIMIT).ok().flatten();
                let Some(id) = id.and_then(|id| String::from_utf8(id).ok()) else { continue };
                // Each of the two follows from the other.
                let mount = id.trim().trim_end_matches(INIT);
                ids.extend([mount.to_owned(), format!("{mount}{INIT}")]);
            }
        }
        Ok(ids)
    }

    /// Layers by what the driver calls them, as far as that can be read.
    pub(super) fn by_cache_id(&self) -> Result<HashMap<String, ChainId>, Error> {
        let mut found = HashMap::new();
        for chain in self.dir.list(".")? {
            let chain = chain.to_str().and_then(layerlift_archive::Digest::from_hex).map(ChainId);
            found.extend(chain.and_then(|chain| Some((self.cache_id(chain).ok()?, chain))));
        }
        Ok(found)
    }

    /// The path of the record of a layer.
    pub(super) fn folder(&self, chain: ChainId) -> PathBuf {
        self.dir.join(chain.0.hex())
    }

    /// The path of a file of a layer.
    pub(super) fn path(&self, chain: ChainId, file: &str) -> PathBuf {
        self.dir.join(path(chain, file))
    }

    fn read(&self, chain: ChainId) -> Result<Record, Error> {
        let diff_id = self.parse(chain, "diff", &self.required(chain, "diff")?)?;
        let parent = match self.text(chain, "parent")? {
            Some(text) => Some(self.parse(chain, "parent", &text)?),
            None => None,
        };
        Ok(Record { diff_id, parent })
    }

    /// The driver's id of a layer. Safe as a component of a path.
    pub(super) fn cache_id(&self, chain: ChainId) -> Result<String, Error> {
        let id = self.required(chain, "cache-id")?;
        if driver::safe_id(&id) {
            Ok(id)
        } else {
            let why = match id.trim_matches('\0') {
                "" if id.is_empty() => "it is empty".to_owned(),
                "" => "it has only zero bytes".to_owned(),
                _ => format!("{id:?} cannot be the name of a layer's directory"),
            };
            Err(Error::malformed(self.dir.join(path(chain, "cache-id")), why))
        }
    }

    /// The size of a layer as Docker counts it: the bytes of its files, not of its tar.
    pub(super) fn size(&self, chain: ChainId) -> Result<u64, Error> {
        self.parse(chain, "size", &self.required(chain, "size")?)
    }

    /// The tar-split metadata of a layer, if it has any, and their path.
    pub(super) fn tar_split(&self, chain: ChainId) -> Result<Option<(File, PathBuf)>, Error> {
        let file = path(chain, "tar-split.json.gz");
        Ok(self.dir.try_open_file(&file)?.map(|open| (open, self.dir.join(file))))
    }

    /// Fails if the layer was removed or replaced since `cache_id` was read, or if it has got, or lost, its
    /// tar-split metadata. A daemon that removes a layer renames its record before it removes the files.
    pub(super) fn still(&self, chain: ChainId, cache_id: &str, has_tar_split: bool) -> Result<(), Error> {
        let same = self.text(chain, "cache-id")?.as_deref() == Some(cache_id)
            && self.dir.exists(path(chain, "tar-split.json.gz"))? == has_tar_split;
        if same { Ok(()) } else { Err(Error::Changed { path: self.dir.join(chain.0.hex()) }) }
    }

    fn text(&self, chain: ChainId, file: &str) -> Result<Option<String>, Error> {
        let file = path(chain, file);
        let Some(bytes) = self.dir.try_read(&file, LIMIT)? else { return Ok(None) };
        match std::str::from_utf8(&bytes) {
            Ok(text) => Ok(Some(text.trim().to_owned())),
            Err(_) => Err(Error::malformed(self.dir.join(file), "it is not text")),
        }
    }

    fn required(&self, chain: ChainId, file: &'static str) -> Result<String, Error> {
        self.text(chain, file)?.ok_or_else(|| self.missing(chain, file))
    }

    fn missing(&self, chain: ChainId, file: &'static str) -> Error {
        let of = format!("layer {}", chain.0.hex());
        Error::Missing { of, what: "file", id: file.to_owned(), path: self.dir.join(path(chain, file)) }
    }

    fn parse<T: FromStr<Err: ToString>>(&self, chain: ChainId, file: &str, text: &str) -> Result<T, Error> {
        text.parse().map_err(|error: T::Err| {
            let why = match text.trim_matches('\0') {
                "" if text.is_empty() => "it is empty".to_owned(),
                "" => "it has only zero bytes".to_owned(),
                _ => error.to_string(),
            };
            Error::malformed(self.dir.join(path(chain, file)), why)
        })
    }
}

fn path(chain: ChainId, file: &str) -> String {
    format!("{}/{file}", chain.0.hex())
}
