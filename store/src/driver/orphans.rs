//! Directories of layers without a record: it was lost, or an engine was killed before it wrote one, or while
//! it removed the layer.
//!
//! ```text
//! overlay2/<id>/diff     the layer
//! overlay2/<id>/link     a short name of it: 26 letters and digits
//! overlay2/<id>/lower    the layers below, the uppermost first: "l/<short name>:l/<short name>"; no newline
//! overlay2/l/<short>     a link to it, which is not needed here
//! ```
//!
//! BuildKit keeps its cache in the same folder, under ids of 25 letters and digits. Records of its own name
//! them; they are not read here.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use super::{Driver, Holds};
use crate::diff::{Form, LayerDir, written};
use crate::{Error, Root, RootFs};

/// Mount options have at most a page, and all layers that an engine stacks fit in there.
const LIMIT: u64 = 1 << 16;
/// Ends the id of the layer below a container's own.
const INIT: &str = "-init";
/// The folder of short names.
const LINKS: &str = "l";

/// A directory of a layer that no image and no container refers to.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Orphan {
    /// The graph driver.
    pub driver: String,
    /// What the driver calls it.
    pub id: String,
    /// Where it is.
    pub path: PathBuf,
    /// When its uppermost directory last changed, in seconds since 1970.
    pub modified_secs: i64,
    /// What the driver calls the layers below, the uppermost first; `None` for one that is not there. Empty
    /// for a base layer, for a driver whose directories have everything, and for aufs.
    pub below: Vec<Option<String>>,
    dir: Root,
    lower: Vec<Root>,
    whole: bool,
    form: Form,
}

impl Orphan {
    /// Its id without most of the digits: for a container of Docker, `4f1c9a2b8d7e` and `4f1c9a2b8d7e-init`.
    pub fn short_id(&self) -> String {
        let (digits, end) = split(&self.id);
        format!("{}{end}", digits.get(..12).unwrap_or(digits))
    }

    /// Whether an id, or the beginning of one, means this layer. That of a container's own layer does not
    /// mean the one below it, whose id only adds `-init`.
    pub fn is_meant(&self, id: &str) -> bool {
        let ((digits, end), (asked, asked_end)) = (split(&self.id), split(id));
        digits.starts_with(asked) && end == asked_end
    }

    /// Whether BuildKit made it: a part of its cache, most likely.
    pub fn is_of_buildkit(&self) -> bool {
        self.id.len() == 25
    }

    /// Bytes of its files, each counted once; without those of the layers below.
    pub fn size(&self) -> Result<u64, Error> {
        written::of(&self.dir, &LayerDir::Upper)
    }

    /// The root file system that it makes with the layers below. An error if one of them is not there.
    pub fn root_fs(&self) -> Result<RootFs, Error> {
        if self.below.contains(&None) {
            let of = format!("layer {}", self.id);
            let (what, id) = ("layer below", "lower".to_owned());
            return Err(Error::Missing { of, what, id, path: self.path.clone() });
        }
        Ok(match self.whole {
            true => RootFs::whole(self.dir.clone(), self.form),
            false => {
                let stack = std::iter::once(&self.dir).chain(&self.lower).cloned().collect();
                RootFs::stacked(stack, &self.driver, self.form)
            }
        })
    }
}

/// An id without the end that Docker gives the layer with files such as `/etc/hosts`, and this end.
fn split(id: &str) -> (&str, &str) {
    id.split_at(id.strip_suffix(INIT).map_or(id.len(), str::len))
}

/// The layers of a driver that are not among those that records name, the one that changed last first.
pub(crate) fn find(
    driver: &Driver,
    root: &Root,
    named: &HashSet<String>,
    form: Form,
) -> Result<Vec<Orphan>, Error> {
    let ids = driver.ids(root)?;
    let mut orphans = Vec::new();
    let mut links: Option<HashMap<String, &String>> = None;
    for id in ids.iter().filter(|id| *id != LINKS && !named.contains(*id)) {
        // Folders that are not layers have no such directory.
        let Ok(dir) = driver.open(root, id, &format!("layer {id}")) else { continue };
        let (mut below, mut lower) = (Vec::new(), Vec::new());
        if let Some(names) = text(driver, root, id, "lower")? {
            if links.is_none() {
                let mut found = HashMap::new();
                for id in &ids {
                    found.extend(text(driver, root, id, "link")?.map(|link| (link, id)));
                }
                links = Some(found);
            }
            for name in names.split(':').filter(|name| !name.is_empty()) {
                let link = name.rsplit('/').next().unwrap_or(name);
                let id = links.as_ref().and_then(|links| links.get(link)).copied();
                let dir = id.and_then(|id| driver.open(root, id, &format!("layer {id}")).ok());
                below.push(id.filter(|_| dir.is_some()).cloned());
                lower.extend(dir);
            }
        }
        orphans.push(Orphan {
            driver: driver.name.to_owned(),
            path: root.join(driver.path(id)),
            modified_secs: dir.stat()?.st_mtime,
            whole: driver.holds == Holds::Full,
            id: id.clone(),
            below,
            dir,
            lower,
            form,
        });
    }
    orphans.sort_by(|a, b| b.modified_secs.cmp(&a.modified_secs).then_with(|| a.id.cmp(&b.id)));
    Ok(orphans)
}

/// A small file beside the directory of a layer. With drivers whose layer is the folder of the id itself, a
/// file of this name belongs to the layer.
fn text(driver: &Driver, root: &Root, id: &str, file: &str) -> Result<Option<String>, Error> {
    if driver.after.is_empty() {
        return Ok(None);
    }
    let bytes = root.try_read(format!("{}{id}/{file}", driver.before), LIMIT);
    match bytes {
        Ok(bytes) => Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned())),
        // A file beside the layers, for example, has none.
        Err(error) if error.is_io_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}
