//! `image/<driver>/repositories.json`: which names lead to which images.
//!
//! ```text
//! {"Repositories":{
//!   "team/app":{"team/app:1.0":"sha256:<image id>",
//!               "team/app@sha256:<manifest digest>":"sha256:<image id>"}}}
//! ```
//!
//! Names are familiar names: without `docker.io/` and `library/`, but with any other registry.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::json::{self, Unique};
use crate::{Error, Root, reference};

pub(super) const FILE: &str = "repositories.json";

/// By repository, then by tag or digest: the id of the image in hex, or whatever the file has there.
pub(super) type Repositories = BTreeMap<String, BTreeMap<String, String>>;

/// Reads the file; without it there are no names. A malformed name does not hide the others.
pub(super) fn read(root: &Root) -> (Repositories, Vec<Error>) {
    let malformed = |why| Error::malformed(root.join(FILE), why);
    match root.try_read(FILE, json::LIMIT) {
        Ok(None) => Default::default(),
        Ok(Some(bytes)) => match parse(&bytes) {
            Ok((repositories, wrong)) => (repositories, wrong.into_iter().map(malformed).collect()),
            Err(why) => (Repositories::new(), vec![malformed(why)]),
        },
        Err(error) => (Repositories::new(), vec![error]),
    }
}

#[derive(Deserialize)]
struct File {
    #[serde(rename = "Repositories")]
    repositories: Option<Unique<Option<Unique<String>>>>,
}

/// The names in the file, and what is wrong with other entries. The error says what is wrong with the file.
pub(super) fn parse(bytes: &[u8]) -> Result<(Repositories, Vec<String>), String> {
    let file: File = json::object(bytes)?;
    let mut repositories = Repositories::new();
    let mut wrong = Vec::new();
    for (repository, entries) in file.repositories.map(|map| map.0).unwrap_or_default() {
        let mut tags = BTreeMap::new();
        for (name, image) in entries.map(|map| map.0).unwrap_or_default() {
            let Some(tag) = reference::within(&name, &repository) else {
                wrong.push(format!("{name:?} is not a name within {repository:?}"));
                continue;
            };
            let image = image.strip_prefix("sha256:").unwrap_or(&image).to_owned();
            tags.insert(tag.to_owned(), image);
        }
        repositories.insert(repository, tags);
    }
    Ok((repositories, wrong))
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
            "odd":{"odd:x":"no digest","other:x":"sha256:aa","odd":"sha256:aa","odd:1:2":"sha256:aa","oddä":"sha256:aa"},
            "empty":{},"null":null}}"#;
        let (repositories, wrong) = parse(text.as_bytes()).unwrap();
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
        assert_eq!(
            wrong,
            ["odd", "odd:1:2", "oddä", "other:x"]
                .map(|name| format!("{name:?} is not a name within \"odd\""))
        );
        assert_eq!(parse(br#"{"Repositories":null}"#).unwrap(), Default::default());
    }

    #[test]
    fn what_is_not_a_repositories_file() {
        let deep = format!(r#"{{"Repositories":{}"#, "{\"x\":".repeat(10_000));
        for (text, why) in [
            ("", "not a JSON object"),
            ("[{}]", "not a JSON object"),
            (r#"{"Repositories":[]}"#, "invalid type: sequence"),
            (r#"{"Repositories":{"a":{"a:1":5}}}"#, "invalid type: integer"),
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
