//! `image/<driver>/repositories.json`: which names lead to which images.
//!
//! ```text
//! {"Repositories":{
//!   "team/app":{"team/app:1.0":"sha256:<image id>",
//!               "team/app@sha256:<manifest digest>":"sha256:<image id>"}}}
//! ```
//!
//! Names are familiar names: without `docker.io/` and `library/`, with any other registry. Docker 1.10 and later.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::json::{self, Unique};
use crate::{Error, Root};

pub(super) const FILE: &str = "repositories.json";

/// Repository, then tag or digest, then image: its id in hex, or whatever else stands there.
pub(super) type Repositories = BTreeMap<String, BTreeMap<String, String>>;

/// Reads the file; without it there are no names.
pub(super) fn read(root: &Root) -> Result<Repositories, Error> {
    match root.try_read(FILE, json::LIMIT)? {
        None => Ok(Repositories::new()),
        Some(bytes) => parse(&bytes).map_err(|why| Error::Corrupt { path: root.join(FILE), why }),
    }
}

#[derive(Deserialize)]
struct File {
    #[serde(rename = "Repositories")]
    repositories: Option<Unique<Option<Unique<String>>>>,
}

/// Reads the bytes of the file; the error says what is wrong with them.
pub(super) fn parse(bytes: &[u8]) -> Result<Repositories, String> {
    let file: File = json::object(bytes)?;
    let mut repositories = Repositories::new();
    for (repository, entries) in file.repositories.map(|map| map.0).unwrap_or_default() {
        let mut tags = BTreeMap::new();
        for (name, image) in entries.map(|map| map.0).unwrap_or_default() {
            let tag = name.strip_prefix(&repository).and_then(tag_or_digest);
            let tag = tag.ok_or_else(|| format!("{name:?} is no name within {repository:?}"))?;
            let image = image.strip_prefix("sha256:").unwrap_or(&image).to_owned();
            tags.insert(tag.to_owned(), image);
        }
        repositories.insert(repository, tags);
    }
    Ok(repositories)
}

/// `:tag` or `@algorithm:digest`. Only a digest has a colon, which keeps the two apart without their first character.
fn tag_or_digest(rest: &str) -> Option<&str> {
    match rest.split_at_checked(1)? {
        (":", tag) if !tag.is_empty() && !tag.contains(':') => Some(tag),
        ("@", digest) if digest.contains(':') => Some(digest),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_and_digests() {
        let text = r#"{"Repositories":{
            "localhost:5000/app":{
                "localhost:5000/app:1.0":"sha256:aa",
                "localhost:5000/app@sha256:bb":"sha256:aa"},
            "odd":{"odd:x":"no digest"},
            "empty":{},"null":null}}"#;
        let repositories = parse(text.as_bytes()).unwrap();
        let flat = repositories
            .iter()
            .flat_map(|(name, tags)| tags.iter().map(move |(t, i)| (name.as_str(), t.as_str(), i.as_str())))
            .collect::<Vec<_>>();
        assert_eq!(
            flat,
            [
                ("localhost:5000/app", "1.0", "aa"),
                ("localhost:5000/app", "sha256:bb", "aa"),
                ("odd", "x", "no digest")
            ]
        );
        assert_eq!(parse(br#"{"Repositories":null}"#).unwrap(), Repositories::new());
    }

    #[test]
    fn what_is_no_repositories_file() {
        let deep = format!(r#"{{"Repositories":{}"#, "{\"x\":".repeat(10_000));
        for (text, why) in [
            ("", "no JSON object"),
            ("[{}]", "no JSON object"),
            (r#"{"Repositories":[]}"#, "invalid type: sequence"),
            (r#"{"Repositories":{"a":{"a:1":5}}}"#, "invalid type: integer"),
            (r#"{"Repositories":{"a":{"b:1":"sha256:aa"}}}"#, "is no name within"),
            (r#"{"Repositories":{"a":{"a":"sha256:aa"}}}"#, "is no name within"),
            (r#"{"Repositories":{"a":{"a:1:2":"sha256:aa"}}}"#, "is no name within"),
            (r#"{"Repositories":{"a":{"aä":"sha256:aa"}}}"#, "is no name within"),
            (r#"{"Repositories":{"a":{"a:1":"x","a:1":"y"}}}"#, "\"a:1\" is there twice"),
            (r#"{"Repositories":{"a":{},"a":{}}}"#, "\"a\" is there twice"),
            (r#"{"Repositories":{}} {}"#, "trailing characters"),
            (&deep, "invalid type: map"),
        ] {
            let error = parse(text.as_bytes()).unwrap_err();
            assert!(error.contains(why), "{text:.60}: {error}");
        }
    }
}
