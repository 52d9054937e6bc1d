//! How a blob gets into a repository (distribution-spec 1.1, "Pushing blobs").
//!
//! ```text
//! POST /v2/<name>/blobs/uploads/                       202, Location
//! PUT  <Location>?digest=<digest>    the whole blob    201
//!
//! PATCH <Location>   Content-Range: 0-99               202, Location, Range: 0-99     after a 413, or with
//! PATCH <Location>   Content-Range: 100-149            202, Location, Range: 0-149    a size for chunks
//! GET  <Location>                                      204, Range: where to go on     after a break
//! PUT  <Location>?digest=<digest>                      201
//! ```

use std::sync::{Mutex, PoisonError};

use layerlift_archive::{Content, Digest, Observer};
use ureq::http::{Method, Uri, header};

use super::Repository;
use super::error::RegistryError;
use super::http::{Answer, Body, Call};
use super::patience::Patience;
use super::source::Source;
use crate::format::oci;

const BYTES: &str = "application/octet-stream";

/// The first size of chunks after a 413, and the smallest one: less than any server's usual limit.
const CHUNK: u64 = 32 << 20;
const SMALLEST: u64 = 64 << 10;

/// The size of the parts in which blobs are sent, for all of them; `None` if they are sent whole.
pub(super) struct Parts(Mutex<Option<u64>>);

impl Parts {
    pub(super) fn of(size: Option<u64>) -> Self {
        Parts(Mutex::new(size))
    }

    fn size(&self) -> Option<u64> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// After a 413 for a blob of this length, sent in parts of this size: whether it can be tried in smaller
    /// ones.
    fn shrink(&self, tried: Option<u64>, len: u64) -> bool {
        let mut size = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Another blob has found out meanwhile.
        if *size != tried {
            return true;
        }
        let smaller = smaller(*size, len);
        if smaller.is_some() {
            *size = smaller;
        }
        smaller.is_some()
    }
}

/// An upload that a registry has begun.
pub(super) struct Session {
    location: Uri,
    shortest: u64,
    longest: u64,
}

