//! The parts of an image's config that a store needs (Docker image specification v1.1 to v1.3, OCI image
//! configuration):
//!
//! ```text
//! {"created":"2023-11-14T22:13:20.123456789Z",
//!  "rootfs":{"type":"layers","diff_ids":["sha256:ca9f…","sha256:c766…"]}, …}
//! ```

use serde::Deserialize;
use serde_json::value::RawValue;

use super::members::Readable;
use crate::{ChainId, DiffId, json};

/// The parsed parts of a config. Everything else stays in its bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Config {
    /// RFC 3339, as written.
    pub(crate) created: Option<String>,
    /// Digests of the layers' tars, base first.
    pub(crate) diff_ids: Vec<DiffId>,
}

#[derive(Deserialize)]
struct RawConfig<'a> {
    created: Option<String>,
    #[serde(borrow)]
    rootfs: &'a RawValue,
}

#[derive(Deserialize)]
struct RootFs {
    #[serde(rename = "type")]
    kind: Option<String>,
    /// Docker omits it for an image without layers (`FROM scratch` and metadata only).
    diff_ids: Option<Vec<String>>,
}

/// Reads a config; the error says what is wrong with it. A member that engines would refuse is an error, too:
/// they would not load the image.
pub(crate) fn parse(bytes: &[u8]) -> Result<Config, String> {
    let document: RawConfig<'_> = json::object(bytes)?;
    json::object::<Readable>(bytes)?;
    if document.rootfs.get() == "null" {
        return Err("its rootfs is null, so it names no layers".to_owned());
    }
    let RootFs { kind, diff_ids } =
        json::object(document.rootfs.get().as_bytes()).map_err(|why| format!("in rootfs, {why}"))?;
    // Docker 20.10, Podman 4.3 and skopeo load a config with any type, or without one.
    if kind.is_none() && diff_ids.is_none() {
        return Err("its rootfs is empty, so it names no layers".to_owned());
    }
    let diff_ids = diff_ids.unwrap_or_default().iter().map(|id| id.parse()).collect::<Result<_, _>>();
    Ok(Config {
        created: document.created,
        diff_ids: diff_ids.map_err(|error| format!("in diff_ids, {error}"))?,
    })
}

/// The layers of an image, base first: the chain id of each, that of its parent, and its diff id.
pub(crate) fn chain(diff_ids: &[DiffId]) -> impl Iterator<Item = (ChainId, Option<ChainId>, DiffId)> + '_ {
    diff_ids.iter().scan(None, |parent, &diff_id| {
        let below = *parent;
        let chain = ChainId::new(below, diff_id);
        *parent = Some(chain);
        Some((chain, below, diff_id))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_an_image_without_layers() {
        let expected = Config { created: None, diff_ids: Vec::new() };
        for text in [
            r#"{"rootfs":{"type":"layers"}}"#,
            r#"{"rootfs":{"type":"layers","diff_ids":null},"created":null}"#,
            r#"{"unknown":[{}],"rootfs":{"diff_ids":[],"type":"layers"}}"#,
            r#"{"rootfs":{"diff_ids":[]}}"#,
            r#"{"rootfs":{"type":null,"diff_ids":[]}}"#,
            r#"{"rootfs":{"type":"other"}}"#,
        ] {
            assert_eq!(parse(text.as_bytes()).as_ref(), Ok(&expected), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_config() {
        for (text, why) in [
            ("", "not a JSON object"),
            (r#"["x",{"type":"layers"}]"#, "not a JSON object"),
            (r#"{"rootfs":["layers",[]]}"#, "not a JSON object"),
            ("{}", "it has no rootfs"),
            (r#"{"rootfs":null}"#, "its rootfs is null"),
            (r#"{"rootfs":{}}"#, "its rootfs is empty"),
            (r#"{"rootfs":{"type":5}}"#, "type is the number 5, not a string"),
            (r#"{"rootfs":{"type":"layers","diff_ids":"x"}}"#, "diff_ids is \"x\", not a list"),
            (r#"{"rootfs":{"type":"layers","diff_ids":["sha256:../x"]}}"#, "is not a digest"),
            (r#"{"rootfs":{"type":"layers"},"created":5}"#, "created is the number 5, not a string"),
            (r#"{"rootfs":{"type":"layers"},"rootfs":{"type":"layers"}}"#, "rootfs is there twice"),
            (r#"{"rootfs":{"type":"layers"}} x"#, "it is not JSON from line 1, column 30 on"),
        ] {
            let error = parse(text.as_bytes()).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    /// The parser skips unknown fields without recursion, and limits the depth of known ones.
    #[test]
    fn nesting() {
        let deep = |levels| "[".repeat(levels) + &"]".repeat(levels);
        let ignored = format!(r#"{{"x":{},"rootfs":{{"type":"layers"}}}}"#, deep(1_000_000));
        assert!(parse(ignored.as_bytes()).is_ok());
        let needed = format!(r#"{{"rootfs":{{"type":"layers","diff_ids":{}}}}}"#, deep(1_000_000));
        assert!(parse(needed.as_bytes()).is_err());
    }
}
