//! Directories of layers without a record: it was lost, or an engine was killed before it wrote one, or while
//! it removed the layer.
//!
//! ```text
//! overlay2/<id>/diff               the layer
//! overlay2/<id>/{link,lower}       what is below it; see `lower`
//! ```
//!
//! BuildKit keeps its cache in the same folder, under ids of 25 letters and digits. Records of its own name
//! them; they are not read here.

use std::collections::HashSet;
use std::path::PathBuf;

use super::lower::{Chain, INIT, LINKS, Lower};
use super::{Driver, Holds};
use crate::diff::owners::Owners;
use crate::diff::{Form, LayerDir, written};
use crate::{DiffLayer, Error, Notice, Root, RootFs};

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
    /// What is odd about the records of the layers below.
    pub notices: Vec<Notice>,
    /// Why the layers below are not known.
    pub fault: Option<Error>,
    dir: Root,
    lower: Vec<Root>,
    whole: bool,
    form: Form,
    owners: Owners,
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
        self.check()?;
        let root_fs = match self.whole {
            true => RootFs::whole(self.dir.clone(), self.form),
            false => {
                let stack = std::iter::once(&self.dir).chain(&self.lower).cloned().collect();
                RootFs::stacked(stack, &self.driver, self.form).noticed(self.notices.clone())
            }
        };
        Ok(root_fs.owned(self.owners.clone()))
    }

    /// The layers that it is made of, the base first, without Docker's init layers: what the driver calls
    /// each, and its tar, computed from the directory. An error if one of them is not there.
    pub fn layers(&self) -> Result<Vec<(String, DiffLayer)>, Error> {
        self.check()?;
        let time = self.modified_secs.max(0);
        if self.whole {
            let holds = LayerDir::Full { parent: None };
            let layer = DiffLayer::new(self.dir.clone(), holds, time).in_form(self.form);
            return Ok(vec![(self.id.clone(), layer.owned(self.owners.clone()))]);
        }
        let dirs: Vec<&Root> = std::iter::once(&self.dir).chain(&self.lower).collect();
        let ids = std::iter::once(&self.id).chain(self.below.iter().flatten());
        let layer = |(at, id): (usize, &String)| {
            let stack: Vec<Root> = dirs[at..].iter().map(|dir| (*dir).clone()).collect();
            let root_fs = RootFs::stacked(stack, &self.driver, self.form);
            let layer = DiffLayer::new(dirs[at].clone(), LayerDir::Upper, time).in_form(self.form);
            (id.clone(), layer.in_root_fs(Ok(root_fs)).owned(self.owners.clone()))
        };
        // What Docker mounts over files is in an init layer, and not in images.
        let own = |(_, id): &(usize, &String)| !id.ends_with(INIT) || **id == self.id;
        let mut layers: Vec<_> = ids.enumerate().filter(own).map(layer).collect();
        layers.reverse();
        Ok(layers)
    }

    fn check(&self) -> Result<(), Error> {
        if let Some(fault) = &self.fault {
            return Err(fault.clone());
        }
        if self.below.contains(&None) {
            let of = format!("layer {}", self.id);
            let (what, id) = ("layer below", "lower".to_owned());
            return Err(Error::Missing { of, what, id, path: self.path.clone() });
        }
        Ok(())
    }
}

/// An id without the end that Docker gives the layer with files such as `/etc/hosts`, and this end.
fn split(id: &str) -> (&str, &str) {
    id.split_at(id.strip_suffix(INIT).map_or(id.len(), str::len))
}

/// The layers of a driver that are not among those that records name: those that nothing is on top of first,
/// of these the one that changed last.
pub(crate) fn find(
    driver: &Driver,
    root: &Root,
    named: &HashSet<String>,
    form: Form,
) -> Result<Vec<Orphan>, Error> {
    let ids = driver.ids(root)?;
    let mut orphans = Vec::new();
    let mut names: Option<Lower<'_>> = None;
    let of_docker = form == Form::Docker28;
    let owners = if of_docker { Owners::of_docker(root.path()) } else { Owners::default() };
    for id in ids.iter().filter(|id| *id != LINKS && !named.contains(*id)) {
        // Folders that are not layers have no such directory.
        let Ok(dir) = driver.open(root, id, &format!("layer {id}")) else { continue };
        let names = match &mut names {
            Some(names) => names,
            unread => unread.insert(Lower::read(driver, root)?),
        };
        let (chain, fault) = match names.chain(id) {
            Ok(chain) => (chain, None),
            Err(error) => (Chain::default(), Some(error)),
        };
        let (mut below, mut lower) = (Vec::new(), Vec::new());
        for id in chain.below {
            let dir = id.as_ref().and_then(|id| driver.open(root, id, &format!("layer {id}")).ok());
            below.push(id.filter(|_| dir.is_some()));
            lower.extend(dir);
        }
        orphans.push(Orphan {
            driver: driver.name.to_owned(),
            path: root.join(driver.path(id)),
            modified_secs: dir.stat()?.st_mtime,
            whole: driver.holds == Holds::Full,
            id: id.clone(),
            notices: chain.notices,
            below,
            fault,
            dir,
            lower,
            form,
            owners: owners.clone(),
        });
    }
    let under: HashSet<String> = orphans.iter().flat_map(|one| one.below.iter().flatten()).cloned().collect();
    orphans.sort_by_cached_key(|one| {
        (under.contains(&one.id), std::cmp::Reverse(one.modified_secs), one.id.clone())
    });
    Ok(orphans)
}
