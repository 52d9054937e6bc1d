//! Who is let in, and where what lets them in goes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use layerlift_export::ErrorKind;

use crate::server::{Reply, Server, answer, with_body};
use crate::{at_once, bytes, image, pushed, words};

const PASSWORD: &str = "hunter2-secret";
/// base64 of `user:hunter2-secret`.
const BASIC: &str = "dXNlcjpodW50ZXIyLXNlY3JldA==";

fn unauthorized(challenge: &str) -> Reply {
    answer(401, &[("WWW-Authenticate", challenge)])
}

#[test]
fn basic() {
    let server = Server::start(|request| {
        let given = request.headers.get("authorization").map(String::as_str);
        (given != Some(&format!("Basic {BASIC}"))).then(|| unauthorized("Basic realm=\"x\""))
    });
    let bundle = image(&[bytes(1, 100_000)]);
    pushed(server.address, "app", &bundle, &at_once().with_password("user", PASSWORD)).unwrap();
    let before = server.asked().len();
    for options in [at_once(), at_once().with_password("user", "hunter3-secret")] {
        let error = pushed(server.address, "app", &bundle, &options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Request);
        let error = words(&error);
        assert!(error.contains("login") || error.contains("does not accept the credentials"), "{error}");
        assert!(!error.contains("secret") && !error.contains("user:"), "{error}");
    }
    assert!(server.asked().len() < before + 20, "tried again and again");
}

