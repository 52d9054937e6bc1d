//! A file of names. Entries are kept as they are read, so that those before a cut remain.
//!
//! ```text
//! {"Repositories":{"base":{"1.0":"<id>","sha256:<manifest digest>":"<id>"}}}          until 1.9
//! {"Repositories":{"base":{"base:1.0":"sha256:<id>","base@sha256:…":"sha256:<id>"}}}   since 1.10
//! {"base":{"1.0":"<id>"}}                                                             in an archive
//! ```

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::Repositories;
use crate::json;
use crate::reference;

/// How a file spells names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Docker until 1.9: tags. Its decoder (Go's `encoding/json`) takes `null` for a missing value, lets the
    /// last of several keys count, and stops after the first JSON value.
    Tags,
    /// An archive of Docker until 1.9: tags, without `Repositories` around them.
    Archive,
    /// Docker since 1.10: whole names. A name with two images is lost, since nothing says which is meant.
    Names,
}

/// What could be read.
#[derive(Debug)]
pub(crate) struct Read {
    form: Form,
    pub(crate) repositories: Repositories,
    /// Entries that are wrong; they hide no others.
    pub(crate) wrong: Vec<String>,
    /// Names with two images.
    twice: BTreeSet<String>,
    /// Why the rest of the file could not be read.
    pub(crate) error: Option<String>,
}

/// Reads a file as far as it can be read.
pub(crate) fn parse(bytes: &[u8], form: Form) -> Read {
    let mut read = Read {
        form,
        repositories: Repositories::new(),
        wrong: Vec::new(),
        twice: BTreeSet::new(),
        error: None,
    };
    read.error = read.file(bytes).err();
    let twice = read.twice.iter().map(|name| format!("{name:?} is there twice, with two images"));
    read.wrong.extend(twice);
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
        let at = if self.form == Form::Archive { At::Repositories } else { At::File };
        let found = Level { read: self, at }.deserialize(&mut json);
        let found = found.and_then(|found| {
            if self.form != Form::Tags {
                json.end()?;
            }
            Ok(found || self.form == Form::Archive)
        });
        match found {
            Ok(true) => Ok(()),
            Ok(false) => Err("it lacks \"Repositories\", which Docker always writes".to_owned()),
            Err(error) if error.is_eof() => Err(format!("it is cut after {} bytes", bytes.len())),
            Err(error) => Err(json::words_within(&error)),
        }
    }

    /// Takes an entry.
    fn take(&mut self, repository: &str, name: String, image: String) {
        let tags = self.repositories.entry(repository.to_owned()).or_default();
        match self.form {
            Form::Tags | Form::Archive => _ = tags.insert(name, image),
            Form::Names => match reference::within(&name, repository) {
                None => self.wrong.push(format!("{name:?} is not a name within {repository:?}")),
                Some(tag) => {
                    let image = image.strip_prefix("sha256:").unwrap_or(&image).to_owned();
                    match tags.get(tag) {
                        Some(known) if *known != image => {
                            tags.remove(tag);
                            self.twice.insert(name);
                        }
                        _ if self.twice.contains(&name) => {}
                        _ => _ = tags.insert(tag.to_owned(), image),
                    }
                }
            },
        }
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
            At::Repositories | At::Repository(_) => deserializer.deserialize_any(self),
        }
    }
}

impl<'de> Visitor<'de> for Level<'_, '_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    /// Docker reads `null` and never writes it.
    fn visit_unit<E: serde::de::Error>(self) -> Result<bool, E> {
        self.other("null")
    }

    fn visit_bool<E: serde::de::Error>(self, _: bool) -> Result<bool, E> {
        self.other("true or false")
    }

    fn visit_i64<E: serde::de::Error>(self, _: i64) -> Result<bool, E> {
        self.other("a number")
    }

    fn visit_u64<E: serde::de::Error>(self, _: u64) -> Result<bool, E> {
        self.other("a number")
    }

    fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<bool, E> {
        self.other("a number")
    }

    fn visit_str<E: serde::de::Error>(self, _: &str) -> Result<bool, E> {
        self.other("a string")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<bool, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        self.other("a list")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
        let mut found = false;
        while let Some(key) = map.next_key::<String>()? {
            match self.at {
                At::File if key == "Repositories" => {
                    found = true;
                    map.next_value_seed(Level { read: &mut *self.read, at: At::Repositories })?;
                }
                At::File => _ = map.next_value::<IgnoredAny>()?,
                At::Repositories => {
                    self.read.repositories.entry(key.clone()).or_default();
                    map.next_value_seed(Level { read: &mut *self.read, at: At::Repository(&key) })?;
                }
                At::Repository(repository) => {
                    let value: Box<RawValue> = map.next_value()?;
                    let image = match (self.read.form, value.get()) {
                        (Form::Tags | Form::Archive, "null") => Ok(String::new()),
                        (_, text) => json::parse::<String>(text.as_bytes()),
                    };
                    match image {
                        Ok(image) => self.read.take(repository, key, image),
                        Err(why) => self.read.wrong.push(format!("the image of {key:?}: {why}")),
                    }
                }
            }
        }
        Ok(found)
    }
}

