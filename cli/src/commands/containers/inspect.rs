//! `layerlift inspect` of containers: what is listed of them, and their engine's own records.

use layerlift_store::{ContainerRecord, Error as StoreError};
use serde::Serialize;
use serde_json::Value;

use super::json::ContainerJson;
use super::row::{Row, find, row};
use crate::error::Error;
use crate::report::Reporter;
use crate::sources::Sources;
use crate::status::Status;

/// A container with the documents that its engine keeps.
#[derive(Serialize)]
pub(in crate::commands) struct Inspected<'a> {
    #[serde(flatten)]
    container: ContainerJson<'a>,
    /// `config.v2.json` of Docker, or the config in Podman's database.
    #[serde(skip_serializing_if = "Option::is_none")]
    config: Option<Value>,
    /// `hostconfig.json` of Docker.
    #[serde(skip_serializing_if = "Option::is_none")]
    host_config: Option<Value>,
    /// The state in Podman's database.
    #[serde(skip_serializing_if = "Option::is_none")]
    state_record: Option<Value>,
    /// Names of the networks of a container of Podman, which its config may not have.
    #[serde(skip_serializing_if = "Option::is_none")]
    networks: Option<&'a [String]>,
    /// The record of containers-storage, for a container that has only this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    storage_record: Option<Value>,
    /// What its runtime was given when it was last started, if Podman's database does not have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    runtime_spec: Option<Value>,
    /// `buildah.json` of a working container of Buildah.
    #[serde(skip_serializing_if = "Option::is_none")]
    buildah: Option<Value>,
}

/// The container with this name, which no image has. [`StoreError::NoContainer`] if there is none.
pub(in crate::commands) fn row_of<'s>(
    sources: &'s Sources,
    name: &str,
    status: &mut Status,
    reporter: &Reporter,
) -> Result<Row<'s>, Error> {
    let (source, container) = find(&sources.able(), name)?;
    if super::warn_of_damage(&container, reporter) {
        *status = Status::Incomplete;
    }
    match source.store.containers() {
        Some(ability) => Ok(row(source, ability, container, status, reporter)),
        None => Err(StoreError::NoContainer { name: name.to_owned(), suggestions: Vec::new() }.into()),
    }
}

impl<'a> Inspected<'a> {
    pub(in crate::commands) fn new(row: &'a Row<'_>) -> Self {
        let mut inspected = Inspected {
            container: ContainerJson::new(row),
            config: None,
            host_config: None,
            state_record: None,
            networks: None,
            storage_record: None,
            runtime_spec: None,
            buildah: None,
        };
        let value = |raw: &[u8]| serde_json::from_slice(raw).unwrap_or(Value::Null);
        let optional = |raw: &Option<Vec<u8>>| raw.as_deref().map(value);
        match &row.container.record {
            ContainerRecord::Docker { config, host_config } => {
                (inspected.config, inspected.host_config) = (Some(value(config)), optional(host_config));
            }
            ContainerRecord::Podman { config, state, networks } => {
                (inspected.config, inspected.state_record) = (Some(value(config)), optional(state));
                inspected.networks = Some(networks);
            }
            ContainerRecord::Storage { record, runtime, builder, .. } => {
                inspected.storage_record = optional(record);
                (inspected.runtime_spec, inspected.buildah) = (optional(runtime), optional(builder));
            }
            _ => {}
        }
        inspected
    }
}
