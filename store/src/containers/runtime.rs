//! `<driver>-containers/<id>/userdata/`: what an engine gave its runtime when it last started a container,
//! and what Buildah notes of its own.
//!
//! ```text
//! config.json    {"process":{"user":{"uid":0, …},"args":[…],"env":[…],"cwd":"/opt"},"hostname":"box",
//!                 "root":{"path":"/…/overlay/<layer>/merged"},
//!                 "mounts":[{"destination":"/data","type":"bind",
//!                            "source":"/…/volumes/<name>/_data","options":["rw", …]}, …],
//!                 "annotations":{"io.container.manager":"libpod", …}, …}
//! buildah.json   {"container-name":"working-container","image":"…","ociv1":{"config":{"Env":[…]}}, …}
//! ```
//!
//! Podman's database says more; this is what is left without it. The specification has volumes as binds of
//! their directories, and binds and tmpfs that the engine adds itself.

use serde::Deserialize;

use super::spec::Spec;
use crate::{Error, Mount, Root, json};

/// What a container has in its folder.
#[derive(Debug, Default)]
pub(super) struct Folder {
    /// `config.json`, if it was ever started and its file can be read.
    pub(super) runtime: Option<Vec<u8>>,
    /// `buildah.json`, for a working container of Buildah.
    pub(super) builder: Option<Vec<u8>>,
    pub(super) known: Known,
    /// Files in it that cannot be read.
    pub(super) lost: Vec<Error>,
}

/// What these files say.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) command: Vec<String>,
    pub(super) mounts: Vec<Mount>,
    /// The writable layer.
    pub(super) layer: Option<String>,
    pub(super) name: Option<String>,
    pub(super) image: Option<String>,
    pub(super) image_id: Option<String>,
    pub(super) created: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Builder {
    container_name: Option<String>,
    image: Option<String>,
    image_id: Option<String>,
}

/// Where the folder is, below the root.
pub(super) fn folder(driver: &str, id: &str) -> String {
    format!("{driver}-containers/{id}/userdata")
}

/// Reads the folder of a container.
pub(super) fn read(root: &Root, driver: &str, id: &str) -> Folder {
    let mut found = Folder::default();
    let folder = folder(driver, id);
    let mut document = |name: &str, parse: &mut dyn FnMut(&[u8]) -> Result<(), String>| {
        let file = format!("{folder}/{name}");
        let bytes = match root.try_read(&file, json::LIMIT) {
            Ok(bytes) => bytes?,
            Err(error) => {
                found.lost.push(error);
                return None;
            }
        };
        let parsed = match &*bytes {
            [] => Err("it is empty".to_owned()),
            bytes if bytes.iter().all(|byte| *byte == 0) => Err("it has only zero bytes".to_owned()),
            bytes => parse(bytes),
        };
        match parsed {
            Ok(()) => Some(bytes),
            Err(why) => {
                found.lost.push(Error::malformed(root.join(file), why));
                None
            }
        }
    };
    let mut known = Known::default();
    let runtime = document("config.json", &mut |bytes| {
        json::object::<Spec>(bytes).map(|spec| describe(spec, id, &mut known))
    });
    let builder = document("buildah.json", &mut |bytes| {
        json::object::<Builder>(bytes).map(|builder| builder.describe(&mut known))
    });
    Folder { runtime, builder, known, ..found }
}

/// What a specification says.
fn describe(spec: Spec, id: &str, known: &mut Known) {
    known.mounts = mounts(&spec, id);
    known.command = spec.process.and_then(|process| process.args).unwrap_or_default();
    let path = spec.root.map(|root| root.path).unwrap_or_default();
    known.layer = path.rsplit('/').find(|part| crate::hex_id(part)).map(str::to_owned);
    let annotations = spec.annotations.unwrap_or_default();
    known.created = annotations.get("io.kubernetes.cri-o.Created").cloned();
}

/// Volumes, binds and tmpfs without those that every container has.
fn mounts(spec: &Spec, id: &str) -> Vec<Mount> {
    let own = format!("/{id}/userdata/");
    let mut mounts: Vec<Mount> = Vec::new();
    for mount in spec.mounts.iter().flatten() {
        let source = mount.source.as_deref().unwrap_or_default();
        let (kind, name) = match mount.kind.as_deref() {
            Some("bind") if source.contains(&own) => continue,
            Some("bind") => match volume(source) {
                Some(name) => ("volume", Some(name.to_owned())),
                None => ("bind", None),
            },
            Some("tmpfs") if mount.destination != "/dev" => ("tmpfs", None),
            _ => continue,
        };
        let is_bind = kind == "bind" && source.starts_with('/');
        mounts.push(Mount {
            kind: kind.to_owned(),
            name,
            source: is_bind.then(|| source.to_owned()),
            destination: mount.destination.clone(),
            writable: mount.is_writable(),
            driver: None,
        });
    }
    mounts.sort_by(|a, b| a.destination.cmp(&b.destination));
    mounts
}

/// The volume whose data are at a path of the host that ran the container.
fn volume(source: &str) -> Option<&str> {
    let (folder, name) = source.strip_suffix("/_data")?.rsplit_once('/')?;
    (folder.ends_with("/volumes") && !name.is_empty()).then_some(name)
}

impl Builder {
    fn describe(self, known: &mut Known) {
        let given = |text: Option<String>| text.filter(|text| !text.is_empty());
        known.name = given(self.container_name);
        known.image = given(self.image);
        known.image_id = given(self.image_id);
    }
}