impl Level<'_, '_> {
    /// A value that is not an object. It hides no other repository.
    fn other<E: serde::de::Error>(self, what: &str) -> Result<bool, E> {
        match self.at {
            At::Repository(repository) => {
                self.read.wrong.push(format!("{repository:?} is {what}, not an object"));
                Ok(true)
            }
            At::Repositories | At::File => {
                Err(E::custom(format_args!("\"Repositories\" is {what}, not an object")))
            }
        }
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

    /// A value of another type, or a name with two images, hides no other name.
    #[test]
    fn one_entry_that_is_wrong() {
        let rest = r#""z":{"z:1":"sha256:bb"}}}"#;
        for (entry, names, wrong) in [
            (
                r#""a":{"a:0":"x","a:1":5},"#,
                "a 0 x",
                "the image of \"a:1\": it is the number 5, not a string",
            ),
            (r#""a":{"a:0":{},"a:1":"x"},"#, "a 1 x", "the image of \"a:0\": it is an object, not a string"),
            (r#""a":[{"a:1":"x"}],"#, "", "\"a\" is a list, not an object"),
            (r#""a":"x","#, "", "\"a\" is a string, not an object"),
            (r#""a":1.5,"#, "", "\"a\" is a number, not an object"),
            (r#""a":{"a:0":"x","a:1":"x","a:1":"y","a:1":"x"},"#, "a 0 x", "\"a:1\" is there twice"),
            (r#""a":{"a:1":"x","a:1":"x"},"#, "a 1 x", ""),
            (r#""a":{"a:1":"x"},"a":{"a:2":"y"},"#, "a 1 x,a 2 y", ""),
        ] {
            let text = format!(r#"{{"Repositories":{{{entry}{rest}"#);
            let (entries, error) = flat(&text, Form::Names);
            let expected: Vec<&str> = names.split_terminator(',').chain(["z 1 bb"]).collect();
            assert_eq!(
                (entries, &*error),
                (expected.iter().map(ToString::to_string).collect(), ""),
                "{entry}"
            );
            assert!(parse(text.as_bytes(), Form::Names).wrong.concat().contains(wrong), "{entry}");
        }
    }

    #[test]
    fn of_an_archive() {
        let text = r#"{"Repositories":{"1":"aa"},"a":null,"b":{"1":"bb","2":7},"c":{}}"#;
        assert_eq!(
            flat(text, Form::Archive),
            (vec!["Repositories 1 aa".into(), "b 1 bb".into()], String::new())
        );
        assert_eq!(parse(text.as_bytes(), Form::Archive).wrong.len(), 2);
        assert_eq!(flat("{}", Form::Archive), (vec![], String::new()));
        assert_eq!(
            flat(r#"{"a":{"1":"aa"}} x"#, Form::Archive).1,
            "it is not JSON from line 1, column 18 on"
        );
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
            (r#"{"Repositories":[]}"#, 0, "\"Repositories\" is a list, not an object"),
            (cut, 1, "it is cut after"),
            (&tail, 1, "it is not JSON from line"),
            (&deep, 0, "it is cut after"),
        ] {
            let (entries, error) = flat(text, Form::Names);
            assert!(error.contains(why), "{text:.60}: {error}");
            assert_eq!(entries.len(), names, "{text:.60}: {entries:?}");
        }
        assert_eq!(flat(&cut.replace("a:", ""), Form::Tags).0, ["a 1 sha256:aa"]);
        assert_eq!(flat("{}", Form::Tags).1, "it lacks \"Repositories\", which Docker always writes");
    }
}
