//! The members of a config that engines parse, and their types. A config is copied as it is, so the only
//! question is whether an engine can read these members. If one of them has another type, `docker load` and
//! skopeo refuse the whole image. (Go's `json.Unmarshal` into Docker's `image.Image` and the `v1.Image` of
//! the OCI image specification.) `null` is accepted everywhere.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Unexpected, Visitor};

/// The config itself.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(crate) struct Members {
    created: Time,
    author: Text,
    architecture: Text,
    variant: Text,
    os: Text,
    #[serde(rename = "os.version")]
    os_version: Text,
    #[serde(rename = "os.features")]
    os_features: List<Text>,
    comment: Text,
    docker_version: Text,
    container: Text,
    config: Object<Settings>,
    container_config: Object<Settings>,
    history: List<Object<Step>>,
}

/// How a container of the image runs.
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase")]
struct Settings {
    user: Text,
    exposed_ports: Map<Empty>,
    env: List<Text>,
    entrypoint: Words,
    cmd: Words,
    volumes: Map<Empty>,
    working_dir: Text,
    labels: Map<Text>,
    stop_signal: Text,
    on_build: List<Text>,
    shell: Words,
    tty: Flag,
    healthcheck: Object<Healthcheck>,
}

/// How an engine asks whether a container is well.
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase")]
struct Healthcheck {
    test: List<Text>,
    interval: Number,
    timeout: Number,
    start_period: Number,
    start_interval: Number,
    retries: Number,
}

/// An entry of the history.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Step {
    created: Time,
    created_by: Text,
    author: Text,
    comment: Text,
    empty_layer: Flag,
}

/// A string.
#[derive(Default)]
struct Text;
/// A time of RFC 3339, as Go reads it.
#[derive(Default)]
struct Time;
/// A boolean.
#[derive(Default)]
struct Flag;
/// A whole number.
#[derive(Default)]
struct Number;
/// A list of strings; Docker takes a single one, too.
#[derive(Default)]
struct Words;
/// An object whose members are not read.
#[derive(Default)]
struct Empty;
/// A list of these.
#[derive(Default)]
struct List<T>(PhantomData<T>);
/// An object that has one of these for each of its names.
#[derive(Default)]
struct Map<T>(PhantomData<T>);
/// An object with these members.
#[derive(Default)]
struct Object<T>(PhantomData<T>);

/// What a type accepts beside `null`.
trait Accept: Default {
    const NAME: &str;

    fn text<E: serde::de::Error>(text: &str) -> Result<(), E> {
        Err(E::invalid_type(Unexpected::Str(text), &Self::NAME))
    }

    fn flag<E: serde::de::Error>(flag: bool) -> Result<(), E> {
        Err(E::invalid_type(Unexpected::Bool(flag), &Self::NAME))
    }

    fn number<E: serde::de::Error>(number: i64) -> Result<(), E> {
        Err(E::invalid_type(Unexpected::Signed(number), &Self::NAME))
    }

    fn list<'de, A: SeqAccess<'de>>(_: A) -> Result<(), A::Error> {
        Err(A::Error::invalid_type(Unexpected::Seq, &Self::NAME))
    }

    fn object<'de, A: MapAccess<'de>>(_: A) -> Result<(), A::Error> {
        Err(A::Error::invalid_type(Unexpected::Map, &Self::NAME))
    }
}

impl Accept for Text {
    const NAME: &str = "a string";

    fn text<E>(_: &str) -> Result<(), E> {
        Ok(())
    }
}

impl Accept for Time {
    const NAME: &str = "a time of RFC 3339";

    fn text<E: serde::de::Error>(text: &str) -> Result<(), E> {
        match is_time(text) {
            true => Ok(()),
            false => Err(E::invalid_value(Unexpected::Str(text), &Self::NAME)),
        }
    }
}

impl Accept for Flag {
    const NAME: &str = "true or false";

    fn flag<E>(_: bool) -> Result<(), E> {
        Ok(())
    }
}

impl Accept for Number {
    const NAME: &str = "a whole number";

    fn number<E>(_: i64) -> Result<(), E> {
        Ok(())
    }
}

impl Accept for Words {
    const NAME: &str = "a list";

    fn text<E>(_: &str) -> Result<(), E> {
        Ok(())
    }

    fn list<'de, A: SeqAccess<'de>>(list: A) -> Result<(), A::Error> {
        List::<Text>::list(list)
    }
}

impl Accept for Empty {
    const NAME: &str = "an object";

    fn object<'de, A: MapAccess<'de>>(mut object: A) -> Result<(), A::Error> {
        while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(())
    }
}

impl<T: for<'de> Deserialize<'de> + Default> Accept for List<T> {
    const NAME: &str = "a list";

    fn list<'de, A: SeqAccess<'de>>(mut list: A) -> Result<(), A::Error> {
        while list.next_element::<T>()?.is_some() {}
        Ok(())
    }
}

impl<T: for<'de> Deserialize<'de> + Default> Accept for Map<T> {
    const NAME: &str = "an object";

    fn object<'de, A: MapAccess<'de>>(mut object: A) -> Result<(), A::Error> {
        while object.next_entry::<IgnoredAny, T>()?.is_some() {}
        Ok(())
    }
}

impl<T: for<'de> Deserialize<'de> + Default> Accept for Object<T> {
    const NAME: &str = "an object";

    fn object<'de, A: MapAccess<'de>>(object: A) -> Result<(), A::Error> {
        T::deserialize(serde::de::value::MapAccessDeserializer::new(object)).map(|_| ())
    }
}

struct Check<T>(PhantomData<T>);

impl<'de, T: Accept> Visitor<'de> for Check<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::NAME)
    }

    fn visit_unit<E>(self) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
        T::text(text).map(|()| T::default())
    }

    fn visit_bool<E: serde::de::Error>(self, flag: bool) -> Result<T, E> {
        T::flag(flag).map(|()| T::default())
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<T, E> {
        T::number(number).map(|()| T::default())
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<T, E> {
        match i64::try_from(number) {
            Ok(number) => self.visit_i64(number),
            Err(_) => Err(E::invalid_type(Unexpected::Unsigned(number), &self)),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<T, A::Error> {
        T::list(list).map(|()| T::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<T, A::Error> {
        T::object(object).map(|()| T::default())
    }
}

macro_rules! check {
    ($($name:ident $(<$of:ident>)?),*) => {$(
        impl<'de $(, $of: for<'a> Deserialize<'a> + Default)?> Deserialize<'de> for $name $(<$of>)? {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(Check(PhantomData))
            }
        }
    )*};
}

check!(Text, Time, Flag, Number, Words, Empty, List<T>, Map<T>, Object<T>);

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
            r#"{"history":[{"created_by":"x","comment":"y","author":"z","empty_layer":true}]}"#,
        ] {
            assert_eq!(json::object::<Members>(text.as_bytes()).map(|_| ()), Ok(()), "{text}");
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
            let error = json::object::<Members>(text.as_bytes()).map(|_| ()).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
