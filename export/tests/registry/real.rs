//! The registry of Debian (`docker-registry`), on this machine: plain, with TLS and a login, and in parts.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use layerlift_archive::Digest;
use tempfile::TempDir;

use crate::{at_once, bytes, image, pushed, words};

/// A registry that ends with the test.
struct Registry {
    child: Child,
    port: u16,
    dir: TempDir,
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn run(program: &str, args: &[&str], dir: &Path) -> bool {
    let command = Command::new(program)
        .args(args)
        .current_dir(dir)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    command.is_ok_and(|status| status.success())
}

impl Registry {
    /// `None`, and says so, where it is not installed.
    fn start(test: &str, http: &str, more: &str, prepare: impl FnOnce(&Path) -> bool) -> Option<Registry> {
        let skipped = |why: &str| {
            let _ = writeln!(std::io::stderr(), "SKIPPED: {test}: {why}");
            None
        };
        let dir = tempfile::tempdir().unwrap();
        if !prepare(dir.path()) {
            return skipped("openssl cannot make what it needs");
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let root = dir.path().display();
        let config = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {root}/data}}}}\n\
             http:\n  addr: 127.0.0.1:{port}\n  secret: x\n{http}{more}"
        )
        .replace("DIR", &root.to_string());
        let path = dir.path().join("config.yml");
        fs::write(&path, config).unwrap();
        let log = fs::File::create(dir.path().join("log")).unwrap();
        let started =
            Command::new("docker-registry").arg("serve").arg(&path).stdout(Stdio::null()).stderr(log).spawn();
        let Ok(child) = started else { return skipped("docker-registry is not installed") };
        let mut registry = Registry { child, port, dir };
        let began = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let ended = registry.child.try_wait().unwrap();
            let log = || fs::read_to_string(registry.dir.path().join("log")).unwrap();
            assert!(ended.is_none() && began.elapsed() < Duration::from_secs(30), "{}", log());
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(registry)
    }

    fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The bytes of something that it has, over plain HTTP.
    fn get(&self, path: &str) -> Vec<u8> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let accept = crate::MANIFEST;
        write!(stream, "GET {path} HTTP/1.0\r\nHost: x\r\nAccept: {accept}\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        answer.split_off(end + 4)
    }
}

#[test]
fn whole_and_in_parts() {
    let Some(registry) = Registry::start("whole_and_in_parts", "", "", |_| true) else { return };
    let layers = [bytes(1, 3_000_000), bytes(2, 500)];
    let bundle = image(&layers);
    for (repository, chunk) in [("whole", None), ("in/parts", Some(700_000))] {
        let mut options = at_once();
        options.chunk = chunk;
        let heard = pushed(registry.host(), repository, &bundle, &options);
        heard.unwrap_or_else(|error| panic!("{repository}: {}", words(&error)));
        let manifest = registry.get(&format!("/v2/{repository}/manifests/1"));
        assert_eq!(Digest::of(&manifest), bundle.roots[0].descriptor.digest);
        let layer = registry.get(&format!("/v2/{repository}/blobs/{}", Digest::of(&layers[0])));
        assert!(layer == layers[0], "{repository}");
        let again = pushed(registry.host(), repository, &bundle, &options).unwrap();
        assert!(again.iter().all(|line| !line.contains("sent")), "{again:?}");
    }
    let mut options = at_once();
    options.mount_from = vec!["whole".to_owned()];
    let mounted = pushed(registry.host(), "third", &bundle, &options).unwrap();
    assert_eq!(mounted.iter().filter(|line| line.ends_with("from whole")).count(), 3, "{mounted:?}");
}

/// What `htpasswd -B` writes for `user` with the password `secret`.
const HTPASSWD: &str = "user:$2b$05$oAj6lAMXEKYJWMA8bk3YfeAAYl2Y3ymuhRzp5LeQrRgE6dwwymt2O\n";

