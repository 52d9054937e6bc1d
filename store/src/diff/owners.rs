//! The ids of a container that has a user namespace of its own, and what they are on its host.
//!
//! ```text
//! "uidmap":[{"container_id":0,"host_id":100000,"size":65536}]      0 in the container is 100000 outside
//! ```
//!
//! Podman mounts the layers of the image with shifted owners, or shifts those of a copy. What the container
//! writes has the host's ids. `podman export` (4.3, 5.8) writes those of the host for everything; `podman
//! commit` (5.8) turns those of the container's layer back.
//!
//! Docker with `userns-remap` keeps all files of layers and containers with the host's ids, in a data root
//! that is named after those of root. `docker export` and `docker commit` (20.10, 28.5) turn them back, and
//! leave out what belongs to nobody in the container.

use std::path::Path;

use super::records::Records;

/// What becomes of owners.
#[derive(Debug, Clone, Default)]
pub(crate) enum Owners {
    /// They are those of the files.
    #[default]
    OfFiles,
    /// The ids of the container are turned into those of the host, below its own layer.
    OnHost(IdMaps),
    /// The ids of the host are turned back. One that the container cannot have stays.
    InContainer(IdMaps),
    /// The same, but what belongs to such an id is left out.
    OnlyInContainer(IdMaps),
}

impl Owners {
    /// Those of Docker, whose data root is named `<uid>.<gid>` with `userns-remap`, after what root is on the
    /// host. How many ids follow is not on record: as many as there are.
    pub(crate) fn of_docker(data: &Path) -> Self {
        let name = data.file_name().and_then(|name| name.to_str());
        let ids = name.and_then(|name| name.split_once('.'));
        let number = |text: &str| text.parse::<u32>().ok().filter(|id| *id != 0);
        let Some((Some(uid), Some(gid))) = ids.map(|(uid, gid)| (number(uid), number(gid))) else {
            return Owners::OfFiles;
        };
        let all = |host: u32| vec![IdRange { container: 0, host, size: u32::MAX - host }];
        Owners::OnlyInContainer(IdMaps { uids: all(uid), gids: all(gid) })
    }

    /// Changes those of a table. Returns the layers and paths of entries that are left out.
    pub(super) fn apply(&self, records: &mut Records) -> Vec<(u16, Vec<u8>)> {
        match self {
            Owners::OnHost(maps) if maps.is_own() => {
                records.set_owners(|layer| layer > 0, true, |owner| Some(maps.on_host(owner)))
            }
            Owners::InContainer(maps) if maps.is_own() => {
                records.set_owners(|_| true, true, |owner| Some(maps.in_container(owner)))
            }
            // The kernel makes whiteouts, as root of the host.
            Owners::OnlyInContainer(maps) => {
                records.set_owners(|_| true, false, |owner| maps.only_in_container(owner))
            }
            _ => Vec::new(),
        }
    }
}

/// A range of ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct IdRange {
    /// The first in the container.
    pub(crate) container: u32,
    /// The first on the host.
    pub(crate) host: u32,
    /// How many.
    pub(crate) size: u32,
}

/// The ranges of a container; none where its ids are those of the host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct IdMaps {
    /// Of users.
    pub(crate) uids: Vec<IdRange>,
    /// Of groups.
    pub(crate) gids: Vec<IdRange>,
}

/// What the kernel shows for an id that has no place in a range.
const NOBODY: u32 = 65534;

impl IdMaps {
    /// Whether the container has ids of its own.
    pub(crate) fn is_own(&self) -> bool {
        self.uids.iter().chain(&self.gids).any(|range| range.container != range.host)
    }

    /// What a file of the image belongs to, as the host sees it.
    pub(super) fn on_host(&self, (uid, gid): (u32, u32)) -> (u32, u32) {
        let map = |ranges: &[IdRange], id: u32| match ranges {
            [] => id,
            ranges => find(ranges, id, |range| (range.container, range.host)).unwrap_or(NOBODY),
        };
        (map(&self.uids, uid), map(&self.gids, gid))
    }

    /// What a file of the host belongs to, as the container sees it. An id that it cannot have stays.
    pub(super) fn in_container(&self, (uid, gid): (u32, u32)) -> (u32, u32) {
        let map = |ranges: &[IdRange], id| inside(ranges, id).unwrap_or(id);
        (map(&self.uids, uid), map(&self.gids, gid))
    }

    /// The same; `None` for an id that the container cannot have.
    fn only_in_container(&self, (uid, gid): (u32, u32)) -> Option<(u32, u32)> {
        Some((inside(&self.uids, uid)?, inside(&self.gids, gid)?))
    }
}

fn inside(ranges: &[IdRange], id: u32) -> Option<u32> {
    find(ranges, id, |range| (range.host, range.container))
}

fn find(ranges: &[IdRange], id: u32, of: impl Fn(&IdRange) -> (u32, u32)) -> Option<u32> {
    ranges.iter().find_map(|range| {
        let (from, to) = of(range);
        let offset = id.checked_sub(from).filter(|offset| *offset < range.size)?;
        to.checked_add(offset)
    })
}

#[cfg(test)]
mod tests {
    use super::super::records::{Kind, Metadata, ROOT};
    use super::*;

    #[test]
    fn those_of_docker() {
        for path in ["/var/lib/docker", "/docker-20.10", "/x/0.0", "/x/1.a", "/x/5.0", "/"] {
            assert!(matches!(Owners::of_docker(Path::new(path)), Owners::OfFiles), "{path}");
        }
        let owners = Owners::of_docker(Path::new("/var/lib/docker/100000.200000"));
        let Owners::OnlyInContainer(maps) = owners else { panic!("{owners:?}") };
        assert_eq!(maps.only_in_container((100_000, 200_007)), Some((0, 7)));
        assert_eq!(maps.only_in_container((99_999, 200_000)), None);
        assert_eq!(maps.only_in_container((100_000, 0)), None);
    }

    #[test]
    fn what_belongs_to_nobody_makes_no_layer() {
        let file = |uid| Metadata { mode: 0o100_644, uid, gid: 200_000, ..Metadata::default() };
        for (uid, left_out, written) in [(0, vec![(0, b"lone".to_vec())], false), (100_000, Vec::new(), true)]
        {
            let mut records = Records::new(Metadata::default());
            records.push(ROOT, b"lone", Kind::Present, file(uid), true);
            records.close(ROOT, 1);
            records.write_ancestors();
            let owners = Owners::of_docker(Path::new("/var/lib/docker/100000.200000"));
            assert_eq!(owners.apply(&mut records), left_out);
            assert_eq!(records.any_written(), written);
        }
    }

    #[test]
    fn ids_there_and_back() {
        let range = |container, host, size| IdRange { container, host, size };
        let maps = IdMaps { uids: vec![range(0, 100_000, 10), range(10, 5, 1)], gids: Vec::new() };
        assert_eq!(maps.on_host((3, 7)), (100_003, 7));
        assert_eq!(maps.on_host((10, 7)), (5, 7));
        assert_eq!(maps.on_host((11, 7)), (NOBODY, 7));
        assert_eq!(maps.in_container((100_003, 7)), (3, 7));
        assert_eq!(maps.in_container((100_010, 7)), (100_010, 7));
        assert!(maps.is_own());
        assert!(!IdMaps { uids: vec![range(0, 0, 10)], gids: vec![range(1, 1, 1)] }.is_own());
        assert_eq!(maps.only_in_container((100_003, 7)), None);
        assert_eq!(IdMaps { uids: vec![range(0, u32::MAX, 9)], ..maps }.on_host((1, 0)), (NOBODY, 0));
    }
}
