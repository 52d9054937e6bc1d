//! Registries that do not let everybody in: TLS with a client's certificate and a password, and tokens.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::{Access, Pushed};
use crate::Outcome;
use crate::engines::authority::Authority;
use crate::engines::docker::Docker;
use crate::engines::http::Head;
use crate::engines::process::{installed, output, run};
use crate::engines::proxy::{Fate, Proxy};
use crate::engines::registry::Registry;
use crate::engines::scratch::Mount;
use crate::engines::tokens::{CLOSED, Tokens};
use crate::interop::report::Report;
use crate::interop::source::Checks;

/// What `htpasswd -B` writes for `user` with the password `secret`.
const HTPASSWD: &str = "user:$2b$05$oAj6lAMXEKYJWMA8bk3YfeAAYl2Y3ymuhRzp5LeQrRgE6dwwymt2O\n";

/// What a registry answers (TLS) if a client's certificate is missing.
const CERTIFICATE: &str = "ertificate";

/// How many images are pushed.
const SOME: usize = 2;

/// How long the registry accepts a token, and how long a proxy then waits.
const VALID: u64 = 1;
const LATE: Duration = Duration::from_millis(2100);

pub(super) fn check(of: &Pushed<'_>, checks: &Checks<'_>, docker: &Docker, report: &mut Report) -> Outcome {
    let name = of.name;
    if !installed("openssl") {
        report.not_run(&format!("{name}: registries with a lock"), "openssl is not installed");
        return Ok(());
    }
    // Fewer images do: what is tried is how to get in.
    let images: Vec<_> =
        of.images.iter().filter(|image| !image.tags.is_empty()).take(SOME).cloned().collect();
    let of = Pushed { images: &images, ..*of };
    with_password(&of, checks, docker, report)?;
    with_tokens(&of, checks, docker, report)
}

fn with_password(of: &Pushed<'_>, checks: &Checks<'_>, docker: &Docker, report: &mut Report) -> Outcome {
    let name = format!("{}, TLS and a password", of.name);
    let home = of.home.join("l");
    let authority = Authority::make(&home.join("authority"))?;
    fs::write(home.join("htpasswd"), HTPASSWD)?;
    let file = |name: &str| authority.file(name).display().to_string();
    let tls = format!("certificate: {}, key: {}", file("server.pem"), file("server.key"));
    let login = format!("auth: {{htpasswd: {{realm: x, path: {}}}}}\n", home.join("htpasswd").display());
    // Docker and ctr show no certificate of their own to a registry on this machine.
    let (folder, clients) = (home.join("c"), format!("{tls}, clientcas: [{}]", file("ca.pem")));
    let strict = Registry::start_with(&folder, &format!(", tls: {{{clients}}}"), &login)?;
    report.check(&format!("{name}: what is missing is said"), || refusals(of, checks, &strict, &authority));
    let registry = Registry::start_with(&home, &format!(", tls: {{{tls}}}"), &login)?;
    let access = Access::open(registry.address()).with_tls(&authority, &home)?.with_login(&home)?;
    let of = Pushed { name: &name, to: &access, home: &home, ..*of };
    if of.check_pushed(checks, report) {
        report.check(&format!("{name}: docker pull"), || of.docker(docker, SOME));
        of.check_podman(SOME, report)?;
        of.check_ctr(checks, report)?;
    }
    Ok(())
}

/// Each thing that the registry asks for is said to be missing until it is there.
fn refusals(of: &Pushed<'_>, checks: &Checks<'_>, registry: &Registry, authority: &Authority) -> Outcome {
    let certs = Path::new("/etc/docker");
    if !certs.is_dir() {
        return Err("/etc/docker does not exist".into());
    }
    // Seen in this namespace alone.
    let _mount = Mount::new(&["-t", "tmpfs", "-o", "mode=755"], Path::new("checks"), certs)?;
    let folder = certs.join("certs.d").join(registry.address());
    fs::create_dir_all(&folder)?;
    let push = |access: &Access, expected: Option<&str>| -> Outcome {
        let of = Pushed { to: access, ..*of };
        let said = output(of.push_all(checks, super::PREFIX, &["--quiet"]))?;
        let text = String::from_utf8_lossy(&said.stderr).into_owned();
        match expected {
            None if said.status.success() => Ok(()),
            Some(words) if !said.status.success() && text.contains(words) => Ok(()),
            expected => Err(format!("{}, not {expected:?}: {text}", said.status).into()),
        }
    };
    let open = Access::open(registry.address());
    push(&open, Some("certificate"))?;
    let trusted = open.with_tls(authority, of.home)?;
    push(&trusted, Some(CERTIFICATE))?;
    for file in ["client.cert", "client.key"] {
        fs::copy(authority.file(file), folder.join(file))?;
    }
    push(&trusted, Some("login"))?;
    push(&trusted.with_login(of.home)?, None)
}

