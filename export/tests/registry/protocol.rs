//! What is asked, in which order, and again after a failure.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use layerlift_archive::{Bytes, Content, Digest};
use layerlift_export::{Blob, Descriptor, ErrorKind};

use crate::server::{Reply, Request, Server, answer, with_body};
use crate::{MANIFEST, at_once, bytes, image, pushed, words};

/// Nothing is sent twice, and nothing is named before it is complete.
#[test]
fn blobs_manifest_tag() {
    let server = Server::start(|_| None);
    let bundle = image(&[bytes(1, 200_000), bytes(2, 10)]);
    let heard = pushed(server.address, "team/app", &bundle, &at_once()).unwrap();
    assert_eq!(heard.iter().filter(|line| line.contains("sent")).count(), 4, "{heard:?}");
    assert!(heard.contains(&"team/app 200000 sent 200000".to_owned()), "{heard:?}");
    let asked = server.asked();
    let first_manifest = asked.iter().position(|line| line.contains("/manifests/")).unwrap();
    assert!(asked[first_manifest..].iter().all(|line| line.contains("/manifests/")), "{asked:?}");
    assert_eq!(asked.last().unwrap(), "PUT /v2/team/app/manifests/1");
    let manifest = &bundle.roots[0].descriptor.digest;
    assert_eq!(server.tag("team/app", "1").map(|bytes| Digest::of(&bytes)), Some(*manifest));

    let again = pushed(server.address, "team/app", &bundle, &at_once()).unwrap();
    assert!(again.iter().all(|line| !line.contains("sent")), "{again:?}");
    let asked = server.asked();
    assert_eq!(asked.iter().filter(|line| line.starts_with("PUT") || line.starts_with("POST")).count(), 8);

    // Another repository gets the blobs from the first.
    let mut options = at_once();
    options.mount_from = vec!["absent".to_owned(), "team/app".to_owned()];
    let mounted = pushed(server.address, "other", &bundle, &options).unwrap();
    assert_eq!(mounted.iter().filter(|line| line.ends_with("from team/app")).count(), 3, "{mounted:?}");
}

/// A proxy may swallow the answer for which a body waits. It is not waited for again and again.
#[test]
fn nobody_asks_for_bodies() {
    let server = Server::start(|_| None);
    server.kept.lock().unwrap().never_continues = true;
    let layers: Vec<Vec<u8>> = (0..8).map(|seed| bytes(seed, 100_000)).collect();
    pushed(server.address, "app", &image(&layers), &at_once()).unwrap();
    let kept = server.kept.lock().unwrap();
    let waited = kept.log.iter().filter(|request| request.headers.contains_key("expect")).count();
    // Two threads, so one may be waiting when the other gives it up.
    assert!((2..=3).contains(&waited), "{waited} bodies were announced");
    assert!(
        layers.iter().all(|layer| {
            kept.blobs.get(&("app".to_owned(), Digest::of(layer).to_string())) == Some(layer)
        })
    );
}

/// The first answers to some requests are failures that pass; the same bytes arrive in the end.
#[test]
fn again_after_failures_that_pass() {
    let failures: Vec<(&str, Reply)> = vec![
        ("HEAD", answer(503, &[])),
        ("HEAD", answer(429, &[("Retry-After", "0")])),
        ("POST", answer(500, &[])),
        ("POST", Reply::Cut { after: 0 }),
        ("PUT", answer(408, &[])),
        ("PUT", Reply::Cut { after: 70_000 }),
        ("PUT", Reply::Raw(Vec::new())),
        ("PUT", answer(502, &[])),
    ];
    for (method, reply) in failures {
        let left = AtomicUsize::new(3);
        let text = format!("{method}: {reply:?}");
        let server = Server::start(move |request: &Request| {
            let hit = request.method == method && request.path.contains("/blobs/");
            let fails =
                hit && left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok();
            fails.then(|| reply.clone())
        });
        let bundle = image(&[bytes(3, 150_000)]);
        pushed(server.address, "app", &bundle, &at_once())
            .unwrap_or_else(|error| panic!("{text}: {}", words(&error)));
        let layer = bundle.blobs[0].descriptor.digest.to_string();
        let kept = server.kept.lock().unwrap();
        assert_eq!(kept.blobs[&("app".to_owned(), layer)], bytes(3, 150_000), "{text}");
    }
}