impl Repository<'_> {
    /// Sends a blob; returns how many bytes that took.
    pub(super) fn upload(
        &self,
        digest: Digest,
        content: &dyn Content,
        observer: &dyn Observer,
    ) -> Result<u64, RegistryError> {
        let client = &self.registry.client;
        let mut source = Source::new(content, oci::path(digest), observer);
        let mut patience = client.patience(observer);
        let mut session = self.session(digest);
        loop {
            let chunk = self.registry.parts.size();
            let tried = match chunk {
                None => self.send_whole(digest, &mut source, session.take(), observer),
                Some(size) => {
                    self.send_chunks(digest, &mut source, session.take(), size, &mut patience, observer)
                }
            };
            match tried {
                Ok(()) => {
                    observer.advance(source.uncounted());
                    return Ok(source.sent);
                }
                Err(error)
                    if error.status() == Some(413) && self.registry.parts.shrink(chunk, source.len()) => {}
                Err(error) => {
                    patience.again(error)?;
                    // Its answer may be all that was lost.
                    if let Ok(true) = self.head_once(digest, observer) {
                        observer.advance(source.uncounted());
                        return Ok(source.sent);
                    }
                }
            }
        }
    }

    /// Begins an upload.
    pub(super) fn begin(&self, observer: &dyn Observer) -> Result<Session, RegistryError> {
        let client = &self.registry.client;
        let uri = client.uri(&format!("/v2/{}/blobs/uploads/", self.name), observer)?;
        let mut call = Call::new(Method::POST, uri).with_body(Body::Bytes(&[]));
        let answer = client.send(&mut call, &self.scopes(), observer)?;
        self.session_of(&client.expect(answer, &[202])?)
    }

    /// The upload that an answer has begun.
    pub(super) fn session_of(&self, answer: &Answer) -> Result<Session, RegistryError> {
        let unusable = || self.registry.client.unusable(answer, "it does not say where to upload");
        let location = answer.location().ok_or_else(unusable)?;
        let number = |name: &str| answer.header(name).and_then(|value| value.trim().parse().ok());
        Ok(Session {
            location,
            shortest: number("oci-chunk-min-length").unwrap_or(0),
            longest: number("oci-chunk-max-length").filter(|longest| *longest > 0).unwrap_or(u64::MAX),
        })
    }

    /// All of it in one request.
    fn send_whole(
        &self,
        digest: Digest,
        source: &mut Source<'_>,
        session: Option<Session>,
        observer: &dyn Observer,
    ) -> Result<(), RegistryError> {
        let session = session.map_or_else(|| self.begin(observer), Ok)?;
        let len = source.len();
        let sent = self.finish(&session.location, digest, Body::Part(source, 0, len), observer);
        if let Err(RegistryError::Content(_)) = &sent {
            self.abandon(&session.location, observer);
        }
        sent
    }

    /// One part after another.
    fn send_chunks(
        &self,
        digest: Digest,
        source: &mut Source<'_>,
        session: Option<Session>,
        size: u64,
        patience: &mut Patience<'_>,
        observer: &dyn Observer,
    ) -> Result<(), RegistryError> {
        let client = &self.registry.client;
        let mut session = session.map_or_else(|| self.begin(observer), Ok)?;
        let (mut at, len) = (0, source.len());
        while at < len {
            let size = size.max(session.shortest).min(session.longest).min(len - at).max(1);
            let mut call = Call::new(Method::PATCH, session.location.clone())
                .with(header::CONTENT_TYPE, BYTES)
                .with(header::CONTENT_RANGE, format!("{at}-{}", at + size - 1))
                .with_body(Body::Part(source, at, size));
            let sent = client.send(&mut call, &self.scopes(), observer);
            let sent = sent.and_then(|answer| client.expect(answer, &[202, 416]));
            let answer = match sent {
                Ok(answer) if answer.status == 202 => {
                    if let Some(location) = answer.location() {
                        session.location = location;
                    }
                    let has = received(&answer).unwrap_or(at + size);
                    if has > at + size {
                        let why = format!("it has {has} bytes of the {} that were sent", at + size);
                        return Err(client.unusable(&answer, why));
                    }
                    if has > at {
                        at = has;
                        patience.progressed();
                        continue;
                    }
                    Err(RegistryError::Broken {
                        host: client.host().to_owned(),
                        why: "it does not keep what is sent".to_owned(),
                    })
                }
                Ok(answer) => Ok(answer),
                Err(error @ RegistryError::Content(_)) => {
                    self.abandon(&session.location, observer);
                    return Err(error);
                }
                // The upload is lost, and begun again.
                Err(error) if error.status() == Some(404) => Err(RegistryError::Broken {
                    host: client.host().to_owned(),
                    why: "it does not know the upload any more".to_owned(),
                }),
                Err(error) => Err(error),
            };
            patience.again(match answer {
                Ok(_) => RegistryError::Broken {
                    host: client.host().to_owned(),
                    why: "it expects another part of the blob".to_owned(),
                },
                Err(error) => error,
            })?;
            match self.progress(&mut session, observer) {
                Ok(Some(has)) if has <= len => at = has,
                _ => (session, at) = (self.begin(observer)?, 0),
            }
        }
        self.finish(&session.location, digest, Body::Bytes(&[]), observer)
    }

    /// How much of an upload the registry has, and where it goes on; `None` if it does not know the upload
    /// any more.
    fn progress(&self, session: &mut Session, observer: &dyn Observer) -> Result<Option<u64>, RegistryError> {
        let call = &mut Call::new(Method::GET, session.location.clone());
        let answer = self.registry.client.send(call, &self.scopes(), observer)?;
        if answer.status != 204 {
            return Ok(None);
        }
        session.location = answer.location().unwrap_or(session.location.clone());
        Ok(received(&answer))
    }

    /// The last request of an upload.
    fn finish(
        &self,
        location: &Uri,
        digest: Digest,
        body: Body<'_, '_>,
        observer: &dyn Observer,
    ) -> Result<(), RegistryError> {
        let client = &self.registry.client;
        let text = location.to_string();
        let sep = if text.contains('?') { '&' } else { '?' };
        let uri = format!("{text}{sep}digest={digest}").parse().map_err(|_| RegistryError::Answer {
            host: client.host().to_owned(),
            asked: "POST".to_owned(),
            why: "its upload address cannot be one".to_owned(),
        })?;
        let mut call = Call::new(Method::PUT, uri).with(header::CONTENT_TYPE, BYTES).with_body(body);
        let answer = client.send(&mut call, &self.scopes(), observer)?;
        // Some registries answer 204 where 201 is specified.
        let answer = client.expect(answer, &[201, 204])?;
        self.same_digest(&answer, digest)
    }

    /// Tells the registry that no more comes. Whether it listens does not matter.
    pub(super) fn abandon(&self, location: &Uri, observer: &dyn Observer) {
        let call = &mut Call::new(Method::DELETE, location.clone());
        let _ = self.registry.client.send(call, &self.scopes(), observer);
    }
}

