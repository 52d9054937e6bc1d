//! What a registry answers, and what happens on the way to it.
//!
//! No message holds a credential, a token or the query of an address: storage services sign those.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use layerlift_archive::{Digest, Error as ArchiveError, ErrorKind};

/// Why a registry did not take something.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// What should name a place in a registry does not.
    #[error("{name:?} does not name a repository of a registry: {why}")]
    Name {
        /// What was given.
        name: String,
        /// What is wrong with it.
        why: String,
    },
    /// Registries refuse a manifest of this size.
    #[error("it has {len} bytes, and registries take manifests of up to 4 MiB: push fewer images at a time")]
    LargeManifest {
        /// Its bytes.
        len: u64,
    },
    /// The name of the host leads nowhere.
    #[error("the host {host} is not known")]
    UnknownHost {
        /// The host.
        host: String,
    },
    /// No connection came about.
    #[error("cannot connect to {host}: {why}")]
    Unreachable {
        /// The host.
        host: String,
        /// The system's answer.
        why: String,
    },
    /// The other side cannot prove who it is.
    #[error("the certificate of {host} is not trusted: {why}")]
    Certificate {
        /// The host.
        host: String,
        /// What is wrong with it.
        why: String,
    },
    /// The other side speaks TLS, and no connection comes about.
    #[error("the TLS handshake with {host} failed: {why}")]
    Handshake {
        /// The host.
        host: String,
        /// What it says.
        why: String,
    },
    /// A redirect leads to an address that is not encrypted.
    #[error("it leads to http://{host}, which is not encrypted")]
    NotEncrypted {
        /// The host.
        host: String,
    },
    /// A connection ended early, or nothing came for too long.
    #[error("the connection to {host} broke: {why}")]
    Broken {
        /// The host.
        host: String,
        /// What happened.
        why: String,
    },
    /// Nothing came for too long.
    #[error("the connection to {host} broke: nothing came for too long")]
    Silent {
        /// The host.
        host: String,
    },
    /// Nobody is logged in, and the registry wants that.
    #[error("{host} wants a login, and there are no credentials for it")]
    NoLogin {
        /// The host.
        host: String,
    },
    /// The credentials are not accepted.
    #[error("{host} does not accept the credentials{}", after(detail))]
    Login {
        /// Who answered: the registry, or its token server.
        host: String,
        /// Its words.
        detail: String,
    },
    /// Credentials are kept in a way that cannot be read.
    #[error("cannot read the credentials for {host} in {}: {why}", path.display())]
    Credentials {
        /// The host that they are for.
        host: String,
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A file with certificates cannot be used.
    #[error("cannot use the certificates in {}: {why}", path.display())]
    CertificateFile {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A proxy of the environment cannot be used. Its address may hold a password.
    #[error("the proxy in {variable} cannot be used: {why}")]
    Proxy {
        /// The variable of the environment.
        variable: &'static str,
        /// Why not.
        why: &'static str,
    },
    /// A status that is not the expected one.
    #[error("{host} answered {status} to {asked}{}", after(detail))]
    Status {
        /// Who answered.
        host: String,
        /// The status.
        status: u16,
        /// The method, and the path.
        asked: String,
        /// The words of the registry, if it has any.
        detail: String,
        /// When to come again.
        retry_after: Option<Duration>,
    },
    /// An answer that no registry gives.
    #[error("{host} gave an answer to {asked} that is not a registry's: {why}")]
    Answer {
        /// Who answered.
        host: String,
        /// The method, and the path.
        asked: String,
        /// What is wrong with it.
        why: String,
    },
    /// The registry has other bytes than those that were sent, or says so.
    #[error("{host} has {found} where {expected} was sent")]
    OtherDigest {
        /// The host.
        host: String,
        /// What was sent.
        expected: Digest,
        /// What it says.
        found: String,
    },
    /// It was tried several times.
    #[error("given up after {tries} tries")]
    GaveUp {
        /// How many.
        tries: u32,
        /// The last failure.
        source: Arc<RegistryError>,
    },
    /// The registry wants to be left alone for longer than anyone waits.
    #[error("{host} asks to come again in {seconds} s")]
    Busy {
        /// The host.
        host: String,
        /// In how many seconds.
        seconds: u64,
    },
    /// Two images would get one name.
    #[error("{first} and {second} would both become {name}")]
    SameName {
        /// One image.
        first: String,
        /// The other.
        second: String,
        /// The name in the registry.
        name: String,
    },
    /// What was to be sent could not be read.
    #[error(transparent)]
    Content(ArchiveError),
}

/// What can be done about an error of a registry, for a program to word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RegistryHint {
    /// Log in.
    LogIn,
    /// Trust the authority of the certificate.
    TrustAuthority,
    /// Allow plain HTTP.
    AllowPlain,
    /// The same request continues where this one stopped.
    TryAgain,
}

