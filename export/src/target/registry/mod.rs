//! A registry (distribution-spec 1.1): blobs by `HEAD`, `POST`, `PUT`; manifests behind them; tags last.
//!
//! ```text
//! address     HOST/REPOSITORY[:TAG]            placed   which image goes to which repository
//! client      requests, with what lets them in, and again      upload   how a blob gets there
//! auth, credentials     tls, proxy, http     patience     source
//! ```
//!
//! Blocking: a thread for each blob on its way, as many as the options say.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use layerlift_archive::{Content, Digest, Error as ArchiveError, Explanation, Observer, Options, verified};
use ureq::http::{Method, header};

use self::auth::Auth;
use self::client::Client;
use self::credentials::{Identity, Secret};
use self::http::{Answer, Body, Call, Http};
use self::known::{Known, Sources};
use self::tls::Trust;
use self::upload::{Parts, Session};
use super::Target;
use crate::Error;
use crate::bundle::{Descriptor, Root};

mod address;
mod auth;
mod client;
mod credentials;
mod elsewhere;
mod error;
mod http;
mod known;
mod patience;
mod placed;
mod proxy;
mod source;
mod tls;
mod upload;

pub use address::Address;
pub use error::{RegistryError, RegistryHint};
pub use placed::{Placed, placed};

/// The largest manifest that registries take.
const MANIFEST: u64 = 4 << 20;

/// What can be chosen about a registry.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RegistryOptions {
    /// Allow plain HTTP, and certificates that nothing proves, for this registry.
    pub insecure: bool,
    /// Files of certificates (PEM) that are trusted beside the system's.
    pub authorities: Vec<PathBuf>,
    /// Folders that have a folder for each registry, with certificates.
    pub certificates: Vec<PathBuf>,
    /// Send blobs in parts of this size. `None`: whole, unless the registry answers 413.
    pub chunk: Option<u64>,
    /// Repositories of the registry that may have the blobs.
    pub mount_from: Vec<String>,
    /// The wait before the second try; each further one is twice as long.
    pub pause: Duration,
    login: Login,
}

/// Where credentials come from.
#[derive(Debug, Clone, Default)]
enum Login {
    /// The files of Docker and Podman.
    #[default]
    Stored,
    /// The caller.
    Given(Identity),
    /// Nobody logs in.
    Anonymous,
}

impl Default for RegistryOptions {
    /// TLS, the system's roots and the engines' folders, the credentials of Docker and Podman.
    fn default() -> Self {
        RegistryOptions {
            insecure: false,
            authorities: Vec::new(),
            certificates: tls::FOLDERS.map(PathBuf::from).to_vec(),
            chunk: None,
            mount_from: Vec::new(),
            pause: Duration::from_secs(1),
            login: Login::default(),
        }
    }
}

impl RegistryOptions {
    /// The same options with this name and password.
    pub fn with_password(self, user: impl Into<String>, password: impl Into<String>) -> Self {
        let identity = Identity::Password(user.into(), Secret(password.into()));
        RegistryOptions { login: Login::Given(identity), ..self }
    }

    /// The same options without any login.
    pub fn anonymous(self) -> Self {
        RegistryOptions { login: Login::Anonymous, ..self }
    }
}

/// A registry. Its repositories are [`Target`]s.
pub struct Registry {
    client: Client,
    mount_from: Vec<String>,
    /// Where blobs are known to be.
    places: Mutex<BTreeMap<Digest, Vec<String>>>,
    known: Known,
    sources: Sources,
    parts: Parts,
}

/// What became of a blob.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// It was there.
    Exists,
    /// The registry took it from another of its repositories.
    Mounted {
        /// The repository.
        from: String,
    },
    /// It was sent.
    Pushed {
        /// How many bytes were sent, those that were sent again included.
        sent: u64,
    },
}

/// Hears what becomes of each blob, from any thread.
pub trait Events: Sync {
    /// A blob is there.
    fn blob(&self, repository: &str, blob: &Descriptor, outcome: &Outcome);
    /// A tag leads to a manifest.
    fn tag(&self, repository: &str, tag: &str, root: &Descriptor);
}

impl Events for () {
    fn blob(&self, _: &str, _: &Descriptor, _: &Outcome) {}
    fn tag(&self, _: &str, _: &str, _: &Descriptor) {}
}

impl Registry {
    /// The registry of a place. Connects with the first request.
    pub fn new(address: &Address, options: &RegistryOptions) -> Result<Self, RegistryError> {
        let host = address.host();
        let trust = Trust::of(host, &options.authorities, &options.certificates)?;
        let api = address::authority(host);
        let own = trust.agent(options.insecure);
        let http = Http::new(own, trust.agent_for_others(), api, options.insecure);
        let identity = match &options.login {
            Login::Stored => credentials::stored(host, &address.repository(None).unwrap_or_default())?,
            Login::Given(identity) => Some(identity.clone()),
            Login::Anonymous => None,
        };
        Ok(Registry {
            client: Client::new(host, http, Auth::new(host, identity), options.insecure, options.pause),
            mount_from: options.mount_from.clone(),
            places: Mutex::default(),
            known: Known::default(),
            sources: Sources::default(),
            parts: Parts::of(options.chunk),
        })
    }

