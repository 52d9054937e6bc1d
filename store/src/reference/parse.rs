//! Where a name is cut. Whether the parts are valid is another question, see [`Rules`].
//!
//! ```text
//! localhost:5000/team/app:1.0@sha256:0f3a…
//!                        │   └ the first @: a digest follows
//!                        └ the last : that no / follows: a tag follows
//! ```

use super::Rules;

/// A name in its parts, as they stand in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Parts<'n> {
    pub(crate) repository: &'n str,
    /// May be empty, as in `base:`.
    pub(crate) tag: Option<&'n str>,
    /// May be anything that follows an `@`.
    pub(crate) digest: Option<&'n str>,
}

impl<'n> Parts<'n> {
    /// [`split_1_8`], with what follows the repository distinguished by its colon.
    pub(super) fn of_1_8(name: &'n str) -> Self {
        let (repository, rest) = split_1_8(name);
        let rest = Some(rest).filter(|rest| !rest.is_empty());
        let digest = |rest: &&str| rest.contains(':');
        Parts { repository, tag: rest.filter(|rest| !digest(rest)), digest: rest.filter(digest) }
    }
}

/// [`split`] for a request; the error says why it cannot mean anything.
///
/// The parts may break the rules of today's engines: a store can hold such names.
pub(crate) fn split_request(name: &str) -> Result<Parts<'_>, &'static str> {
    let parts = split(name);
    if let Some(digest) = parts.digest {
        Rules::Distribution.check_digest(digest)?;
    }
    match parts {
        Parts { tag: Some(""), .. } => Err("its tag is empty"),
        Parts { repository: "", .. } => Err("its repository is empty"),
        parts => Ok(parts),
    }
}

/// `repository[:tag][@digest]`, as engines since Docker 1.10 cut it.
pub(super) fn split(name: &str) -> Parts<'_> {
    let (rest, digest) = name.split_once('@').map_or((name, None), |(rest, digest)| (rest, Some(digest)));
    let (repository, tag) = match rest.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, Some(tag)),
        _ => (rest, None),
    };
    Parts { repository, tag, digest }
}

/// The repository and what follows it, as Docker 1.8 cut a name.
///
/// An `@` counts before a `:`, and what follows a second `@` is dropped. The second part is empty if the name
/// has neither; behind an `@` it may be a tag. Source: `pkg/parsers/parsers.go`, `ParseRepositoryTag`.
pub(crate) fn split_1_8(name: &str) -> (&str, &str) {
    if let Some((repository, rest)) = name.split_once('@') {
        return (repository, rest.split('@').next().unwrap_or(rest));
    }
    match split(name) {
        Parts { repository, tag: Some(tag), .. } => (repository, tag),
        Parts { repository, .. } => (repository, ""),
    }
}

/// The registry of a repository, if it names one, and the path.
///
/// All engines take a first component with a dot or a colon for a registry, and `localhost`. Since
/// distribution 2.8 one with a capital is a registry too; older engines refuse the name, so it is part of the
/// path here.
pub(crate) fn split_registry(repository: &str) -> (Option<&str>, &str) {
    match repository.split_once('/') {
        Some((first, path)) if first.contains(['.', ':']) || first == "localhost" => (Some(first), path),
        _ => (None, repository),
    }
}

/// The tag or digest of a name in a repository that is known; `None` if the name is not in it.
pub(crate) fn within<'n>(name: &'n str, repository: &str) -> Option<&'n str> {
    match name.strip_prefix(repository)?.split_at_checked(1)? {
        (":", tag) if !tag.is_empty() && !tag.contains(':') => Some(tag),
        ("@", digest) if digest.contains(':') => Some(digest),
        _ => None,
    }
}