fn after(detail: &str) -> String {
    if detail.is_empty() { String::new() } else { format!(": {detail}") }
}

impl RegistryError {
    /// What kind of failure it is. A registry that cannot be reached, or does not let anyone in, makes the
    /// request impossible; what it refuses on the way is the system's doing.
    pub fn kind(&self) -> ErrorKind {
        match self {
            RegistryError::Name { .. }
            | RegistryError::UnknownHost { .. }
            | RegistryError::Unreachable { .. }
            | RegistryError::Certificate { .. }
            | RegistryError::Handshake { .. }
            | RegistryError::NoLogin { .. }
            | RegistryError::Login { .. }
            | RegistryError::Credentials { .. }
            | RegistryError::CertificateFile { .. }
            | RegistryError::Proxy { .. }
            | RegistryError::SameName { .. }
            | RegistryError::NotEncrypted { .. } => ErrorKind::Request,
            RegistryError::LargeManifest { .. } => ErrorKind::Unsupported,
            RegistryError::Answer { .. } => ErrorKind::Malformed,
            RegistryError::OtherDigest { .. } => ErrorKind::Damaged,
            RegistryError::GaveUp { source, .. } => source.kind(),
            RegistryError::Content(error) => error.kind(),
            RegistryError::Broken { .. }
            | RegistryError::Silent { .. }
            | RegistryError::Status { .. }
            | RegistryError::Busy { .. } => ErrorKind::Environment,
        }
    }

    /// What can be done about it.
    pub fn hints(&self) -> Vec<RegistryHint> {
        match self {
            RegistryError::NoLogin { .. } | RegistryError::Login { .. } => vec![RegistryHint::LogIn],
            RegistryError::Certificate { .. } => vec![RegistryHint::TrustAuthority],
            RegistryError::NotEncrypted { .. } => vec![RegistryHint::AllowPlain],
            RegistryError::Status { status: 401 | 403, .. } => vec![RegistryHint::LogIn],
            RegistryError::GaveUp { .. } | RegistryError::Busy { .. } => vec![RegistryHint::TryAgain],
            _ => Vec::new(),
        }
    }

    /// The same without what is secret: an address or an answer may repeat what was sent.
    pub(super) fn redacted(self, redact: impl Fn(&str) -> String) -> Self {
        use RegistryError::{Answer, Broken, Handshake, Status, Unreachable};
        match self {
            Answer { host, asked, why } => Answer { host, asked: redact(&asked), why: redact(&why) },
            Status { host, status, asked, detail, retry_after } => {
                Status { host, status, asked: redact(&asked), detail: redact(&detail), retry_after }
            }
            Broken { host, why } => Broken { host, why: redact(&why) },
            Unreachable { host, why } => Unreachable { host, why: redact(&why) },
            Handshake { host, why } => Handshake { host, why: redact(&why) },
            error => error,
        }
    }

    /// The same of a host that is asked through a proxy, which is all that can fail to be reached.
    pub(super) fn behind(self, proxy: Option<String>) -> Self {
        match (self, proxy) {
            (RegistryError::Unreachable { host, why }, Some(proxy)) => {
                RegistryError::Unreachable { host, why: format!("through the proxy {proxy}: {why}") }
            }
            (RegistryError::UnknownHost { host }, Some(proxy)) => {
                let why = format!("the host of the proxy {proxy} is not known");
                RegistryError::Unreachable { host, why }
            }
            (error, _) => error,
        }
    }

    /// The status that was answered, if that is what it is about.
    pub(super) fn status(&self) -> Option<u16> {
        match self {
            RegistryError::Status { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// Whether the same may succeed a little later.
    pub(super) fn is_temporary(&self) -> bool {
        match self {
            RegistryError::Broken { .. } | RegistryError::Silent { .. } => true,
            // Its blobs are there. Distribution 2.8 misses one while another push writes its link again.
            RegistryError::Status { status: 400 | 404, detail, .. } => {
                detail.contains("MANIFEST_BLOB_UNKNOWN")
            }
            RegistryError::Status { status, .. } => {
                matches!(status, 408 | 425 | 429 | 500 | 502 | 503 | 504) || (506..600).contains(status)
            }
            _ => false,
        }
    }
}
