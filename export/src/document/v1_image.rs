//! The structs with which Docker 20.10 reads and writes v1 documents. Every engine since 1.10 has the same
//! ones; fields that were added since have `omitempty`.
//!
//! Sources: `image/image.go` (`V1Image`), `api/types/container/config.go` (`Config`, `HealthConfig`) of
//! v20.10.

use super::go_json::{Field, Kind};

const fn field(name: &'static str, kind: Kind) -> Field {
    Field { name, kind, omit_empty: false }
}

const fn optional(name: &'static str, kind: Kind) -> Field {
    Field { name, kind, omit_empty: true }
}

/// `image.V1Image`.
pub(crate) const V1_IMAGE: &[Field] = &[
    optional("id", Kind::Text),
    optional("parent", Kind::Text),
    optional("comment", Kind::Text),
    field("created", Kind::Time),
    optional("container", Kind::Text),
    field("container_config", Kind::Struct(CONFIG)),
    optional("docker_version", Kind::Text),
    optional("author", Kind::Text),
    optional("config", Kind::Pointer(CONFIG)),
    optional("architecture", Kind::Text),
    optional("variant", Kind::Text),
    optional("os", Kind::Text),
    optional("Size", Kind::Int),
];

const CONFIG: &[Field] = &[
    field("Hostname", Kind::Text),
    field("Domainname", Kind::Text),
    field("User", Kind::Text),
    field("AttachStdin", Kind::Bool),
    field("AttachStdout", Kind::Bool),
    field("AttachStderr", Kind::Bool),
    optional("ExposedPorts", Kind::Set),
    field("Tty", Kind::Bool),
    field("OpenStdin", Kind::Bool),
    field("StdinOnce", Kind::Bool),
    field("Env", Kind::Texts),
    field("Cmd", Kind::Command),
    optional("Healthcheck", Kind::Pointer(HEALTHCHECK)),
    optional("ArgsEscaped", Kind::Bool),
    field("Image", Kind::Text),
    field("Volumes", Kind::Set),
    field("WorkingDir", Kind::Text),
    field("Entrypoint", Kind::Command),
    optional("NetworkDisabled", Kind::Bool),
    optional("MacAddress", Kind::Text),
    field("OnBuild", Kind::Texts),
    field("Labels", Kind::Map),
    optional("StopSignal", Kind::Text),
    optional("StopTimeout", Kind::IntPointer),
    optional("Shell", Kind::Command),
];

const HEALTHCHECK: &[Field] = &[
    optional("Test", Kind::Texts),
    optional("Interval", Kind::Int),
    optional("Timeout", Kind::Int),
    optional("StartPeriod", Kind::Int),
    optional("Retries", Kind::Int),
];
