//! A file of names. Entries are kept as they are read, so that those before a cut remain.
//!
//! ```text
//! {"Repositories":{"base":{"1.0":"<id>","sha256:<manifest digest>":"<id>"}}}          until 1.9
//! {"Repositories":{"base":{"base:1.0":"sha256:<id>","base@sha256:…":"sha256:<id>"}}}   since 1.10
//! ```

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};

use super::Repositories;
use crate::json;
use crate::reference;

/// How a file spells names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Docker until 1.9: tags. Its decoder (Go's `encoding/json`) takes `null` for a missing value, lets the
    /// last of several keys count, and stops after the first JSON value.
    Tags,
    /// Docker since 1.10: whole names. A repeated key is an error, since nothing says which value is meant.
    Names,
}

/// What could be read.
#[derive(Debug)]
pub(super) struct Read {
    form: Form,
    pub(super) repositories: Repositories,
    /// Entries that are wrong; they hide no others.
    pub(super) wrong: Vec<String>,
    /// Why the rest of the file could not be read.
    pub(super) error: Option<String>,
}

/// Reads a file as far as it can be read.
pub(super) fn parse(bytes: &[u8], form: Form) -> Read {
    let mut read = Read { form, repositories: Repositories::new(), wrong: Vec::new(), error: None };
    read.error = read.file(bytes).err();
    read
}

impl Read {
    fn file(&mut self, bytes: &[u8]) -> Result<(), String> {
        match bytes.trim_ascii_start().first() {
            Some(b'{') => {}
            None => return Err("it is empty".to_owned()),
            Some(0) if bytes.iter().all(|&byte| byte == 0) => {
                return Err("it holds nothing but zeros".to_owned());
            }
            Some(_) => return Err("it is not a JSON object".to_owned()),
        }
        let mut json = serde_json::Deserializer::from_slice(bytes);
        let found = Level { read: self, at: At::File }.deserialize(&mut json);
        let found = found.and_then(|found| {
            if self.form == Form::Names {
                json.end()?;
            }
            Ok(found)
        });
        match found {
            Ok(true) => Ok(()),
            Ok(false) => Err("it lacks \"Repositories\", which Docker always writes".to_owned()),
            Err(error) if error.is_eof() => Err(format!("it is cut after {} bytes", bytes.len())),
            Err(error) => Err(json::words_within(&error)),
        }
    }

    /// Takes an entry; the error says why it is one too many.
    fn take(&mut self, repository: &str, name: String, image: String) -> Result<(), String> {
        let tags = self.repositories.entry(repository.to_owned()).or_default();
        match self.form {
            Form::Tags => _ = tags.insert(name, image),
            Form::Names => match reference::within(&name, repository) {
                None => self.wrong.push(format!("{name:?} is not a name within {repository:?}")),
                Some(tag) => {
                    let image = image.strip_prefix("sha256:").unwrap_or(&image).to_owned();
                    if tags.insert(tag.to_owned(), image).is_some() {
                        tags.remove(tag);
                        return Err(format!("{name:?} is there twice"));
                    }
                }
            },
        }
        Ok(())
    }
}

/// A level of the file.
#[derive(Clone, Copy)]
enum At<'n> {
    File,
    Repositories,
    Repository(&'n str),
}

/// Reads one level. The value says whether the file has `Repositories`.
struct Level<'r, 'n> {
    read: &'r mut Read,
    at: At<'n>,
}

impl<'de> DeserializeSeed<'de> for Level<'_, '_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        match self.at {
            At::File => deserializer.deserialize_map(self),
            At::Repositories | At::Repository(_) => deserializer.deserialize_option(self),
        }
    }
}