fn with_tokens(of: &Pushed<'_>, checks: &Checks<'_>, docker: &Docker, report: &mut Report) -> Outcome {
    let name = format!("{}, tokens", of.name);
    let home = of.home.join("t");
    let tokens = Tokens::start(&home, 3600)?;
    let registry = Registry::start_with(&home, "", &tokens.configuration())?;
    let access = Access::open(registry.address()).with_login(&home)?;
    let of = Pushed { name: &name, to: &access, home: &home, ..*of };
    if !of.check_pushed(checks, report) {
        return Ok(());
    }
    report.check(&format!("{name}: mounts, but none from what is closed"), || mounts(&of, checks, &tokens));
    report.check(&format!("{name}: docker pull"), || of.docker(docker, SOME));
    of.check_podman(SOME, report)?;
    of.check_ctr(checks, report)?;
    report.check(&format!("{name}: a token that expires in the middle"), || expiring(&of, checks));
    Ok(())
}

/// A blob is mounted where the token is for its source, too, and sent where it is not.
fn mounts(of: &Pushed<'_>, checks: &Checks<'_>, tokens: &Tokens) -> Outcome {
    let named = of.named(super::PREFIX);
    let (image, tag, reference) = named.first().ok_or("the store has no names")?;
    let path = reference.split_once('/').and_then(|(_, path)| path.rsplit_once(':')).ok_or("no path")?.0;
    let closed = format!("{CLOSED}app");
    for (from, repository, mounts) in [(path, "took/mounted", true), (&closed, "took/sent", false)] {
        let to = format!("{}/{repository}:1", of.to.address());
        let said =
            output(of.push(checks, [*tag], &to, &["--progress=json", "--jobs=1", "--mount-from", from]))?;
        let events = String::from_utf8_lossy(&said.stderr).into_owned();
        let is_mounted = events.contains("\"outcome\":\"mounted\"");
        if !said.status.success() || is_mounted != mounts {
            return Err(format!("{repository}: {events}").into());
        }
        of.copy(image, &to)?;
    }
    match tokens.given(&format!("repository:{closed}:pull")) {
        0 => Err("no token was asked for that names the source".into()),
        // One, one that the registry asks for, and one in case that has expired; for all blobs together.
        1..=3 => Ok(()),
        given => Err(format!("{given} tokens for a source that is closed").into()),
    }
}

/// The manifest comes when the token for the blobs has expired.
fn expiring(of: &Pushed<'_>, checks: &Checks<'_>) -> Outcome {
    let home = of.home.join("short");
    let tokens = Tokens::start(&home, VALID)?;
    let registry = Registry::start_with(&home, "", &tokens.configuration())?;
    let was_late = AtomicBool::new(false);
    let fate = move |_: usize, head: &Head| {
        let is_manifest = head.method == "PUT" && head.target.contains("/manifests/sha256:");
        // Once: the token that follows must hold.
        let is_late = is_manifest && !was_late.swap(true, Ordering::SeqCst);
        if is_late { Fate::Late(LATE) } else { Fate::Pass }
    };
    let proxy = Proxy::start(registry.address(), fate)?;
    let access = Access::open(proxy.address()).with_login(&home)?;
    let of = Pushed { to: &access, home: &home, ..*of };
    let named = of.named(super::PREFIX);
    let (image, tag, _) = named.first().ok_or("the store has no names")?;
    let to = format!("{}/short/app:1", proxy.address());
    run(of.push(checks, [*tag], &to, &["--quiet"]))?;
    let given = tokens.given("repository:short/app:pull,push");
    if given < 2 {
        return Err(format!("{given} token for all of it: none has expired").into());
    }
    // skopeo reads with one token, which may not hold for long enough where the machine is busy.
    (0..9).find_map(|_| of.copy(image, &to).ok()).map_or_else(|| of.copy(image, &to), Ok)
}
