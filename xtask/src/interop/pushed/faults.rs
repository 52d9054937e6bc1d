//! Pushes through proxies that refuse, cut, delay and redirect.

use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{Access, Named, Pushed};
use crate::Outcome;
use crate::engines::http::Head;
use crate::engines::process::run;
use crate::engines::proxy::{Fate, Proxy};
use crate::engines::tokens::{PASSWORD, USER};
use crate::interop::report::Report;
use crate::interop::source::Checks;

/// What a proxy takes, for `413`.
const LARGEST: u64 = 100 << 10;

pub(super) fn check(of: &Pushed<'_>, checks: &Checks<'_>, report: &mut Report) {
    let name = of.name;
    report.check(&format!("{name}: a push through a proxy that answers 413"), || too_large(of, checks));
    report.check(&format!("{name}: a push through a proxy that cuts connections"), || cut(of, checks));
    report.check(&format!("{name}: a push through a proxy that answers 429 and 503"), || busy(of, checks));
    report
        .check(&format!("{name}: a push through a proxy that redirects uploads"), || redirected(of, checks));
}

/// The image with the most to send: it has a program.
fn large<'a>(of: &'a Pushed<'_>) -> Outcome<Named<'a>> {
    let named = of.named(super::PREFIX);
    let one = named.into_iter().find(|(_, tag, _)| tag.ends_with("interop/built:pulled"));
    one.ok_or_else(|| "the store has no image that was built".into())
}

/// Pushes an image through a proxy. The registry must have all of it.
fn through(
    of: &Pushed<'_>,
    checks: &Checks<'_>,
    proxy: &Proxy,
    access: &Access,
    repository: &str,
) -> Outcome {
    let (image, tag, _) = large(of)?;
    let place = format!("{}/{repository}:1", proxy.address());
    let of_proxy = Pushed { to: access, ..*of };
    // What Docker pushed to the registry would be taken from there.
    run(of_proxy.push(checks, [tag], &place, &["--quiet", "--jobs=1", "--compress=gzip:1"]))?;
    of.copy(image, &format!("{}/{repository}:1", of.to.address()))
}

fn too_large(of: &Pushed<'_>, checks: &Checks<'_>) -> Outcome {
    let fate = |_: usize, head: &Head| match head.len() > LARGEST {
        true => Fate::Answer("413 Request Entity Too Large", Vec::new()),
        false => Fate::Pass,
    };
    let proxy = Proxy::start(of.to.address(), fate)?;
    through(of, checks, &proxy, &Access::open(proxy.address()), "behind/limit")?;
    let seen = proxy.seen();
    expect(seen.iter().any(|head| head.len() > LARGEST), "no body was too large")?;
    expect(seen.iter().any(|head| head.method == "PATCH"), "nothing was sent in parts")
}

fn cut(of: &Pushed<'_>, checks: &Checks<'_>) -> Outcome {
    let was_cut = AtomicBool::new(false);
    let fate = move |_: usize, head: &Head| {
        let is_cut = head.len() > LARGEST && !was_cut.swap(true, Ordering::SeqCst);
        if is_cut { Fate::Cut(head.len() / 2) } else { Fate::Pass }
    };
    let proxy = Proxy::start(of.to.address(), fate)?;
    through(of, checks, &proxy, &Access::open(proxy.address()), "behind/scissors")?;
    let large = proxy.seen().iter().filter(|head| head.len() > LARGEST).count();
    expect(large > 1, "nothing was sent again")
}

fn busy(of: &Pushed<'_>, checks: &Checks<'_>) -> Outcome {
    let fate = |at: usize, _: &Head| match at {
        2 => Fate::Answer("503 Service Unavailable", Vec::new()),
        0 | 5 => Fate::Answer("429 Too Many Requests", vec!["Retry-After: 0".to_owned()]),
        4 => Fate::Answer("429 Too Many Requests", vec!["Retry-After: 1".to_owned()]),
        _ => Fate::Pass,
    };
    let proxy = Proxy::start(of.to.address(), fate)?;
    through(of, checks, &proxy, &Access::open(proxy.address()), "behind/crowds")?;
    expect(proxy.seen().len() > 6, "not all of the answers were given")
}

/// Uploads go to another host, which gets no password.
fn redirected(of: &Pushed<'_>, checks: &Checks<'_>) -> Outcome {
    let storage = Proxy::start(of.to.address(), |_, _| Fate::Pass)?;
    let (elsewhere, secret) =
        (storage.address().to_owned(), format!("Basic {}", STANDARD.encode(format!("{USER}:{PASSWORD}"))));
    let fate = move |_: usize, head: &Head| {
        if head.header("authorization") != Some(&secret) {
            return Fate::Answer("401 Unauthorized", vec!["WWW-Authenticate: Basic realm=proxy".to_owned()]);
        }
        match head.method.as_str() {
            "POST" => Fate::Answer(
                "307 Temporary Redirect",
                vec![format!("Location: http://{elsewhere}{}", head.target)],
            ),
            _ => Fate::Pass,
        }
    };
    let proxy = Proxy::start(of.to.address(), fate)?;
    let access = Access::open(proxy.address()).with_login(of.home)?;
    through(of, checks, &proxy, &access, "behind/redirects")?;
    let seen = storage.seen();
    expect(seen.iter().any(|head| head.method == "PUT"), "nothing was uploaded elsewhere")?;
    expect(seen.iter().all(|head| head.header("authorization").is_none()), "the other host got a password")
}

fn expect(holds: bool, otherwise: &str) -> Outcome {
    if holds { Ok(()) } else { Err(otherwise.into()) }
}
