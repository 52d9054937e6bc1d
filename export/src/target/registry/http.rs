//! One exchange with a host: a request, the redirects that it meets, an answer.
//!
//! What is secret goes to the origin of the registry alone: neither a redirect nor an upload address that
//! leads elsewhere takes it along. Nothing goes over plain HTTP to another machine, unless that is allowed.

use std::io::{self, Read};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use layerlift_archive::Error as ArchiveError;
use ureq::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, header};
use ureq::{Agent, SendBody};

use super::address::{host_of, is_loopback};
use super::error::RegistryError;
use super::proxy::Proxies;
use super::source::{Begun, Source};

/// How many redirects are followed.
const REDIRECTS: usize = 5;

/// As much of an answer is read: a token, an error.
pub(super) const ANSWER: u64 = 1 << 20;

/// How long a request may wait for an answer that sends nothing. The last of an upload may take longer.
const QUICK: Duration = Duration::from_secs(20);

/// Bodies from this size on are announced, so that a refusal comes before them.
const LARGE: u64 = 64 << 10;

/// How long a body waits until it is asked for, and how often in vain: some proxies never ask.
pub(super) const AWAIT: Duration = Duration::from_secs(1);
const IN_VAIN: u32 = 2;

/// What is asked.
pub(super) struct Call<'b, 'c> {
    pub(super) method: Method,
    pub(super) uri: Uri,
    pub(super) headers: Vec<(HeaderName, String)>,
    pub(super) body: Body<'b, 'c>,
    /// Whether the body is secret: it is for its origin alone.
    pub(super) is_secret: bool,
}

/// What is sent.
pub(super) enum Body<'b, 'c> {
    /// No body, not even an empty one.
    None,
    /// Bytes in memory.
    Bytes(&'b [u8]),
    /// A part of a content: from here on, so many bytes.
    Part(&'b mut Source<'c>, u64, u64),
}

/// What came back.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    /// Who answered, behind all redirects.
    pub(super) uri: Uri,
    pub(super) asked: String,
    /// Whether the body ended early.
    pub(super) is_cut: bool,
}

/// What sends requests.
pub(super) struct Http {
    own: Agent,
    others: Agent,
    proxies: Proxies,
    /// The host of the registry, without a port.
    host: String,
    insecure: bool,
    /// How many bodies in a row have not been asked for.
    in_vain: AtomicU32,
}

impl<'b, 'c> Call<'b, 'c> {
    pub(super) fn new(method: Method, uri: Uri) -> Self {
        Call { method, uri, headers: Vec::new(), body: Body::None, is_secret: false }
    }

    pub(super) fn with(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(super) fn with_body(self, body: Body<'b, 'c>) -> Self {
        Call { body, ..self }
    }

    /// The same with a body that nobody else may have.
    pub(super) fn with_secret(self, body: &'b [u8]) -> Self {
        Call { body: Body::Bytes(body), is_secret: true, ..self }
    }
}

impl Answer {
    pub(super) fn header(&self, name: impl AsRef<str>) -> Option<&str> {
        self.headers.get(name.as_ref())?.to_str().ok()
    }

    pub(super) fn host(&self) -> String {
        authority(&self.uri)
    }

    /// The address in a header, which may be relative.
    pub(super) fn location(&self) -> Option<Uri> {
        resolve(&self.uri, self.header(header::LOCATION)?)
    }

    /// `Retry-After`: seconds, or a date.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        let value = self.header(header::RETRY_AFTER)?.trim();
        if let Ok(seconds) = value.parse() {
            return Some(Duration::from_secs(seconds));
        }
        let until = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(value).ok()?;
        Some(Duration::try_from(until.duration_since(jiff::Timestamp::now())).unwrap_or_default())
    }
}

impl Http {
    pub(super) fn new(own: Agent, others: Agent, host: &str, insecure: bool) -> Self {
        let (proxies, host) = (Proxies::of_environment(), host_of(host).to_owned());
        Http { own, others, proxies, host, insecure, in_vain: AtomicU32::new(0) }
    }

