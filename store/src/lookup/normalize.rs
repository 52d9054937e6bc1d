//! One name, several spellings: taking names apart and bringing them to the form in which a store keeps them.
//!
//! ```text
//! docker.io/library/base -> base          localhost:5000/team/app   (a registry: has a dot, a port, or is localhost)
//! index.docker.io/team/x -> team/x        base@sha256:…, base:1.0
//! ```

/// The repository and the tag or digest of a name, as Docker 1.8 took them apart (`pkg/parsers/parsers.go`): at `@`, what
/// follows a second one dropped; else at the last `:` that no `/` follows. The second part may be empty.
pub(super) fn split_local(name: &str) -> (&str, &str) {
    if let Some((repository, rest)) = name.split_once('@') {
        return (repository, rest.split('@').next().unwrap_or(rest));
    }
    match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, tag),
        _ => (name, ""),
    }
}

/// The local name of a repository as Docker 1.8 made it (`registry/config.go`, `NormalizeLocalName`). Whatever is no
/// repository, above all anything with a tag or a digest, stays as it is; so does the name of another registry.
pub(super) fn local_name(name: &str) -> &str {
    let remote = match split_registry(name) {
        (None | Some("docker.io" | "index.docker.io"), remote) => remote,
        (Some(_), _) => return name,
    };
    let looks_like_id = crate::hex_id(remote);
    if looks_like_id || !is_remote_name(remote) {
        return name;
    }
    remote.strip_prefix("library/").unwrap_or(remote)
}

/// The name that Docker shows since 1.10: without `docker.io/`, and without `library/` if that is all that remains before
/// the name.
///
/// ```
/// use layerlift_store::lookup::familiar_name;
///
/// assert_eq!(familiar_name("docker.io/library/alpine"), "alpine");
/// assert_eq!(familiar_name("quay.io/team/app"), "quay.io/team/app");
/// ```
pub fn familiar_name(repository: &str) -> &str {
    let remote = match split_registry(repository) {
        (None | Some("docker.io" | "index.docker.io"), remote) => remote,
        (Some(_), _) => return repository,
    };
    match remote.strip_prefix("library/") {
        Some(name) if !name.is_empty() && !name.contains('/') => name,
        _ => remote,
    }
}

/// The registry, if the name begins with one, and the rest.
pub(super) fn split_registry(name: &str) -> (Option<&str>, &str) {
    match name.split_once('/') {
        Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => (Some(first), rest),
        _ => (None, name),
    }
}

/// A name in its parts, as engines since Docker 1.10 take it apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Parts<'n> {
    pub(super) repository: &'n str,
    pub(super) tag: Option<&'n str>,
    pub(super) digest: Option<&'n str>,
}

/// `name[:tag][@digest]`.
pub(super) fn split(name: &str) -> Result<Parts<'_>, &'static str> {
    let (rest, digest) = match name.split_once('@') {
        Some((_, digest)) if !is_digest(digest) => {
            return Err("what follows @ is no digest (sha256: and 64 hex digits)");
        }
        Some((rest, digest)) => (rest, Some(digest)),
        None => (name, None),
    };
    let (repository, tag) = match rest.rsplit_once(':') {
        Some((_, "")) => return Err("its tag is empty"),
        Some((repository, tag)) if !tag.contains('/') => (repository, Some(tag)),
        _ => (rest, None),
    };
    if repository.is_empty() { Err("its repository is empty") } else { Ok(Parts { repository, tag, digest }) }
}

/// `^[a-z0-9]+(?:[._-][a-z0-9]+)*$` for each component, 1 to 255 bytes in all (distribution's v2 names of that time).
fn is_remote_name(name: &str) -> bool {
    let part =
        |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    (1..=255).contains(&name.len())
        && name.split('/').all(|component| component.split(['.', '_', '-']).all(part))
}

fn is_digest(text: &str) -> bool {
    text.split_once(':').is_some_and(|(algorithm, hex)| {
        !algorithm.is_empty() && hex.len() >= 32 && hex.bytes().all(|b| b.is_ascii_hexdigit())
    })
}
