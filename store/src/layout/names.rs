//! Names that a layout or archive gives an image.
//!
//! A full name becomes a repository and a tag. A bare word, as `skopeo copy … oci:dir:word` and umoci write it, is read as
//! Podman reads it: a repository with the tag `latest`. What can be neither (`1.0-RC1`) is no reference, but the image is
//! found by it all the same.

use super::documents::Descriptor;
use crate::Reference;

/// The names of one image.
#[derive(Debug, Clone, Default)]
pub(super) struct Names {
    pub(super) references: Vec<Reference>,
    /// As they are written, where that differs from the reference.
    pub(super) aliases: Vec<String>,
}

impl Names {
    /// Those of a descriptor in `index.json`. containerd writes the whole name into an annotation of its own, and only the
    /// tag into the one of the specification.
    pub(super) fn of(descriptor: &Descriptor) -> Self {
        let mut names = Names::default();
        if let Some(name) = descriptor.image_name.as_ref().or(descriptor.ref_name.as_ref()) {
            names.add(name);
        }
        names
    }

    pub(super) fn add(&mut self, name: &str) {
        let reference = parse(name);
        if reference.as_ref().map(Reference::to_string).as_deref() != Some(name)
            && !self.aliases.iter().any(|alias| alias == name)
        {
            self.aliases.push(name.to_owned());
        }
        self.references.extend(reference.filter(|reference| !self.references.contains(reference)));
    }

    pub(super) fn append(&mut self, other: Names) {
        for reference in other.references {
            if !self.references.contains(&reference) {
                self.references.push(reference);
            }
        }
        self.aliases.extend(other.aliases);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.references.is_empty() && self.aliases.is_empty()
    }
}

/// `repository`, `repository:tag`, `repository@digest`.
fn parse(name: &str) -> Option<Reference> {
    let (name, digest) = name.split_once('@').map_or((name, None), |(name, digest)| (name, Some(digest)));
    let last = name.rfind('/').map_or(0, |slash| slash + 1);
    let colon = name[last..].find(':').map(|colon| last + colon);
    let (repository, tag) = colon.map_or((name, None), |colon| (&name[..colon], Some(&name[colon + 1..])));
    if !is_repository(repository) || tag.is_some_and(|tag| !is_tag(tag)) {
        return None;
    }
    let tag = match (tag, digest) {
        (Some(tag), _) => tag,
        (None, Some(digest)) => digest.parse::<layerlift_archive::Digest>().is_ok().then_some(digest)?,
        (None, None) => "latest",
    };
    Some(Reference::new(repository, tag))
}

fn is_repository(name: &str) -> bool {
    let registry =
        name.split_once('/').filter(|(first, _)| first.contains(['.', ':']) || *first == "localhost");
    let path = registry.map_or(name, |(_, path)| path);
    let host = registry.map_or("", |(host, _)| host);
    let host_byte = |b: u8| b.is_ascii_alphanumeric() || b".-:[]_".contains(&b);
    let path_byte = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b);
    let component = |part: &str| {
        let ends = [part.as_bytes().first(), part.as_bytes().last()];
        part.bytes().all(path_byte) && ends.iter().all(|end| end.is_some_and(|b| b.is_ascii_alphanumeric()))
    };
    name.len() <= 255 && host.bytes().all(host_byte) && path.split('/').all(component)
}

fn is_tag(tag: &str) -> bool {
    let byte = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    (1..=128).contains(&tag.len()) && tag.bytes().all(byte) && !tag.starts_with(['.', '-'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references() {
        let digest = layerlift_archive::Digest::of(b"").to_string();
        let pinned = format!("a@{digest}");
        for (name, expected) in [
            ("bench/many:1.0", Some("bench/many:1.0")),
            ("docker.io/bench/many:1.0", Some("docker.io/bench/many:1.0")),
            ("127.0.0.1:5555/bench/many", Some("127.0.0.1:5555/bench/many:latest")),
            ("localhost:5000/x:y", Some("localhost:5000/x:y")),
            ("REGISTRY.example/x:V1", Some("REGISTRY.example/x:V1")),
            ("latest", Some("latest:latest")),
            ("1.0", Some("1.0:latest")),
            (&pinned, Some(&pinned)),
            ("1.0-RC1", None),
            ("a/../b", None),
            ("a@sha256:x", None),
            ("a:b c", None),
            ("", None),
            (":x", None),
        ] {
            assert_eq!(parse(name).map(|r| r.to_string()).as_deref(), expected, "{name}");
        }
    }
}
