//! For which machine an image is: `linux/amd64`, `linux/arm/v7`.

use std::fmt;

use serde::Deserialize;

use crate::Error;

/// Operating system and processor, in the words of Go.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Platform {
    #[serde(default)]
    pub(super) os: String,
    #[serde(default)]
    pub(super) architecture: String,
    pub(super) variant: Option<String>,
}

impl Platform {
    /// What a user wrote.
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let parts: Vec<&str> = text.split('/').collect();
        let (os, architecture, variant) = match parts[..] {
            [os, architecture] => (os, architecture, None),
            [os, architecture, variant] => (os, architecture, Some(variant.to_owned())),
            _ => ("", "", None),
        };
        if os.is_empty() || architecture.is_empty() {
            let hint = "a platform is written os/arch or os/arch/variant, as linux/arm64";
            return Err(Error::unsupported(format!("{text:?} is not a platform"), hint));
        }
        Ok(Platform { os: os.to_owned(), architecture: architecture.to_owned(), variant })
    }

    /// That of this machine.
    pub(super) fn host() -> Self {
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

    /// Whether it is one at all; attestations have `unknown/unknown`.
    pub(super) fn is_known(&self) -> bool {
        self.os != "unknown" && self.architecture != "unknown"
    }

    /// Whether an image for `self` is meant by `wanted`. One without a variant means any.
    fn is_meant_by(&self, wanted: &Platform) -> bool {
        self.os == wanted.os
            && self.architecture == wanted.architecture
            && (wanted.variant.is_none() || self.full_variant() == wanted.full_variant())
    }

    /// The variant that is meant where none is said.
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

/// Which of the platforms that an image is offered for is meant: the wanted one; if none was named, that of this machine,
/// or else the only one. The error is the list of what is there.
pub(super) fn choose(offered: &[Option<Platform>], wanted: Option<&Platform>) -> Result<usize, Vec<String>> {
    let host = Platform::host();
    let meant = wanted.unwrap_or(&host);
    let matches = |platform: &Option<Platform>| platform.as_ref().is_some_and(|p| p.is_meant_by(meant));
    // The variant that most machines can run: for arm the highest up to v7, elsewhere the lowest.
    let rank = |platform: &Option<Platform>| {
        let variant = platform.as_ref().map_or("", |p| p.full_variant()).to_owned();
        let usual = platform.as_ref().is_some_and(|p| p.architecture == "arm" && variant == "v7");
        (!usual, variant)
    };
    let found = (0..offered.len()).filter(|&i| matches(&offered[i])).min_by_key(|&i| rank(&offered[i]));
    match (found, offered, wanted) {
        (Some(found), ..) => Ok(found),
        (None, [_], None) => Ok(0),
        _ => {
            let name = |p: &Option<Platform>| {
                p.as_ref().map_or("an unnamed platform".to_owned(), Platform::to_string)
            };
            Err(offered.iter().map(name).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choice() {
        let host = Platform::host().to_string();
        for (offered, wanted, expected) in [
            (&["linux/s390x", host.as_str()][..], None, Ok(1)),
            (&["plan9/mips"], None, Ok(0)),
            (&["plan9/mips", "plan9/amd64"], None, Err("plan9/mips, plan9/amd64")),
            (&["plan9/mips"], Some("linux/mips"), Err("plan9/mips")),
            (&["linux/arm/v6", "linux/arm/v7", "linux/arm/v8"], Some("linux/arm"), Ok(1)),
            (&["linux/arm/v6", "linux/arm/v5"], Some("linux/arm/v6"), Ok(0)),
            (&["linux/arm64/v8"], Some("linux/arm64"), Ok(0)),
            (&["linux/arm64"], Some("linux/arm64/v8"), Ok(0)),
            (&["linux/amd64/v3", "linux/amd64"], Some("linux/amd64"), Ok(1)),
            (&["linux/amd64/v3"], Some("linux/amd64/v2"), Err("linux/amd64/v3")),
            (&[], None, Err("")),
        ] {
            let parsed: Vec<_> = offered.iter().map(|text| Some(Platform::parse(text).unwrap())).collect();
            let wanted = wanted.map(|text| Platform::parse(text).unwrap());
            let expected = expected.map_err(str::to_owned);
            let chosen = choose(&parsed, wanted.as_ref()).map_err(|offered| offered.join(", "));
            assert_eq!(chosen, expected, "{offered:?} {wanted:?}");
        }
    }

    #[test]
    fn what_is_no_platform() {
        for text in ["", "linux", "linux/", "/arm", "a/b/c/d"] {
            assert!(Platform::parse(text).is_err(), "{text}");
        }
    }
}