/// An authority and a certificate for this machine.
fn certificates(dir: &Path) -> bool {
    fs::write(dir.join("htpasswd"), HTPASSWD).unwrap();
    fs::write(dir.join("ext"), "subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth\n").unwrap();
    fs::write(dir.join("client"), "extendedKeyUsage=clientAuth\n").unwrap();
    let key = ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    let with = |more: &[&'static str]| [&key[..], more].concat();
    let signed = |csr, ext, out| {
        [
            "x509",
            "-req",
            "-in",
            csr,
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca.key",
            "-set_serial",
            "7",
            "-days",
            "2",
            "-extfile",
            ext,
            "-out",
            out,
        ]
    };
    run(
        "openssl",
        &with(&["-x509", "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=authority", "-days", "2"]),
        dir,
    ) && run("openssl", &with(&["-keyout", "s.key", "-out", "s.csr", "-subj", "/CN=here"]), dir)
        && run("openssl", &signed("s.csr", "ext", "s.pem"), dir)
        && run("openssl", &with(&["-keyout", "c.key", "-out", "c.csr", "-subj", "/CN=client"]), dir)
        && run("openssl", &signed("c.csr", "client", "c.cert"), dir)
}

const TLS: &str = "  tls: {certificate: DIR/s.pem, key: DIR/s.key}\n";

#[test]
fn tls_and_a_login() {
    let login = "auth: {htpasswd: {realm: x, path: DIR/htpasswd}}\n";
    let Some(registry) = Registry::start("tls_and_a_login", TLS, login, certificates) else { return };
    let bundle = image(&[bytes(3, 300_000)]);
    let trusting = || {
        let mut options = at_once();
        options.authorities = vec![registry.dir.path().join("ca.pem")];
        options
    };
    let error = words(&pushed(registry.host(), "app", &bundle, &at_once()).unwrap_err());
    assert!(error.contains("certificate") && error.contains("not trusted"), "{error}");
    let error = words(&pushed(registry.host(), "app", &bundle, &trusting()).unwrap_err());
    assert!(error.contains("login"), "{error}");
    let wrong = trusting().with_password("user", "wrong-password");
    let error = words(&pushed(registry.host(), "app", &bundle, &wrong).unwrap_err());
    assert!(
        error.contains("does not accept the credentials") && !error.contains("wrong-password"),
        "{error}"
    );
    let right = trusting().with_password("user", "secret");
    pushed(registry.host(), "app", &bundle, &right).unwrap_or_else(|error| panic!("{}", words(&error)));
    let mut careless = at_once().with_password("user", "secret");
    careless.insecure = true;
    let again = pushed(registry.host(), "app", &bundle, &careless).unwrap();
    assert!(again.iter().all(|line| !line.contains("sent")), "{again:?}");
}

/// As `certs.d` has them: the authority of the registry, and one's own certificate.
#[test]
fn certificates_of_clients() {
    let http = "  tls: {certificate: DIR/s.pem, key: DIR/s.key, clientcas: [DIR/ca.pem]}\n";
    let Some(registry) = Registry::start("certificates_of_clients", http, "", certificates) else { return };
    let bundle = image(&[bytes(4, 100)]);
    let dir = registry.dir.path();
    let folder = dir.join("certs.d").join(registry.host());
    fs::create_dir_all(&folder).unwrap();
    fs::copy(dir.join("ca.pem"), folder.join("ca.crt")).unwrap();
    let mut options = at_once();
    options.certificates = vec![dir.join("certs.d")];
    let error = words(&pushed(registry.host(), "app", &bundle, &options).unwrap_err());
    assert!(error.contains(&registry.host()), "{error}");
    fs::copy(dir.join("c.cert"), folder.join("c.cert")).unwrap();
    let error =
        layerlift_export::Registry::new(&format!("{}/app", registry.host()).parse().unwrap(), &options);
    assert!(error.err().expect("the key is missing").to_string().contains("c.key"));
    // Another's key, and a certificate that TLS libraries of today refuse.
    let refused = |why: &str| {
        let address = format!("{}/app", registry.host()).parse().unwrap();
        let error = layerlift_export::Registry::new(&address, &options).err().expect("it cannot be used");
        assert!(error.to_string().contains("c.cert") && error.to_string().contains(why), "{error}");
    };
    fs::copy(dir.join("s.key"), folder.join("c.key")).unwrap();
    refused("");
    fs::copy(dir.join("c.key"), folder.join("c.key")).unwrap();
    let first = ["x509", "-req", "-in", "c.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-set_serial", "8"];
    assert!(run("openssl", &[&first[..], &["-days", "2", "-out", "1.cert"]].concat(), dir));
    if fs::read(dir.join("1.cert")).unwrap() != fs::read(dir.join("c.cert")).unwrap() {
        fs::copy(dir.join("1.cert"), folder.join("c.cert")).unwrap();
        refused("version 1");
        fs::copy(dir.join("c.cert"), folder.join("c.cert")).unwrap();
    }
    pushed(registry.host(), "app", &bundle, &options).unwrap_or_else(|error| panic!("{}", words(&error)));
}