/// A token server of its own. Tokens are for their scopes, and hold for a few requests.
#[test]
fn tokens_that_expire() {
    let issued = Arc::new(AtomicUsize::new(0));
    let tokens = Server::start({
        let issued = issued.clone();
        move |request| {
            assert_eq!(
                request.headers.get("authorization").map(String::as_str),
                Some(&*format!("Basic {BASIC}"))
            );
            let number = issued.fetch_add(1, Ordering::SeqCst);
            let scopes: Vec<&str> =
                request.query.split('&').filter(|pair| pair.starts_with("scope=")).collect();
            let body = format!(r#"{{"token":"t{number}-secret:{}","expires_in":3600}}"#, scopes.join(":"));
            Some(with_body(200, &[("Content-Type", "application/json")], body.as_bytes()))
        }
    });
    let (realm, uses) = (tokens.address, AtomicUsize::new(0));
    let server = Server::start(move |request| {
        let given = request.headers.get("authorization").and_then(|value| value.strip_prefix("Bearer "));
        // Every fifth request finds its token expired.
        let number = uses.fetch_add(1, Ordering::SeqCst);
        let mounts = request.query.contains("from=base");
        let holds = given.is_some_and(|token| {
            token.contains("repository:team/app:pull,push")
                && (!mounts || token.contains("repository:base:pull"))
        });
        (!holds || number % 5 == 4).then(|| {
            unauthorized(&format!(r#"Bearer realm="http://{realm}/token",service="r.example",scope="x""#))
        })
    });
    let mut options = at_once().with_password("user", PASSWORD);
    options.mount_from = vec!["base".to_owned()];
    let bundle = image(&[bytes(2, 100_000), bytes(3, 100_000)]);
    let result = pushed(server.address, "team/app", &bundle, &options);
    result.unwrap_or_else(|error| panic!("{}", words(&error)));
    assert!(server.tag("team/app", "1").is_some());
    assert!(issued.load(Ordering::SeqCst) > 2);
    // The registry itself never sees the password.
    let heard = server.heard();
    assert!(!heard.contains(BASIC) && !heard.contains(PASSWORD), "{heard}");
    assert!(tokens.heard().contains("service=r.example"), "{}", tokens.heard());
}

/// A repository that the login is not for is asked to give a blob once, not once for each blob.
#[test]
fn repositories_that_are_closed() {
    for refusal in [401, 403] {
        let server = Server::start(move |request| {
            let given = request.headers.get("authorization").map(String::as_str);
            if given != Some(&format!("Basic {BASIC}")) {
                return Some(unauthorized("Basic realm=\"x\""));
            }
            let challenge = [("WWW-Authenticate", "Basic realm=\"x\"")];
            request.query.contains("from=closed").then(|| answer(refusal, &challenge))
        });
        let mut options = at_once().with_password("user", PASSWORD);
        options.mount_from = vec!["closed".to_owned()];
        let layers: Vec<Vec<u8>> = (0..8).map(|seed| bytes(seed, 1000)).collect();
        let result = pushed(server.address, "app", &image(&layers), &options);
        result.unwrap_or_else(|error| panic!("{refusal}: {}", words(&error)));
        let asked = server.heard().matches("from=closed").count();
        assert_eq!(asked, 1, "{refusal}: the first answer counts for all");
    }
}

/// Uploads that go to a storage service, and redirects to another host, do so without what is secret.
#[test]
fn secrets_stay_with_the_registry() {
    for way in ["location", "redirect"] {
        let storage = Server::start(move |request| (request.method == "PUT").then(|| answer(201, &[])));
        let elsewhere = storage.address;
        let server = Server::start(move |request| {
            let given = request.headers.get("authorization").map(String::as_str);
            let upload = request.path.contains("/blobs/uploads/");
            let there = format!("http://{elsewhere}/bucket/key?signature=signed-secret");
            match (way, request.method.as_str()) {
                _ if given != Some(&format!("Basic {BASIC}")) => Some(unauthorized("Basic realm=\"x\"")),
                ("location", "POST") => Some(answer(202, &[("Location", &there)])),
                ("redirect", "PUT") if upload => Some(answer(307, &[("Location", &there)])),
                _ => None,
            }
        });
        let options = at_once().with_password("user", PASSWORD);
        let result = pushed(server.address, "app", &image(&[bytes(4, 100_000)]), &options);
        result.unwrap_or_else(|error| panic!("{way}: {}", words(&error)));
        let heard = storage.heard();
        assert!(!heard.contains("authorization") && !heard.contains(BASIC), "{way}: {heard}");
        assert!(heard.contains("content-length"), "{way}: the blobs went there");
    }
}

/// A redirect that would leave encryption, or this machine without it, is refused.
#[test]
fn no_plain_http_to_other_machines() {
    let server = Server::start(|request| {
        (request.method == "POST")
            .then(|| answer(307, &[("Location", "http://storage.invalid/x?signed-secret")]))
    });
    let error = words(&pushed(server.address, "app", &image(&[bytes(5, 10)]), &at_once()).unwrap_err());
    assert!(error.contains("http://storage.invalid, which is not encrypted"), "{error}");
    assert!(!error.contains("signed-secret"), "{error}");
}

/// An address may have it, too, and in other characters.
#[test]
fn no_address_in_a_message_has_a_secret() {
    let raw = |request: &crate::server::Request| {
        let leads = |to: String| answer(307, &[("Location", &to), ("Content-Length", "0")]);
        match &*request.path {
            "/v2/" => unauthorized("Basic realm=\"x\""),
            path if path.contains(PASSWORD) => Reply::Raw(b"garbage\r\n\r\n".to_vec()),
            _ => leads(format!("/bad/{PASSWORD}")),
        }
    };
    let server = Server::start(move |request| Some(raw(request)));
    let options = at_once().with_password("user", PASSWORD);
    let error = pushed(server.address, "app", &image(&[bytes(6, 10)]), &options).unwrap_err();
    let text = format!("{} {error:?}", words(&error));
    assert!(text.contains("/bad/***") && !text.contains(PASSWORD), "{text}");
}

/// Everything that a hostile registry can make of credentials, but not in a message.
#[test]
fn no_message_has_a_secret() {
    // A long message is cut, which must not leave a part of a secret.
    let long = "x".repeat(270);
    let echo =
        format!(r#"{{"errors":[{{"code":"DENIED","message":"{long}you are Basic {BASIC}, {PASSWORD}"}}]}}"#);
    for status in [400, 401, 403, 404, 405, 413, 416, 429, 500, 503] {
        let echo = echo.clone();
        let server = Server::start(move |request| {
            if request.path == "/v2/" {
                return Some(unauthorized("Basic realm=\"x\""));
            }
            let headers = [("WWW-Authenticate", "Basic realm=\"x\""), ("Retry-After", "0")];
            Some(with_body(status, &headers, echo.as_bytes()))
        });
        let options = at_once().with_password("user", PASSWORD);
        let error = pushed(server.address, "app", &image(&[bytes(6, 10)]), &options).unwrap_err();
        let text = format!("{} {error:?}", words(&error));
        assert!(!text.contains(&PASSWORD[..6]) && !text.contains(&BASIC[..6]), "{status}: {text}");
        assert!(text.contains(&server.address.to_string()), "{status}: {text}");
    }
}