    /// Asks, and follows redirects. `secret` is sent to that origin alone.
    pub(super) fn exchange(
        &self,
        call: &mut Call<'_, '_>,
        secret: Option<(&Uri, &str)>,
    ) -> Result<Answer, RegistryError> {
        let mut uri = call.uri.clone();
        for _ in 0..=REDIRECTS {
            let secret = secret.filter(|(origin, _)| same_origin(origin, &uri)).map(|(_, secret)| secret);
            let answer = self.once(call, &uri, secret)?;
            let may_follow = match answer.status {
                307 | 308 => true,
                301..=303 => matches!(call.method, Method::GET | Method::HEAD),
                _ => false,
            };
            if !may_follow {
                return Ok(answer);
            }
            let Some(next) = answer.location() else { return Ok(answer) };
            if call.is_secret && !same_origin(&call.uri, &next) {
                return Ok(answer);
            }
            uri = next;
        }
        let (host, asked) = (authority(&call.uri), asked(&call.method, &call.uri));
        Err(RegistryError::Answer { host, asked, why: format!("more than {REDIRECTS} redirects") })
    }

    /// Whether a proxy is asked for an address.
    pub(super) fn has_proxy(&self, uri: &Uri) -> bool {
        matches!(self.proxies.of(uri), Ok(Some(_)))
    }

    /// One request.
    fn once(
        &self,
        call: &mut Call<'_, '_>,
        uri: &Uri,
        secret: Option<&str>,
    ) -> Result<Answer, RegistryError> {
        let (host, asked) = (authority(uri), asked(&call.method, uri));
        self.check(uri, &asked)?;
        let of_request = |_| RegistryError::Answer {
            host: host.clone(),
            asked: asked.clone(),
            why: "its address cannot be asked".to_owned(),
        };
        let mut request = Request::builder().method(&call.method).uri(uri);
        for (name, value) in &call.headers {
            request = request.header(name, value);
        }
        if let Some(secret) = secret {
            let mut value = HeaderValue::from_str(secret).map_err(|_| RegistryError::Login {
                host: host.clone(),
                detail: "they cannot be sent in a header".to_owned(),
            })?;
            value.set_sensitive(true);
            request = request.header(header::AUTHORIZATION, value);
        }
        let len = match &call.body {
            Body::None => None,
            Body::Bytes(bytes) => Some(bytes.len() as u64),
            Body::Part(_, _, len) => Some(*len),
        };
        if let Some(len) = len {
            request = request.header(header::CONTENT_LENGTH, len);
        }
        let is_announced =
            len.is_some_and(|len| len >= LARGE) && self.in_vain.load(Ordering::Relaxed) < IN_VAIN;
        if is_announced {
            request = request.header(header::EXPECT, "100-continue");
        }
        let proxy = self.proxies.of(uri)?;
        let through = proxy.as_ref().map(|proxy| format!("{}:{}", proxy.host(), proxy.port()));
        let agent = if host_of(&host) == self.host { &self.own } else { &self.others };
        let is_quick = call.method != Method::PUT && len.unwrap_or(0) == 0;
        let run = |body: SendBody<'_>| -> Result<Result<Answer, ureq::Error>, RegistryError> {
            let mut request = agent.configure_request(request.body(body).map_err(of_request)?);
            if is_quick {
                request = request.timeout_recv_response(Some(QUICK));
            }
            let answer = agent.run(request.proxy(proxy).build());
            Ok(answer.map(|answer| {
                let (head, body) = answer.into_parts();
                let mut bytes = Vec::new();
                let is_cut = body.into_reader().take(ANSWER).read_to_end(&mut bytes).is_err();
                let (status, uri) = (head.status.as_u16(), uri.clone());
                Answer { status, headers: head.headers, body: bytes, uri, asked: asked.clone(), is_cut }
            }))
        };
        let answer = match &mut call.body {
            Body::None => run(SendBody::none())?,
            Body::Bytes(bytes) => run(SendBody::from_reader(&mut &**bytes))?,
            Body::Part(source, from, len) => {
                let (began, mut body) = (Instant::now(), Begun { inner: source.part(*from, *len), at: None });
                let answer = run(SendBody::from_reader(&mut body))?;
                if let Some(begun) = body.at.filter(|_| is_announced) {
                    match begun.duration_since(began) < AWAIT {
                        true => self.in_vain.store(0, Ordering::Relaxed),
                        false => drop(self.in_vain.fetch_add(1, Ordering::Relaxed)),
                    }
                }
                if let Some(error) = source.take_failure() {
                    return Err(RegistryError::Content(error));
                }
                answer
            }
        };
        answer.map_err(|error| failure(host, asked, error).behind(through))
    }

    /// Refuses what is neither encrypted nor on this machine.
    fn check(&self, uri: &Uri, asked: &str) -> Result<(), RegistryError> {
        let host = authority(uri);
        let other = |why: &str| {
            let host = if host.is_empty() { self.host.clone() } else { host.clone() };
            RegistryError::Answer { host, asked: asked.to_owned(), why: why.to_owned() }
        };
        match uri.scheme_str() {
            Some("https") => Ok(()),
            Some("http") if is_loopback(&host) => Ok(()),
            Some("http") if self.insecure && host_of(&host) == self.host => Ok(()),
            Some("http") => Err(RegistryError::NotEncrypted { host }),
            _ => Err(other("it leads to an address that is neither https nor http")),
        }
    }
}

