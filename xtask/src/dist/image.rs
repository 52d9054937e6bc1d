//! The container image: the program, linked statically, and its licences. Without a base, it has neither a
//! shell nor a libc to keep up to date.
//!
//! An OCI layout is written here, and the program for this machine makes the archive from it, as it does for
//! its users.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use xshell::{Shell, cmd};

use super::files::Files;
use super::sbom::sha256;
use super::target::Target;
use super::{Release, SUMMARY, VERSION, build, fresh};
use crate::Outcome;
use crate::engines::tarball::Dialect;

/// The program for the image: that of musl, or, if none of these targets is musl on the same machine, one
/// with glibc in it. None if another of these targets has the image.
pub(super) fn program(target: &Target, targets: &[Target]) -> Outcome<Option<PathBuf>> {
    if !target.is_gnu() {
        return Ok(Some(build::built(target)));
    }
    if targets.iter().any(|other| !other.is_gnu() && other.machine == target.machine) {
        return Ok(None);
    }
    build::build_static(target).map(Some)
}

pub(super) fn archive(shell: &Shell, release: &Release<'_>) -> Outcome<Vec<u8>> {
    let folder = fresh("image")?;
    layout(&folder.join("layout"), release)?;
    let (program, made) = (build::program()?, folder.join("image.tar"));
    let name = format!("layerlift:{VERSION}");
    let (layout, platform) = (folder.join("layout"), platform(release.target));
    cmd!(shell, "{program} save --quiet --root {layout} --platform {platform} {name} -o {made}")
        .quiet()
        .run()?;
    let archive = fs::read(made)?;
    fs::remove_dir_all(&folder)?;
    Ok(archive)
}

/// `linux/arm/v7`
fn platform(target: &Target) -> String {
    let (architecture, variant) = target.oci;
    ["linux", architecture].into_iter().chain(variant).collect::<Vec<_>>().join("/")
}

/// Writes an OCI layout with one image.
fn layout(folder: &Path, release: &Release<'_>) -> Outcome {
    let blobs = folder.join("blobs/sha256");
    fs::create_dir_all(&blobs)?;
    let add = |bytes: &[u8], kind: &str| -> Outcome<Value> {
        let digest = sha256(bytes)?;
        fs::write(blobs.join(&digest), bytes)?;
        let media_type = format!("application/vnd.oci.image.{kind}");
        Ok(json!({ "mediaType": media_type, "digest": format!("sha256:{digest}"), "size": bytes.len() }))
    };
    let layer = add(&files(release).tar(Dialect::Pax, "", release.time), "layer.v1.tar")?;
    let config = config(release.target, &layer["digest"], release.time)?;
    let config = add(&serde_json::to_vec(&config)?, "config.v1+json")?;
    let manifest = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": config, "layers": [layer],
    });
    let mut manifest = add(&serde_json::to_vec(&manifest)?, "manifest.v1+json")?;
    manifest["annotations"] = json!({
        "io.containerd.image.name": format!("docker.io/library/layerlift:{VERSION}"),
        "org.opencontainers.image.ref.name": VERSION,
    });
    let index = json!({ "schemaVersion": 2, "manifests": [manifest] });
    fs::write(folder.join("index.json"), serde_json::to_vec(&index)?)?;
    Ok(fs::write(folder.join("oci-layout"), br#"{"imageLayoutVersion":"1.0.0"}"#)?)
}

fn files(release: &Release<'_>) -> Files {
    let mut files = Files::default();
    files.add_program("layerlift", release.program);
    files.add("usr/share/doc/layerlift/THIRD-PARTY.txt", release.licences);
    files
}

/// The configuration. The user is root, whom `DAC_READ_SEARCH` can be left to.
fn config(target: &Target, diff_id: &Value, time: i64) -> Outcome<Value> {
    let created = jiff::Timestamp::from_second(time)?.to_string();
    let (architecture, variant) = target.oci;
    let mut config = json!({
        "created": created,
        "architecture": architecture,
        "os": "linux",
        "config": {
            "Entrypoint": ["/layerlift"],
            "Labels": {
                "org.opencontainers.image.created": created,
                "org.opencontainers.image.description": SUMMARY,
                "org.opencontainers.image.licenses": "MIT OR Apache-2.0",
                "org.opencontainers.image.title": "layerlift",
                "org.opencontainers.image.version": VERSION,
            },
        },
        "rootfs": { "type": "layers", "diff_ids": [diff_id] },
        "history": [{ "created": created, "created_by": "cargo xtask dist" }],
    });
    if let Some(variant) = variant {
        config["variant"] = variant.into();
    }
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration() {
        let target = Target::find("armv7-unknown-linux-musleabihf").unwrap();
        assert_eq!(platform(&target), "linux/arm/v7");
        let config = config(&target, &"sha256:00".into(), 1_500_000_000).unwrap();
        assert_eq!((&config["architecture"], &config["variant"]), (&json!("arm"), &json!("v7")));
        assert_eq!(config["created"], "2017-07-14T02:40:00Z");
        assert_eq!(config["rootfs"]["diff_ids"], json!(["sha256:00"]));
        let labels = config["config"]["Labels"].as_object().unwrap();
        assert!(labels.keys().all(|key| key.starts_with("org.opencontainers.image.")));
    }
}
