//! JSON as Go's `encoding/json` reads and writes it. Image ids are digests of what Go wrote, so every byte
//! counts.
//!
//! What is copied keeps its bytes ([`Value`]). What is decoded follows Go's rules: field names match in any
//! case, the last of several equal names wins ([`Record`]).

mod record;
mod time;
mod value;
mod write;

pub(crate) use record::{Field, Kind, Record};
pub(crate) use time::Time;
pub(crate) use value::Value;
pub(crate) use write::{Object, array, compact, object, quote};