/// The host of an address, with its port; never what may stand before an `@`.
pub(super) fn authority(uri: &Uri) -> String {
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    authority.rsplit('@').next().unwrap_or_default().to_owned()
}

/// A method and a path, without the query, which may be signed.
pub(super) fn asked(method: &Method, uri: &Uri) -> String {
    format!("{method} {}", uri.path())
}

fn same_origin(one: &Uri, other: &Uri) -> bool {
    let port = |uri: &Uri| uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 });
    let host = |uri: &Uri| uri.host().unwrap_or_default().to_ascii_lowercase();
    one.scheme() == other.scheme() && host(one) == host(other) && port(one) == port(other)
}

/// An address that may be relative to another.
fn resolve(base: &Uri, location: &str) -> Option<Uri> {
    let (scheme, authority) = (base.scheme_str()?, base.authority()?);
    let whole = if location.contains("://") && !location.starts_with('/') {
        location.to_owned()
    } else if location.starts_with("//") {
        format!("{scheme}:{location}")
    } else if location.starts_with('/') {
        format!("{scheme}://{authority}{location}")
    } else if location.starts_with('?') {
        format!("{scheme}://{authority}{}{location}", base.path())
    } else {
        let folder = base.path().rsplit_once('/').map_or("", |(folder, _)| folder);
        format!("{scheme}://{authority}{folder}/{location}")
    };
    let uri: Uri = whole.split('#').next()?.parse().ok()?;
    uri.authority().is_some().then_some(uri)
}

/// What an exchange failed at.
fn failure(host: String, asked: String, error: ureq::Error) -> RegistryError {
    use ureq::Timeout;
    let broken = |host, why: String| RegistryError::Broken { host, why };
    match error {
        ureq::Error::HostNotFound => RegistryError::UnknownHost { host },
        ureq::Error::Timeout(Timeout::Resolve | Timeout::Connect) => {
            RegistryError::Unreachable { host, why: "it does not answer".to_owned() }
        }
        ureq::Error::ConnectionFailed => {
            RegistryError::Unreachable { host, why: "it does not answer".to_owned() }
        }
        ureq::Error::ConnectProxyFailed(_) => {
            RegistryError::Unreachable { host, why: "the proxy does not connect to it".to_owned() }
        }
        ureq::Error::Timeout(_) => RegistryError::Silent { host },
        ureq::Error::LargeResponseHeader(..) => {
            RegistryError::Answer { host, asked, why: "its headers are too long".to_owned() }
        }
        ureq::Error::Protocol(_) | ureq::Error::Http(_) | ureq::Error::BadUri(_) => {
            RegistryError::Answer { host, asked, why: "it is not HTTP".to_owned() }
        }
        ureq::Error::Rustls(error) => of_tls(host, &error),
        ureq::Error::Io(error) => of_io(host, &error),
        other => broken(host, other.to_string()),
    }
}

