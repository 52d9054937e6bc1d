//! The targets of a release, and what this machine lacks to build for them.

use std::path::PathBuf;

use xshell::cmd;

use crate::engines::process::installed;
use crate::{Outcome, workspace};

/// A target with its names in each kind of package.
pub(crate) struct Target {
    pub(crate) triple: &'static str,
    /// As `uname -m` and RPM call the machine.
    pub(crate) machine: &'static str,
    pub(crate) deb: &'static str,
    /// Architecture and variant in an image.
    pub(crate) oci: (&'static str, Option<&'static str>),
    /// The C compiler, which links, too. A machine does not need that of its own target.
    pub(crate) compiler: &'static str,
}

/// Debian's names of cross compilers; for musl, those of musl-tools and of musl-cross-make.
const TARGETS: [Target; 7] = [
    target("x86_64-unknown-linux-gnu", "x86_64", "amd64", ("amd64", None), "x86_64-linux-gnu-gcc"),
    target("aarch64-unknown-linux-gnu", "aarch64", "arm64", ("arm64", None), "aarch64-linux-gnu-gcc"),
    target("armv7-unknown-linux-gnueabihf", "armv7hl", "armhf", ARMV7, "arm-linux-gnueabihf-gcc"),
    target("s390x-unknown-linux-gnu", "s390x", "s390x", ("s390x", None), "s390x-linux-gnu-gcc"),
    target("x86_64-unknown-linux-musl", "x86_64", "amd64", ("amd64", None), "musl-gcc"),
    target("aarch64-unknown-linux-musl", "aarch64", "arm64", ("arm64", None), "aarch64-linux-musl-gcc"),
    target("armv7-unknown-linux-musleabihf", "armv7hl", "armhf", ARMV7, "arm-linux-musleabihf-gcc"),
];

const ARMV7: (&str, Option<&str>) = ("arm", Some("v7"));

const fn target(
    triple: &'static str,
    machine: &'static str,
    deb: &'static str,
    oci: (&'static str, Option<&'static str>),
    compiler: &'static str,
) -> Target {
    Target { triple, machine, deb, oci, compiler }
}

impl Target {
    /// The targets with these triples, or all, or this machine's.
    pub(crate) fn chosen(triples: &[String], all: bool) -> Outcome<Vec<Target>> {
        if all {
            return Ok(TARGETS.into());
        }
        if triples.is_empty() {
            return Ok(vec![Target::host()?]);
        }
        triples.iter().map(|triple| Target::find(triple)).collect()
    }

    /// The target with this triple.
    pub(crate) fn find(triple: &str) -> Outcome<Target> {
        TARGETS.into_iter().find(|target| target.triple == triple).ok_or_else(|| {
            let known: Vec<&str> = TARGETS.iter().map(|target| target.triple).collect();
            format!("{triple} is not a target of packages; the targets are {}", known.join(", ")).into()
        })
    }

    /// This machine's.
    pub(crate) fn host() -> Outcome<Target> {
        let host = rustc_says("host: ")?;
        Target::find(&host)
    }

    /// Whether the C library is glibc, linked when the program starts.
    pub(crate) fn is_gnu(&self) -> bool {
        self.triple.contains("-linux-gnu")
    }

    /// `x86_64-linux`, `x86_64-linux-musl`
    pub(super) fn name(&self) -> String {
        format!("{}-linux{}", self.machine, if self.is_gnu() { "" } else { "-musl" })
    }

    /// The compiler of this target, unless it is the machine's own.
    pub(super) fn cross_compiler(&self) -> Outcome<Option<&'static str>> {
        Ok((Target::host()?.triple != self.triple).then_some(self.compiler))
    }

    /// What is missing to build for this target, if anything is.
    pub(super) fn missing(&self) -> Outcome<Option<String>> {
        if !sysroot()?.join("lib/rustlib").join(self.triple).join("lib").is_dir() {
            return Ok(Some(format!("Rust's std is missing: rustup target add {}", self.triple)));
        }
        let compiler = self.cross_compiler()?;
        Ok(compiler.filter(|name| !installed(name)).map(|name| format!("{name} is not installed")))
    }
}

/// Where the toolchain is.
pub(super) fn sysroot() -> Outcome<PathBuf> {
    let shell = workspace::shell()?;
    Ok(cmd!(shell, "rustc --print sysroot").quiet().read()?.into())
}

/// What the compiler says of itself: `host: `, `release: `, `commit-hash: `.
pub(super) fn rustc_says(field: &str) -> Outcome<String> {
    let shell = workspace::shell()?;
    let said = cmd!(shell, "rustc -vV").quiet().read()?;
    let value = said.lines().find_map(|line| line.strip_prefix(field));
    Ok(value.ok_or_else(|| format!("rustc -vV does not say {field}"))?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let mut names: Vec<String> = TARGETS.iter().map(Target::name).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), TARGETS.len(), "{names:?}");
        assert_eq!(TARGETS.iter().filter(|target| target.is_gnu()).count(), 4);
        let error = Target::find("z80").err().unwrap().to_string();
        assert!(
            error.starts_with("z80 is not a target of packages; the targets are x86_64-unknown-linux-gnu, ")
        );
    }
}
