//! Lists of layers, as the other side prints them:
//!
//! ```text
//! sha256:ca9f…                                          diff ids, one a line; # begins a comment
//! [{"RepoTags":["base:1"],"RootFS":{"Layers":[…]}}]     docker image inspect, podman image inspect
//! {"rootfs":{"diff_ids":[…]}}                           a config
//! ```

use layerlift_archive::Digest;
use serde::Deserialize;

/// Layers of one image, base first; or some that have nothing to do with one another.
pub(super) struct Stack {
    pub(super) name: Option<String>,
    pub(super) diff_ids: Vec<Digest>,
    /// Whether each lies on the one before it.
    pub(super) is_stack: bool,
}

/// What is printed of an image. Everything else in it is left alone.
#[derive(Deserialize)]
struct Inspected {
    #[serde(rename = "RepoTags")]
    tags: Option<Vec<String>>,
    #[serde(rename = "RootFS")]
    inspected: Option<RootFs>,
    #[serde(rename = "rootfs")]
    config: Option<RootFs>,
}

#[derive(Deserialize)]
struct RootFs {
    #[serde(alias = "Layers")]
    diff_ids: Option<Vec<String>>,
}

/// Reads a list; the error says what is wrong with it.
pub(super) fn parse(text: &[u8]) -> Result<Vec<Stack>, String> {
    let stacks = match text.trim_ascii_start().first() {
        Some(b'[' | b'{') => of_json(text)?,
        _ => vec![of_lines(text)?],
    };
    match stacks.iter().all(|stack| stack.diff_ids.is_empty()) {
        true => Err("it has no diff id".to_owned()),
        false => Ok(stacks),
    }
}

fn of_json(text: &[u8]) -> Result<Vec<Stack>, String> {
    let wrong = |error: serde_json::Error| format!("it is not what an engine prints of images: {error}");
    let images: Vec<Inspected> = match text.trim_ascii_start().first() {
        Some(b'[') => serde_json::from_slice(text).map_err(wrong)?,
        // One after another, as --format '{{json .}}' prints them.
        _ => {
            serde_json::Deserializer::from_slice(text).into_iter().collect::<Result<_, _>>().map_err(wrong)?
        }
    };
    let stack = |image: Inspected| {
        let layers = image.inspected.or(image.config).and_then(|root| root.diff_ids).unwrap_or_default();
        let digest = |text: &String| text.parse().map_err(|error| format!("in a list of layers, {error}"));
        let diff_ids = layers.iter().map(digest).collect::<Result<_, String>>()?;
        let name = image.tags.unwrap_or_default().into_iter().next();
        Ok(Stack { name, diff_ids, is_stack: true })
    };
    images.into_iter().map(stack).collect()
}

fn of_lines(text: &[u8]) -> Result<Stack, String> {
    let mut diff_ids = Vec::new();
    for (number, line) in text.split(|byte| *byte == b'\n').enumerate() {
        let line = String::from_utf8_lossy(line);
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        let digest = line.parse().ok().or_else(|| Digest::from_hex(line));
        let wrong = || {
            format!("line {} is not a diff id: {:?}", number + 1, line.chars().take(80).collect::<String>())
        };
        diff_ids.push(digest.ok_or_else(wrong)?);
    }
    Ok(Stack { name: None, diff_ids, is_stack: false })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists() {
        let digest = Digest::of(b"x").to_string();
        let hex = Digest::of(b"x").hex();
        for (text, name) in [
            (format!("{digest}\n"), None),
            (format!("# of web-1\n\n  {hex} # base\r\n{digest}"), None),
            (
                format!(
                    r#"[{{"Id":"x","RepoTags":["base:1"],"RootFS":{{"Type":"layers","Layers":["{digest}"]}}}}]"#
                ),
                Some("base:1"),
            ),
            (format!(r#"{{"RepoTags":[],"RootFS":{{"Layers":["{digest}"]}}}} {{"RootFS":{{}}}}"#), None),
            (
                format!(r#"{{"architecture":"amd64","rootfs":{{"type":"layers","diff_ids":["{digest}"]}}}}"#),
                None,
            ),
        ] {
            let stacks = parse(text.as_bytes()).unwrap();
            assert_eq!(stacks[0].diff_ids.first(), Some(&Digest::of(b"x")), "{text}");
            assert_eq!(stacks[0].name.as_deref(), name, "{text}");
        }
        for (text, why) in [
            ("", "it has no diff id"),
            ("[]", "it has no diff id"),
            (r#"[{"RootFS":{"Layers":[]}}]"#, "it has no diff id"),
            ("base:1\n", "line 1 is not a diff id: \"base:1\""),
            (r#"[{"RootFS":{"Layers":["x"]}}]"#, "in a list of layers"),
            ("[", "not what an engine prints"),
        ] {
            let error = parse(text.as_bytes()).err().unwrap();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