impl<'de> Visitor<'de> for Level<'_, '_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_none<E: serde::de::Error>(self) -> Result<bool, E> {
        self.visit_unit()
    }

    /// Docker reads `null` and never writes it.
    fn visit_unit<E: serde::de::Error>(self) -> Result<bool, E> {
        match self.at {
            At::Repository(repository) => {
                self.read.wrong.push(format!("{repository:?} is null, not an object"));
                Ok(true)
            }
            At::Repositories | At::File => Err(E::custom("\"Repositories\" is null, not an object")),
        }
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_map(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
        let mut found = false;
        while let Some(key) = map.next_key::<String>()? {
            match self.at {
                At::File if key == "Repositories" => {
                    if std::mem::replace(&mut found, true) {
                        return Err(A::Error::custom("\"Repositories\" is there twice"));
                    }
                    map.next_value_seed(Level { read: &mut *self.read, at: At::Repositories })?;
                }
                At::File => _ = map.next_value::<IgnoredAny>()?,
                At::Repositories => {
                    if self.read.repositories.contains_key(&key) {
                        match self.read.form {
                            // The decoder of Go adds to a map that is there.
                            Form::Tags => {}
                            Form::Names => {
                                return Err(A::Error::custom(format_args!("{key:?} is there twice")));
                            }
                        }
                    }
                    self.read.repositories.entry(key.clone()).or_default();
                    map.next_value_seed(Level { read: &mut *self.read, at: At::Repository(&key) })?;
                }
                At::Repository(repository) => {
                    let image = match self.read.form {
                        Form::Tags => map.next_value::<Option<String>>()?.unwrap_or_default(),
                        Form::Names => map.next_value()?,
                    };
                    self.read.take(repository, key, image).map_err(A::Error::custom)?;
                }
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The entries, a word each, and what is wrong with the rest.
    fn flat(text: &str, form: Form) -> (Vec<String>, String) {
        let read = parse(text.as_bytes(), form);
        let entries = read.repositories.iter();
        let entries =
            entries.flat_map(|(name, tags)| tags.iter().map(move |(t, i)| format!("{name} {t} {i}")));
        (entries.collect(), read.error.unwrap_or_default())
    }

    #[test]
    fn tags_and_digests() {
        let text = r#"{"Repositories":{
            "localhost:5000/app":{
                "localhost:5000/app:1.0":"sha256:aa",
                "localhost:5000/app@sha256:bb":"sha256:aa"},
            "odd":{"odd:x":"no digest","other:x":"sha256:aa","odd":"sha256:aa","odd:1:2":"sha256:aa","oddä":"sha256:aa"},
            "empty":{},"null":null}}"#;
        let (entries, error) = flat(text, Form::Names);
        assert_eq!(
            entries,
            ["localhost:5000/app 1.0 aa", "localhost:5000/app sha256:bb aa", "odd x no digest"]
        );
        assert_eq!(error, "");
        assert_eq!(
            parse(text.as_bytes(), Form::Names).wrong,
            ["other:x", "odd", "odd:1:2", "oddä"]
                .map(|name| format!("{name:?} is not a name within \"odd\""))
                .into_iter()
                .chain(["\"null\" is null, not an object".into()])
                .collect::<Vec<_>>()
        );
        let text = r#"{"Other":[1],"Repositories":{"a":{"1":"aa","sha256:bb":"cc","1":"dd","n":null},"b":{},"c":null}} junk"#;
        assert_eq!(
            flat(text, Form::Tags),
            (vec!["a 1 dd".into(), "a n ".into(), "a sha256:bb cc".into()], String::new())
        );
        for form in [Form::Tags, Form::Names] {
            let null = "\"Repositories\" is null, not an object";
            assert_eq!(flat(r#"{"Repositories":null}"#, form), (vec![], null.into()));
            assert_eq!(flat(r#"{"Repositories":{}}"#, form), (vec![], String::new()));
        }
    }

    /// Whole entries before the place where a file ends or goes wrong.
    #[test]
    fn what_is_left_of_a_file() {
        let deep = format!(r#"{{"Repositories":{}"#, "{\"x\":".repeat(10_000));
        let zeros = "\0".repeat(100);
        let cut = r#"{"Repositories":{"a":{"a:1":"sha256:aa","a:2":"sha256:a"#;
        let tail = format!(r#"{{"Repositories":{{"a":{{"a:1":"sha256:aa"}}}}}}{zeros}"#);
        for (text, names, why) in [
            ("", 0, "it is empty"),
            (" \n", 0, "it is empty"),
            (&zeros, 0, "nothing but zeros"),
            ("[{}]", 0, "not a JSON object"),
            ("{", 0, "it is cut after 1 bytes"),
            ("{}", 0, "it lacks \"Repositories\""),
            (r#"{"x":1}"#, 0, "it lacks \"Repositories\""),
            (r#"{"Repositories":[]}"#, 0, "a value in it is a list, not an object"),
            (r#"{"Repositories":{"a":{"a:1":5}}}"#, 0, "a value in it is the number 5, not a string"),
            (cut, 1, "it is cut after"),
            (&tail, 1, "it is not JSON from line"),
            (r#"{"Repositories":{"a":{"a:0":"x","a:1":"x","a:1":"y"}}}"#, 1, "\"a:1\" is there twice"),
            (r#"{"Repositories":{"a":{"a:1":"x"},"a":{}}}"#, 1, "\"a\" is there twice"),
            (r#"{"Repositories":{},"Repositories":{}}"#, 0, "\"Repositories\" is there twice"),
            (&deep, 0, "a value in it is an object, not a string"),
        ] {
            let (entries, error) = flat(text, Form::Names);
            assert!(error.contains(why), "{text:.60}: {error}");
            assert_eq!(entries.len(), names, "{text:.60}: {entries:?}");
        }
        assert_eq!(flat(&cut.replace("a:", ""), Form::Tags).0, ["a 1 sha256:aa"]);
        assert_eq!(flat("{}", Form::Tags).1, "it lacks \"Repositories\", which Docker always writes");
    }
}
