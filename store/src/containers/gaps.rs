//! What Podman's database does not have of containers that are there, and what that means.

use super::libpod::Libpod;
use crate::{Error, Root};

/// Containers of Podman that its database does not have, by what is known of them.
#[derive(Default)]
pub(super) struct Gaps {
    /// Those that were started.
    pub(super) started: Vec<String>,
    pub(super) bare: Vec<String>,
    /// Files in their folders that cannot be read.
    pub(super) lost: Vec<Error>,
}

impl Gaps {
    /// What the lack means.
    pub(super) fn error(&self, root: &Root, libpod: &Libpod) -> Option<Error> {
        let named = |names: &[String]| match names {
            [one] => format!("of container {one}"),
            [first, second] => format!("of containers {first} and {second}"),
            [first, ..] => format!("of container {first} and {} more", names.len() - 1),
            [] => String::new(),
        };
        let (started, bare) = (named(&self.started), named(&self.bare));
        const OF_RUNTIME: &str =
            "only command, environment, user, directory and mounts are known, from userdata/config.json";
        let means = match (self.started.is_empty(), self.bare.is_empty()) {
            (true, true) => return None,
            (true, false) => format!("{bare}, only names, image and layer are known"),
            (false, true) => format!("{started}, {OF_RUNTIME}"),
            (false, false) => format!("{started}, {OF_RUNTIME}; {bare}, only names, image and layer"),
        };
        let (file, there) = libpod.database();
        let path = root.join(file);
        Some(match there {
            true => Error::malformed(path, format!("it has no usable config of some containers: {means}")),
            false => {
                let why = format!(
                    "it had how Podman's containers were run (until 4.7: libpod/bolt_state.db); {means}"
                );
                Error::NotThere { path, why }
            }
        })
    }
}
