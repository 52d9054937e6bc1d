//! The machine that an image is for: `linux/amd64`, `linux/arm/v7`.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;

use crate::json;

/// Operating system, architecture and variant, in Go's words (OCI image index, `platform`; image
/// configuration).
///
/// ```
/// use layerlift_store::Platform;
///
/// let image: Platform = "linux/arm64/v8".parse()?;
/// assert!(image.matches(&"linux/arm64".parse()?));
/// assert_eq!(image.to_string(), "linux/arm64/v8");
/// # Ok::<(), layerlift_store::ParsePlatformError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct Platform {
    /// `linux`, `windows`, `darwin`, …
    pub os: String,
    /// `amd64`, `arm64`, `arm`, …
    pub architecture: String,
    /// `v7`, …; absent if the architecture has only one, or the usual one is meant.
    pub variant: Option<String>,
}

/// Which images of an index are chosen.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Platforms {
    /// The one for this machine, or the only one that is there.
    #[default]
    Usual,
    /// One for each of these platforms. An empty list means [`Platforms::Usual`].
    Only(Vec<Platform>),
    /// All that are there.
    All,
}

/// A text that does not name a platform.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a platform; write os/arch or os/arch/variant, as in linux/arm64")]
pub struct ParsePlatformError {
    text: String,
}

impl From<Option<&Platform>> for Platforms {
    fn from(platform: Option<&Platform>) -> Self {
        Platforms::of(platform.cloned())
    }
}

impl Platforms {
    /// The requested platforms; if there are none, the usual one.
    pub fn of(wanted: impl IntoIterator<Item = Platform>) -> Self {
        match wanted.into_iter().collect::<Vec<_>>() {
            none if none.is_empty() => Platforms::Usual,
            some => Platforms::Only(some),
        }
    }

    /// The platforms, if some are requested.
    pub fn wanted(&self) -> &[Platform] {
        match self {
            Platforms::Only(wanted) => wanted,
            Platforms::Usual | Platforms::All => &[],
        }
    }
}

impl FromStr for Platform {
    type Err = ParsePlatformError;

    fn from_str(text: &str) -> Result<Self, ParsePlatformError> {
        let parts: Vec<&str> = text.split('/').collect();
        let (os, architecture, variant) = match parts[..] {
            [os, architecture] => (os, architecture, None),
            [os, architecture, variant] => (os, architecture, Some(variant.to_owned())),
            _ => ("", "", None),
        };
        if os.is_empty() || architecture.is_empty() || variant.as_deref() == Some("") {
            return Err(ParsePlatformError { text: text.to_owned() });
        }
        Ok(Platform { os: os.to_owned(), architecture: architecture.to_owned(), variant })
    }
}

impl Platform {
    /// This machine's.
    pub fn host() -> Self {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            "x86" => "386",
            "powerpc64" => "ppc64le",
            "loongarch64" => "loong64",
            other => other,
        };
        Platform { os: "linux".to_owned(), architecture: architecture.to_owned(), variant: None }
    }

    /// Whether an image for this platform meets a request for `wanted`. Without a variant, all variants do.
    pub fn matches(&self, wanted: &Platform) -> bool {
        self.os == wanted.os
            && self.architecture == wanted.architecture
            && (wanted.variant.is_none() || self.full_variant() == wanted.full_variant())
    }

    /// Which of several images engines take on this machine: the place of its platform, or of the only one.
    pub fn usual(offered: &[Option<Platform>]) -> Option<usize> {
        let host = Platform::host();
        let known = |(place, platform): (usize, &Option<Platform>)| Some((place, platform.clone()?));
        let matching = offered.iter().enumerate().filter_map(known).filter(|(_, found)| found.matches(&host));
        let preferred = matching.min_by(|(_, a), (_, b)| a.preference().cmp(&b.preference()));
        preferred.map(|(place, _)| place).or((offered.len() == 1).then_some(0))
    }

    /// What a config or a v1 document names, if it names an operating system.
    pub(crate) fn of_config(raw: &[u8]) -> Option<Self> {
        Platform::from_json(raw).ok().filter(|platform| !platform.os.is_empty())
    }

    /// From a JSON object with the three as its fields: a descriptor's `platform`, a config, a v1 document.
    pub(crate) fn from_json(raw: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Fields {
            #[serde(default)]
            os: Option<String>,
            #[serde(default)]
            architecture: Option<String>,
            variant: Option<String>,
        }
        let Fields { os, architecture, variant } = json::object(raw)?;
        let (os, architecture) = (os.unwrap_or_default(), architecture.unwrap_or_default());
        Ok(Platform { os, architecture, variant: variant.filter(|variant| !variant.is_empty()) })
    }

    /// Whether it is a platform: attestations have `unknown/unknown`.
    pub fn is_known(&self) -> bool {
        self.os != "unknown" && self.architecture != "unknown"
    }

    /// The order of variants if any will do. The first is the one that most machines can run: v7 of arm, the
    /// lowest of others.
    pub(crate) fn preference(&self) -> (bool, &str) {
        let variant = self.full_variant();
        (!(self.architecture == "arm" && variant == "v7"), variant)
    }

    /// The variant; if none is written, the one that is meant.
    fn full_variant(&self) -> &str {
        match (self.variant.as_deref().unwrap_or_default(), self.architecture.as_str()) {
            ("", "arm64") => "v8",
            ("", "arm") => "v7",
            ("", "amd64") => "v1",
            (variant, _) => variant,
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) if !variant.is_empty() => write!(f, "/{variant}"),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_name_a_platform() {
        for text in ["", "linux", "linux/", "/arm", "a/b/c/d", "linux/arm/"] {
            assert!(text.parse::<Platform>().is_err(), "{text}");
        }
    }

    #[test]
    fn of_documents() {
        for (json, expected) in [
            (r#"{"os":"linux","architecture":"arm","variant":"v6","x":[1]}"#, Ok("linux/arm/v6")),
            (r#"{"os":"linux","architecture":"amd64","variant":""}"#, Ok("linux/amd64")),
            (r#"{"os":null}"#, Ok("/")),
            ("[]", Err(())),
            (r#"{"os":5}"#, Err(())),
        ] {
            let found = Platform::from_json(json.as_bytes()).map(|platform| platform.to_string());
            assert_eq!(found.as_deref().map_err(|_| ()), expected, "{json}");
        }
    }
}
