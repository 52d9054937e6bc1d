//! A registry in memory that a test makes misbehave. It ends with the test.

use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use layerlift_archive::Digest;

/// A request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: Vec<u8>,
}

/// What a server does about it.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    Answer {
        status: u16,
        headers: Vec<(String, String)>,
        body: Vec<u8>,
    },
    /// Reads so much of the body, and closes the connection without an answer.
    Cut {
        after: usize,
    },
    /// Sends these bytes instead of an answer, and closes the connection.
    Raw(Vec<u8>),
}

pub(crate) fn answer(status: u16, headers: &[(&str, &str)]) -> Reply {
    with_body(status, headers, b"")
}

pub(crate) fn with_body(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Reply {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Reply::Answer { status, headers, body: body.to_vec() }
}

/// What a server says before it acts as a registry does; asked with the head of each request,
/// before its body.
pub(crate) type Fault = Box<dyn Fn(&Request) -> Option<Reply> + Send + Sync>;

/// What a registry has.
#[derive(Default)]
pub(crate) struct Kept {
    pub(crate) log: Vec<Request>,
    /// By repository and digest.
    pub(crate) blobs: BTreeMap<(String, String), Vec<u8>>,
    /// By repository and tag or digest.
    pub(crate) manifests: BTreeMap<(String, String), Vec<u8>>,
    uploads: BTreeMap<String, Vec<u8>>,
    /// Whether bodies that are announced are never asked for: they come nevertheless, after a while.
    pub(crate) never_continues: bool,
}

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) kept: Arc<Mutex<Kept>>,
    accepting: Option<JoinHandle<()>>,
    stop: Arc<Mutex<bool>>,
}

impl Server {
    pub(crate) fn start(fault: impl Fn(&Request) -> Option<Reply> + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (kept, stop) = (Arc::new(Mutex::new(Kept::default())), Arc::new(Mutex::new(false)));
        let fault: Arc<Fault> = Arc::new(Box::new(fault));
        let accepting = {
            let (kept, stop) = (kept.clone(), stop.clone());
            std::thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    if *stop.lock().unwrap() {
                        return;
                    }
                    let (kept, fault) = (kept.clone(), fault.clone());
                    std::thread::spawn(move || serve(stream, &kept, &**fault));
                }
            })
        };
        Server { address, kept, accepting: Some(accepting), stop }
    }

    /// Method and path of each request.
    pub(crate) fn asked(&self) -> Vec<String> {
        let line = |request: &Request| format!("{} {}", request.method, request.path);
        self.kept.lock().unwrap().log.iter().map(line).collect()
    }

    /// Headers and bodies of all requests, as one text.
    pub(crate) fn heard(&self) -> String {
        format!(
            "{:?}",
            self.kept.lock().unwrap().log.iter().map(|r| (&r.headers, &r.query)).collect::<Vec<_>>()
        )
    }

    pub(crate) fn tag(&self, repository: &str, tag: &str) -> Option<Vec<u8>> {
        self.kept.lock().unwrap().manifests.get(&(repository.to_owned(), tag.to_owned())).cloned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        *self.stop.lock().unwrap() = true;
        let _ = TcpStream::connect(self.address);
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
    }
}

/// Requests of one connection, until it ends. What does not begin as HTTP (TLS, say) is closed.
fn serve(stream: TcpStream, kept: &Mutex<Kept>, fault: &(dyn Fn(&Request) -> Option<Reply> + Send + Sync)) {
    let mut out = stream.try_clone().unwrap();
    let mut input = BufReader::new(stream);
    loop {
        match input.fill_buf() {
            Ok([first, ..]) if first.is_ascii_uppercase() => {}
            _ => return,
        }
        let Some(mut request) = head(&mut input) else { return };
        let len = request.headers.get("content-length").and_then(|len| len.parse().ok()).unwrap_or(0);
        let expects = request.headers.contains_key("expect");
        let reply = fault(&request);
        // A body that was not announced is on its way, and is read before the connection goes on or ends.
        let comes = !expects && matches!(reply, Some(Reply::Answer { .. }));
        if comes || reply.is_none() || matches!(reply, Some(Reply::Cut { .. })) {
            let continues = expects && !kept.lock().unwrap().never_continues;
            if continues && out.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").is_err() {
                return;
            }
            let wanted = if let Some(Reply::Cut { after }) = reply { len.min(after) } else { len };
            request.body = vec![0; wanted];
            if input.read_exact(&mut request.body).is_err() {
                return;
            }
        }
        let mut all = kept.lock().unwrap();
        all.log.push(request.clone());
        let is_refused = reply.is_some();
        let reply = reply.unwrap_or_else(|| registry(&request, &mut all));
        if let Reply::Cut { .. } = &reply
            && request.method == "PATCH"
            && let Some(upload) = all.uploads.get_mut(&request.path)
        {
            upload.extend(&request.body);
        }
        drop(all);
        match reply {
            Reply::Answer { status, headers, body } => {
                let mut text = format!("HTTP/1.1 {status} X\r\n");
                let is_sized = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-length"));
                for (name, value) in headers {
                    text.push_str(&format!("{name}: {value}\r\n"));
                }
                if status != 204 && !is_sized {
                    text.push_str(&format!("Content-Length: {}\r\n", body.len()));
                }
                if is_refused && expects {
                    text.push_str("Connection: close\r\n");
                }
                text.push_str("\r\n");
                let body = if request.method == "HEAD" { &[][..] } else { &body };
                if out.write_all(text.as_bytes()).and_then(|()| out.write_all(body)).is_err() {
                    return;
                }
                if is_refused && expects {
                    return;
                }
            }
            Reply::Cut { .. } => return,
            Reply::Raw(bytes) => {
                let _ = out.write_all(&bytes);
                return;
            }
        }
    }
}

