//! Credentials that other programs have stored.
//!
//! ```text
//! $REGISTRY_AUTH_FILE                            Podman, Buildah, Skopeo; without it:
//! $XDG_RUNTIME_DIR/containers/auth.json
//! ~/.config/containers/auth.json
//! $DOCKER_CONFIG/config.json, or ~/.docker/config.json
//! ```
//!
//! The first file that has something for the registry counts. Credential helpers and stores of Docker are
//! programs (`docker-credential-<name>`) that these files name.

use std::fmt;
use std::fs::File;
use std::io::{self, BufReader};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use docker_credential::{CredentialRetrievalError, DockerCredential, get_credential_from_reader};

use super::address::credential_keys;
use super::error::RegistryError;

/// What nobody may see. It prints as stars.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Secret(pub(super) String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// How someone is let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Identity {
    /// A name and a password.
    Password(String, Secret),
    /// A token that gets other tokens.
    Token(Secret),
}

/// The credentials for a repository of a registry, from the usual files.
pub(super) fn stored(host: &str, repository: &str) -> Result<Option<Identity>, RegistryError> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    in_files(&files(variable), host, repository)
}

/// The files, in the order in which they count.
fn files(variable: impl Fn(&str) -> Option<PathBuf>) -> Vec<PathBuf> {
    let mut files = Vec::new();
    match variable("REGISTRY_AUTH_FILE") {
        Some(file) => files.push(file),
        None => {
            let runtime = variable("XDG_RUNTIME_DIR").map(|dir| dir.join("containers"));
            // Where podman login writes without it, as root and in cron.
            let of_user = || Some(PathBuf::from(format!("/run/containers/{}", user()?)));
            files.extend(runtime.or_else(of_user).map(|dir| dir.join("auth.json")));
            files.extend(variable("HOME").map(|home| home.join(".config/containers/auth.json")));
        }
    }
    let docker = variable("DOCKER_CONFIG").or_else(|| variable("HOME").map(|home| home.join(".docker")));
    files.extend(docker.map(|dir| dir.join("config.json")));
    files
}

/// The number of this process's user.
fn user() -> Option<u32> {
    Some(std::fs::metadata("/proc/self").ok()?.uid())
}

fn in_files(files: &[PathBuf], host: &str, repository: &str) -> Result<Option<Identity>, RegistryError> {
    for path in files {
        for key in keys(host, repository) {
            if let Some(identity) = in_file(path, &key, host)? {
                return Ok(Some(identity));
            }
        }
    }
    Ok(None)
}

/// What files call a registry: containers' auth.json may have a key for each repository and its folders.
fn keys(host: &str, repository: &str) -> Vec<String> {
    let mut keys = Vec::new();
    let mut path = Some(repository).filter(|path| !path.is_empty());
    while let Some(part) = path {
        keys.push(format!("{host}/{part}"));
        path = part.rsplit_once('/').map(|(folder, _)| folder);
    }
    keys.push(host.to_owned());
    keys.extend(credential_keys(host).iter().map(|key| (*key).to_owned()));
    keys
}