    /// A repository of it, to push to.
    pub fn repository<'r>(&'r self, name: &str, events: &'r dyn Events) -> Repository<'r> {
        Repository { registry: self, name: name.to_owned(), events, state: Mutex::default() }
    }

    /// A repository of this registry is said to have a blob, so that it need not be sent.
    pub fn add_place(&self, blob: Digest, repository: &str) {
        let mut places = self.places();
        let of_blob = places.entry(blob).or_default();
        if !of_blob.iter().any(|place| place == repository) {
            of_blob.push(repository.to_owned());
        }
    }

    /// Asks whether a registry is there.
    pub fn reach(&self, observer: &dyn Observer) -> Result<(), RegistryError> {
        self.client.uri("/v2/", observer).map(drop)
    }

    /// Whether the registry has answered at all.
    pub fn is_reached(&self) -> bool {
        self.client.is_reached()
    }

    fn places(&self) -> MutexGuard<'_, BTreeMap<Digest, Vec<String>>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A repository of a registry.
pub struct Repository<'r> {
    registry: &'r Registry,
    name: String,
    events: &'r dyn Events,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Uploads that a registry began where it was asked to mount.
    sessions: BTreeMap<Digest, Session>,
    /// The manifests, which are sent once more for each tag.
    manifests: BTreeMap<Digest, Vec<u8>>,
}

impl Repository<'_> {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A blob is here now.
    fn is_here(&self, blob: &Descriptor, outcome: Outcome) {
        self.registry.add_place(blob.digest, &self.name);
        self.events.blob(&self.name, blob, &outcome);
        self.registry.known.add(&self.name, blob.digest, outcome);
    }

    fn session(&self, digest: Digest) -> Option<Session> {
        self.state().sessions.remove(&digest)
    }

    fn scopes(&self) -> Vec<String> {
        vec![format!("repository:{}:pull,push", self.name)]
    }

    /// Whether a blob is there, asked once.
    fn head_once(&self, digest: Digest, observer: &dyn Observer) -> Result<bool, RegistryError> {
        let client = &self.registry.client;
        let uri = client.uri(&format!("/v2/{}/blobs/{digest}", self.name), observer)?;
        Ok(client.send(&mut Call::new(Method::HEAD, uri), &self.scopes(), observer)?.status == 200)
    }

    /// Whether a blob is there.
    fn head(&self, blob: &Descriptor, observer: &dyn Observer) -> Result<bool, RegistryError> {
        let client = &self.registry.client;
        let uri = client.uri(&format!("/v2/{}/blobs/{}", self.name, blob.digest), observer)?;
        let call = &mut Call::new(Method::HEAD, uri);
        let answer = client.ask(call, &self.scopes(), &[200, 404], observer)?;
        if answer.status == 404 {
            return Ok(false);
        }
        self.same_digest(&answer, blob.digest)?;
        let len = answer.header(header::CONTENT_LENGTH).and_then(|len| len.parse::<u64>().ok());
        match len.filter(|len| *len != blob.size) {
            // Somebody who answers 200 to everything.
            None if len.is_none() && answer.header("docker-content-digest").is_none() => Ok(false),
            Some(len) => {
                let why = format!("it has {len} bytes of a blob that has {}", blob.size);
                Err(client.unusable(&answer, why))
            }
            None => Ok(true),
        }
    }

    /// Whether a blob or a manifest need not be sent. Sends nothing.
    pub fn is_there(&self, blob: &Descriptor, observer: &dyn Observer) -> Result<bool, RegistryError> {
        match blob.names_others() {
            false if self.registry.known.get(&self.name, blob.digest).is_some() => Ok(true),
            true => self.manifest(&blob.digest.to_string(), blob, observer),
            false => self.head(blob, observer),
        }
    }

    /// Refuses an answer that names another digest.
    fn same_digest(&self, answer: &Answer, expected: Digest) -> Result<(), RegistryError> {
        match answer.header("docker-content-digest") {
            // A registry may prefer another algorithm.
            Some(found) if found.starts_with("sha256:") && found != expected.to_string() => {
                let found = self.registry.client.redact(found).chars().take(80).collect();
                Err(RegistryError::OtherDigest { host: answer.host(), expected, found })
            }
            _ => Ok(()),
        }
    }

    /// Asks for the digest that a tag or a digest leads to.
    fn manifest(
        &self,
        tag_or_digest: &str,
        root: &Descriptor,
        observer: &dyn Observer,
    ) -> Result<bool, RegistryError> {
        let client = &self.registry.client;
        let uri = client.uri(&format!("/v2/{}/manifests/{tag_or_digest}", self.name), observer)?;
        let mut call = Call::new(Method::HEAD, uri).with(header::ACCEPT, root.media_type.clone());
        let answer = client.ask(&mut call, &self.scopes(), &[200, 404, 406], observer)?;
        let found = answer.header("docker-content-digest");
        Ok(answer.status == 200 && found.is_some_and(|found| found == root.digest.to_string()))
    }

    fn put_manifest(
        &self,
        tag_or_digest: &str,
        root: &Descriptor,
        bytes: &[u8],
        observer: &dyn Observer,
    ) -> Result<(), RegistryError> {
        let client = &self.registry.client;
        let uri = client.uri(&format!("/v2/{}/manifests/{tag_or_digest}", self.name), observer)?;
        let mut call = Call::new(Method::PUT, uri)
            .with(header::CONTENT_TYPE, root.media_type.clone())
            .with_body(Body::Bytes(bytes));
        let answer = client.ask(&mut call, &self.scopes(), &[201, 200, 202, 204], observer)?;
        self.same_digest(&answer, root.digest)?;
        let says_so = answer.status == 201 && answer.header("docker-content-digest").is_some();
        if says_so || self.has_manifest(tag_or_digest, root, observer)? {
            return Ok(());
        }
        Err(client.unusable(&answer, "it does not have the manifest afterwards"))
    }

    /// Whether a manifest is there, also if the registry names no digests.
    fn has_manifest(
        &self,
        tag_or_digest: &str,
        root: &Descriptor,
        observer: &dyn Observer,
    ) -> Result<bool, RegistryError> {
        if self.manifest(tag_or_digest, root, observer)? {
            return Ok(true);
        }
        let client = &self.registry.client;
        let uri = client.uri(&format!("/v2/{}/manifests/{tag_or_digest}", self.name), observer)?;
        let mut call = Call::new(Method::GET, uri).with(header::ACCEPT, root.media_type.clone());
        let answer = client.ask(&mut call, &self.scopes(), &[200, 404, 406], observer)?;
        let begins = answer.body.len() as u64 == http::ANSWER;
        Ok(answer.status == 200 && (begins || Digest::of(&answer.body) == root.digest))
    }

    fn failed<'e>(&'e self, what: &'e str) -> impl Fn(RegistryError) -> Error + use<'e> {
        move |error| match error {
            RegistryError::Content(error) => error.into(),
            error => Error::Target {
                action: format!("push {what} to {}/{}", self.registry.client.host(), self.name),
                kind: error.kind(),
                source: Explanation::new(error),
            },
        }
    }
}

