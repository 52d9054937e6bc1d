//! Blobs that a registry may have: known by their digest alone, or in another of its repositories.

use layerlift_archive::{Compression, Digest, Observer};
use ureq::http::{Method, header};

use super::error::RegistryError;
use super::http::{Body, Call};
use super::{Outcome, Repository};

/// From how many repositories a blob is mounted at most before it is sent.
const MOUNTS: usize = 4;

impl Repository<'_> {
    /// The length of a blob that may be there, and how it is compressed, by its first bytes: one request. It
    /// is mounted from these repositories if it is not there and `may_mount`.
    pub fn find(
        &self,
        digest: Digest,
        may_mount: bool,
        observer: &dyn Observer,
    ) -> Result<Option<(u64, Compression)>, RegistryError> {
        if let Some(found) = self.begins(digest, observer)? {
            return Ok(Some(self.remember(digest, Outcome::Exists, found)));
        }
        let mounted = if may_mount { self.mount(digest, observer)? } else { None };
        let Some(from) = mounted else {
            let begun = self.session(digest);
            begun.into_iter().for_each(|session| self.abandon(session.location(), observer));
            return Ok(None);
        };
        let found = self.begins(digest, observer)?;
        Ok(found.map(|found| self.remember(digest, Outcome::Mounted { from }, found)))
    }

    /// Need not be asked again before the push.
    fn remember<T>(&self, digest: Digest, outcome: Outcome, found: T) -> T {
        self.registry.known.add(&self.name, digest, outcome);
        found
    }

    fn begins(
        &self,
        digest: Digest,
        observer: &dyn Observer,
    ) -> Result<Option<(u64, Compression)>, RegistryError> {
        let client = &self.registry.client;
        let uri = client.uri(&format!("/v2/{}/blobs/{digest}", self.name), observer)?;
        let mut call = Call::new(Method::GET, uri).with(header::RANGE, "bytes=0-3");
        // One that does not give its blobs away gets them in the usual way.
        let expected = [200, 206, 400, 403, 404, 405, 416];
        let answer = client.ask(&mut call, &self.scopes(), &expected, observer)?;
        let len = match answer.status {
            206 => answer
                .header(header::CONTENT_RANGE)
                .and_then(|range| range.rsplit_once('/'))
                .map(|(_, len)| len),
            200 => answer.header(header::CONTENT_LENGTH),
            _ => None,
        };
        let compression = match &answer.body[..] {
            [0x1f, 0x8b, ..] => Compression::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Compression::Zstd,
            _ => return Ok(None),
        };
        Ok(len.and_then(|len| len.trim().parse().ok()).map(|len| (len, compression)))
    }

    /// Whether the registry took a blob from another repository; from which.
    pub(super) fn mount(
        &self,
        digest: Digest,
        observer: &dyn Observer,
    ) -> Result<Option<String>, RegistryError> {
        let client = &self.registry.client;
        let mut from = self.registry.places().get(&digest).cloned().unwrap_or_default();
        from.extend(self.registry.mount_from.iter().cloned());
        let sources = &self.registry.sources;
        from.retain(|from| *from != self.name && !sources.is_closed(from));
        for from in from.into_iter().take(MOUNTS) {
            let _asking = sources.wait(&from);
            if sources.is_closed(&from) {
                continue;
            }
            let path = format!("/v2/{}/blobs/uploads/?mount={digest}&from={from}", self.name);
            let mut call = Call::new(Method::POST, client.uri(&path, observer)?).with_body(Body::Bytes(&[]));
            let mut scopes = self.scopes();
            scopes.push(format!("repository:{from}:pull"));
            // One that may not read there, or does not know mounts, gets the blob in the usual way.
            let answer = match client.send(&mut call, &scopes, observer) {
                Ok(answer) => answer,
                // Each try may take three tokens: once is enough for all blobs.
                Err(RegistryError::Login { .. } | RegistryError::NoLogin { .. }) => {
                    sources.close(from);
                    continue;
                }
                Err(_) => continue,
            };
            match answer.status {
                401 | 403 => sources.close(from),
                201 => {
                    sources.open(&from);
                    self.same_digest(&answer, digest)?;
                    return Ok(Some(from));
                }
                202 => {
                    sources.open(&from);
                    let session = self.session_of(&answer)?;
                    let before = self.state().sessions.insert(digest, session);
                    if let Some(before) = before {
                        self.abandon(before.location(), observer);
                    }
                }
                _ => {}
            }
        }
        Ok(None)
    }
}