/// A registry that does not see a blob yet, although it is there: another push has just sent it, too.
#[test]
fn blobs_that_are_unknown_for_a_moment() {
    let unknown = br#"{"errors":[{"code":"MANIFEST_BLOB_UNKNOWN","message":"blob unknown to registry"}]}"#;
    for (failures, succeeds) in [(3, true), (usize::MAX, false)] {
        let left = AtomicUsize::new(failures);
        let server = Server::start(move |request: &Request| {
            let hit = request.method == "PUT" && request.path.contains("/manifests/sha256:");
            let next = |n: usize| n.checked_sub(1);
            let fails = hit && left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, next).is_ok();
            fails.then(|| with_body(400, &[], unknown))
        });
        let result = pushed(server.address, "app", &image(&[bytes(11, 100)]), &at_once());
        assert_eq!(result.is_ok(), succeeds, "{:?}", result.map_err(|error| words(&error)));
        assert_eq!(server.tag("app", "1").is_some(), succeeds);
    }
}

/// A failure that stays is an error, and no name leads to what is not there.
#[test]
fn no_tag_without_its_blobs() {
    let failures = [
        ("PUT", answer(503, &[]), "given up after 5 tries"),
        ("PUT", Reply::Cut { after: 1 }, "given up after 5 tries"),
        ("POST", answer(429, &[("Retry-After", "100000")]), "asks to come again in 100000 s"),
        ("PUT", answer(400, &[]), "answered 400 to PUT /v2/app/blobs/uploads/"),
    ];
    for (method, reply, expected) in failures {
        let server = Server::start(move |request| {
            let hit = request.method == method && request.path.contains("/blobs/");
            hit.then(|| reply.clone())
        });
        let bundle = image(&[bytes(4, 100_000)]);
        let error = words(&pushed(server.address, "app", &bundle, &at_once()).unwrap_err());
        let place = format!("{}/app", server.address);
        assert!(error.contains(expected) && error.contains(&place), "{error}");
        assert!(error.contains("blob sha256:"), "{error}");
        assert!(server.asked().iter().all(|line| !line.contains("/manifests/")), "{:?}", server.asked());
    }
}

/// Where whole blobs are too large, they go in parts, and on from where the registry stopped.
#[test]
fn parts_after_413() {
    let cut = AtomicUsize::new(2);
    let server = Server::start(move |request| {
        let len: u64 = request.headers.get("content-length").map_or(0, |len| len.parse().unwrap());
        if len > 130_000 {
            return Some(answer(413, &[]));
        }
        let breaks = request.method == "PATCH"
            && cut.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok();
        breaks.then_some(Reply::Cut { after: 30_000 })
    });
    let layer = bytes(5, 1_000_000);
    let bundle = image(std::slice::from_ref(&layer));
    let heard = pushed(server.address, "app", &bundle, &at_once()).unwrap();
    let digest = bundle.blobs[0].descriptor.digest.to_string();
    assert_eq!(server.kept.lock().unwrap().blobs[&("app".to_owned(), digest)], layer);
    let asked = server.asked();
    assert!(asked.iter().any(|line| line.starts_with("GET /v2/app/blobs/uploads/")), "{asked:?}");
    // Nothing that was kept is sent again; what a server refuses unseen is not sent at all.
    let sent = heard.iter().find_map(|line| line.strip_prefix("app 1000000 sent ")).unwrap();
    let sent: u64 = sent.parse().unwrap();
    assert!((1_000_000..1_400_000).contains(&sent), "{sent}");
}

/// Blobs that are refused side by side agree on a size.
#[test]
fn several_are_too_large_at_once() {
    let server = Server::start(|request| {
        let len: u64 = request.headers.get("content-length").map_or(0, |len| len.parse().unwrap());
        (len > 120_000).then(|| answer(413, &[]))
    });
    let layers: Vec<Vec<u8>> = (0..8).map(|seed| bytes(seed, 200_000)).collect();
    let result = pushed(server.address, "app", &image(&layers), &at_once());
    result.unwrap_or_else(|error| panic!("{}", words(&error)));
    assert!(server.tag("app", "1").is_some());
}

/// The sizes that a registry names are kept, and what it does not keep is sent again.
#[test]
fn parts_as_the_registry_wants_them() {
    let server = Server::start(|request| {
        let begins = request.method == "POST" && request.query.is_empty();
        begins.then(|| answer(307, &[("Location", &format!("{}?mount=none", request.path))]))
    });
    let mut options = at_once();
    options.chunk = Some(70_000);
    let layer = bytes(6, 200_000);
    pushed(server.address, "app", &image(std::slice::from_ref(&layer)), &options).unwrap();
    let kept = server.kept.lock().unwrap();
    let ranges: Vec<&str> = kept
        .log
        .iter()
        .filter(|request| request.method == "PATCH" && request.body.len() > 1000)
        .map(|request| request.headers["content-range"].as_str())
        .collect();
    assert_eq!(ranges, ["0-69999", "70000-139999", "140000-199999"]);
}

