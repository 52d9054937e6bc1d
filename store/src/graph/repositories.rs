//! `repositories-<driver>`: which names lead to which images.
//!
//! ```text
//! {"Repositories":{"base":{"1.0":"<id>","latest":"<id>","sha256:<manifest digest>":"<id>"}}}
//! ```
//!
//! Names are local names: without `docker.io/` and `library/`, but with any other registry. Digests since
//! 1.6. Only the first JSON value is read, and of repeated keys the last counts (`graph/tags.go`, 1.8.3).

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::{Error, Root, driver};

/// Largest size of the file. A name takes about 100 bytes.
const LIMIT: u64 = 64 << 20;

const PREFIX: &str = "repositories-";

/// By repository, then by tag or digest: the id of the image, or whatever the file has there.
pub(super) type Repositories = BTreeMap<String, BTreeMap<String, String>>;

/// The name of the file.
pub(super) fn file(driver: &str) -> String {
    format!("{PREFIX}{driver}")
}

/// Drivers that have such a file. The preferred one comes first.
pub(super) fn drivers(root: &Root) -> Result<Vec<String>, Error> {
    let names = root.list(".")?;
    let driver = |name: &std::ffi::OsString| name.to_str()?.strip_prefix(PREFIX).map(str::to_owned);
    let mut drivers: Vec<String> =
        names.iter().filter_map(driver).filter(|name| driver::safe_id(name)).collect();
    drivers.sort_by_key(|name| driver::preference(name));
    Ok(drivers)
}

/// Reads the file; without it there are no names.
pub(super) fn read(root: &Root, driver: &str) -> Result<Repositories, Error> {
    let file = file(driver);
    match root.try_read(&file, LIMIT)? {
        None => Ok(Repositories::new()),
        Some(bytes) => parse(&bytes).map_err(|why| Error::malformed(root.join(file), why)),
    }
}

/// Docker's decoder takes `null` for a missing value.
type Tags = BTreeMap<String, Option<String>>;

#[derive(Deserialize)]
struct File {
    #[serde(rename = "Repositories")]
    repositories: Option<BTreeMap<String, Option<Tags>>>,
}

/// Parses the file; the error says what is wrong with it.
pub(super) fn parse(bytes: &[u8]) -> Result<Repositories, String> {
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        return Err("it is not a JSON object".to_owned());
    }
    let file =
        File::deserialize(&mut serde_json::Deserializer::from_slice(bytes)).map_err(|e| e.to_string())?;
    let tags = |tags: Tags| tags.into_iter().map(|(tag, id)| (tag, id.unwrap_or_default())).collect();
    let repositories = file.repositories.unwrap_or_default().into_iter();
    Ok(repositories.map(|(name, repository)| (name, repository.map(tags).unwrap_or_default())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_what_they_lead_to() {
        let text = r#"{"Other":[1],"Repositories":{"a":{"1":"aa","sha256:bb":"cc","1":"dd","n":null},"b":{},"c":null}} junk"#;
        let flat: Vec<String> = parse(text.as_bytes())
            .unwrap()
            .into_iter()
            .map(|(name, tags)| format!("{name} {tags:?}"))
            .collect();
        assert_eq!(flat, [r#"a {"1": "dd", "n": "", "sha256:bb": "cc"}"#, "b {}", "c {}"]);
        assert!(parse(b"{}").unwrap().is_empty());
    }

    #[test]
    fn what_is_not_such_a_file() {
        let deep = format!(r#"{{"x":{}"#, "[".repeat(10_000));
        for (text, why) in [
            ("", "not a JSON object"),
            ("[]", "not a JSON object"),
            ("{\"Repositories\":{\"a\":{\"1\":\"aa", "EOF while parsing"),
            (r#"{"Repositories":[]}"#, "invalid type: sequence"),
            (r#"{"Repositories":{"a":"x"}}"#, "invalid type: string"),
            (r#"{"Repositories":{"a":{"1":5}}}"#, "invalid type: integer"),
            (&deep, "EOF while parsing"),
        ] {
            let error = parse(text.as_bytes()).unwrap_err();
            assert!(error.contains(why), "{text:.60}: {error}");
        }
    }
}
