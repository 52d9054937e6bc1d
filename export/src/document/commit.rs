//! The config of an image that is made of a container, as `commit` of its engine writes it.
//!
//! | | keys in this order |
//! |---|---|
//! | Docker 28, graph driver | `architecture`, `config`, `container`, `container_config`, `created`, `history`, `os`, `rootfs` |
//! | Docker 28, containerd | `created`, `architecture`, `os`, `rootfs`, `history`, `config` |
//! | Podman 5.8 | `created`, `architecture`, `os`, `config`, `rootfs`, `history` |
//!
//! With a graph driver, `config` and `container_config` are `Config` of `config.v2.json`, byte for byte. The
//! others keep the members of an OCI config, in its order. Author, comment and the daemon's version are not
//! known and left out; the time is that of the container. Entries of the history are written again in the
//! order of Docker 28, as engines do it, which lose members that they do not know.

use layerlift_store::{Container, ContainerRecord, DiffId};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::go_json::{Object, Value as Go, array, compact};
use crate::runtime_spec::as_config;

/// What is known of the image below.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Base {
    architecture: Option<String>,
    os: Option<String>,
    variant: Option<String>,
    #[serde(rename = "os.version")]
    os_version: Option<String>,
    #[serde(default)]
    config: Option<Value>,
    #[serde(default)]
    history: Option<Vec<Entry>>,
}

/// An entry of a history.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
struct Entry {
    created: Option<String>,
    created_by: Option<String>,
    author: Option<String>,
    comment: Option<String>,
    empty_layer: Option<bool>,
}

/// Members of `Config` that an OCI config has, in its order. Docker's own follow.
const OCI: [&str; 9] =
    ["User", "ExposedPorts", "Env", "Entrypoint", "Cmd", "Volumes", "WorkingDir", "Labels", "StopSignal"];
const OF_DOCKER: [&str; 4] = ["ArgsEscaped", "Healthcheck", "OnBuild", "Shell"];

impl Base {
    /// Reads the config of the image.
    pub(crate) fn of_image(raw: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(raw).map_err(|error| format!("the config of its image: {error}"))
    }

    /// The image was removed: its platform is that of the container, where that is recorded, else `host`. The
    /// history has an entry for each layer.
    pub(crate) fn of_layers(container: &Container, count: usize, host: (&str, &str)) -> Self {
        let platform = match &container.record {
            ContainerRecord::Docker { config, .. } => serde_json::from_slice::<Value>(config)
                .ok()
                .and_then(|mut config| config.get_mut("ImagePlatform").map(Value::take)),
            _ => None,
        };
        let text = |key: &str| {
            let found = platform.as_ref().and_then(|platform| platform.get(key)).and_then(Value::as_str);
            found.filter(|text| !text.is_empty()).map(str::to_owned)
        };
        let entry = Entry { created: Some(container.last_known().to_owned()), ..Entry::default() };
        Base {
            architecture: text("architecture").or_else(|| Some(host.1.to_owned())),
            os: text("os").or_else(|| Some(host.0.to_owned())),
            variant: text("variant"),
            history: Some(vec![entry; count]),
            ..Base::default()
        }
    }

    /// Whether the platform is only a guess: that of this machine.
    pub(crate) fn is_guessed(container: &Container) -> bool {
        match &container.record {
            ContainerRecord::Docker { config, .. } => serde_json::from_slice::<Value>(config)
                .ok()
                .and_then(|config| config.get("ImagePlatform")?.get("architecture").cloned())
                .is_none(),
            _ => true,
        }
    }
}

/// The config, with the diff ids of the layers below.
pub(crate) fn config(
    container: &Container,
    base: &Base,
    diff_ids: &[DiffId],
    empty: bool,
) -> Result<Vec<u8>, String> {
    match &container.record {
        ContainerRecord::Docker { config, .. } => docker(container, config, base, diff_ids, empty),
        ContainerRecord::Podman { config, .. } => {
            let document = serde_json::from_slice(config)
                .map_err(|error| format!("its config in Podman's database: {error}"))?;
            podman(container, &document, base, diff_ids)
        }
        ContainerRecord::Storage { runtime: Some(runtime), .. } => {
            let document = as_config(runtime, base.config.as_ref(), container.key.id());
            podman(container, &document, base, diff_ids)
        }
        ContainerRecord::Storage { builder: Some(builder), .. } => {
            let document: Value = serde_json::from_slice(builder).unwrap_or_default();
            let settings = document.pointer("/ociv1/config").cloned().unwrap_or_default();
            Ok(storage(container, base, diff_ids, &chosen(&settings, &[])))
        }
        // Its settings are lost: those of the image stay, and a warning says so.
        _ => {
            let settings = base.config.clone().unwrap_or_default();
            Ok(storage(container, base, diff_ids, &chosen(&settings, &[])))
        }
    }
}

