//! The root file system that a stack of directories makes, as overlayfs and aufs show it.
//!
//! ```text
//! uppermost   etc/          a directory that several layers have: its entries are those of all of them,
//!             etc/passwd    and the uppermost one that has a name decides what it is
//!             etc/old       a mark (see `upper`): nothing below it is there
//! …           opt/          opaque: what the layers below have in it is not there
//! lowest      etc/  opt/  etc/passwd  etc/old
//! ```
//!
//! With `redirect_dir`, a directory that was renamed has the attribute `overlay.redirect`: what it is called
//! in the layers below, a name or a path from the root. With `metacopy`, a file that was only given another
//! mode or owner has no contents; they are in the layers below, under the same name or the one in
//! `overlay.redirect`. (`Documentation/filesystems/overlayfs.rst`, Linux 6.18.)
//!
//! Memory holds a record for each entry.

use std::collections::HashMap;

use rustix::fs::Stat;

use super::against::{Against, New};
use super::attributes::Attributes;
use super::changes;
use super::faults::{Faults, or_changed, or_left_out};
use super::places::Places;
use super::records::{Id, Kind, Metadata, Place, ROOT, Records, removes};
use super::sight::Sight;
use super::upper::{self, At, Marks};
use super::walk::DirNames;
use crate::{Error, Root};

/// The most lookups of renamed directories: far more than a real root file system needs. One that was made to
/// take forever is an error.
const LOOKUPS: usize = 1 << 20;
/// The kernel's limit is 256.
const LONGEST_REDIRECT: usize = 4096;

/// A directory in a layer.
#[derive(Debug, Clone, Copy)]
struct Part {
    layer: u16,
    /// A record that has its path there.
    at: Id,
}

/// What the layers make of a name.
struct Merged {
    metadata: Metadata,
    layer: u16,
    /// The directory that has it.
    dir: Id,
    /// Of a directory: what it is made of, the uppermost first. `None` for the path of its own record.
    parts: Vec<(u16, Option<Id>)>,
    contents: Option<Place>,
}

struct Dir {
    id: Id,
    parts: Vec<Part>,
    /// In a comparison, the directory of that name in the other tree.
    old: Option<Id>,
}

/// What is pushed for a name.
enum Pushed {
    /// What the layers make of it, whether it is written, and what the other tree has under that name.
    Entry(Merged, bool, Option<Id>),
    Whiteout,
}

/// Reads a stack of directories, the uppermost first, as one tree. With `named`, names that begin with `.wh.`
/// mean deletions.
pub(super) fn read(
    stack: &[Root],
    named: bool,
    faults: Option<&Faults>,
    sight: &Sight,
) -> Result<Records, Error> {
    walk(stack, named, None, (faults, sight))
}

/// What the uppermost directory makes of the tree that the others are: as `changes::compare` does it for
/// whole trees. `contents` are compared where times say nothing; then files with several names are written as
/// containerd writes them.
pub(super) fn compare(
    stack: &[Root],
    named: bool,
    contents: bool,
    faults: Option<&Faults>,
    sight: &Sight,
) -> Result<Records, Error> {
    let below = stack.get(1..).unwrap_or_default();
    let old = read(below, named, faults, sight)?;
    walk(stack, named, Some(Against::new(below, &old, contents)), (faults, sight))
}

fn walk(
    stack: &[Root],
    named: bool,
    against: Option<Against<'_>>,
    (faults, sight): (Option<&Faults>, &Sight),
) -> Result<Records, Error> {
    let Some(top) = stack.first() else { return Ok(Records::new(Metadata::default())) };
    for root in stack {
        sight.begin(root, &root.stat()?)?;
    }
    let layers = u16::try_from(stack.len()).map_err(|_| {
        let why = format!("it is a stack of {} layers, more than any kernel mounts", stack.len());
        Error::malformed(top.path(), why)
    })?;
    let records = Records::new(Metadata::new(&top.stat()?));
    let attributes = Attributes::default();
    let (places, paths) = (Places::new(stack), HashMap::new());
    let linked = Vec::new();
    let lookups = 0;
    let union = Union { records, named, layers, places, attributes, lookups, paths, linked, faults, sight };
    union.run(against)
}

