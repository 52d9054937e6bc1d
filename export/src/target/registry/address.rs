//! Places in registries: `HOST/REPOSITORY[:TAG]`, or `HOST/PREFIX/` for several repositories.

use std::fmt;
use std::str::FromStr;

use layerlift_store::{Reference, Rules};

use super::error::RegistryError;

/// What Docker's own registry is called in names, and where it answers.
const HUB: [&str; 3] = ["docker.io", "index.docker.io", "registry-1.docker.io"];
const HUB_API: &str = "registry-1.docker.io";

/// A place in a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    host: String,
    path: String,
    tag: Option<String>,
    is_prefix: bool,
}

impl Address {
    /// The registry, with its port: `registry.example:5000`.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The registry without its port, and an address of IPv6 without brackets: `registry.example`.
    pub fn hostname(&self) -> &str {
        host_of(&self.host).trim_start_matches('[').trim_end_matches(']')
    }

    /// The tag, if there is one.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// Whether every image gets a repository of its own below.
    pub fn is_prefix(&self) -> bool {
        self.is_prefix
    }

    /// The repository for an image that is called so in its store: this one, or one below this prefix, named
    /// as the image is without its own registry. `None` for an image without a name below a prefix.
    pub fn repository(&self, image: Option<&Reference>) -> Option<String> {
        if !self.is_prefix {
            return Some(self.path.clone());
        }
        let familiar = image?.familiar();
        let name = familiar.repository();
        let name = match name.split_once('/') {
            Some((first, rest)) if is_host(first) => rest,
            _ => name,
        };
        Some(if self.path.is_empty() { name.to_owned() } else { format!("{}/{name}", self.path) })
    }
}

impl FromStr for Address {
    type Err = RegistryError;

    fn from_str(text: &str) -> Result<Self, RegistryError> {
        // What stands before an `@` in the host may be a password.
        let (first, after) = text.split_once('/').unwrap_or((text, ""));
        let shown = match first.rsplit_once('@') {
            Some((_, host)) => format!("***@{host}/{after}"),
            None => text.to_owned(),
        };
        let wrong = |why: &str| RegistryError::Name { name: shown.clone(), why: why.to_owned() };
        let (host, rest) = text.split_once('/').ok_or_else(|| wrong("HOST/REPOSITORY is expected"))?;
        if !is_host(host) {
            return Err(wrong("it does not begin with the host of a registry, docker.io for example"));
        }
        let authority = host.parse::<ureq::http::uri::Authority>();
        if host.contains('@') || authority.is_err() {
            return Err(wrong("its host cannot be one"));
        }
        // An authority takes any digits for a port.
        if host_of(host) != host && authority.is_ok_and(|authority| authority.port_u16().is_none()) {
            return Err(wrong("its port is not a number up to 65535"));
        }
        if rest.contains('@') {
            return Err(wrong("a digest follows from what is pushed"));
        }
        let is_prefix = rest.is_empty() || rest.ends_with('/');
        let (path, tag) = match rest.rsplit_once(':') {
            Some((path, tag)) if !tag.contains('/') => (path, Some(tag)),
            _ => (rest, None),
        };
        if tag.is_some() && path.ends_with('/') {
            return Err(wrong("a tag follows a repository"));
        }
        let path = path.strip_suffix('/').unwrap_or(path);
        if !(is_prefix && path.is_empty()) {
            let full = format!("registry.example/{path}");
            Rules::Distribution.check_repository(&full).map_err(wrong)?;
        }
        tag.map_or(Ok(()), |tag| Rules::Distribution.check_tag(tag)).map_err(wrong)?;
        let host = if HUB.contains(&host) { HUB[0] } else { host };
        Ok(Address { host: host.to_owned(), path: path.to_owned(), tag: tag.map(str::to_owned), is_prefix })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.host, self.path)?;
        match &self.tag {
            Some(tag) => write!(f, ":{tag}"),
            None if self.is_prefix && !self.path.is_empty() => write!(f, "/"),
            None => Ok(()),
        }
    }
}

/// Whether the first part of a name is a host, as engines decide it.
fn is_host(first: &str) -> bool {
    first == "localhost" || first.contains(['.', ':'])
}

/// Where a registry answers.
pub(super) fn authority(host: &str) -> &str {
    if host == HUB[0] { HUB_API } else { host }
}

/// The names under which files of credentials have a registry.
pub(super) fn credential_keys(host: &str) -> &[&str] {
    if host == HUB[0] { &["https://index.docker.io/v1/", "docker.io"] } else { &[] }
}

/// Whether a host, with or without a port, is this machine.
pub(super) fn is_loopback(authority: &str) -> bool {
    let host = host_of(authority);
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host == "localhost" || host.ends_with(".localhost") || address.is_ok_and(|address| address.is_loopback())
}

/// A host without its port.
pub(super) fn host_of(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_repeated() {
        for text in ["bob:hunter2@localhost:5000/a", "bob:hunter2@r.example", "hunter2@r.example/a/b:1"] {
            let error = text.parse::<Address>().unwrap_err().to_string();
            assert!(error.contains("***@") && !error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn places() {
        for (text, host, path, tag, is_prefix) in [
            ("r.example/app", "r.example", "app", None, false),
            ("localhost:5000/team/app:1.2", "localhost:5000", "team/app", Some("1.2"), false),
            ("[::1]:5000/app", "[::1]:5000", "app", None, false),
            ("index.docker.io/library/app", "docker.io", "library/app", None, false),
            ("r.example/team/", "r.example", "team", None, true),
            ("r.example/", "r.example", "", None, true),
        ] {
            let found: Address = text.parse().unwrap();
            let address =
                Address { host: host.into(), path: path.into(), tag: tag.map(str::to_owned), is_prefix };
            assert_eq!(found, address, "{text}");
        }
        for text in [
            "app",
            "team/app",
            "r.example",
            "r.example/App",
            "r.example/a@sha256:0",
            "r.example/a:b c",
            "u@r.x/a",
            "r.example/a//b",
            "r.example/a:/",
            "r.example:99999/a",
            "r.example/a/:1",
            "[::1]:99999/a",
            "r.example:/a",
        ] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }

    #[test]
    fn hosts_without_ports() {
        for (text, expected) in
            [("r.example/a", "r.example"), ("localhost:5000/a", "localhost"), ("[::1]:5000/a", "::1")]
        {
            assert_eq!(text.parse::<Address>().unwrap().hostname(), expected);
        }
    }

    #[test]
    fn repositories_below_a_prefix() {
        let below: Address = "r.example/fleet/".parse().unwrap();
        for (image, expected) in [
            ("docker.io/library/alpine", "fleet/alpine"),
            ("quay.io/team/app", "fleet/team/app"),
            ("team/app", "fleet/team/app"),
            ("localhost/app", "fleet/app"),
        ] {
            let image = Reference::new(image, "1");
            assert_eq!(below.repository(Some(&image)).as_deref(), Some(expected));
        }
        assert_eq!(below.repository(None), None);
        let one: Address = "r.example/x".parse().unwrap();
        assert_eq!(one.repository(None).as_deref(), Some("x"));
    }

    #[test]
    fn this_machine() {
        for (host, expected) in [
            ("localhost", true),
            ("localhost:5000", true),
            ("127.0.0.1:1", true),
            ("127.8.0.1", true),
            ("[::1]:443", true),
            ("10.0.0.1", false),
            ("localhost.example", false),
            ("registry.example:127", false),
        ] {
            assert_eq!(is_loopback(host), expected, "{host}");
        }
    }
}