#[derive(Deserialize)]
struct Document<'a> {
    #[serde(borrow, rename = "Config", default)]
    config: Option<&'a RawValue>,
    #[serde(rename = "Driver", default)]
    driver: String,
    #[serde(rename = "ImageManifest", default)]
    manifest: Option<Value>,
}

fn docker(
    container: &Container,
    document: &[u8],
    base: &Base,
    diff_ids: &[DiffId],
    empty: bool,
) -> Result<Vec<u8>, String> {
    let document: Document<'_> =
        serde_json::from_slice(document).map_err(|error| format!("config.v2.json: {error}"))?;
    // Those of the image are better than none.
    let of_image = base.config.as_ref().map_or_else(|| "{}".to_owned(), Value::to_string);
    let raw = document.config.map_or(&*of_image, RawValue::get);
    let settings: Value = serde_json::from_str(raw).map_err(|error| format!("its Config: {error}"))?;
    let created = container.last_known();
    let words = settings.get("Cmd").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let last = Entry {
        created: Some(created.to_owned()),
        created_by: Some(words.collect::<Vec<_>>().join(" ")).filter(|words| !words.is_empty()),
        empty_layer: empty.then_some(true),
        ..Entry::default()
    };
    let history = history(base, &last);
    let mut out = Object::new();
    // No graph driver is called as the namespace of Docker in containerd.
    let of_containerd = document.manifest.is_some() || container.key.partition() == "moby";
    if of_containerd || document.driver == "overlayfs" || document.driver == "native" {
        out.text("created", created);
        platform(&mut out, base);
        out.field("rootfs", |out| out.extend(rootfs(diff_ids)));
        out.field("history", |out| out.extend(&history));
        out.field("config", |out| out.extend(chosen(&settings, &OF_DOCKER)));
        return Ok(out.finish());
    }
    let mut go = Vec::new();
    let raw = match document.config {
        Some(config) => config.get().as_bytes(),
        None => {
            if let Ok(value) = Go::first(raw.as_bytes()) {
                compact(value, &mut go);
            }
            &go
        }
    };
    out.text("architecture", base.architecture.as_deref().unwrap_or_default());
    out.field("config", |out| out.extend(raw));
    out.text("container", container.key.id());
    out.field("container_config", |out| out.extend(raw));
    out.text("created", created);
    out.field("history", |out| out.extend(&history));
    out.text("os", base.os.as_deref().unwrap_or_default());
    out.text_if_any("os.version", base.os_version.as_deref().unwrap_or_default());
    out.field("rootfs", |out| out.extend(rootfs(diff_ids)));
    out.text_if_any("variant", base.variant.as_deref().unwrap_or_default());
    Ok(out.finish())
}

