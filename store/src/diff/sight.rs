//! What a process sees of the marks of overlayfs.
//!
//! Root's overlayfs keeps its marks in `trusted.overlay.*`. The kernel hides these attributes from processes
//! without CAP_SYS_ADMIN in the first user namespace rather than refusing them, so an opaque directory looks
//! like any other. Root in a container usually lacks that capability. Directories that a user made cannot
//! have such an attribute, not even as root of a user namespace: an engine without root keeps its marks in
//! `user.overlay.*`.
//!
//! A store of root that was given to a user (`chown -R`) is in between. Its files belong to the user, and its
//! marks are hidden from him. Nothing in a store says whether it is one, but much of it shows the contrary:
//!
//! | | root's store | a user's own |
//! |---|---|---|
//! | `user.overlay.*`, `user.fuseoverlayfs.*` | never | on what a container has changed |
//! | owners other than the user | groups from 0 on, if `chown` left them | his subordinate ids |

use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};

use rustix::fs::Stat;
use rustix::thread::CapabilitySet;

use super::records::Metadata;
use crate::{Error, Notice, Root, fs};

/// What the kernel shows for an id that has no other in a user namespace (`/proc/sys/kernel/overflowuid`).
const OVERFLOW: u32 = 65534;

/// Whether marks of overlayfs may be hidden in the directories of a walk.
#[derive(Debug, Default)]
pub(super) struct Sight {
    /// The driver's directory, if marks of root would be hidden there.
    hidden: RefCell<Option<PathBuf>>,
    owner: Cell<(u32, u32)>,
    nested: Cell<bool>,
    /// Something has an owner that only root's store has.
    is_root_s: Cell<bool>,
    /// Something has an owner or an attribute that only a user's store has.
    is_user_s: Cell<bool>,
}

impl Sight {
    /// Begins with the directory of a layer. It is an error if another user than this one owns it and this
    /// one does not see the marks.
    pub(super) fn begin(&self, root: &Root, stat: &Stat) -> Result<(), Error> {
        let me = rustix::process::geteuid();
        let map =
            fs::named::settings(Path::new("/"), Path::new("/proc/self/uid_map"), 4096).unwrap_or_default();
        let (nested, outside) = outside(me.as_raw(), &map);
        let able = rustix::thread::capabilities(None)
            .is_ok_and(|sets| sets.effective.contains(CapabilitySet::SYS_ADMIN));
        if able && !nested {
            return Ok(());
        }
        if me.as_raw() == stat.st_uid && outside != 0 {
            if let Some(driver) = keeps_attributes(root.path()) {
                self.hidden.borrow_mut().get_or_insert_with(|| driver.to_owned());
            }
            self.owner.set((stat.st_uid, stat.st_gid));
            self.nested.set(nested);
            return Ok(());
        }
        let what = format!(
            "only root can see whether the layer in {} hides directories of lower layers, and it has no \
             other record",
            root.path().display()
        );
        let hint = match (nested, me.is_root()) {
            (true, _) => "run this outside of the user namespace",
            (false, true) => "in a container, add the capability SYS_ADMIN",
            (false, false) => "run this as root",
        };
        Err(Error::unsupported(what, hint))
    }

    /// Takes note of an entry of a layer.
    pub(super) fn entry(&self, metadata: &Metadata) {
        let (uid, gid) = self.owner.get();
        let (nested, ids) = (self.nested.get(), [(metadata.uid, uid), (metadata.gid, gid)]);
        for (id, own) in ids {
            match (id == own, nested) {
                (true, _) => {}
                (false, false) if id == 0 => self.is_root_s.set(true),
                (false, true) if id == OVERFLOW => {}
                (false, _) => self.is_user_s.set(true),
            }
        }
    }

    /// Takes note of a mark that an engine without root makes.
    pub(super) fn mark_of_a_user(&self) {
        self.is_user_s.set(true);
    }

