//! The bill of materials, in CycloneDX 1.5: every crate that is linked into the program, with its licence,
//! its checksum on crates.io, and what it uses in turn.

use std::io::Write;
use std::process::Stdio;

use serde_json::{Value, json};

use super::VERSION;
use super::crates::{Crates, Linked};
use crate::Outcome;
use crate::engines::process::program;

/// The document. Its serial number follows from its content, so that equal programs have equal documents.
pub(super) fn document(crates: &Crates, time: i64) -> Outcome<Vec<u8>> {
    let mut document = shape(crates, time)?;
    let digest = sha256(&serde_json::to_vec(&document)?)?;
    document["serialNumber"] = serial(&digest).into();
    let mut bytes = serde_json::to_vec_pretty(&document)?;
    bytes.push(b'\n');
    Ok(bytes)
}

fn shape(crates: &Crates, time: i64) -> Outcome<Value> {
    let root = crates.all.iter().find(|linked| linked.name == "layerlift");
    let root = root.ok_or("cargo does not list layerlift itself")?;
    let std = format!("pkg:generic/rust-std@{}", crates.std);
    let others = crates.all.iter().filter(|linked| linked.name != "layerlift");
    let mut components: Vec<Value> = others.map(|linked| component(linked, "library")).collect();
    components.push(json!({
        "type": "library", "bom-ref": std, "name": "rust-std", "version": crates.std,
        "licenses": [{ "expression": "MIT OR Apache-2.0" }], "purl": std,
    }));
    let mut dependencies: Vec<Value> = crates.all.iter().map(|linked| uses(crates, linked, &std)).collect();
    dependencies.push(json!({ "ref": std }));
    let tool = json!({ "type": "application", "name": "cargo xtask dist", "version": VERSION });
    Ok(json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.5.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "serialNumber": null,
        "metadata": {
            "timestamp": jiff::Timestamp::from_second(time)?.to_string(),
            "tools": { "components": [tool] },
            "component": component(root, "application"),
        },
        "components": components,
        "dependencies": dependencies,
    }))
}

fn component(linked: &Linked, kind: &str) -> Value {
    let mut component = json!({
        "type": kind, "bom-ref": purl(linked), "name": linked.name, "version": linked.version,
        "licenses": [{ "expression": linked.licence }], "purl": purl(linked),
    });
    if let Some(description) = &linked.description {
        component["description"] = description.as_str().into();
    }
    if let Some(checksum) = &linked.checksum {
        component["hashes"] = json!([{ "alg": "SHA-256", "content": checksum }]);
    }
    component
}

/// What a crate uses. All use std.
fn uses(crates: &Crates, linked: &Linked, std: &str) -> Value {
    let mut uses: Vec<String> = linked.uses.iter().map(|&at| purl(&crates.all[at])).collect();
    uses.push(std.to_owned());
    json!({ "ref": purl(linked), "dependsOn": uses })
}

/// `pkg:cargo/zstd-sys@2.1.3%2Bzstd.1.5.7`
fn purl(linked: &Linked) -> String {
    format!("pkg:cargo/{}@{}", linked.name, linked.version.replace('+', "%2B"))
}

/// A UUID of version 8, for which the bits are up to who makes it.
fn serial(digest: &str) -> String {
    let (a, b, c, d, e) = (&digest[..8], &digest[8..12], &digest[13..16], &digest[17..20], &digest[20..32]);
    format!("urn:uuid:{a}-{b}-8{c}-8{d}-{e}")
}

/// The digest of bytes, 64 hex digits.
pub(super) fn sha256(bytes: &[u8]) -> Outcome<String> {
    let mut command = program("sha256sum", ["-b"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    child.stdin.take().ok_or("sha256sum has no input")?.write_all(bytes)?;
    let output = child.wait_with_output()?;
    Ok(String::from_utf8(output.stdout)?.chars().take(64).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dist::crates::tests::two;

    fn crates() -> Crates {
        let mut all = two();
        all[0].name = "layerlift".into();
        Crates { all, std: "1.89.0".into() }
    }

    #[test]
    fn every_crate_has_what_a_reader_asks_for() {
        let bytes = document(&crates(), 1_500_000_000).unwrap();
        let read: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(read["metadata"]["timestamp"], "2017-07-14T02:40:00Z");
        assert_eq!(read["metadata"]["component"]["purl"], "pkg:cargo/layerlift@1.0.0");
        assert_eq!(
            read["components"][0],
            json!({
                "type": "library", "bom-ref": "pkg:cargo/outer@0.2.0%2Bc.3", "name": "outer",
                "version": "0.2.0+c.3", "licenses": [{ "expression": "MIT OR Apache-2.0" }],
                "purl": "pkg:cargo/outer@0.2.0%2Bc.3", "description": "One line",
                "hashes": [{ "alg": "SHA-256", "content": "00ff" }],
            })
        );
        assert_eq!(
            read["dependencies"][0],
            json!({
                "ref": "pkg:cargo/layerlift@1.0.0",
                "dependsOn": ["pkg:cargo/outer@0.2.0%2Bc.3", "pkg:generic/rust-std@1.89.0"],
            })
        );
        // Whatever is named is there, once.
        let mut known: Vec<&Value> = vec![&read["metadata"]["component"]["bom-ref"]];
        known.extend(read["components"].as_array().unwrap().iter().map(|component| &component["bom-ref"]));
        let refs: Vec<&Value> =
            read["dependencies"].as_array().unwrap().iter().map(|entry| &entry["ref"]).collect();
        assert_eq!(known, refs);
    }

    #[test]
    fn the_serial_number_follows_from_the_content() {
        let (one, same) = (document(&crates(), 7).unwrap(), document(&crates(), 7).unwrap());
        assert!(one == same);
        let mut other = crates();
        other.std = "1.90.0".into();
        let other = document(&other, 7).unwrap();
        let serial = |bytes: &[u8]| {
            let document: Value = serde_json::from_slice(bytes).unwrap();
            document["serialNumber"].as_str().unwrap().to_owned()
        };
        assert_ne!(serial(&one), serial(&other));
        let parts: Vec<usize> = serial(&one)[9..].split('-').map(str::len).collect();
        assert_eq!(parts, [8, 4, 4, 4, 12]);
    }
}
