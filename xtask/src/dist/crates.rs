//! The crates that are linked into the program for one target, as cargo knows them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use serde_json::Value;
use xshell::cmd;

use super::target::{Target, rustc_says};
use crate::{Outcome, workspace};

/// A crate that is linked into the program.
pub(super) struct Linked {
    pub(super) name: String,
    pub(super) version: String,
    /// An SPDX expression.
    pub(super) licence: String,
    pub(super) description: Option<String>,
    /// The SHA-256 of its archive on crates.io; none for a crate of the workspace.
    pub(super) checksum: Option<String>,
    /// Where its sources are.
    pub(super) folder: PathBuf,
    /// Indices of the crates that it uses.
    pub(super) uses: Vec<usize>,
}

/// What is linked into the program, sorted by name and version. Build scripts and procedural macros are not.
pub(super) struct Crates {
    pub(super) all: Vec<Linked>,
    /// The version of Rust's std.
    pub(super) std: String,
}

impl Linked {
    pub(super) fn is_ours(&self) -> bool {
        self.checksum.is_none()
    }
}

/// Asks cargo. Features are those of the shipped program.
pub(super) fn linked(target: &Target) -> Outcome<Crates> {
    let shell = workspace::shell()?;
    let triple = target.triple;
    let tree = cmd!(shell, "cargo tree --locked -p layerlift -e normal,no-proc-macro --target {triple}");
    let tree = tree.args(["--prefix", "none", "--no-dedupe", "--format", "{p}"]).quiet().read()?;
    let metadata = cmd!(shell, "cargo metadata --locked --format-version 1 --filter-platform {triple}");
    let metadata: Value = serde_json::from_str(&metadata.quiet().read()?)?;
    let lock = fs::read_to_string(workspace::root().join("Cargo.lock"))?;
    Ok(Crates { all: joined(&names(&tree), &metadata, &checksums(&lock))?, std: rustc_says("release: ")? })
}

/// `layerlift v0.1.0 (/path)`: names and versions.
fn names(tree: &str) -> BTreeSet<(String, String)> {
    let lines = tree.lines().filter_map(|line| line.split_once(" v"));
    let pair = |(name, rest): (&str, &str)| (name.into(), rest.split(' ').next().unwrap_or(rest).into());
    lines.map(pair).collect()
}

/// The checksums of a `Cargo.lock`, by name and version.
fn checksums(lock: &str) -> BTreeMap<(String, String), String> {
    let value = |package: &str, key: &str| {
        let value = package.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = "))?;
        Some(value.trim_matches('"').to_owned())
    };
    let packages = lock.split("[[package]]").filter_map(|package| {
        Some(((value(package, "name")?, value(package, "version")?), value(package, "checksum")?))
    });
    packages.collect()
}

fn joined(
    names: &BTreeSet<(String, String)>,
    metadata: &Value,
    checksums: &BTreeMap<(String, String), String>,
) -> Outcome<Vec<Linked>> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let packages: BTreeMap<(String, String), Value> = list(&metadata["packages"])
        .into_iter()
        .map(|package| ((text(&package["name"]), text(&package["version"])), package))
        .collect();
    let mut ids = BTreeMap::new();
    for (at, name) in names.iter().enumerate() {
        let package =
            packages.get(name).ok_or_else(|| format!("cargo metadata has no {} {}", name.0, name.1))?;
        ids.insert(text(&package["id"]), at);
    }
    let nodes: BTreeMap<String, Value> =
        list(&metadata["resolve"]["nodes"]).into_iter().map(|node| (text(&node["id"]), node)).collect();
    let mut all = Vec::new();
    for name in names {
        let package = &packages[name];
        let licence = text(&package["license"]);
        if licence.is_empty() {
            return Err(format!("{} {} does not state its licence", name.0, name.1).into());
        }
        let node = nodes.get(&text(&package["id"]));
        let normal = |dependency: &&Value| list(&dependency["dep_kinds"]).iter().any(|k| k["kind"].is_null());
        let dependencies = node.map(|node| list(&node["deps"])).unwrap_or_default();
        let mut uses: Vec<usize> = dependencies
            .iter()
            .filter(normal)
            .filter_map(|dependency| ids.get(&text(&dependency["pkg"])).copied())
            .collect();
        uses.sort_unstable();
        uses.dedup();
        let manifest = PathBuf::from(text(&package["manifest_path"]));
        all.push(Linked {
            name: name.0.clone(),
            version: name.1.clone(),
            licence: spdx(&licence),
            description: package["description"]
                .as_str()
                .map(|text| text.split_whitespace().collect::<Vec<_>>().join(" ")),
            checksum: checksums.get(name).cloned(),
            folder: manifest.parent().map(PathBuf::from).unwrap_or_default(),
            uses,
        });
    }
    Ok(all)
}

/// Old manifests have a slash where SPDX has `OR`.
fn spdx(licence: &str) -> String {
    licence.split('/').map(str::trim).collect::<Vec<_>>().join(" OR ")
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;

    /// Two crates of the workspace's kind: ours, and one from crates.io.
    pub(in crate::dist) fn two() -> Vec<Linked> {
        let tree = "ours v1.0.0 (/checkout/ours)\nouter v0.2.0+c.3\nouter v0.2.0+c.3\n";
        let lock = "[[package]]\nname = \"outer\"\nversion = \"0.2.0+c.3\"\nsource = \"registry\"\n\
                    checksum = \"00ff\"\n\n[[package]]\nname = \"ours\"\nversion = \"1.0.0\"\n";
        let metadata = json!({
            "packages": [
                { "name": "outer", "version": "0.2.0+c.3", "id": "o", "license": "MIT/Apache-2.0",
                  "manifest_path": "/r/outer/Cargo.toml", "description": "One\n  line" },
                { "name": "ours", "version": "1.0.0", "id": "u", "license": "MIT",
                  "manifest_path": "/checkout/ours/Cargo.toml", "description": null },
                { "name": "macros", "version": "1.0.0", "id": "m", "license": "MIT",
                  "manifest_path": "/r/macros/Cargo.toml" },
            ],
            "resolve": { "nodes": [
                { "id": "o", "deps": [{ "pkg": "m", "dep_kinds": [{ "kind": null }] }] },
                { "id": "u", "deps": [
                    { "pkg": "o", "dep_kinds": [{ "kind": null }, { "kind": "dev" }] },
                    { "pkg": "u", "dep_kinds": [{ "kind": "build" }] },
                ] },
            ] },
        });
        joined(&names(tree), &metadata, &checksums(lock)).unwrap()
    }

    #[test]
    fn of_what_cargo_says() {
        let crates = two();
        let [ours, outer] = &crates[..] else { panic!("{} crates", crates.len()) };
        assert_eq!((&ours.name[..], &ours.checksum, &ours.uses[..]), ("ours", &None, &[1][..]));
        assert_eq!((&outer.version[..], &outer.licence[..]), ("0.2.0+c.3", "MIT OR Apache-2.0"));
        assert_eq!((outer.checksum.as_deref(), &outer.uses[..]), (Some("00ff"), &[][..]));
        assert_eq!(outer.description.as_deref(), Some("One line"));
    }
}
