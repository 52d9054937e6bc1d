//! How each program gets into a registry.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::Outcome;
use crate::engines::authority::Authority;
use crate::engines::docker::Docker;
use crate::engines::process::run;
use crate::engines::tokens::{PASSWORD, USER};

/// A registry, and what it asks for.
#[derive(Clone)]
pub(crate) struct Access {
    address: String,
    /// What a registry with TLS is trusted by.
    tls: Option<Tls>,
    /// `auth.json`, if someone must log in.
    login: Option<PathBuf>,
}

/// The same in the forms that programs take it.
#[derive(Clone)]
struct Tls {
    /// The authority.
    file: PathBuf,
    /// A folder with it, for skopeo and podman.
    folder: PathBuf,
    /// A folder with a folder for each registry, for ctr.
    hosts: PathBuf,
}

impl Access {
    /// Plain HTTP, for everybody.
    pub(crate) fn open(address: &str) -> Self {
        Access { address: address.to_owned(), tls: None, login: None }
    }

    /// With TLS. `home` gets files for it.
    pub(super) fn with_tls(self, authority: &Authority, home: &Path) -> Outcome<Self> {
        let (file, folder, hosts) = (authority.file("ca.pem"), authority.file("certs"), home.join("hosts"));
        let host = hosts.join(&self.address);
        fs::create_dir_all(&host)?;
        // Without this, ctr speaks plain HTTP on this machine.
        let text = format!("[host.\"https://{}\"]\nca = \"{}\"\n", self.address, file.display());
        fs::write(host.join("hosts.toml"), text)?;
        Ok(Access { tls: Some(Tls { file, folder, hosts }), ..self })
    }

    /// For who has the password. `home` gets a file with it.
    pub(super) fn with_login(self, home: &Path) -> Outcome<Self> {
        let file = home.join("auth.json");
        let auth = STANDARD.encode(format!("{USER}:{PASSWORD}"));
        fs::write(&file, json!({"auths": {&self.address: {"auth": auth}}}).to_string())?;
        Ok(Access { login: Some(file), ..self })
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// A command of layerlift.
    pub(super) fn layerlift(&self, command: &mut Command) {
        if let Some(tls) = &self.tls {
            command.arg("--ca").arg(&tls.file);
        }
        command.envs(self.login.iter().map(|file| ("REGISTRY_AUTH_FILE", file)));
    }

    /// A command of skopeo or podman that reads from there. `side` is empty or `src-`.
    pub(super) fn containers(&self, side: &str, command: &mut Command) {
        match &self.tls {
            Some(tls) => command.arg(format!("--{side}cert-dir={}", tls.folder.display())),
            None => command.arg(format!("--{side}tls-verify=false")),
        };
        if self.login.is_some() {
            command.arg(format!("--{side}creds={USER}:{PASSWORD}"));
        }
    }

    /// A pull of ctr.
    pub(super) fn ctr(&self, command: &mut Command) {
        match &self.tls {
            Some(tls) => command.arg("--hosts-dir").arg(&tls.hosts),
            None => command.arg("--plain-http"),
        };
        if self.login.is_some() {
            command.args(["--user", &format!("{USER}:{PASSWORD}")]);
        }
    }

    /// Docker needs no authority on this machine.
    pub(super) fn docker(&self, docker: &Docker) -> Outcome {
        match self.login {
            Some(_) => {
                run(docker.docker(["login", "--username", USER, "--password", PASSWORD, &self.address]))
            }
            None => Ok(()),
        }
    }
}
