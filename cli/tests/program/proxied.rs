//! `push` through proxies of the environment: each scheme has its own, and this machine has none.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::program::{ended, layerlift, output};
use crate::server::Server;
use crate::store::Store;

/// A name that nothing but a proxy leads to.
const HOST: &str = "registry.invalid:5000";

/// A proxy that makes tunnels (`CONNECT`) to one address, whatever is asked for, or refuses them.
struct Proxy {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    fn start(to: Option<SocketAddr>) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let kept = heads.clone();
        // It ends with the process.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let kept = kept.clone();
                thread::spawn(move || tunnel(stream, to, &kept));
            }
        });
        Proxy { address, heads }
    }

    fn url(&self) -> String {
        format!("http://user:hunter2-secret@{}", self.address)
    }

    /// The heads of the requests that it got.
    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

fn tunnel(stream: TcpStream, to: Option<SocketAddr>, heads: &Mutex<Vec<String>>) {
    let mut out = stream.try_clone().unwrap();
    let mut input = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if !matches!(input.read_line(&mut head), Ok(1..)) {
            return;
        }
    }
    heads.lock().unwrap().push(head);
    let Some(mut registry) = to.and_then(|to| TcpStream::connect(to).ok()) else {
        let _ = out.write_all(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n");
        return;
    };
    if out.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").is_err() {
        return;
    }
    let mut back = registry.try_clone().unwrap();
    let answers = thread::spawn(move || {
        relay(&mut back, &mut out);
        let _ = out.shutdown(Shutdown::Both);
    });
    relay(&mut input, &mut registry);
    let _ = registry.shutdown(Shutdown::Both);
    let _ = answers.join();
}

fn relay(from: &mut impl Read, to: &mut impl Write) {
    let _ = std::io::copy(from, to);
}

/// Pushes with these variables; returns the status and the messages.
fn push(store: &Store, to: &str, variables: &[(&str, &str)]) -> (Option<i32>, String) {
    let mut command = layerlift();
    command.args(["push", "base:latest", "--insecure", to, "--root"]).arg(&store.root);
    ended(&output(command.envs(variables.iter().copied())))
}

#[test]
fn each_scheme_has_its_own() {
    let store = Store::example();
    let server = Server::start(|_| None);
    let (plain, secure) = (Proxy::start(Some(server.address)), Proxy::start(None));
    let to = format!("docker://{HOST}/app:1");
    // The registry does not speak TLS, and neither of the proxies is asked for what is the other's.
    for with_secure in [true, false] {
        let variables = [("HTTP_PROXY", plain.url()), ("HTTPS_PROXY", secure.url())];
        let variables: Vec<_> = variables.iter().map(|(name, url)| (*name, url.as_str())).collect();
        let (status, messages) = push(&store, &to, &variables[..1 + usize::from(with_secure)]);
        assert_eq!(status, Some(0), "{messages}");
        assert!(!messages.contains("hunter2"), "{messages}");
        assert!(server.tag("app", "1").is_some());
        let (of_plain, of_secure) = (plain.heads(), secure.heads());
        assert!(!of_plain.is_empty());
        assert_eq!(of_secure.len(), 1, "once, to see whether TLS is spoken: {of_secure:?}");
        for head in of_plain.iter().chain(&of_secure) {
            assert!(head.starts_with(&format!("CONNECT {HOST} ")), "{head}");
            assert!(head.to_ascii_lowercase().contains("proxy-authorization: basic "), "{head}");
        }
    }
    assert!(!server.heard().contains("proxy-authorization"), "it is for the proxy alone");
    // With that of the other scheme alone, nothing leads there.
    let (status, messages) = push(&store, &to, &[("HTTPS_PROXY", &secure.url())]);
    assert_eq!(status, Some(2), "{messages}");
    assert!(messages.contains("registry.invalid") && !messages.contains("hunter2"), "{messages}");
}

#[test]
fn without_a_proxy() {
    let store = Store::example();
    let server = Server::start(|_| None);
    let proxy = Proxy::start(None);
    // This machine is asked directly, also where a proxy is for all.
    let (status, messages) =
        push(&store, &format!("docker://{}/app:1", server.address), &[("ALL_PROXY", &proxy.url())]);
    assert_eq!(status, Some(0), "{messages}");
    // And so is what NO_PROXY names.
    let to = format!("docker://{HOST}/app:1");
    let direct = [("ALL_PROXY", proxy.url()), ("NO_PROXY", "x.example,.invalid:5000".to_owned())];
    let direct: Vec<_> = direct.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let (status, messages) = push(&store, &to, &direct);
    assert_eq!(status, Some(2), "{messages}");
    assert!(proxy.heads().is_empty(), "{:?}", proxy.heads());
    // What cannot be used is said, without its password.
    let (status, messages) = push(&store, &to, &[("ALL_PROXY", "socks5://user:hunter2-secret@x:1")]);
    assert_eq!(status, Some(2), "{messages}");
    assert!(messages.contains("ALL_PROXY") && messages.contains("SOCKS"), "{messages}");
    assert!(!messages.contains("hunter2"), "{messages}");
}

/// Only the proxy can be reached or not, so it is what is named.
#[test]
fn a_proxy_that_refuses() {
    let store = Store::example();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for proxy in [format!("http://user:hunter2-secret@{free}"), "http://proxy.invalid:3128".to_owned()] {
        let (status, messages) = push(&store, &format!("docker://{HOST}/app:1"), &[("ALL_PROXY", &proxy)]);
        assert_eq!(status, Some(2), "{messages}");
        let address = proxy.rsplit(['@', '/']).next().unwrap();
        assert!(messages.contains(&format!("the proxy {address}")), "{messages}");
        assert!(!messages.contains("hunter2"), "{messages}");
    }
}
