//! Writes image layouts by hand: layers compressed in any way, several platforms, attestations.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::Outcome;
use crate::engines::image::{Image, familiar, sha256};
use crate::engines::process::{into_file, program, run};

/// How a layer is stored.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    Tar,
    Gzip,
    Zstd,
}

/// A layout that is being written.
pub(super) struct Layout {
    folder: PathBuf,
    index: Vec<Value>,
    manifest: Vec<Value>,
    pub(super) images: Vec<Image>,
}

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

impl Layout {
    pub(super) fn new(folder: &Path) -> Outcome<Self> {
        fs::create_dir_all(folder.join("blobs/sha256"))?;
        Ok(Layout { folder: folder.to_owned(), index: Vec::new(), manifest: Vec::new(), images: Vec::new() })
    }

    /// An image of these layers for a platform. Returns the descriptor of its manifest.
    pub(super) fn image(
        &mut self,
        architecture: &str,
        layers: &[(&[u8], Packing)],
        tags: &[&str],
    ) -> Outcome<Value> {
        let (mut diff_ids, mut descriptors) = (Vec::new(), Vec::new());
        for (tar, packing) in layers {
            let (plain, packed) = (self.folder.join("layer"), self.folder.join("packed"));
            fs::write(&plain, tar)?;
            diff_ids.push(sha256(&plain)?);
            let (suffix, command) = match packing {
                Packing::Tar => ("", program("cat", [""; 0])),
                Packing::Gzip => ("+gzip", program("gzip", ["-nc"])),
                Packing::Zstd => ("+zstd", program("zstd", ["-qc"])),
            };
            let mut command = command;
            into_file(command.arg(&plain), &packed)?;
            let layer = fs::read(&packed)?;
            fs::remove_file(plain)?;
            fs::remove_file(packed)?;
            descriptors.push(self.blob(&format!("application/vnd.oci.image.layer.v1.tar{suffix}"), &layer)?);
        }
        let config = json!({
            "architecture": architecture, "os": "linux", "created": "2021-02-03T04:05:06.000000007Z",
            "config": {"Env": ["PATH=/bin"], "Cmd": ["/bin/echo"], "Labels": {"of": tags.first()}},
            "rootfs": {"type": "layers", "diff_ids": prefixed(&diff_ids)},
        });
        let config =
            self.blob("application/vnd.oci.image.config.v1+json", &serde_json::to_vec_pretty(&config)?)?;
        let path = |descriptor: &Value| {
            descriptor["digest"].as_str().unwrap_or_default().replace("sha256:", "blobs/sha256/")
        };
        let layers: Vec<String> = descriptors.iter().map(path).collect();
        self.manifest.push(json!({"Config": path(&config), "RepoTags": tags, "Layers": layers}));
        self.images.push(Image {
            id: path(&config).replace("blobs/sha256/", ""),
            tags: tags.iter().map(|tag| familiar(tag)).collect(),
            diff_ids,
        });
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": descriptors,
        });
        let mut descriptor = self.blob(MANIFEST, &serde_json::to_vec_pretty(&manifest)?)?;
        for tag in tags {
            descriptor["annotations"] = json!({"io.containerd.image.name": format!("docker.io/{tag}")});
            self.index.push(descriptor.clone());
        }
        if let Some(fields) = descriptor.as_object_mut() {
            fields.remove("annotations");
        }
        descriptor["platform"] = json!({"architecture": architecture, "os": "linux"});
        Ok(descriptor)
    }

    /// What BuildKit puts beside an image: a manifest that says something about another one.
    pub(super) fn attestation(&mut self, of: &Value) -> Outcome<Value> {
        let statement = br#"{"_type": "https://in-toto.io/Statement/v0.1", "subject": []}"#;
        let mut layer = self.blob("application/vnd.in-toto+json", statement)?;
        layer["annotations"] = json!({"in-toto.io/predicate-type": "https://slsa.dev/provenance/v0.2"});
        let digest = layer["digest"].clone();
        let config = json!({
            "architecture": "unknown", "os": "unknown", "config": {},
            "rootfs": {"type": "layers", "diff_ids": [digest]},
        });
        let config = self.blob("application/vnd.oci.image.config.v1+json", &serde_json::to_vec(&config)?)?;
        let manifest =
            json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer]});
        let mut descriptor = self.blob(MANIFEST, &serde_json::to_vec(&manifest)?)?;
        descriptor["platform"] = json!({"architecture": "unknown", "os": "unknown"});
        descriptor["annotations"] = json!({
            "vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": of["digest"],
        });
        Ok(descriptor)
    }

    /// An index of these, under a reference name.
    pub(super) fn index(&mut self, manifests: &[Value], name: &str) -> Outcome {
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests});
        let mut descriptor = self.blob(INDEX, &serde_json::to_vec_pretty(&index)?)?;
        descriptor["annotations"] = json!({"org.opencontainers.image.ref.name": name});
        self.index.push(descriptor);
        Ok(())
    }

    /// Writes the documents that name the images.
    pub(super) fn finish(&self) -> Outcome {
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": self.index});
        fs::write(self.folder.join("index.json"), serde_json::to_vec(&index)?)?;
        fs::write(self.folder.join("manifest.json"), serde_json::to_vec(&self.manifest)?)?;
        Ok(fs::write(self.folder.join("oci-layout"), r#"{"imageLayoutVersion": "1.0.0"}"#)?)
    }

    /// Writes them, and a tar of everything.
    pub(super) fn archive(&self, path: &Path) -> Outcome {
        self.finish()?;
        run(program("tar", ["-cf"]).arg(path).arg("-C").arg(&self.folder).arg("."))
    }

    fn blob(&self, media_type: &str, bytes: &[u8]) -> Outcome<Value> {
        let path = self.folder.join("blob");
        fs::write(&path, bytes)?;
        let digest = sha256(&path)?;
        fs::rename(path, self.folder.join("blobs/sha256").join(&digest))?;
        Ok(json!({"mediaType": media_type, "digest": format!("sha256:{digest}"), "size": bytes.len()}))
    }
}

fn prefixed(digests: &[String]) -> Vec<String> {
    digests.iter().map(|digest| format!("sha256:{digest}")).collect()
}
