//! One repository, several spellings.
//!
//! ```text
//! full                        familiar (1.10)      local (1.8)
//! docker.io/library/base      base                 base
//! docker.io/library/a/b       library/a/b          a/b
//! docker.io/team/app          team/app             team/app
//! localhost:5000/team/app     the same             the same
//! ```
//!
//! Sources: `registry/config.go` of Docker 1.8.3; github.com/distribution/reference, `normalize.go`.

use super::split_registry;
use super::valid::is_path_1_8;

const HUB: &str = "docker.io";
/// The name of Docker Hub until 1.8, which all engines still take.
const OLD_HUB: &str = "index.docker.io";
/// The namespace of repositories that Docker Hub shows without one.
const OFFICIAL: &str = "library/";

/// The path of a repository on Docker Hub; `None` for another registry's.
fn hub_path(repository: &str) -> Option<&str> {
    match split_registry(repository) {
        (None | Some(HUB | OLD_HUB), path) => Some(path),
        (Some(_), _) => None,
    }
}

/// The name under which Docker 1.8 kept a repository (`NormalizeLocalName`).
///
/// Docker left a name alone that cannot be a repository: an id, above all a name with a tag or a digest.
pub(crate) fn local_name(name: &str) -> &str {
    match hub_path(name) {
        Some(path) if is_path_1_8(path) && !crate::hex_id(path) => {
            path.strip_prefix(OFFICIAL).unwrap_or(path)
        }
        _ => name,
    }
}

/// The name under which Docker keeps a repository since 1.10 (`FamiliarName`). It takes a whole name as well.
pub(crate) fn familiar_name(repository: &str) -> &str {
    let Some(path) = hub_path(repository) else { return repository };
    match path.strip_prefix(OFFICIAL) {
        Some(name) if !name.is_empty() && !name.contains('/') => name,
        _ => path,
    }
}

/// The name of a repository with its registry.
pub(super) fn full_name(repository: &str) -> String {
    match hub_path(repository) {
        None => repository.to_owned(),
        Some(path) if path.contains('/') => format!("{HUB}/{path}"),
        Some(path) => format!("{HUB}/{OFFICIAL}{path}"),
    }
}
