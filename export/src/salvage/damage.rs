//! The damaged files of a layer, and what can be done about each.

use std::collections::{BTreeMap, HashMap, HashSet};

use layerlift_store::{ErrorKind, Found, LayerKey, Part, RecordedFile, Root, SplitLayer};

use super::header;
use super::reach::Reach;
use super::report::{FileBytes, FileResult, FoundBytes, SalvagedFile};
use crate::Error;

/// The damaged members of a layer's tar, by their places in it.
pub(super) type Damages = BTreeMap<usize, Damage>;

/// A damaged file, and what is done about it.
pub(super) struct Damage {
    pub(super) file: RecordedFile,
    found: FoundBytes,
    pub(super) fix: Fix,
}

/// What stands for a damaged file.
pub(super) enum Fix {
    /// The recorded bytes: this file in this tree.
    From { tree: Root, file: RecordedFile, of: String },
    /// What is there now: so many bytes.
    Kept(u64),
    /// Nothing.
    LeftOut,
}

/// Compares every file of a layer with its record, and finds what can be done about those that differ.
pub(super) fn find(layer: &SplitLayer, key: &LayerKey, reach: &Reach<'_>) -> Result<Damages, Error> {
    let mut damages = Damages::new();
    let mut links: HashMap<Vec<u8>, Vec<Vec<u8>>> = HashMap::new();
    for (place, part) in layer.parts().enumerate() {
        let Part::Member { headers, file, .. } = part? else { break };
        if let Some(target) = header::hard_link(&headers) {
            links.entry(plain(&target).to_vec()).or_default().push(file.name.clone());
        }
        if file.size > 0
            && let Some((found, fix)) = look(layer, &file, &headers)?
        {
            damages.insert(place, Damage { file, found, fix });
        }
    }
    // Another name of the same file in the same layer.
    for damage in damages.values_mut() {
        for name in links.get(plain(&damage.file.name)).into_iter().flatten() {
            damage.try_tree(layer.tree(), damage.file.named(&**name), || "a hard link to it".to_owned());
        }
    }
    for other in reach.others(key) {
        if damages.values().all(Damage::is_repaired) {
            return Ok(damages);
        }
        let Some(tree) = other.tree() else { continue };
        for damage in damages.values_mut() {
            damage.try_tree(&tree, damage.file.clone(), || other.name.clone());
        }
    }
    leave_links_out(layer, &mut damages)?;
    Ok(damages)
}

/// What is there for a file, and what could stand for it without help from elsewhere. `None` if it is sound.
fn look(layer: &SplitLayer, file: &RecordedFile, headers: &[u8]) -> Result<Option<(FoundBytes, Fix)>, Error> {
    let found = layer.look(file);
    let fix = match &found {
        Found::Recorded(_) => return Ok(None),
        Found::Other(other) if header::with_size(headers, other.size).is_some() => Fix::Kept(other.size),
        // What a disk cannot read is lost; what this user may not read is not.
        Found::Unreadable(error) if !is_lost(error) => return Err(error.clone().into()),
        _ => Fix::LeftOut,
    };
    Ok(Some((FoundBytes::of(&found, file), fix)))
}

/// Whether the disk, rather than a permission, a limit or a network, keeps the bytes back.
pub(super) fn is_lost(error: &(dyn std::error::Error + 'static)) -> bool {
    const EIO: i32 = 5;
    const EBADMSG: i32 = 74;
    const EUCLEAN: i32 = 117;
    let code = crate::error::io_error(error).and_then(std::io::Error::raw_os_error);
    matches!(code, Some(EIO | EBADMSG | EUCLEAN)) || error.source().is_some_and(is_lost)
}

/// A hard link to a file that is left out leads nowhere, and engines refuse it.
fn leave_links_out(layer: &SplitLayer, damages: &mut Damages) -> Result<(), Error> {
    let is_left_out = |damage: &&Damage| matches!(damage.fix, Fix::LeftOut);
    let left_out = damages.values().filter(is_left_out).map(|damage| plain(&damage.file.name).to_vec());
    let left_out: HashSet<Vec<u8>> = left_out.collect();
    if left_out.is_empty() {
        return Ok(());
    }
    for (place, part) in layer.parts().enumerate() {
        let Part::Member { headers, file, .. } = part? else { break };
        if header::hard_link(&headers).is_some_and(|target| left_out.contains(plain(&target))) {
            let found = FoundBytes::word("a hard link to a file that is left out");
            damages.insert(place, Damage { file, found, fix: Fix::LeftOut });
        }
    }
    Ok(())
}

/// A name without the `./` or `/` that a tar may put before it.
fn plain(mut name: &[u8]) -> &[u8] {
    while let Some(rest) = name.strip_prefix(b"./").or_else(|| name.strip_prefix(b"/")) {
        name = rest;
    }
    name
}

impl Damage {
    pub(super) fn is_repaired(&self) -> bool {
        matches!(self.fix, Fix::From { .. })
    }

    fn try_tree(&mut self, tree: &Root, file: RecordedFile, of: impl FnOnce() -> String) {
        if !self.is_repaired() && file.find_in(tree).is_some() {
            self.fix = Fix::From { tree: tree.clone(), file, of: of() };
        }
    }

    /// For the report.
    pub(super) fn report(&self) -> SalvagedFile {
        let (result, from) = match &self.fix {
            Fix::From { of, .. } => (FileResult::Repaired, Some(of.clone())),
            Fix::Kept(_) => (FileResult::Kept, None),
            Fix::LeftOut => (FileResult::LeftOut, None),
        };
        let expected = FileBytes::of(&self.file);
        SalvagedFile { path: self.file.display(), expected, found: self.found.clone(), result, from }
    }
}

/// Whether a layer can be salvaged after this error: not if another user, or another version, could read it.
pub(super) fn is_damage(error: &Error) -> bool {
    match error.kind() {
        ErrorKind::Damaged | ErrorKind::Missing | ErrorKind::Malformed => true,
        ErrorKind::Environment => is_lost(error),
        _ => false,
    }
}