impl Session {
    pub(super) fn location(&self) -> &Uri {
        &self.location
    }
}

/// The number of bytes in `Range: 0-99`. `0-0` is what an upload without any has.
fn received(answer: &Answer) -> Option<u64> {
    let range = answer.header(header::RANGE)?.trim();
    let range = range.strip_prefix("bytes=").or(range.strip_prefix("bytes ")).unwrap_or(range);
    let (first, last) = range.split_once('-')?;
    let last: u64 = last.trim().parse().ok().filter(|_| first.trim() == "0")?;
    Some(if last == 0 { 0 } else { last.checked_add(1)? })
}

/// A smaller size of chunks than the one that was too large; `None` if there is none.
fn smaller(chunk: Option<u64>, len: u64) -> Option<u64> {
    let size = chunk.map_or(CHUNK.min(len), |chunk| chunk.min(len) / 2);
    let size = if chunk.is_none() && size == len { len / 2 } else { size };
    (size >= SMALLEST).then_some(size)
}

#[cfg(test)]
mod tests {
    use ureq::http::{HeaderMap, HeaderValue};

    use super::*;

    #[test]
    fn what_a_registry_has() {
        for (range, expected) in [
            ("0-99", Some(100)),
            ("bytes=0-99", Some(100)),
            ("0-0", Some(0)),
            ("1-99", None),
            ("0-", None),
            ("0-18446744073709551615", None),
            ("x", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::RANGE, HeaderValue::from_static(range));
            let answer = Answer {
                status: 204,
                headers,
                body: Vec::new(),
                uri: Uri::default(),
                asked: String::new(),
                is_cut: false,
            };
            assert_eq!(received(&answer), expected, "{range}");
        }
    }

    /// Blobs that are refused side by side make parts smaller once.
    #[test]
    fn one_size_for_all() {
        let parts = Parts::of(None);
        for _ in 0..8 {
            assert!(parts.shrink(None, 200_000));
            assert_eq!(parts.size(), Some(100_000));
        }
        assert!(!parts.shrink(Some(100_000), 100_000), "no limit is so small");
    }

    #[test]
    fn chunks_become_smaller() {
        let mut sizes = vec![smaller(None, 1 << 30)];
        while let Some(size) = sizes[sizes.len() - 1] {
            sizes.push(smaller(Some(size), 1 << 30));
        }
        assert_eq!(sizes.len(), 11, "{sizes:?}");
        assert_eq!((sizes[0], sizes[9]), (Some(CHUNK), Some(SMALLEST)));
        assert_eq!(smaller(None, 200_000), Some(100_000));
        assert_eq!(smaller(None, 1000), None);
    }
}