fn head(input: &mut impl BufRead) -> Option<Request> {
    let mut line = String::new();
    let mut request = Request::default();
    input.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    request.method = words.next()?.to_owned();
    let target = words.next()?;
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    (request.path, request.query) = (path.to_owned(), query.to_owned());
    loop {
        let mut line = String::new();
        input.read_line(&mut line).ok().filter(|n| *n > 0)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { return Some(request) };
        request.headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
}

fn parameter<'q>(query: &'q str, name: &str) -> Option<&'q str> {
    query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

/// What a registry does.
fn registry(request: &Request, kept: &mut Kept) -> Reply {
    let Request { method, path, query, headers, body, .. } = request;
    let rest = path.strip_prefix("/v2/").unwrap_or_default();
    if rest.is_empty() {
        return answer(200, &[]);
    }
    let absent = || answer(404, &[]);
    if let Some((repository, name)) = rest.split_once("/manifests/") {
        let key = (repository.to_owned(), name.to_owned());
        if method == "PUT" {
            let digest = Digest::of(body).to_string();
            kept.manifests.insert((repository.to_owned(), digest.clone()), body.clone());
            kept.manifests.insert(key, body.clone());
            return answer(201, &[("Docker-Content-Digest", &digest)]);
        }
        return kept.manifests.get(&key).map_or_else(absent, |bytes| {
            with_body(200, &[("Docker-Content-Digest", &Digest::of(bytes).to_string())], bytes)
        });
    }
    if let Some((repository, id)) = rest.split_once("/blobs/uploads/") {
        let begun = |kept: &mut Kept| {
            let path = format!("/v2/{repository}/blobs/uploads/{}", kept.uploads.len());
            kept.uploads.insert(path.clone(), Vec::new());
            answer(202, &[("Location", &format!("{path}?state=signed"))])
        };
        if method == "POST" && id.is_empty() {
            let from = parameter(query, "from").zip(parameter(query, "mount"));
            let blob = from.and_then(|(from, digest)| {
                let blob = kept.blobs.get(&(from.to_owned(), digest.to_owned()))?.clone();
                Some((digest.to_owned(), blob))
            });
            let Some((digest, blob)) = blob else { return begun(kept) };
            kept.blobs.insert((repository.to_owned(), digest), blob);
            return answer(201, &[]);
        }
        let Some(upload) = kept.uploads.get_mut(path) else { return absent() };
        let range = |upload: &[u8]| format!("0-{}", upload.len().saturating_sub(1));
        return match method.as_str() {
            "PATCH" => {
                let start = headers.get("content-range").and_then(|range| range.split_once('-'));
                if start.is_some_and(|(start, _)| start.parse() != Ok(upload.len())) {
                    return answer(416, &[("Range", &range(upload))]);
                }
                upload.extend(body);
                answer(202, &[("Location", path), ("Range", &range(upload))])
            }
            "GET" => answer(204, &[("Location", path), ("Range", &range(upload))]),
            "DELETE" => answer(204, &[]),
            _ => {
                let digest = parameter(query, "digest").unwrap_or_default().to_owned();
                let mut bytes = std::mem::take(upload);
                bytes.extend(body);
                let found = Digest::of(&bytes).to_string();
                if found != digest {
                    let why = br#"{"errors":[{"code":"DIGEST_INVALID","message":"not that"}]}"#;
                    return with_body(400, &[], why);
                }
                kept.blobs.insert((repository.to_owned(), digest), bytes);
                answer(201, &[("Docker-Content-Digest", &found)])
            }
        };
    }
    let Some((repository, digest)) = rest.split_once("/blobs/") else { return absent() };
    let blob = kept.blobs.get(&(repository.to_owned(), digest.to_owned()));
    blob.map_or_else(absent, |bytes| with_body(200, &[("Docker-Content-Digest", digest)], bytes))
}
