//! The members of an image's document that engines parse, and their types. The document is copied as it is,
//! so the only question is whether an engine can read these members. If one of them has another type,
//! `docker load` and skopeo refuse the whole image. (Go's `json.Unmarshal` into Docker's `image.Image` and
//! the `v1.Image` of the OCI image specification; Docker 1.5 to 1.9 for `json` in `graph/<id>`.) `null` is
//! accepted everywhere. The case of a name does not matter.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{
    DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Unexpected, Visitor,
};

use Kind::{Flag, List, Map, Members, Number, Object, Text, Time, Words};

/// What a member is in Go.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    /// A time of RFC 3339.
    Time,
    Flag,
    Number,
    /// A list of strings; Docker takes a single one, too.
    Words,
    /// An object whose members are not read.
    Object,
    List(&'static Kind),
    /// An object that has one of these for each of its names.
    Map(&'static Kind),
    /// An object with these members.
    Members(&'static [(&'static str, Kind)]),
}

const IMAGE: Kind = Members(&[
    ("id", Text),
    ("parent", Text),
    ("created", Time),
    ("author", Text),
    ("architecture", Text),
    ("variant", Text),
    ("os", Text),
    ("os.version", Text),
    ("os.features", List(&Text)),
    ("comment", Text),
    ("docker_version", Text),
    ("container", Text),
    ("config", SETTINGS),
    ("container_config", SETTINGS),
    ("history", List(&STEP)),
    ("Size", Number),
]);

/// How a container of the image runs.
const SETTINGS: Kind = Members(&[
    ("Hostname", Text),
    ("Domainname", Text),
    ("User", Text),
    ("ExposedPorts", Map(&Object)),
    ("Env", List(&Text)),
    ("Entrypoint", Words),
    ("Cmd", Words),
    ("Image", Text),
    ("Volumes", Map(&Object)),
    ("WorkingDir", Text),
    ("Labels", Map(&Text)),
    ("StopSignal", Text),
    ("StopTimeout", Number),
    ("OnBuild", List(&Text)),
    ("Shell", Words),
    ("AttachStdin", Flag),
    ("AttachStdout", Flag),
    ("AttachStderr", Flag),
    ("ArgsEscaped", Flag),
    ("MacAddress", Text),
    ("NetworkDisabled", Flag),
    ("Tty", Flag),
    ("OpenStdin", Flag),
    ("StdinOnce", Flag),
    ("Healthcheck", HEALTHCHECK),
]);

/// How an engine asks whether a container is well.
const HEALTHCHECK: Kind = Members(&[
    ("Test", List(&Text)),
    ("Interval", Number),
    ("Timeout", Number),
    ("StartPeriod", Number),
    ("StartInterval", Number),
    ("Retries", Number),
]);

/// An entry of the history.
const STEP: Kind = Members(&[
    ("created", Time),
    ("created_by", Text),
    ("author", Text),
    ("comment", Text),
    ("empty_layer", Flag),
]);

/// An image's document, if engines can read it.
pub(crate) struct Readable;

impl<'de> Deserialize<'de> for Readable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IMAGE.deserialize(deserializer).map(|()| Readable)
    }
}

