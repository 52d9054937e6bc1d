//! Pushing to registries: to one in memory that misbehaves, and to a real one.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test may panic, and says what it skips")]

mod answers;
mod login;
mod protocol;
mod real;
mod server;

use std::error::Error as _;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use layerlift_archive::{Bytes, Content, Digest, Options};
use layerlift_export::{
    Address, Blob, Bundle, Descriptor, Error, Events, Outcome, Registry, RegistryOptions, Root, push,
};
use layerlift_store::Reference;

pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// An image of these layers, called `app:1`.
pub(crate) fn image(layers: &[Vec<u8>]) -> Bundle {
    let blob = |kind: &str, bytes: &[u8]| {
        let descriptor = Descriptor::new(kind, Digest::of(bytes), bytes.len() as u64);
        Blob::new(descriptor, Some(Arc::new(Bytes(bytes.to_vec())) as Arc<dyn Content>))
    };
    let config =
        blob(CONFIG, br#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}"#);
    let layers: Vec<Blob> = layers.iter().map(|layer| blob(LAYER, layer)).collect();
    let described = |blob: &Blob| serde_json::to_value(&blob.descriptor).unwrap();
    let document = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": described(&config),
        "layers": layers.iter().map(described).collect::<Vec<_>>(),
    });
    let manifest = blob(MANIFEST, document.to_string().as_bytes());
    let mut root = Root::new(manifest.descriptor.clone());
    root.names.push(Reference::new("app", "1"));
    let mut bundle = Bundle::default();
    bundle.blobs = layers.into_iter().chain([config, manifest]).collect();
    bundle.roots = vec![root];
    bundle
}

/// Bytes that differ from place to place.
pub(crate) fn bytes(seed: u8, len: usize) -> Vec<u8> {
    (0..len).map(|at| (at / 251) as u8 ^ (at as u8).wrapping_mul(31) ^ seed).collect()
}

/// What became of the blobs, in an order that does not depend on threads.
#[derive(Default)]
pub(crate) struct Heard(Mutex<Vec<String>>);

impl Events for Heard {
    fn blob(&self, repository: &str, blob: &Descriptor, outcome: &Outcome) {
        let outcome = match outcome {
            Outcome::Exists => "exists".to_owned(),
            Outcome::Mounted { from } => format!("from {from}"),
            Outcome::Pushed { sent } => format!("sent {sent}"),
            _ => "?".to_owned(),
        };
        self.0.lock().unwrap().push(format!("{repository} {} {outcome}", blob.size));
    }

    fn tag(&self, repository: &str, tag: &str, _: &Descriptor) {
        self.0.lock().unwrap().push(format!("{repository}:{tag}"));
    }
}

impl Heard {
    pub(crate) fn all(&self) -> Vec<String> {
        let mut all = self.0.lock().unwrap().clone();
        all.sort();
        all
    }
}

/// Options that try again at once.
pub(crate) fn at_once() -> RegistryOptions {
    let mut options = RegistryOptions::default().anonymous();
    options.pause = Duration::ZERO;
    options.certificates = Vec::new();
    options
}

/// Pushes to a repository of a registry.
pub(crate) fn pushed(
    host: impl std::fmt::Display,
    repository: &str,
    bundle: &Bundle,
    options: &RegistryOptions,
) -> Result<Vec<String>, Error> {
    let address: Address = format!("{host}/{repository}").parse().unwrap();
    let registry = Registry::new(&address, options).unwrap();
    let heard = Heard::default();
    let threads = Options::default().with_threads(NonZeroUsize::new(2).unwrap());
    push(bundle, &registry.repository(repository, &heard), &threads)?;
    Ok(heard.all())
}

/// An error with its causes.
pub(crate) fn words(error: &Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}
