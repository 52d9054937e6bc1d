//! Answers that no registry should give.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use layerlift_export::Registry;

use crate::server::{Reply, Server, answer, with_body};
use crate::{at_once, bytes, image, pushed, words};

/// Each is an error that names the registry, and none is a panic or an endless wait.
#[test]
fn odd_answers() {
    let other = "sha256:0000000000000000000000000000000000000000000000000000000000000000";
    let long = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(10 << 20));
    let html = b"<html>Sign in</html>".to_vec();
    let cases: Vec<(&str, &str, Reply, &str)> = vec![
        ("HEAD", "/blobs/", answer(200, &[("Docker-Content-Digest", other)]), other),
        ("HEAD", "/blobs/", answer(200, &[("Content-Length", "5")]), "it has 5 bytes of a blob"),
        ("HEAD", "/blobs/", answer(307, &[("Location", "/v2/app/blobs/again")]), "more than 5 redirects"),
        ("HEAD", "/blobs/", answer(302, &[]), "answered 302"),
        ("HEAD", "/blobs/", Reply::Raw(long.into_bytes()), "its headers are too long"),
        ("HEAD", "/blobs/", Reply::Raw(b"SSH-2.0-OpenSSH\r\n\r\n".to_vec()), "is not HTTP"),
        ("POST", "/uploads/", answer(202, &[]), "does not say where to upload"),
        ("POST", "/uploads/", answer(202, &[("Location", "http://[")]), "does not say where to upload"),
        ("POST", "/uploads/", answer(202, &[("Location", "ftp://x/y")]), "neither https nor http"),
        (
            "POST",
            "/uploads/",
            answer(307, &[("Location", "/v2/app/blobs/uploads/")]),
            "more than 5 redirects",
        ),
        ("POST", "/uploads/", answer(301, &[("Location", "/x")]), "answered 301"),
        ("PUT", "/uploads/", answer(201, &[("Docker-Content-Digest", other)]), other),
        ("PUT", "/manifests/", answer(201, &[("Docker-Content-Digest", other)]), other),
        ("PUT", "/manifests/", with_body(400, &[], &html), "answered 400"),
        ("PUT", "/manifests/", with_body(200, &[], &html), "it does not have the manifest afterwards"),
        ("PUT", "/manifests/", answer(204, &[]), "it does not have the manifest afterwards"),
        ("GET", "/v2/", answer(404, &[]), "there is nothing"),
        ("GET", "/v2/", answer(401, &[]), "does not say how"),
        ("GET", "/v2/", answer(401, &[("WWW-Authenticate", "Bearer realm=\"nowhere\"")]), "token server"),
        ("GET", "/v2/", answer(418, &[]), "answered 418"),
    ];
    for (method, place, reply, expected) in cases {
        let text = format!("{method} {place} {expected}");
        let server = Server::start(move |request| {
            (request.method == method && request.path.contains(place)).then(|| reply.clone())
        });
        let bundle = image(&[bytes(1, 100)]);
        let error = pushed(server.address, "app", &bundle, &at_once()).map(|_| ());
        let error = words(&error.expect_err(&text));
        assert!(error.contains(expected), "{text}: {error}");
        assert!(error.contains(&server.address.to_string()), "{text}: {error}");
        assert!(!error.contains("<html>"), "{error}");
        assert!(server.tag("app", "1").is_none(), "{text}");
    }
}

/// A page for everything, as a login page of a network gives it: nothing counts as there.
#[test]
fn the_same_page_for_everything() {
    let page = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\nSign in\r\n0\r\n\r\n";
    let server = Server::start(move |_| Some(Reply::Raw(page.into())));
    let error = words(&pushed(server.address, "app", &image(&[bytes(4, 100)]), &at_once()).unwrap_err());
    assert!(error.contains("answered 200 to POST"), "{error}");
}

/// A registry whose answers name no digests.
#[test]
fn manifests_without_a_word() {
    let server = Server::start(|request| {
        (request.method == "HEAD" && request.path.contains("/manifests/")).then(|| answer(200, &[]))
    });
    let heard = pushed(server.address, "app", &image(&[bytes(5, 100)]), &at_once());
    heard.unwrap_or_else(|error| panic!("{}", words(&error)));
    assert!(server.tag("app", "1").is_some());
}

/// The answer of a token server that breaks off is asked for again.
#[test]
fn a_token_that_is_cut() {
    let given = Arc::new(AtomicUsize::new(0));
    let tokens = Server::start({
        let given = given.clone();
        move |_| {
            let first = given.fetch_add(1, Ordering::SeqCst) == 0;
            let cut = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"token\"";
            Some(if first { Reply::Raw(cut.into()) } else { with_body(200, &[], br#"{"token":"t"}"#) })
        }
    });
    let realm = tokens.address;
    let server = Server::start(move |request| {
        let holds = request.headers.get("authorization").is_some_and(|value| value == "Bearer t");
        let challenge = format!("Bearer realm=\"http://{realm}/t\"");
        (!holds).then(|| answer(401, &[("WWW-Authenticate", &challenge)]))
    });
    let result = pushed(server.address, "app", &image(&[bytes(6, 100)]), &at_once());
    result.unwrap_or_else(|error| panic!("{}", words(&error)));
    assert!(given.load(Ordering::SeqCst) > 1);
}

/// A token server that answers with a page, or with JSON that is cut.
#[test]
fn odd_tokens() {
    for body in ["<html>", r#"{"token":"#, "{}", r#"{"token":""}"#, "null", "[]"] {
        let tokens = Server::start(move |_| Some(with_body(200, &[], body.as_bytes())));
        let realm = tokens.address;
        let server = Server::start(move |_| {
            let challenge = format!("Bearer realm=\"http://{realm}/t\"");
            Some(answer(401, &[("WWW-Authenticate", &challenge)]))
        });
        let error = pushed(server.address, "app", &image(&[bytes(2, 100)]), &at_once()).unwrap_err();
        let error = words(&error);
        assert!(error.contains("it holds no token") && error.contains(&realm.to_string()), "{body}: {error}");
    }
}

/// Nobody listens there, or the host does not exist: an error at once.
#[test]
fn nobody_there() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = words(&pushed(free, "app", &image(&[bytes(3, 100)]), &at_once()).unwrap_err());
    assert!(error.contains("connection refused"), "{error}");
    let error = words(&pushed("registry.invalid", "app", &image(&[bytes(3, 100)]), &at_once()).unwrap_err());
    assert!(error.contains("registry.invalid"), "{error}");
}

/// What is wrong with the registry itself is found out once, not by each blob for itself.
#[test]
fn nobody_answers() {
    let server = Server::start(|_| Some(answer(503, &[])));
    let layers: Vec<Vec<u8>> = (0..6).map(|seed| bytes(seed, 100)).collect();
    let mut options = at_once();
    options.insecure = false;
    let error = words(&pushed(server.address, "app", &image(&layers), &options).unwrap_err());
    assert!(error.contains("given up after 5 tries"), "{error}");
    assert_eq!(server.asked().len(), 5, "{:?}", server.asked());
}

/// A file that has no certificates is named before anything is asked.
#[test]
fn files_without_certificates() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ca.pem");
    let mut options = at_once();
    options.authorities = vec![path.clone()];
    let address = "127.0.0.1:1/app".parse().unwrap();
    for text in [None, Some(""), Some("-----BEGIN CERTIFICATE-----\nAAAA")] {
        if let Some(text) = text {
            std::fs::write(&path, text).unwrap();
        }
        let error = Registry::new(&address, &options).err().expect("the certificate is missing").to_string();
        assert!(error.contains("ca.pem"), "{error}");
    }
}