fn in_file(path: &Path, key: &str, host: &str) -> Result<Option<Identity>, RegistryError> {
    let failed =
        |why: String| RegistryError::Credentials { host: host.to_owned(), path: path.to_owned(), why };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error.kind().to_string())),
    };
    match get_credential_from_reader(BufReader::new(file), key) {
        Ok(DockerCredential::IdentityToken(token)) => Ok(Some(Identity::Token(Secret(token)))),
        // Azure's helper says it like this.
        Ok(DockerCredential::UsernamePassword(user, token)) if user == "<token>" => {
            Ok(Some(Identity::Token(Secret(token))))
        }
        Ok(DockerCredential::UsernamePassword(user, password)) => {
            Ok(Some(Identity::Password(user, Secret(password))))
        }
        Err(CredentialRetrievalError::NoCredentialConfigured) => Ok(None),
        Err(CredentialRetrievalError::HelperFailure { stdout, .. })
            if stdout.contains("credentials not found") =>
        {
            Ok(None)
        }
        // Helpers know registries. They are asked for a repository, too, since files may have keys for it.
        Err(CredentialRetrievalError::HelperFailure { .. }) if key.starts_with(&format!("{host}/")) => {
            Ok(None)
        }
        // What a helper prints may be a secret.
        Err(CredentialRetrievalError::HelperFailure { helper, .. }) => Err(failed(format!(
            "docker-credential-{} failed",
            helper.trim_start_matches("docker-credential-")
        ))),
        Err(CredentialRetrievalError::HelperCommunicationError) => {
            Err(failed("its credential helper cannot be run".to_owned()))
        }
        Err(CredentialRetrievalError::MalformedHelperResponse) => {
            Err(failed("its credential helper does not answer as one does".to_owned()))
        }
        Err(CredentialRetrievalError::CredentialMismatchError) => {
            Err(failed("\"auth\" and \"username\" contradict each other".to_owned()))
        }
        Err(CredentialRetrievalError::CredentialDecodingError) => {
            Err(failed("\"auth\" is not base64 of USER:PASSWORD".to_owned()))
        }
        Err(_) => Err(failed("it is not JSON as docker login writes it".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine;

    use super::*;

    fn password(user: &str, password: &str) -> Option<Identity> {
        Some(Identity::Password(user.to_owned(), Secret(password.to_owned())))
    }

    #[test]
    fn which_entry_counts() {
        let dir = tempfile::tempdir().unwrap();
        let auth = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
        let write = |name: &str, text: String| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let podman = write(
            "auth.json",
            format!(
                r#"{{"auths":{{"r.example/team":{{"auth":"{}"}},"r.example":{{"auth":"{}"}}}}}}"#,
                auth("team:a"),
                auth("all:b")
            ),
        );
        let docker = write(
            "config.json",
            format!(
                r#"{{"auths":{{"https://index.docker.io/v1/":{{"auth":"{}"}},"s.example":{{"auth":"{}",
                    "identitytoken":"long"}}}}}}"#,
                auth("hub:c"),
                auth("u:")
            ),
        );
        let files = [dir.path().join("missing"), podman, docker];
        let found = |host: &str, repository: &str| in_files(&files, host, repository).unwrap();
        assert_eq!(found("r.example", "team/app"), password("team", "a"));
        assert_eq!(found("r.example", "other/app"), password("all", "b"));
        assert_eq!(found("docker.io", "library/app"), password("hub", "c"));
        assert_eq!(found("s.example", "app"), Some(Identity::Token(Secret("long".to_owned()))));
        assert_eq!(found("t.example", "app"), None);
        let cut = write("cut.json", "{".to_owned());
        let error = in_files(&[cut], "r.example", "app").unwrap_err().to_string();
        assert!(error.contains("cut.json"), "{error}");
    }

    #[test]
    fn usual_files() {
        let variables = |name: &str| match name {
            "HOME" => Some("/home/u".into()),
            "XDG_RUNTIME_DIR" => Some("/run/user/1".into()),
            _ => None,
        };
        let expected = [
            "/run/user/1/containers/auth.json",
            "/home/u/.config/containers/auth.json",
            "/home/u/.docker/config.json",
        ];
        assert_eq!(files(variables), expected.map(PathBuf::from));
        let set = |name: &str| match name {
            "REGISTRY_AUTH_FILE" => Some("/a.json".into()),
            "DOCKER_CONFIG" => Some("/c".into()),
            _ => None,
        };
        assert_eq!(files(set), ["/a.json", "/c/config.json"].map(PathBuf::from));
    }

    #[test]
    fn a_secret_does_not_print() {
        let identity = password("user", "hunter2");
        assert!(!format!("{identity:?}").contains("hunter2"));
    }
}