/// What Podman keeps of a container, in the members of an image's config.
fn podman(
    container: &Container,
    document: &Value,
    base: &Base,
    diff_ids: &[DiffId],
) -> Result<Vec<u8>, String> {
    let null = Value::Null;
    let process = document.get("spec").and_then(|spec| spec.get("process")).unwrap_or(&null);
    let of_image = |key: &str| base.config.as_ref().and_then(|config| config.get(key)).cloned();
    // Podman fills maps of ports and volumes, and Go sorts the keys of a map.
    let mut settings = serde_json::Map::new();
    let mut set = |key: &str, value: Option<Value>| {
        settings.insert(key.to_owned(), value.unwrap_or_default());
    };
    let own = |key: &str| document.get(key).cloned();
    set("User", own("user"));
    let mut ports = of_image("ExposedPorts").and_then(|ports| ports.as_object().cloned()).unwrap_or_default();
    for port in &container.ports {
        ports.entry(format!("{}/{}", port.container, port.protocol)).or_insert_with(|| serde_json::json!({}));
    }
    ports.sort_keys();
    set("ExposedPorts", Some(Value::Object(ports)));
    set("Env", process.get("env").cloned());
    set("Entrypoint", own("entrypoint"));
    set("Cmd", own("command"));
    // Of the volumes that were asked for, Podman keeps those without a name.
    let mut volumes = of_image("Volumes").and_then(|all| all.as_object().cloned()).unwrap_or_default();
    let asked = document.get("userVolumes").and_then(Value::as_array).into_iter().flatten();
    let asked: Vec<&str> = asked.filter_map(Value::as_str).collect();
    for mount in &container.mounts {
        let anonymous = mount.name.as_deref().is_some_and(layerlift_store::hex_id);
        if anonymous && asked.contains(&mount.destination.as_str()) {
            volumes.entry(mount.destination.clone()).or_insert_with(|| serde_json::json!({}));
        }
    }
    volumes.sort_keys();
    set("Volumes", Some(Value::Object(volumes)));
    set("WorkingDir", process.get("cwd").cloned());
    set("Labels", own("labels"));
    set("StopSignal", of_image("StopSignal"));
    Ok(storage(container, base, diff_ids, &chosen(&Value::Object(settings), &[])))
}

/// The config as Podman and Buildah order it.
fn storage(container: &Container, base: &Base, diff_ids: &[DiffId], settings: &[u8]) -> Vec<u8> {
    let created = container.last_known();
    let last = Entry {
        created: Some(created.to_owned()),
        created_by: Some("/bin/sh".to_owned()),
        comment: container.image.as_ref().map(|image| format!("FROM {image}")),
        ..Entry::default()
    };
    let mut out = Object::new();
    out.text("created", created);
    platform(&mut out, base);
    out.field("config", |out| out.extend(settings));
    out.field("rootfs", |out| out.extend(rootfs(diff_ids)));
    // Since Podman 5, the layer gets no entry if those below have none.
    if base.history.as_ref().is_some_and(|all| !all.is_empty()) || diff_ids.is_empty() {
        out.field("history", |out| out.extend(history(base, &last)));
    }
    out.finish()
}

fn platform(out: &mut Object, base: &Base) {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    out.text("architecture", &text(&base.architecture));
    out.text_if_any("variant", &text(&base.variant));
    out.text("os", &text(&base.os));
    out.text_if_any("os.version", &text(&base.os_version));
}

/// The members of a config that have a value, in the order of an OCI config, as Go writes them.
fn chosen(settings: &Value, more: &[&str]) -> Vec<u8> {
    let mut out = Object::new();
    for key in OCI.iter().chain(more) {
        let Some(value) = settings.get(*key) else { continue };
        let empty = match value {
            Value::Null | Value::Bool(false) => true,
            Value::String(text) => text.is_empty(),
            Value::Array(list) => list.is_empty(),
            Value::Object(map) => map.is_empty(),
            _ => false,
        };
        if !empty {
            let text = value.to_string();
            out.field(key, |out| {
                // What serde has written is JSON.
                if let Ok(value) = Go::first(text.as_bytes()) {
                    compact(value, out);
                }
            });
        }
    }
    out.finish()
}

fn history(base: &Base, last: &Entry) -> Vec<u8> {
    let mut out = Vec::new();
    let entries = base.history.iter().flatten().chain(std::iter::once(last));
    array(entries, &mut out, |entry, out| {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let mut object = Object::new();
        object.text_if_any("created", &text(&entry.created));
        object.text_if_any("created_by", &text(&entry.created_by));
        object.text_if_any("author", &text(&entry.author));
        object.text_if_any("comment", &text(&entry.comment));
        if entry.empty_layer == Some(true) {
            object.field("empty_layer", |out| out.extend_from_slice(b"true"));
        }
        out.extend(object.finish());
    });
    out
}

fn rootfs(diff_ids: &[DiffId]) -> Vec<u8> {
    let mut rootfs = Object::new();
    rootfs.text("type", "layers");
    rootfs.field("diff_ids", |out| {
        array(diff_ids, out, |id, out| out.extend(super::edit::quoted(&id.to_string())));
    });
    rootfs.finish()
}