    /// What to say once everything was seen.
    pub(super) fn notice(&self) -> Option<Notice> {
        let hidden = self.hidden.borrow();
        let driver = hidden.as_ref().filter(|_| self.is_root_s.get() || !self.is_user_s.get())?;
        let what = format!(
            "this user does not see overlayfs's marks of root (trusted.overlay.*), and nothing shows that an \
             engine without root wrote these layers: files that were deleted together with their directory \
             may have come back, and renamed directories may be empty; read the store as root{}",
            if self.nested.get() { ", outside of the user namespace" } else { "" }
        );
        Some(Notice::new(driver, what))
    }
}

/// The directory of a driver that marks directories by attributes, if a layer's directory is one of its own:
/// `overlay2/<id>/diff`, `overlay/<id>/diff`, `snapshots/<n>/fs`.
fn keeps_attributes(layer: &Path) -> Option<&Path> {
    let name = layer.file_name()?;
    (name == "diff" || name == "fs").then(|| layer.parent().and_then(Path::parent)).flatten()
}

/// Whether the map of a user namespace is not that of the first one, which maps all ids to themselves; and
/// what an id is outside of it (`uid_map`, `user_namespaces(7)`).
fn outside(id: u32, map: &str) -> (bool, u32) {
    let numbers: Vec<u32> = map.split_whitespace().filter_map(|number| number.parse().ok()).collect();
    let lines = || numbers.chunks_exact(3);
    let of_line = |line: &[u32]| {
        id.checked_sub(line[0]).filter(|at| *at < line[2]).map(|at| line[1].saturating_add(at))
    };
    let nested = !numbers.is_empty() && numbers != [0, 0, u32::MAX];
    (nested, lines().find_map(of_line).unwrap_or(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_outside_of_a_user_namespace() {
        for (id, map, expected) in [
            (0, "         0          0 4294967295\n", (false, 0)),
            (7, "", (false, 7)),
            (0, "0 1000 1\n1 100000 65536\n", (true, 1000)),
            (5, "0 1000 1\n1 100000 65536\n", (true, 100_004)),
            (0, "0 0 1\n", (true, 0)),
        ] {
            assert_eq!(outside(id, map), expected, "{map}");
        }
    }

    #[test]
    fn whose_store_it_is() {
        let of = |nested: bool, ids: &[(u32, u32)], mark: bool| {
            let sight = Sight::default();
            *sight.hidden.borrow_mut() = Some("/store/overlay2".into());
            sight.owner.set(if nested { (0, 0) } else { (1000, 1000) });
            sight.nested.set(nested);
            for (uid, gid) in ids {
                sight.entry(&Metadata { uid: *uid, gid: *gid, ..Metadata::default() });
            }
            if mark {
                sight.mark_of_a_user();
            }
            sight.notice().is_some()
        };
        for (nested, ids, mark, said) in [
            (false, &[(1000, 1000)][..], false, true),
            (false, &[(1000, 1000), (1000, 100_041)], false, false),
            (false, &[(1000, 1000)], true, false),
            // `chown -R user` leaves the groups.
            (false, &[(1000, 1000), (1000, 0), (1000, 42)], false, true),
            (true, &[(0, 0)], false, true),
            (true, &[(0, 0), (0, 42)], false, false),
            (true, &[(0, OVERFLOW)], false, true),
        ] {
            assert_eq!(of(nested, ids, mark), said, "{nested} {ids:?} {mark}");
        }
    }

    #[test]
    fn drivers_with_attributes() {
        for (layer, driver) in [
            ("/d/overlay2/4f/diff", Some("/d/overlay2")),
            ("/s/snapshots/48/fs", Some("/s/snapshots")),
            ("/d/aufs/diff/4f", None),
            ("/d/vfs/dir/4f", None),
        ] {
            assert_eq!(keeps_attributes(Path::new(layer)), driver.map(Path::new), "{layer}");
        }
    }
}
