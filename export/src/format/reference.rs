//! Names as engines of today accept them, and their full form. Older stores hold names that these refuse; one such name
//! in an archive makes them refuse all of it.
//!
//! Source: github.com/distribution/reference, `regexp.go` and `normalize.go`.

use layerlift_store::Reference;

/// `base:latest` for `docker.io/library/base:latest`; the error says why engines of today would not take the name.
pub(super) fn familiar(reference: &Reference) -> Result<Reference, &'static str> {
    if let Some(why) = refused(reference) {
        return Err(why);
    }
    let (domain, path) = split(reference.repository());
    let repository = match (domain, path.strip_prefix("library/")) {
        ("docker.io", Some(name)) if !name.contains('/') => name.to_owned(),
        ("docker.io", _) => path.to_owned(),
        _ => reference.repository().to_owned(),
    };
    Ok(Reference::new(repository, reference.tag_or_digest()))
}

fn refused(reference: &Reference) -> Option<&'static str> {
    let (domain, path) = split(reference.repository());
    let component = |text: &str| is_component(text.as_bytes());
    if !is_tag(reference.tag_or_digest().as_bytes()) {
        Some("its tag is not valid today")
    } else if !path.split('/').all(component) || !is_domain(domain) || domain.len() + path.len() >= 255 {
        Some("its repository is not valid today")
    } else if !reference.repository().contains('/') && layerlift_store::hex_id(reference.repository()) {
        Some("it looks like the id of an image")
    } else {
        None
    }
}

/// `docker.io/library/base:latest` for `base:latest`.
pub(super) fn full(reference: &Reference) -> String {
    let (domain, path) = split(reference.repository());
    let library = if domain == "docker.io" && !path.contains('/') { "library/" } else { "" };
    format!("{domain}/{library}{path}:{}", reference.tag_or_digest())
}

/// Registry and path. A first component is a registry if it can be nothing else.
fn split(repository: &str) -> (&str, &str) {
    match repository.split_once('/') {
        Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => {
            (if first == "index.docker.io" { "docker.io" } else { first }, rest)
        }
        _ => ("docker.io", repository),
    }
}

/// `[a-z0-9]+`, joined by `.`, `_`, `__` or any number of `-`.
fn is_component(text: &[u8]) -> bool {
    let alphanumeric = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let ends = |b: Option<&u8>| b.is_some_and(alphanumeric);
    let separators = text.split(alphanumeric).filter(|run| !run.is_empty());
    let known = |run: &[u8]| matches!(run, b"." | b"_" | b"__") || run.iter().all(|&b| b == b'-');
    ends(text.first()) && ends(text.last()) && separators.into_iter().all(known)
}

/// Host and perhaps port, or an IPv6 address in brackets.
fn is_domain(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let label = |label: &str| {
        let bytes = label.as_bytes();
        let ends = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
        ends(bytes.first())
            && ends(bytes.last())
            && bytes.iter().all(|&b| b.is_ascii_alphanumeric() || b == b'-')
    };
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let host = match address {
        Some(address) => address.bytes().all(|b| b.is_ascii_hexdigit() || b == b':'),
        None => host.split('.').all(label),
    };
    host && port.is_none_or(|port| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()))
}

/// `[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}`.
fn is_tag(text: &[u8]) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    text.len() <= 128
        && text.first().is_some_and(|&b| word(b))
        && text.iter().all(|&b| word(b) || b == b'.' || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reference(text: &str) -> Reference {
        let (repository, tag) = text.rsplit_once('/').map_or_else(
            || text.split_once(':').unwrap(),
            |(_, last)| {
                let tag = last.split_once(':').unwrap().1;
                (&text[..text.len() - tag.len() - 1], tag)
            },
        );
        Reference::new(repository, tag)
    }

    #[test]
    fn forms() {
        for (name, long, short) in [
            ("base:latest", "docker.io/library/base:latest", "base:latest"),
            ("library/base:1", "docker.io/library/base:1", "base:1"),
            ("docker.io/base:1", "docker.io/library/base:1", "base:1"),
            ("index.docker.io/team/app:1", "docker.io/team/app:1", "team/app:1"),
            ("localhost/app:1", "localhost/app:1", "localhost/app:1"),
            ("localhost:5000/a/b:1", "localhost:5000/a/b:1", "localhost:5000/a/b:1"),
            ("quay.io/a:1", "quay.io/a:1", "quay.io/a:1"),
            ("team/app:1", "docker.io/team/app:1", "team/app:1"),
        ] {
            let name = reference(name);
            assert_eq!((full(&name).as_str(), familiar(&name).unwrap().to_string().as_str()), (long, short));
        }
    }

    #[test]
    fn what_is_not_valid_today() {
        let long = format!("{}:1", "a".repeat(256));
        let hex = format!("{}:1", "a".repeat(64));
        for name in ["a--b:1", "a__b.c_d-e:V_1.x", "x/y/z:1", "a.b-c:80/x:1", "[::1]:80/x:1"] {
            assert!(familiar(&reference(name)).is_ok(), "{name}");
        }
        for name in [
            "-a:1",
            "a-:1",
            "a___b:1",
            "a._b:1",
            "A:1",
            "a//b:1",
            "a:.1",
            "a:-1",
            "a:",
            "a.b:x/y:1",
            &long,
            &hex,
        ] {
            assert!(familiar(&reference(name)).is_err(), "{name}");
        }
        let digest = Reference::new("a", format!("sha256:{}", "a".repeat(64)));
        assert!(familiar(&digest).is_err());
    }
}
