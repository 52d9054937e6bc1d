//! An authority of one's own, made by openssl: certificates for this machine, for a client, and for tokens.
//!
//! ```text
//! ca.pem, ca.key        the authority
//! server.pem, .key      for 127.0.0.1
//! client.cert, .key     for a client
//! certs/ca.crt          what skopeo and podman take as a folder of certificates, with the client's
//! tokens.pem, .key      signs tokens
//! ```

use std::fs;
use std::path::{Path, PathBuf};

use super::process::{bytes, program, run};
use crate::Outcome;

/// Its files.
pub(crate) struct Authority {
    folder: PathBuf,
}

impl Authority {
    /// Makes it in a folder.
    pub(crate) fn make(folder: &Path) -> Outcome<Self> {
        fs::create_dir_all(folder)?;
        let authority = Authority { folder: folder.to_owned() };
        let key = ["-newkey", "rsa:2048", "-nodes", "-keyout"];
        let openssl = |arguments: &[&str]| run(program("openssl", arguments).current_dir(folder));
        let request =
            ["req", "-x509", "-subj", "/CN=authority of the checks", "-days", "2", "-out", "ca.pem"];
        openssl(&[&request[..], &key, &["ca.key"]].concat())?;
        for (name, certificate, extensions) in [
            ("server", "server.pem", "subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth\n"),
            ("client", "client.cert", "extendedKeyUsage=clientAuth\n"),
            ("tokens", "tokens.pem", "keyUsage=digitalSignature\n"),
        ] {
            fs::write(folder.join("extensions"), extensions)?;
            let (subject, own) = (format!("/CN={name}"), format!("{name}.key"));
            openssl(&[&["req", "-subj", &subject, "-out", "request"], &key[..], &[&own]].concat())?;
            let signed =
                ["x509", "-req", "-in", "request", "-CA", "ca.pem", "-CAkey", "ca.key", "-days", "2"];
            let more = ["-set_serial", "7", "-extfile", "extensions", "-out", certificate];
            openssl(&[&signed[..], &more].concat())?;
        }
        let certs = folder.join("certs");
        fs::create_dir_all(&certs)?;
        for (from, to) in [("ca.pem", "ca.crt"), ("client.cert", "client.cert"), ("client.key", "client.key")]
        {
            fs::copy(folder.join(from), certs.join(to))?;
        }
        Ok(authority)
    }

    /// One of its files.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The certificate that signs tokens, without the lines around it: base64, as tokens have it.
    pub(crate) fn token_certificate(&self) -> Outcome<String> {
        let pem = fs::read_to_string(self.file("tokens.pem"))?;
        Ok(pem.lines().filter(|line| !line.starts_with("-----")).collect())
    }

    /// The signature of a text: RSA over its SHA-256.
    pub(crate) fn sign(&self, text: &str, scratch: &Path) -> Outcome<Vec<u8>> {
        fs::write(scratch, text)?;
        let mut sign = program("openssl", ["dgst", "-sha256", "-sign"]);
        bytes(sign.arg(self.file("tokens.key")).arg(scratch))
    }
}
