//! Go structs as `encoding/json` fills and writes them: fields keep the order of the struct, a field that the
//! document lacks has its zero value, unknown fields are dropped, maps are sorted.

use std::collections::{BTreeMap, BTreeSet};

use super::{Object, Time, Value, array, object, quote};

/// A field of a Go struct.
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// `omitempty`.
    pub(crate) omit_empty: bool,
}

/// Its type.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    /// `string`
    Text,
    /// `bool`
    Bool,
    /// `int`, `int64`, `time.Duration`
    Int,
    /// `*int`
    IntPointer,
    /// `[]string`
    Texts,
    /// Docker's `strslice.StrSlice`: a single string is a list of one.
    Command,
    /// `map[string]struct{}`
    Set,
    /// `map[string]string`
    Map,
    /// `time.Time`
    Time,
    /// A struct within the struct.
    Struct(&'static [Field]),
    /// A pointer to one.
    Pointer(&'static [Field]),
}

/// A field's value. `None` is Go's nil: `null`, unless `omitempty` leaves it out.
#[derive(Debug, Clone)]
enum Data {
    Text(String),
    Bool(bool),
    Int(i64),
    IntPointer(Option<i64>),
    Texts(Option<Vec<String>>),
    Set(Option<BTreeSet<String>>),
    Map(Option<BTreeMap<String, String>>),
    Time(Time),
    Struct(Record),
    Pointer(Option<Record>),
}

/// A value of a Go struct.
#[derive(Clone)]
pub(crate) struct Record {
    schema: &'static [Field],
    data: Vec<Data>,
}

impl std::fmt::Debug for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.schema.iter().map(|field| field.name).zip(&self.data)).finish()
    }
}

impl Record {
    /// The zero value.
    pub(crate) fn zero(schema: &'static [Field]) -> Self {
        let data = schema.iter().map(|field| zero(field.kind)).collect();
        Record { schema, data }
    }

    /// Reads an object. The error names the field whose value has the wrong type.
    pub(crate) fn decode(schema: &'static [Field], value: Value<'_>) -> Result<Self, String> {
        let mut record = Record::zero(schema);
        record.fill(value)?;
        Ok(record)
    }

    fn fill(&mut self, value: Value<'_>) -> Result<(), String> {
        let fields = value.fields().ok_or_else(|| "it is not an object".to_owned())?;
        for (name, value) in fields {
            let exact = self.schema.iter().position(|field| field.name == name);
            let any_case = || self.schema.iter().position(|field| field.name.eq_ignore_ascii_case(&name));
            if let Some(index) = exact.or_else(any_case) {
                fill(&mut self.data[index], self.schema[index].kind, value)
                    .map_err(|why| format!("field {name}: {why}"))?;
            }
        }
        Ok(())
    }

    fn field(&self, name: &str) -> Option<&Data> {
        let index = self.schema.iter().position(|field| field.name == name)?;
        self.data.get(index)
    }

    /// A text field; empty if there is no such field.
    pub(crate) fn text(&self, name: &str) -> &str {
        match self.field(name) {
            Some(Data::Text(text)) => text,
            _ => "",
        }
    }

    /// Sets a text field.
    pub(crate) fn set_text(&mut self, name: &str, text: impl Into<String>) {
        if let Some(index) = self.schema.iter().position(|field| field.name == name) {
            self.data[index] = Data::Text(text.into());
        }
    }

    /// A time field; Go's zero time if there is no such field.
    pub(crate) fn time(&self, name: &str) -> Time {
        match self.field(name) {
            Some(Data::Time(time)) => time.clone(),
            _ => Time::default(),
        }
    }

    /// Sets a time field.
    pub(crate) fn set_time(&mut self, name: &str, time: Time) {
        if let Some(index) = self.schema.iter().position(|field| field.name == name) {
            self.data[index] = Data::Time(time);
        }
    }

    /// A list of strings; empty if there is no such field.
    pub(crate) fn texts(&self, name: &str) -> &[String] {
        match self.field(name) {
            Some(Data::Texts(Some(texts))) => texts,
            _ => &[],
        }
    }

    /// A struct within this one.
    pub(crate) fn record(&self, name: &str) -> Option<&Record> {
        match self.field(name) {
            Some(Data::Struct(record) | Data::Pointer(Some(record))) => Some(record),
            _ => None,
        }
    }

    /// The fields as Go writes them, in the order of the struct.
    pub(crate) fn encoded(&self) -> Vec<(&'static str, Vec<u8>)> {
        let fields = self.schema.iter().zip(&self.data);
        let written = fields.filter(|(field, data)| !(field.omit_empty && is_empty(data)));
        let encode_one = |(field, data): (&Field, &Data)| {
            let mut out = Vec::new();
            encode(data, &mut out);
            (field.name, out)
        };
        written.map(encode_one).collect()
    }

    /// `json.Marshal`.
    pub(crate) fn encode(&self) -> Vec<u8> {
        object(self.encoded())
    }
}