fn of_io(host: String, error: &io::Error) -> RegistryError {
    if let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        return of_tls(host, error);
    }
    match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            RegistryError::Unreachable { host, why: "connection refused".to_owned() }
        }
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            RegistryError::Unreachable { host, why: error.kind().to_string() }
        }
        io::ErrorKind::UnexpectedEof => RegistryError::Broken { host, why: "it ended early".to_owned() },
        kind => {
            // A lookup of a name has no kind of its own.
            if error.raw_os_error().is_none() && error.to_string().contains("lookup") {
                return RegistryError::UnknownHost { host };
            }
            RegistryError::Broken { host, why: kind.to_string() }
        }
    }
}

fn of_tls(host: String, error: &rustls::Error) -> RegistryError {
    match error {
        rustls::Error::InvalidCertificate(why) => RegistryError::Certificate { host, why: why.to_string() },
        rustls::Error::AlertReceived(alert) => {
            RegistryError::Handshake { host, why: format!("it answered {alert:?}") }
        }
        rustls::Error::InvalidMessage(_) => {
            RegistryError::Unreachable { host, why: "it does not speak TLS".to_owned() }
        }
        error => RegistryError::Broken { host, why: error.to_string() },
    }
}

/// Whether a request to stop, not a failure, ended an exchange.
pub(super) fn is_cancelled(error: &RegistryError) -> bool {
    matches!(error, RegistryError::Content(ArchiveError::Cancelled))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::TcpListener;
    use std::sync::mpsc::{Receiver, channel};

    use super::*;

    /// A host that gives the same answer to everything, and what it heard.
    fn host(answer: String) -> (Uri, Receiver<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, heard) = channel();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let mut bytes = [0; 4096];
                let mut text = String::new();
                while !text.contains("=secret") {
                    match stream.read(&mut bytes) {
                        Ok(n) if n > 0 => text.push_str(&String::from_utf8_lossy(&bytes[..n])),
                        _ => break,
                    }
                }
                let _ = stream.write_all(answer.as_bytes());
                if sender.send(text).is_err() {
                    return;
                }
            }
        });
        (format!("http://{address}/token").parse().unwrap(), heard)
    }

    #[test]
    fn a_secret_body_goes_to_its_origin_alone() {
        let (other, heard_by_other) =
            host("HTTP/1.1 200 X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_owned());
        let redirect = format!("HTTP/1.1 307 X\r\nLocation: {other}\r\n");
        let (own, heard) = host(redirect + "Content-Length: 0\r\nConnection: close\r\n\r\n");
        let config = || Agent::config_builder().http_status_as_error(false).max_redirects(0).build();
        let agent = || Agent::new_with_config(config());
        let http = Http::new(agent(), agent(), "127.0.0.1", false);
        let mut call = Call::new(Method::POST, own).with_secret(b"token=secret");
        let answer = http.exchange(&mut call, None).unwrap();
        assert_eq!(answer.status, 307);
        assert!(heard.recv().unwrap().contains("token=secret"));
        assert!(heard_by_other.try_recv().is_err());
    }

    #[test]
    fn addresses_in_headers() {
        let base: Uri = "https://r.example/v2/a/blobs/uploads/".parse().unwrap();
        for (location, expected) in [
            ("/v2/x?y=1", Some("https://r.example/v2/x?y=1")),
            ("http://other.example:81/x", Some("http://other.example:81/x")),
            ("//other.example/x", Some("https://other.example/x")),
            ("uuid?state=1", Some("https://r.example/v2/a/blobs/uploads/uuid?state=1")),
            ("?state=2", Some("https://r.example/v2/a/blobs/uploads/?state=2")),
            ("/x#part", Some("https://r.example/x")),
            ("https://", None),
            ("/a b", None),
        ] {
            let found = resolve(&base, location).map(|uri| uri.to_string());
            assert_eq!(found.as_deref(), expected, "{location}");
        }
    }

    #[test]
    fn origins() {
        let same = |one: &str, other: &str| same_origin(&one.parse().unwrap(), &other.parse().unwrap());
        assert!(same("https://r.example/a", "https://R.example:443/b"));
        for other in
            ["http://r.example/", "https://r.example:444/", "https://r.example.evil/", "https://u@x/"]
        {
            assert!(!same("https://r.example/a", other), "{other}");
        }
    }
}