impl Target for Repository<'_> {
    fn has(&self, blob: &Descriptor, options: &Options<'_>) -> Result<bool, Error> {
        // A manifest has to be at hand for its tags; `put` asks for it.
        if blob.names_others() {
            return Ok(false);
        }
        if let Some(outcome) = self.registry.known.get(&self.name, blob.digest) {
            self.is_here(blob, outcome);
            return Ok(true);
        }
        let what = format!("blob {}", blob.digest);
        if self.head(blob, options.observer).map_err(self.failed(&what))? {
            self.is_here(blob, Outcome::Exists);
            return Ok(true);
        }
        let mounted = self.mount(blob.digest, options.observer).map_err(self.failed(&what))?;
        Ok(mounted.map(|from| self.is_here(blob, Outcome::Mounted { from })).is_some())
    }

    fn put(&self, blob: &Descriptor, content: &dyn Content, options: &Options<'_>) -> Result<(), Error> {
        let observer = options.observer;
        if !blob.names_others() {
            let what = format!("blob {}", blob.digest);
            let sent = self.upload(blob.digest, content, observer).map_err(self.failed(&what))?;
            self.is_here(blob, Outcome::Pushed { sent });
            return Ok(());
        }
        let what = format!("manifest {}", blob.digest);
        if content.len() > MANIFEST {
            return Err(self.failed(&what)(RegistryError::LargeManifest { len: content.len() }));
        }
        let bytes = read(content, &what)?;
        let digest = blob.digest.to_string();
        let outcome = match self.manifest(&digest, blob, observer).map_err(self.failed(&what))? {
            true => Outcome::Exists,
            false => {
                self.put_manifest(&digest, blob, &bytes, observer).map_err(self.failed(&what))?;
                Outcome::Pushed { sent: bytes.len() as u64 }
            }
        };
        observer.advance(bytes.len() as u64);
        self.state().manifests.insert(blob.digest, bytes);
        self.events.blob(&self.name, blob, &outcome);
        Ok(())
    }

    fn tag(&self, roots: &[Root]) -> Result<(), Error> {
        for root in roots {
            for tag in root.names.iter().filter_map(|name| name.tag()) {
                let what = format!("tag {tag}");
                let is_there = self.manifest(tag, &root.descriptor, &()).map_err(self.failed(&what))?;
                let bytes = self.state().manifests.get(&root.descriptor.digest).cloned();
                if let Some(bytes) = bytes.filter(|_| !is_there) {
                    self.put_manifest(tag, &root.descriptor, &bytes, &()).map_err(self.failed(&what))?;
                }
                self.events.tag(&self.name, tag, &root.descriptor);
            }
        }
        Ok(())
    }
}

/// The bytes of a manifest.
fn read(content: &dyn Content, what: &str) -> Result<Vec<u8>, Error> {
    let failed =
        |source| ArchiveError::Content { entry: what.to_owned(), source: std::sync::Arc::new(source) };
    let mut bytes = Vec::new();
    verified(content).map_err(failed)?.read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}
