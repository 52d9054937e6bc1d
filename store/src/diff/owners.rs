//! The ids of a container that has a user namespace of its own, and what they are on its host.
//!
//! ```text
//! "uidmap":[{"container_id":0,"host_id":100000,"size":65536}]      0 in the container is 100000 outside
//! ```
//!
//! Podman mounts the layers of the image with shifted owners, or shifts those of a copy. What the container
//! writes has the host's ids. `podman export` (4.3, 5.8) writes those of the host for everything; `podman
//! commit` (5.8) turns those of the container's layer back.

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
        let map = |ranges: &[IdRange], id| find(ranges, id, |range| (range.host, range.container));
        (map(&self.uids, uid).unwrap_or(uid), map(&self.gids, gid).unwrap_or(gid))
    }
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
    use super::*;

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
        assert_eq!(IdMaps { uids: vec![range(0, u32::MAX, 9)], ..maps }.on_host((1, 0)), (NOBODY, 0));
    }
}