/// The address of an upload may change with each answer, and an upload may get lost.
#[test]
fn uploads_that_move_or_are_lost() {
    for is_lost in [false, true] {
        let losses = AtomicUsize::new(2);
        let is_loss = move || losses.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1));
        let server = Server::start(move |request| match (&*request.method, &*request.query) {
            ("PATCH", query) if query.contains("moved") => None,
            ("PATCH", _) if !is_lost => Some(Reply::Cut { after: 0 }),
            ("GET", _) if !is_lost && request.path.contains("/uploads/") => {
                let to = format!("{}?moved", request.path);
                Some(answer(204, &[("Location", &to), ("Range", "0-0")]))
            }
            ("PATCH" | "GET", _) if request.path.contains("/uploads/") && is_loss().is_ok() => {
                Some(answer(404, &[]))
            }
            _ => None,
        });
        let mut options = at_once();
        options.chunk = Some(1 << 20);
        let layer = bytes(7, 50_000);
        let bundle = image(std::slice::from_ref(&layer));
        pushed(server.address, "app", &bundle, &options).unwrap_or_else(|error| panic!("{}", words(&error)));
        let key = ("app".to_owned(), Digest::of(&layer).to_string());
        assert_eq!(server.kept.lock().unwrap().blobs.get(&key), Some(&layer), "{is_lost}");
    }
}

/// A registry that keeps less than it was sent says so and gets the rest; one that keeps
/// nothing is given up.
#[test]
fn ranges_that_do_not_match() {
    for (range, expected) in [("0-999999999", "999999999"), ("0-0", "given up")] {
        let server = Server::start(move |request| {
            (request.method == "PATCH").then(|| answer(202, &[("Range", range), ("Location", &request.path)]))
        });
        let mut options = at_once();
        options.chunk = Some(70_000);
        let error =
            words(&pushed(server.address, "app", &image(&[bytes(7, 200_000)]), &options).unwrap_err());
        let expected = if range == "0-0" { expected } else { "it has 1000000000 bytes" };
        assert!(error.contains(expected), "{range}: {error}");
    }
}

/// A layer that is damaged is not a failure of the registry, and is not tried again.
#[test]
fn a_damaged_layer_is_to_blame() {
    let server = Server::start(|_| None);
    let mut bundle = image(&[bytes(8, 100_000)]);
    struct Damaged(Digest);
    impl Content for Damaged {
        fn len(&self) -> u64 {
            100_000
        }
        fn digest(&self) -> Option<Digest> {
            Some(self.0)
        }
        fn raw_reader(&self) -> std::io::Result<Box<dyn std::io::Read + Send + '_>> {
            Ok(Box::new(std::io::Cursor::new(bytes(9, 100_000))))
        }
    }
    let descriptor: Descriptor = bundle.blobs[0].descriptor.clone();
    let content: std::sync::Arc<dyn Content> = std::sync::Arc::new(Damaged(descriptor.digest));
    bundle.blobs[0] = Blob::new(descriptor.clone(), Some(content));
    let error = pushed(server.address, "app", &bundle, &at_once()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Damaged, "{}", words(&error));
    assert!(words(&error).contains(&descriptor.digest.hex()), "{}", words(&error));
    let asked = server.asked();
    assert!(asked.iter().filter(|line| line.starts_with("PUT")).count() <= 1, "{asked:?}");
    assert!(server.tag("app", "1").is_none());
}

/// A blob that is left out has to be there.
#[test]
fn left_out_blobs() {
    let server = Server::start(|_| None);
    let mut bundle = image(&[bytes(10, 1000)]);
    let whole = bundle.clone();
    let descriptor = bundle.blobs[0].descriptor.clone();
    bundle.blobs[0] = Blob::new(descriptor, None);
    let error = words(&pushed(server.address, "app", &bundle, &at_once()).unwrap_err());
    assert!(error.contains("left out"), "{error}");
    pushed(server.address, "app", &whole, &at_once()).unwrap();
    pushed(server.address, "app", &bundle, &at_once()).unwrap();
}

/// A manifest that no registry takes is not sent, and not cut either.
#[test]
fn manifests_that_are_too_large() {
    let server = Server::start(|_| None);
    let mut bundle = image(&[]);
    let large = vec![b' '; (4 << 20) + 1];
    let descriptor = Descriptor::new(MANIFEST, Digest::of(&large), large.len() as u64);
    bundle.roots[0].descriptor = descriptor.clone();
    bundle.blobs = vec![Blob::new(descriptor, Some(Arc::new(Bytes(large)) as Arc<dyn Content>))];
    let error = pushed(server.address, "app", &bundle, &at_once()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(words(&error).contains("4 MiB"), "{}", words(&error));
    assert!(server.asked().iter().all(|line| !line.starts_with("PUT")), "{:?}", server.asked());
}
