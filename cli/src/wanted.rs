//! Names and patterns of names, compared with the names that stores have.

use std::str::FromStr;

use layerlift_store::{Reference, StoreKind};

use crate::pattern::Pattern;

/// A name, or a pattern of names: of a repository, or with a tag or digest.
#[derive(Debug, Clone)]
pub(crate) struct Name {
    text: String,
    pattern: Pattern,
}

impl FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // Every spelling of a name on Docker Hub means what Docker shows for it.
        let hub = text.strip_prefix("docker.io/").or(text.strip_prefix("index.docker.io/"));
        let short = hub.map_or(text, |path| path.strip_prefix("library/").unwrap_or(path));
        Ok(Name { text: text.to_owned(), pattern: Pattern::parse(short)? })
    }
}

impl Name {
    /// Whether it means this reference. Short names mean those of localhost, too, as in Podman.
    pub(crate) fn means(&self, kind: StoreKind, reference: &Reference) -> bool {
        let familiar = reference.familiar();
        let local = Some("localhost/").filter(|_| kind == StoreKind::ContainersStorage);
        [reference, &familiar].into_iter().any(|reference| {
            let (name, repository) = (reference.to_string(), reference.repository());
            [&*name, repository].into_iter().any(|spelled| {
                let short = local.and_then(|local| spelled.strip_prefix(local));
                self.pattern.matches(spelled) || short.is_some_and(|short| self.pattern.matches(short))
            })
        })
    }

    /// Whether it can only be an id: twelve digits at least, so that a short name is never taken for one.
    pub(crate) fn is_id_of(&self, id: &str) -> bool {
        let prefix = self.text.strip_prefix("sha256:").unwrap_or(&self.text);
        prefix.len() >= 12 && id.starts_with(prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_as_engines_take_them() {
        use StoreKind::{ContainersStorage, Docker};
        for (pattern, kind, repository, tag, expected) in [
            ("base", Docker, "base", "1", true),
            ("base:1", Docker, "base", "1", true),
            ("base:2", Docker, "base", "1", false),
            ("docker.io/library/base", Docker, "base", "1", true),
            ("base", Docker, "docker.io/library/base", "1", true),
            ("library/base", Docker, "base", "1", false),
            ("app", Docker, "team/app", "1", false),
            ("*/app", Docker, "team/app", "1", true),
            ("*app", Docker, "team/app", "1", false),
            ("team/*:1.*", Docker, "team/app", "1.2", true),
            ("team/*:1.*", Docker, "team/app", "2.1", false),
            ("app", Docker, "localhost/app", "1", false),
            ("app", ContainersStorage, "localhost/app", "1", true),
            ("ap?:1", ContainersStorage, "localhost/app", "1", true),
            ("localhost:5000/app", Docker, "localhost:5000/app", "1", true),
        ] {
            let name: Name = pattern.parse().unwrap();
            assert_eq!(
                name.means(kind, &Reference::new(repository, tag)),
                expected,
                "{pattern} {repository}"
            );
        }
        let id = "0123456789abcdef".repeat(4);
        for (name, expected) in
            [("0123456789ab", true), ("sha256:0123456789ab", true), ("0123456789a", false)]
        {
            assert_eq!(name.parse::<Name>().unwrap().is_id_of(&id), expected, "{name}");
        }
    }
}
