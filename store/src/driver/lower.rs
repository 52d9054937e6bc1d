//! Which layers are below a layer of overlay2, as the driver itself keeps it.
//!
//! ```text
//! overlay2/<id>/link     26 letters and digits, a short name of the layer
//! overlay2/<id>/lower    the layers below, the uppermost first: "l/<short name>:l/<short name>"; no newline.
//!                        A base layer has none
//! overlay2/<id>/work     absent from a base layer of Docker; one of containers-storage has `empty`, too
//! overlay2/l/<short>     a link to ../<id>/diff
//! ```
//!
//! What `lower` says is what the `lower` of the layer right below says, with that layer in front. So one that
//! was cut is completed, and one that contradicts the others is found. A short name is that of the directory
//! that has it in `link`; where this file is lost, the link in `l` says it.

use std::collections::HashMap;
use std::path::Path;

use super::{Driver, Holds};
use crate::{Error, Notice, Root};

/// Mount options have at most a page, and all layers that an engine stacks fit in there.
const LIMIT: u64 = 1 << 16;
/// More layers than overlayfs can stack.
const DEPTH: usize = 512;
/// Ends the id of the layer below a container's own.
pub(crate) const INIT: &str = "-init";
/// The folder of short names.
pub(crate) const LINKS: &str = "l";

/// The short names of a driver's layers.
pub(crate) struct Lower<'a> {
    driver: &'a Driver,
    root: &'a Root,
    by_name: HashMap<String, String>,
}

/// The layers below a layer.
#[derive(Debug, Default)]
pub(crate) struct Chain {
    /// What the driver calls them, the uppermost first; `None` for one that is not there.
    pub(crate) below: Vec<Option<String>>,
    /// What is odd about the records.
    pub(crate) notices: Vec<Notice>,
}

impl<'a> Lower<'a> {
    /// Reads the short names.
    pub(crate) fn read(driver: &'a Driver, root: &'a Root) -> Result<Self, Error> {
        let mut lower = Lower { driver, root, by_name: HashMap::new() };
        if driver.after.is_empty() {
            return Ok(lower);
        }
        let links = Path::new(driver.before).join(LINKS);
        // Without the folder, `link` has the names.
        for name in root.try_list(&links).unwrap_or_default() {
            let target = root.try_link(links.join(&name)).ok().flatten();
            let target = target.as_deref().and_then(|target| target.to_str());
            let id = target.and_then(|target| target.strip_prefix("../")?.strip_suffix("/diff"));
            let (Some(id), Ok(name)) = (id.filter(|id| super::safe_id(id)), name.into_string()) else {
                continue;
            };
            lower.by_name.insert(name, id.to_owned());
        }
        for id in driver.ids(root)?.into_iter().filter(|id| id != LINKS) {
            let Some(name) = lower.text(&id, "link")? else { continue };
            let other = lower.by_name.get(&name).filter(|other| **other != id);
            // A copy of the directory has the same name. The link says which of them is the layer.
            let of_other = match other {
                Some(other) => lower.text(other, "link")?.as_ref() == Some(&name),
                None => false,
            };
            if !of_other {
                lower.by_name.insert(name, id);
            }
        }
        Ok(lower)
    }

    /// Adds the short names of another root: that of a store whose layers may be below those of this one.
    pub(crate) fn with_names_of(mut self, other: Lower<'_>) -> Self {
        for (name, id) in other.by_name {
            self.by_name.entry(name).or_insert(id);
        }
        self
    }

    /// The layers below `id`.
    ///
    /// # Errors
    ///
    /// If no record says it: an upper directory without the layers below would pass for everything.
    pub(crate) fn chain(&self, id: &str) -> Result<Chain, Error> {
        self.follow(id, DEPTH)
    }

    fn follow(&self, id: &str, depth: usize) -> Result<Chain, Error> {
        let path = self.file(id, "lower");
        let own = match self.text(id, "lower")? {
            Some(text) => text,
            None if self.is_base(id)? => return Ok(Chain::default()),
            None => {
                let init = format!("{id}{INIT}");
                if id.ends_with(INIT) || !self.root.exists(self.file(&init, ""))? {
                    let why = "it says which layers are below this one".to_owned();
                    return Err(Error::NotThere { path: self.root.join(path), why });
                }
                let mut chain = self.follow(&init, depth - 1)?;
                chain.below.insert(0, Some(init));
                chain.notices.push(self.notice(id, "it is missing or empty; that of the init layer is used"));
                return Ok(chain);
            }
        };
        let named = own.split(':').map(|name| name.rsplit('/').next().unwrap_or(name));
        let own: Vec<Option<String>> = named.map(|name| self.by_name.get(name).cloned()).collect();
        let Some(Some(first)) = own.first() else { return Ok(Chain { below: own, notices: Vec::new() }) };
        if own.iter().flatten().any(|below| below == id) || depth == 0 {
            return Err(Error::malformed(self.root.join(path), "it names the layer that it is of"));
        }
        // Whether the one below can be followed is of no matter while this record is whole.
        let Ok(rest) = self.follow(first, depth - 1) else {
            return Ok(Chain { below: own, notices: Vec::new() });
        };
        let mut all = vec![Some(first.clone())];
        all.extend(rest.below);
        let agree = own.iter().zip(&all).all(|(one, other)| one == other || one.is_none() || other.is_none());
        let known = |chain: &[Option<String>]| chain.iter().flatten().count();
        if !agree {
            let why = format!("it contradicts that of {first}, which is below");
            return Err(Error::malformed(self.root.join(path), why));
        }
        if all.len() >= own.len() && known(&all) > known(&own) {
            let mut notices = rest.notices;
            notices.push(self.notice(id, &format!("it is cut; that of {first} has the rest")));
            return Ok(Chain { below: all, notices });
        }
        Ok(Chain { below: own, notices: Vec::new() })
    }

    /// Whether nothing is below a layer that has no `lower`.
    fn is_base(&self, id: &str) -> Result<bool, Error> {
        let has = |file: &str| self.root.exists(self.file(id, file));
        Ok(self.driver.holds == Holds::Full || !has("work")? || has("empty")?)
    }

    fn file(&self, id: &str, file: &str) -> String {
        format!("{}{id}/{file}", self.driver.before)
    }

    fn notice(&self, id: &str, what: &str) -> Notice {
        Notice::new(self.root.join(self.file(id, "lower")), what)
    }

    /// A small file beside the directory of a layer; `None` if nothing is in it. With drivers whose layer is
    /// the folder of the id itself, a file of this name belongs to the layer.
    fn text(&self, id: &str, file: &str) -> Result<Option<String>, Error> {
        if self.driver.after.is_empty() {
            return Ok(None);
        }
        match self.root.try_read(self.file(id, file), LIMIT) {
            Ok(bytes) => {
                let text = bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
                let clean =
                    |text: String| text.trim_matches(|c: char| c == '\0' || c.is_whitespace()).to_owned();
                Ok(text.map(clean).filter(|text| !text.is_empty()))
            }
            // A file beside the layers, for example, has none.
            Err(error) if error.is_io_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }
}
