//! What is read of a runtime specification: the `config.json` of a container's folder, and `spec` in the JSON
//! of Podman's databases. Source: OCI runtime specification 1.0, `config.md`.

use std::collections::BTreeMap;

use serde::Deserialize;

#[derive(Debug, Default, Deserialize)]
pub(super) struct Spec {
    pub(super) process: Option<Process>,
    pub(super) root: Option<SpecRoot>,
    pub(super) mounts: Option<Vec<SpecMount>>,
    pub(super) annotations: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Process {
    pub(super) args: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct SpecRoot {
    #[serde(default)]
    pub(super) path: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct SpecMount {
    pub(super) destination: String,
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    pub(super) source: Option<String>,
    options: Option<Vec<String>>,
}

impl SpecMount {
    /// Whether a container may write to it.
    pub(super) fn is_writable(&self) -> bool {
        is_writable(self.options.as_deref())
    }
}

/// Whether the options of a mount allow to write to it.
pub(super) fn is_writable(options: Option<&[String]>) -> bool {
    !options.into_iter().flatten().any(|option| option == "ro")
}
