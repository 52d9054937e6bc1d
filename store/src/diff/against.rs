//! Which entries of one merged tree differ from those of another, by the rules of `changes`.

use super::attributes::{Attributes, CAPABILITY};
use super::changes::{self, Content};
use super::places::Places;
use super::records::{Id, Metadata, Place, Records};
use super::walk;
use crate::{Error, Root};

/// The tree that another one is compared with.
pub(super) struct Against<'a> {
    pub(super) old: &'a Records,
    places: Places<'a>,
    attributes: Attributes,
    /// Whether contents decide where times say nothing.
    pub(super) contents: bool,
}

/// An entry, and where its contents are.
pub(super) struct New<'r> {
    pub(super) records: &'r Records,
    pub(super) metadata: Metadata,
    pub(super) place: Place,
    pub(super) contents: Option<&'r Place>,
}

impl<'a> Against<'a> {
    pub(super) fn new(roots: &'a [Root], old: &'a Records, contents: bool) -> Self {
        Against { old, places: Places::new(roots), attributes: Attributes::default(), contents }
    }

    /// Whether an entry has changed.
    pub(super) fn differs(&mut self, new: &New<'_>, places: &mut Places<'_>, old: Id) -> Result<bool, Error> {
        let before = self.old.metadata(old);
        // One inode is one file, whatever name it had.
        if (new.metadata.dev, new.metadata.ino) == (before.dev, before.ino) && !before.is_dir() {
            return Ok(false);
        }
        if changes::differ(&new.metadata, &before, self.contents) {
            return Ok(true);
        }
        let (layer, dir) = self.old.place(old);
        let place = Place { layer, dir, name: self.old.name(old).to_vec() };
        let now = capability(&mut self.attributes, places, new.records, &new.place)?;
        if now != capability(&mut self.attributes, &mut self.places, self.old, &place)? {
            return Ok(true);
        }
        if before.is_dir() || !self.contents || !changes::whole_seconds(&new.metadata, &before) {
            return Ok(false);
        }
        let now = content(places, new.records, new.contents.unwrap_or(&new.place))?;
        let (layer, dir, name) = self.old.contents(old);
        let place = Place { layer, dir, name: name.to_vec() };
        let before = content(&mut self.places, self.old, &place)?;
        let path = || new.records.join(places.root(new.place.layer), new.place.dir, &new.place.name);
        now.differs(before).map_err(|source| Error::io("read", path(), source))
    }
}

fn capability(
    attributes: &mut Attributes,
    places: &mut Places<'_>,
    records: &Records,
    place: &Place,
) -> Result<Option<Vec<u8>>, Error> {
    let root = places.root(place.layer);
    let dir = places.cursor(place.layer).dir(records, place.dir)?;
    let value = attributes.value(dir, &place.name, CAPABILITY);
    let value = value.map(|value| value.map(<[u8]>::to_vec));
    let failed = |errno| walk::error("read attributes of", root, records, place.dir, &place.name, errno);
    value.map_err(failed)
}

fn content(places: &mut Places<'_>, records: &Records, place: &Place) -> Result<Content, Error> {
    changes::content(places.cursor(place.layer), records, place.dir, &place.name)
}
