//! Dependencies point one way only: `cli -> export -> store -> archive`, as docs/architecture.md says.

use serde_json::Value;
use xshell::cmd;

use crate::{Outcome, workspace};

/// Each package, the packages of the workspace that it may use, and what it must never use.
const RULES: [(&str, &[&str], &[&str]); 6] = [
    ("layerlift-archive", &[], &["clap", "indicatif", "oci-spec", "walkdir"]),
    // rayon is everybody's: threads of one's own would escape the limit that the program sets once for all
    // crates.
    ("layerlift-store", &["layerlift-archive"], &["clap", "indicatif", "oci-spec"]),
    (
        "layerlift-export",
        &["layerlift-archive", "layerlift-store"],
        &["clap", "indicatif", "oci-spec", "walkdir", "rustix"],
    ),
    (
        "layerlift",
        &["layerlift-archive", "layerlift-export", "layerlift-store"],
        &["oci-spec", "sha2", "walkdir"],
    ),
    ("layerlift-fuzz", &["layerlift-archive", "layerlift-export", "layerlift-store"], &["rayon"]),
    ("xtask", &[], &["rayon", "sha2", "tar"]),
];

/// Compares `cargo metadata` with the rules.
pub(crate) fn check() -> Outcome<Vec<String>> {
    let shell = workspace::shell()?;
    let metadata = cmd!(shell, "cargo metadata --no-deps --format-version 1").quiet().read()?;
    Ok(complaints(&serde_json::from_str(&metadata)?))
}

fn complaints(metadata: &Value) -> Vec<String> {
    let mut complaints = Vec::new();
    let packages = metadata["packages"].as_array().map(Vec::as_slice).unwrap_or_default();
    let name = |value: &Value| value["name"].as_str().unwrap_or_default().to_owned();
    let members: Vec<String> = packages.iter().map(name).collect();
    for package in packages {
        let this = name(package);
        let Some((_, may, never)) = RULES.iter().find(|(rule, ..)| *rule == this) else {
            complaints.push(format!("{this}: a package without a rule in xtask/src/tidy/dependencies.rs"));
            continue;
        };
        for dependency in package["dependencies"].as_array().map(Vec::as_slice).unwrap_or_default() {
            let used = name(dependency);
            // Tests may use more of the outside world, but point in the same direction.
            let outside = never.contains(&used.as_str()) && dependency["kind"].is_null();
            if outside || (members.contains(&used) && !may.contains(&used.as_str())) {
                complaints.push(format!("{this} must not depend on {used}"));
            }
        }
    }
    for (package, ..) in RULES {
        if !members.iter().any(|member| member == package) {
            complaints.push(format!("{package}: a rule without a package"));
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn wrong_directions_are_found() {
        let package = |name: &str, uses: &[(&str, Option<&str>)]| {
            let uses: Vec<_> = uses.iter().map(|(name, kind)| json!({"name": name, "kind": kind})).collect();
            json!({"name": name, "dependencies": uses})
        };
        let metadata = json!({"packages": [
            package("layerlift-archive", &[("layerlift-store", Some("dev")), ("tar", None)]),
            package("layerlift-store", &[("layerlift-archive", None), ("clap", None)]),
            package("layerlift-export", &[("layerlift-store", None), ("clap", Some("dev"))]),
            package("layerlift", &[("layerlift-export", None)]),
            package("layerlift-fuzz", &[("layerlift-store", None)]),
            package("xtask", &[("layerlift", None)]),
        ]});
        assert_eq!(
            super::complaints(&metadata),
            [
                "layerlift-archive must not depend on layerlift-store",
                "layerlift-store must not depend on clap",
                "xtask must not depend on layerlift",
            ]
        );
    }
}
