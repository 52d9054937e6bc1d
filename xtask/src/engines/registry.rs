//! A registry on a free port of the loopback address.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};

use super::daemon::Daemon;
use super::process::program;
use crate::Outcome;

/// A running registry. Dropping it stops it.
pub(crate) struct Registry {
    _daemon: Daemon,
    address: String,
}

impl Registry {
    /// Starts one with its files in `home`.
    pub(crate) fn start(home: &Path) -> Outcome<Self> {
        Registry::start_with(home, "", "")
    }

    /// Starts one whose section `http` and whose configuration have more, in YAML.
    pub(crate) fn start_with(home: &Path, http: &str, more: &str) -> Outcome<Self> {
        fs::create_dir_all(home.join("files"))?;
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let config = home.join("config.yml");
        fs::write(
            &config,
            format!(
                "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\n\
                 http: {{addr: '{address}'{http}}}\n{more}",
                home.join("files").display()
            ),
        )?;
        let mut command = program("docker-registry", ["serve"]);
        command.arg(&config);
        let daemon = Daemon::start(command, &home.join("log"), || TcpStream::connect(&address).is_ok())?;
        Ok(Registry { _daemon: daemon, address })
    }

    /// What it keeps. It may be removed while the registry runs, which then has nothing.
    pub(crate) fn content(home: &Path) -> PathBuf {
        home.join("files/docker")
    }

    /// `127.0.0.1:PORT`, where engines do without TLS.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }
}