struct Union<'a> {
    records: Records,
    named: bool,
    layers: u16,
    places: Places<'a>,
    attributes: Attributes,
    lookups: usize,
    /// Records of paths that a layer has and the merged tree lacks, by directory and name.
    paths: HashMap<(Id, Vec<u8>), Id>,
    /// In a comparison, the files with several names.
    linked: Vec<Id>,
    faults: Option<&'a Faults>,
    sight: &'a Sight,
}

impl Union<'_> {
    fn run(mut self, mut against: Option<Against<'_>>) -> Result<Records, Error> {
        let mut listing = DirNames::default();
        let mut todo = vec![Dir { id: ROOT, parts: self.roots(0), old: Some(ROOT) }];
        while let Some(dir) = todo.pop() {
            // If one part cannot be listed, it is not known what it hides of the others.
            let listed = self.list(&dir, &mut listing);
            let Some(mut found) = or_left_out(listed, self.faults)? else {
                self.push(&dir, Vec::new(), &mut todo);
                continue;
            };
            // For each name, the uppermost part comes first; what a part has comes before what it hides.
            found.sort_unstable();
            let mut merged = Vec::new();
            for group in found.chunk_by(|a, b| a.name == b.name) {
                let seen = group.iter().take_while(|found| !found.hides);
                let parts: Vec<Part> = seen.map(|found| dir.parts[found.part]).collect();
                let below = group.first().map_or(dir.parts.len(), |first| first.part + 1);
                let here = self.merge(Some(dir.id), &group[0].name, &parts, &dir.parts[below..]);
                // What cannot be read stays in the list: it is not deleted.
                let here = or_left_out(here, self.faults)?;
                if !matches!(here, Some(None)) {
                    merged.push((group[0].name.clone(), here.flatten()));
                }
            }
            let entry =
                |(name, here): (Vec<u8>, Option<Merged>)| Some((name, Pushed::Entry(here?, true, None)));
            let entries = match &mut against {
                None => merged.into_iter().filter_map(entry).collect(),
                Some(against) => self.changed(&dir, merged, against)?,
            };
            self.push(&dir, entries, &mut todo);
        }
        if let Some(against) = against {
            if against.contents {
                self.write_links();
            }
            self.records.write_ancestors();
        }
        Ok(self.records)
    }

    /// Adds the records of a directory, and what is to be walked below it.
    fn push(&mut self, dir: &Dir, entries: Vec<(Vec<u8>, Pushed)>, todo: &mut Vec<Dir>) {
        let first = self.records.next();
        let known = todo.len();
        for (name, pushed) in entries {
            let Pushed::Entry(Merged { metadata, layer, dir: place, parts, contents }, written, old) = pushed
            else {
                self.records.push(dir.id, &name, Kind::Whiteout, Metadata::default(), true);
                continue;
            };
            let id = self.records.push(dir.id, &name, Kind::Present, metadata, written);
            self.records.put_in(id, layer, place);
            if let Some(contents) = contents {
                self.records.put_contents(id, contents);
            }
            if !metadata.is_dir() {
                if metadata.linked {
                    self.linked.push(id);
                }
                continue;
            }
            // If all of it comes from the layers below, nothing has changed.
            let same = old.is_some() && parts.iter().all(|(layer, path)| *layer > 0 && path.is_none());
            if !same {
                let part = |(layer, at): (u16, Option<Id>)| Part { layer, at: at.unwrap_or(id) };
                todo.push(Dir { id, parts: parts.into_iter().map(part).collect(), old });
            }
        }
        self.records.close(dir.id, first);
        todo[known..].reverse();
    }

    /// What a directory has and the other tree lacks, and the other way round. Files that are the same stay
    /// if they have several names. Of a name without anything, it is not known what it is.
    fn changed(
        &mut self,
        dir: &Dir,
        merged: Vec<(Vec<u8>, Option<Merged>)>,
        against: &mut Against<'_>,
    ) -> Result<Vec<(Vec<u8>, Pushed)>, Error> {
        let old = against.old;
        let mut left = dir.old.map_or(0..0, |id| old.children(id)).peekable();
        let mut entries = Vec::new();
        for (name, here) in merged {
            while let Some(id) = left.next_if(|id| old.name(*id) < &*name) {
                entries.push((old.name(id).to_vec(), Pushed::Whiteout));
            }
            let same = left.next_if(|id| old.name(*id) == name);
            let Some(here) = here else { continue };
            let written = match same {
                None => true,
                Some(same) => {
                    let place = Place { layer: here.layer, dir: here.dir, name: name.clone() };
                    let (records, metadata) = (&self.records, here.metadata);
                    let new = New { records, metadata, place, contents: here.contents.as_ref() };
                    let differs = against.differs(&new, &mut self.places, same);
                    or_changed(differs, self.faults)?
                }
            };
            // containerd writes such names, and reads them as deletions.
            if written && !against.contents && removes(&name) {
                let path = self.records.join(self.places.root(here.layer), here.dir, &name);
                return Err(changes::unrepresentable(path));
            }
            let same = same.filter(|id| old.metadata(*id).is_dir());
            if written || here.metadata.is_dir() || here.metadata.linked {
                entries.push((name, Pushed::Entry(here, written, same)));
            }
        }
        entries.extend(left.map(|id| (old.name(id).to_vec(), Pushed::Whiteout)));
        Ok(entries)
    }

    /// Files with several names, in the order of a walk.
    fn write_links(&mut self) {
        let mut paths: Vec<(Vec<Vec<u8>>, Id)> = Vec::new();
        for &id in &self.linked {
            let path = self.records.path(id);
            paths.push((path.split(|byte| *byte == b'/').map(<[u8]>::to_vec).collect(), id));
        }
        paths.sort_unstable();
        let ids: Vec<Id> = paths.into_iter().map(|(_, id)| id).collect();
        self.records.write_links(&ids);
    }

    /// The roots of the layers from this one on.
    fn roots(&self, layer: u16) -> Vec<Part> {
        (layer..self.layers).map(|layer| Part { layer, at: ROOT }).collect()
    }

    /// The names in all parts of a directory.
    fn list(&mut self, dir: &Dir, listing: &mut DirNames) -> Result<Vec<Found>, Error> {
        let mut all = Vec::new();
        let single = dir.parts.len() == 1;
        for (part, Part { layer, at }) in dir.parts.iter().copied().enumerate() {
            self.places.cursor(layer).list(&self.records, at, listing)?;
            let mut opaque = false;
            for name in listing.iter().map(|name| name.bytes) {
                let hidden = name.strip_prefix(b".wh.").filter(|hidden| self.named && !hidden.is_empty());
                // The names of aufs's own files begin like that of the mark.
                let is_mark = name == upper::OPAQUE && hidden.is_some();
                opaque |= is_mark;
                if is_mark || hidden.is_some() && dir.id == ROOT && name.starts_with(upper::METADATA) {
                    continue;
                }
                let found = match hidden {
                    Some(_) if single => continue,
                    Some(hidden) => Found { name: hidden.to_vec(), part, hides: true },
                    None => Found { name: name.to_vec(), part, hides: false },
                };
                all.push(found);
            }
            if opaque {
                break;
            }
        }
        Ok(all)
    }

    /// What the layers make of a name that is in these `parts` of a directory. `below` are all parts of the
    /// directory below the first of them. `own` is the directory, if it is one of the merged tree.
    fn merge(
        &mut self,
        own: Option<Id>,
        name: &[u8],
        parts: &[Part],
        below: &[Part],
    ) -> Result<Option<Merged>, Error> {
        let mut merged: Option<Merged> = None;
        for part in parts {
            let Some(stat) = self.try_stat(*part, name)? else { continue };
            let metadata = Metadata::new(&stat);
            let cursor = self.places.cursor(part.layer);
            self.sight.entry(&metadata);
            let at = At { records: &self.records, dir: part.at, name };
            let marks = upper::marks(cursor, &mut self.attributes, at, &metadata, self.sight)?;
            if marks.whiteout {
                break;
            }
            let is_dir = metadata.is_dir();
            if merged.as_ref().is_some_and(|_| !is_dir) {
                break;
            }
            let path = match own {
                Some(own) if own == part.at => None,
                _ if is_dir => Some(self.path(part.at, name)),
                _ => None,
            };
            let entry = merged.get_or_insert_with(|| Merged {
                metadata,
                layer: part.layer,
                dir: part.at,
                parts: Vec::new(),
                contents: None,
            });
            if !is_dir {
                if marks.metacopy {
                    entry.contents = Some(self.contents(*part, name, marks, below)?);
                }
                break;
            }
            entry.parts.push((part.layer, path));
            if marks.opaque {
                break;
            }
            if marks.redirect {
                if let Some((_, merged)) = self.moved(*part, name, below)? {
                    entry.parts.extend(merged.parts);
                }
                break;
            }
        }
        Ok(merged)
    }

    /// Where the contents are of a file that has only metadata in this part.
    fn contents(&mut self, part: Part, name: &[u8], marks: Marks, below: &[Part]) -> Result<Place, Error> {
        let found = match marks.redirect {
            true => self.moved(part, name, below)?,
            false => {
                let below = after(below, part.layer);
                self.merge(None, name, below, below)?.map(|merged| (name.to_vec(), merged))
            }
        };
        match found {
            Some((name, merged)) if !merged.metadata.is_dir() => {
                let own = Place { layer: merged.layer, dir: merged.dir, name };
                Ok(merged.contents.unwrap_or(own))
            }
            _ => {
                let path = self.records.join(self.places.root(part.layer), part.at, name);
                Err(Error::malformed(path, "its contents are in no layer below (overlay.metacopy)"))
            }
        }
    }

    /// What layers below have under the name that a renamed entry had; and the last part of that name.
    fn moved(&mut self, part: Part, name: &[u8], below: &[Part]) -> Result<Option<(Vec<u8>, Merged)>, Error> {
        let root = self.places.root(part.layer);
        let dir = self.places.cursor(part.layer).dir(&self.records, part.at)?;
        let old = upper::redirect(&mut self.attributes, dir, name).map_err(|errno| {
            super::walk::error("read attributes of", root, &self.records, part.at, name, errno)
        })?;
        let (is_path, old) = match old.strip_prefix(b"/") {
            Some(path) => (true, path),
            None => (false, &old[..]),
        };
        let names: Vec<&[u8]> = old.split(|byte| *byte == b'/').collect();
        let odd = |name: &&[u8]| [&b""[..], b".", b".."].contains(name) || name.contains(&0);
        self.lookups += names.len();
        if names.iter().any(odd)
            || !is_path && names.len() > 1
            || old.len() > LONGEST_REDIRECT
            || self.lookups > LOOKUPS
        {
            let path = self.records.join(root, part.at, name);
            return Err(Error::malformed(path, "overlay.redirect leads nowhere that overlayfs would go"));
        }
        let mut parts = match is_path {
            true => self.roots(part.layer + 1),
            false => after(below, part.layer).to_vec(),
        };
        let mut found = None;
        for name in names {
            let Some(merged) = self.merge(None, name, &parts, &parts)? else { return Ok(None) };
            let part = |(layer, at): &(u16, Option<Id>)| Part { layer: *layer, at: at.unwrap_or(ROOT) };
            parts = merged.parts.iter().map(part).collect();
            found = Some((name.to_vec(), merged));
        }
        Ok(found)
    }

    fn try_stat(&mut self, part: Part, name: &[u8]) -> Result<Option<Stat>, Error> {
        match self.places.cursor(part.layer).stat(&self.records, part.at, name) {
            Err(error) if error.is_io_not_found() => Ok(None),
            found => found.map(Some),
        }
    }

    /// A record of a path in a layer that is not one of the merged tree.
    fn path(&mut self, dir: Id, name: &[u8]) -> Id {
        let Union { records, paths, .. } = self;
        *paths.entry((dir, name.to_vec())).or_insert_with(|| {
            records.push(dir, name, Kind::Present, Metadata { mode: 0o40000, ..Metadata::default() }, false)
        })
    }
}

/// The parts that lie below a layer.
fn after(parts: &[Part], layer: u16) -> &[Part] {
    &parts[parts.partition_point(|part| part.layer <= layer)..]
}

/// A name in a part of a directory.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Found {
    name: Vec<u8>,
    part: usize,
    /// Whether it is a mark that hides what the parts below have.
    hides: bool,
}