impl<'de> DeserializeSeed<'de> for Kind {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Kind {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Text => "a string",
            Time => "a time of RFC 3339",
            Flag => "true or false",
            Number => "a whole number",
            Words | List(_) => "a list",
            Object | Map(_) | Members(_) => "an object",
        })
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        match self {
            Text | Words => Ok(()),
            Time if is_time(text) => Ok(()),
            Time => Err(E::invalid_value(Unexpected::Str(text), &self)),
            _ => Err(E::invalid_type(Unexpected::Str(text), &self)),
        }
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<(), E> {
        match self {
            Flag => Ok(()),
            _ => Err(E::invalid_type(Unexpected::Bool(flag), &self)),
        }
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<(), E> {
        match self {
            Number => Ok(()),
            _ => Err(E::invalid_type(Unexpected::Signed(number), &self)),
        }
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<(), E> {
        match i64::try_from(number) {
            Ok(number) => self.visit_i64(number),
            Err(_) => Err(E::invalid_type(Unexpected::Unsigned(number), &self)),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let of = match self {
            Words => Text,
            List(of) => *of,
            _ => return Err(A::Error::invalid_type(Unexpected::Seq, &self)),
        };
        while list.next_element_seed(of)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<(), A::Error> {
        match self {
            Object => while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {},
            Map(of) => {
                while object.next_key::<IgnoredAny>()?.is_some() {
                    object.next_value_seed(*of)?;
                }
            }
            Members(members) => {
                while let Some(name) = object.next_key::<Cow<'_, str>>()? {
                    match members.iter().find(|(member, _)| member.eq_ignore_ascii_case(&name)) {
                        Some((_, of)) => object.next_value_seed(*of)?,
                        None => object.next_value::<IgnoredAny>().map(|_| ())?,
                    }
                }
            }
            _ => return Err(A::Error::invalid_type(Unexpected::Map, &self)),
        }
        Ok(())
    }
}

/// Whether Go takes this for a time: `2006-01-02T15:04:05.999999999Z07:00`, of any year.
fn is_time(text: &str) -> bool {
    let Some((local, rest)) = text.split_at_checked("2006-01-02T15:04:05".len()) else { return false };
    let form = |text: &str, form: &str| {
        let is = |(byte, form): (u8, u8)| if form == b'0' { byte.is_ascii_digit() } else { byte == form };
        text.len() == form.len() && text.bytes().zip(form.bytes()).all(is)
    };
    // jiff takes a leap second, which Go does not.
    let is_local = form(local, "0000-00-00T00:00:00")
        && !local.ends_with("60")
        && local.parse::<jiff::civil::DateTime>().is_ok();
    let zone =
        rest.strip_prefix('.').map_or(rest, |rest| rest.trim_start_matches(|c: char| c.is_ascii_digit()));
    let is_fraction = rest.len() - zone.len() != 1;
    let is_zone = zone == "Z"
        || (form(zone, "+00:00") || form(zone, "-00:00")) && &zone[1..3] < "24" && &zone[4..] < "60";
    is_local && is_fraction && is_zone
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;

    #[test]
    fn what_engines_read() {
        for text in [
            "{}",
            r#"{"config":null,"history":null,"architecture":null,"created":null,"os.features":null}"#,
            r#"{"created":"0001-01-01T00:00:00Z","os":"","author":"a","variant":"v8","os.version":"1"}"#,
            r#"{"created":"2023-11-14T22:13:20.123456789+02:00","history":[{"created":null},null,{}]}"#,
            r#"{"created":"9999-12-31T23:59:59.999999999+14:00","history":[{"created":"0000-01-01T00:00:00-12:00"}]}"#,
            r#"{"config":{"Cmd":"sh","Env":[null,"A=1"],"Entrypoint":["sh","-c"],"Unknown":5}}"#,
            r#"{"config":{"ExposedPorts":{"80/tcp":{},"81/tcp":null},"Volumes":{"/v":{"x":1}}}}"#,
            r#"{"config":{"Labels":{"a":"b","c":null},"User":"","WorkingDir":"/","StopSignal":"9"}}"#,
            r#"{"author":"a","AUTHOR":"b","author":"c","Config":{"env":["A=1"]}}"#,
            r#"{"history":[{"created_by":"x","comment":"y","author":"z","empty_layer":true}]}"#,
        ] {
            assert_eq!(json::object::<Readable>(text.as_bytes()).map(|_| ()), Ok(()), "{text}");
        }
    }

    #[test]
    fn what_engines_refuse() {
        for (text, why) in [
            (r#"{"architecture":5}"#, "architecture is the number 5, not a string"),
            (r#"{"os":["linux"]}"#, "os is a list, not a string"),
            (r#"{"created":"yesterday"}"#, "created is \"yesterday\", not a time of RFC 3339"),
            (r#"{"created":"2023-11-14 22:13:20Z"}"#, "not a time of RFC 3339"),
            (r#"{"created":"2023-11-31T22:13:20Z"}"#, "not a time of RFC 3339"),
            (r#"{"created":"2023-11-14T22:13:20"}"#, "not a time of RFC 3339"),
            (r#"{"created":"2023-11-14T22:13:60Z"}"#, "not a time of RFC 3339"),
            (r#"{"created":"2023-11-14T22:13:20.Z"}"#, "not a time of RFC 3339"),
            (r#"{"created":"2023-11-14T22:13:20+24:00"}"#, "not a time of RFC 3339"),
            (r#"{"created":1700000000}"#, "created is the number 1700000000, not a time of RFC 3339"),
            (r#"{"history":"x"}"#, "history is \"x\", not a list"),
            (r#"{"history":[{},{"created":"x"}]}"#, "history[1].created is \"x\", not a time of RFC 3339"),
            (
                r#"{"history":[{"empty_layer":"yes"}]}"#,
                "history[0].empty_layer is \"yes\", not true or false",
            ),
            (r#"{"history":[5]}"#, "history[0] is the number 5, not an object"),
            (r#"{"config":"x"}"#, "config is \"x\", not an object"),
            (r#"{"config":[]}"#, "config is a list, not an object"),
            (r#"{"config":{"Cmd":5}}"#, "config.Cmd is the number 5, not a list"),
            (r#"{"config":{"Cmd":["sh",5]}}"#, "config.Cmd[1] is the number 5, not a string"),
            (r#"{"config":{"Env":"A=1"}}"#, "config.Env is \"A=1\", not a list"),
            (r#"{"author":"a","author":5}"#, "author is the number 5, not a string"),
            (r#"{"Config":{"env":5}}"#, "Config.env is the number 5, not a list"),
            (
                r#"{"Size":18446744073709551615}"#,
                "Size is the number 18446744073709551615, not a whole number",
            ),
            (r#"{"comment":7}"#, "comment is the number 7, not a string"),
            (r#"{"container_config":{"Cmd":{}}}"#, "container_config.Cmd is an object, not a list"),
            (r#"{"config":{"Tty":"yes"}}"#, "config.Tty is \"yes\", not true or false"),
            (r#"{"config":{"OnBuild":{}}}"#, "config.OnBuild is an object, not a list"),
            (
                r#"{"config":{"Healthcheck":{"Interval":"1s"}}}"#,
                "Healthcheck.Interval is \"1s\", not a whole number",
            ),
            (r#"{"config":{"Labels":{"a":1}}}"#, "config.Labels.a is the number 1, not a string"),
            (r#"{"config":{"Volumes":["/v"]}}"#, "config.Volumes is a list, not an object"),
            (
                r#"{"config":{"ExposedPorts":{"80/tcp":5}}}"#,
                "config.ExposedPorts.80/tcp is the number 5, not an object",
            ),
        ] {
            let error = json::object::<Readable>(text.as_bytes()).map(|_| ()).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