fn zero(kind: Kind) -> Data {
    match kind {
        Kind::Text => Data::Text(String::new()),
        Kind::Bool => Data::Bool(false),
        Kind::Int => Data::Int(0),
        Kind::IntPointer => Data::IntPointer(None),
        Kind::Texts | Kind::Command => Data::Texts(None),
        Kind::Set => Data::Set(None),
        Kind::Map => Data::Map(None),
        Kind::Time => Data::Time(Time::default()),
        Kind::Struct(schema) => Data::Struct(Record::zero(schema)),
        Kind::Pointer(_) => Data::Pointer(None),
    }
}

/// What `omitempty` leaves out. A struct is never empty.
fn is_empty(data: &Data) -> bool {
    match data {
        Data::Text(text) => text.is_empty(),
        Data::Bool(value) => !value,
        Data::Int(number) => *number == 0,
        Data::IntPointer(pointer) => pointer.is_none(),
        Data::Texts(texts) => texts.as_ref().is_none_or(Vec::is_empty),
        Data::Set(set) => set.as_ref().is_none_or(BTreeSet::is_empty),
        Data::Map(map) => map.as_ref().is_none_or(BTreeMap::is_empty),
        Data::Pointer(pointer) => pointer.is_none(),
        Data::Time(_) | Data::Struct(_) => false,
    }
}

/// `null` sets what can be nil and leaves everything else as it is.
fn fill(data: &mut Data, kind: Kind, value: Value<'_>) -> Result<(), String> {
    let null = value.is_null();
    match (data, kind) {
        (Data::IntPointer(pointer), _) if null => *pointer = None,
        (Data::Texts(texts), _) if null => *texts = None,
        (Data::Set(set), _) if null => *set = None,
        (Data::Map(map), _) if null => *map = None,
        (Data::Pointer(pointer), _) if null => *pointer = None,
        _ if null => {}
        (Data::Text(text), _) => *text = string(value)?,
        (Data::Bool(flag), _) => *flag = value.boolean().ok_or("it is neither true nor false")?,
        (Data::Int(number), _) => *number = value.integer().ok_or("it is not a whole number")?,
        (Data::IntPointer(pointer), _) => {
            *pointer = Some(value.integer().ok_or("it is not a whole number")?);
        }
        (Data::Texts(texts), kind) => *texts = Some(strings(value, kind)?),
        (Data::Set(set), _) => {
            for (name, value) in object_fields(value)? {
                if !value.is_null() && value.fields().is_none() {
                    return Err(format!("{name}: it is not an object"));
                }
                set.get_or_insert_default().insert(name);
            }
            set.get_or_insert_default();
        }
        (Data::Map(map), _) => {
            for (name, value) in object_fields(value)? {
                let value = if value.is_null() { String::new() } else { string(value)? };
                map.get_or_insert_default().insert(name, value);
            }
            map.get_or_insert_default();
        }
        (Data::Time(time), _) => {
            *time = Time::parse(&string(value)?).ok_or("it is not a time (RFC 3339)")?;
        }
        (Data::Struct(record), _) => record.fill(value)?,
        (Data::Pointer(pointer), Kind::Pointer(schema)) => {
            pointer.get_or_insert_with(|| Record::zero(schema)).fill(value)?;
        }
        (Data::Pointer(_), _) => {}
    }
    Ok(())
}

fn string(value: Value<'_>) -> Result<String, String> {
    value.text().ok_or_else(|| "it is not a string".to_owned())
}

fn strings(value: Value<'_>, kind: Kind) -> Result<Vec<String>, String> {
    if matches!(kind, Kind::Command)
        && let Some(text) = value.text()
    {
        return Ok(vec![text]);
    }
    let items = value.items().ok_or_else(|| "it is not a list".to_owned())?;
    items.into_iter().map(|item| if item.is_null() { Ok(String::new()) } else { string(item) }).collect()
}

fn object_fields(value: Value<'_>) -> Result<Vec<(String, Value<'_>)>, String> {
    value.fields().ok_or_else(|| "it is not an object".to_owned())
}

fn encode(data: &Data, out: &mut Vec<u8>) {
    match data {
        Data::Text(text) => quote(text, out),
        Data::Bool(flag) => out.extend(flag.to_string().bytes()),
        Data::Int(number) | Data::IntPointer(Some(number)) => out.extend(number.to_string().bytes()),
        Data::Texts(Some(texts)) => array(texts, out, |text, out| quote(text, out)),
        Data::Set(Some(set)) => out.extend(object(set.iter().map(|name| (name, b"{}".to_vec())))),
        Data::Map(Some(map)) => {
            let mut object = Object::new();
            for (name, value) in map {
                object.text(name, value);
            }
            out.extend(object.finish());
        }
        Data::Time(time) => quote(time.as_str(), out),
        Data::Struct(record) | Data::Pointer(Some(record)) => out.extend(record.encode()),
        Data::IntPointer(None)
        | Data::Texts(None)
        | Data::Set(None)
        | Data::Map(None)
        | Data::Pointer(None) => out.extend(b"null"),
    }
}
