//! Who is trusted, and how one's own certificate is shown.
//!
//! ```text
//! /etc/docker/certs.d/<host>[:<port>]/*.crt           authorities of that registry, beside the system's
//!                                    /<name>.cert      a client's certificate, and
//!                                    /<name>.key       its key
//! /etc/containers/certs.d                              the same of Podman
//! ```

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ureq::Agent;
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig};

use super::error::RegistryError;

/// Where engines keep certificates of registries.
pub(super) const FOLDERS: [&str; 2] = ["/etc/docker/certs.d", "/etc/containers/certs.d"];

/// How long a host has to be found, and to be connected to: in all less than ten seconds.
const RESOLVE: Duration = Duration::from_secs(4);
const CONNECT: Duration = Duration::from_secs(5);

/// How long one read or write may take, and how long an answer: a registry that moves a large blob in its
/// storage says nothing until that is done.
const STALLED: Duration = Duration::from_secs(60);
const ANSWER: Duration = Duration::from_secs(300);

/// More than any registry's headers.
const HEADERS: usize = 64 << 10;

/// What is trusted.
pub(super) struct Trust {
    /// The system's, and those of files.
    authorities: Vec<Certificate<'static>>,
    client: Option<ClientCert>,
}

impl Trust {
    /// What the files of a caller, and the folders of engines, have for a registry.
    pub(super) fn of(host: &str, files: &[PathBuf], folders: &[PathBuf]) -> Result<Self, RegistryError> {
        let system = rustls_native_certs::load_native_certs().certs;
        let system = system.iter().map(|certificate| Certificate::from_der(certificate).to_owned());
        let mut trust = Trust { authorities: system.collect(), client: None };
        for path in files {
            let before = trust.authorities.len();
            trust.add_authorities(path)?;
            if trust.authorities.len() == before {
                return Err(unusable(path, "it has none"));
            }
        }
        for folder in folders {
            trust.add_folder(&folder.join(host))?;
        }
        Ok(trust)
    }

    fn add_folder(&mut self, folder: &Path) -> Result<(), RegistryError> {
        let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
        let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        paths.sort();
        for path in paths {
            match path.extension().and_then(|extension| extension.to_str()) {
                Some("crt") => self.add_authorities(&path)?,
                Some("cert") if self.client.is_none() => self.client = Some(client(&path)?),
                _ => {}
            }
        }
        Ok(())
    }

    fn add_authorities(&mut self, path: &Path) -> Result<(), RegistryError> {
        self.authorities.extend(certificates(path)?);
        Ok(())
    }

    /// What sends requests to the registry, and shows it the client's certificate.
    pub(super) fn agent(&self, insecure: bool) -> Agent {
        self.build(self.client.clone(), insecure)
    }

    /// What sends requests to any other host: its certificate is always verified.
    pub(super) fn agent_for_others(&self) -> Agent {
        self.build(None, false)
    }

    fn build(&self, client: Option<ClientCert>, insecure: bool) -> Agent {
        let tls = TlsConfig::builder()
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .root_certs(RootCerts::new_with_certs(&self.authorities))
            .client_cert(client)
            .disable_verification(insecure)
            .build();
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("layerlift/", env!("CARGO_PKG_VERSION")))
            .accept_encoding("identity")
            // Each request has its own.
            .proxy(None)
            .tls_config(tls)
            .max_response_header_size(HEADERS)
            .max_idle_connections_per_host(16)
            .timeout_resolve(Some(RESOLVE))
            .timeout_connect(Some(CONNECT))
            .timeout_await_100(Some(super::http::AWAIT))
            .timeout_per_write(Some(STALLED))
            .timeout_recv_response(Some(ANSWER))
            .timeout_recv_body(Some(STALLED))
            .build();
        Agent::new_with_config(config)
    }
}

fn unusable(path: &Path, why: &str) -> RegistryError {
    RegistryError::CertificateFile { path: path.to_owned(), why: why.to_owned() }
}

fn items(path: &Path) -> Result<Vec<PemItem<'static>>, RegistryError> {
    let pem = fs::read(path).map_err(|error| unusable(path, &error.to_string()))?;
    let items = ureq::tls::parse_pem(&pem).collect::<Result<_, _>>();
    items.map_err(|_| unusable(path, "they are not PEM"))
}

fn certificates(path: &Path) -> Result<Vec<Certificate<'static>>, RegistryError> {
    let certificate = |item| match item {
        PemItem::Certificate(certificate) => Some(certificate),
        _ => None,
    };
    Ok(items(path)?.into_iter().filter_map(certificate).collect())
}

/// The certificate of a client, and the key beside it.
fn client(path: &Path) -> Result<ClientCert, RegistryError> {
    let key = path.with_extension("key");
    let found = items(&key)?.into_iter().find_map(|item| match item {
        PemItem::PrivateKey(key) => Some(key),
        _ => None,
    });
    let found: PrivateKey<'static> = found.ok_or_else(|| unusable(&key, "it has no private key"))?;
    let certificates = certificates(path)?;
    fits(&certificates, &found).map_err(|why| unusable(path, &why))?;
    Ok(ClientCert::new_with_certs(&certificates, found))
}

/// Whether a client's certificate can be used with a key. ureq panics where it cannot.
fn fits(certificates: &[Certificate<'static>], key: &PrivateKey<'static>) -> Result<(), String> {
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    if certificates.is_empty() {
        return Err("it has no certificate".to_owned());
    }
    let chain = certificates.iter().map(|one| CertificateDer::from(one.der().to_vec())).collect();
    let key = PrivateKeyDer::try_from(key.der().to_vec())?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(rustls::RootCertStore::empty());
    builder.with_client_auth_cert(chain, key).map(drop).map_err(|error| match error {
        rustls::Error::InvalidCertificate(why) if format!("{why:?}").contains("UnsupportedCertVersion") => {
            "the client's certificate is of X.509 version 1; one of version 3 is needed".to_owned()
        }
        error => error.to_string(),
    })
}
