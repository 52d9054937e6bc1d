//! A token server (distribution's `token.md`). Who has the password gets what is asked for.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::authority::Authority;
use super::http::{Head, reply, serve};
use crate::Outcome;

/// Who is let in.
pub(crate) const USER: &str = "user";
pub(crate) const PASSWORD: &str = "secret";

/// Repositories below it are not for the user.
pub(crate) const CLOSED: &str = "closed/";

/// How long the registry accepts a token that has expired (distribution 2.8, `registry/auth/token`).
const LEEWAY: u64 = 60;

/// A token server, until this process ends.
pub(crate) struct Tokens {
    address: String,
    /// What the registry verifies tokens with.
    bundle: PathBuf,
    given: Arc<Mutex<BTreeMap<String, usize>>>,
}

impl Tokens {
    /// Starts one whose tokens the registry accepts for so many seconds. They say that it is longer.
    pub(crate) fn start(home: &Path, seconds: u64) -> Outcome<Self> {
        let given = Arc::new(Mutex::new(BTreeMap::new()));
        let (kept, scratch) = (given.clone(), home.join("signer"));
        let authority = Authority::make(&scratch)?;
        let bundle = authority.file("ca.pem");
        let certificate = authority.token_certificate()?;
        let address = serve(move |head, _, out| {
            let login = format!("Basic {}", STANDARD.encode(format!("{USER}:{PASSWORD}")));
            if head.header("authorization") != Some(&login) {
                return reply(out, head, "401 Unauthorized", &["WWW-Authenticate: Basic realm=tokens"], "");
            }
            let mut given = kept.lock().unwrap_or_else(PoisonError::into_inner);
            let scopes = scopes(head);
            *given.entry(scopes.join(" ")).or_insert(0) += 1;
            let file = scratch.join(format!("token-{}", given.values().sum::<usize>()));
            drop(given);
            match token(&authority, &certificate, &scopes, seconds, &file) {
                Ok(token) => {
                    let body = json!({"token": token, "expires_in": 300}).to_string();
                    reply(out, head, "200 OK", &["Content-Type: application/json"], &body)
                }
                Err(error) => reply(out, head, "500 Internal Server Error", &[], &error.to_string()),
            }
        })?;
        Ok(Tokens { address, bundle, given })
    }

    /// What a registry has in its configuration to send users here.
    pub(crate) fn configuration(&self) -> String {
        format!(
            "auth: {{token: {{realm: 'http://{}/token', service: checks, issuer: checks, \
             rootcertbundle: {}}}}}\n",
            self.address,
            self.bundle.display()
        )
    }

    /// How many tokens were given for scopes that contain a text.
    pub(crate) fn given(&self, scope: &str) -> usize {
        let given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        given.iter().filter(|(scopes, _)| scopes.contains(scope)).map(|(_, count)| count).sum()
    }
}

/// The scopes of a request. Each may be several.
fn scopes(head: &Head) -> Vec<String> {
    let query = head.target.split_once('?').map_or("", |(_, query)| query);
    let values = query.split('&').filter_map(|pair| pair.strip_prefix("scope="));
    let plain = values.map(|value| value.replace("%3A", ":").replace("%2F", "/").replace("%2C", ","));
    plain.flat_map(|value| value.split(['+', ' ']).map(str::to_owned).collect::<Vec<_>>()).collect()
}

fn token(
    authority: &Authority,
    certificate: &str,
    scopes: &[String],
    seconds: u64,
    scratch: &Path,
) -> Outcome<String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let access = scopes.iter().filter_map(|scope| {
        let mut words = scope.split(':');
        let (kind, name, actions) = (words.next()?, words.next()?, words.next()?);
        let is_open = !name.starts_with(CLOSED);
        is_open
            .then(|| json!({"type": kind, "name": name, "actions": actions.split(',').collect::<Vec<_>>()}))
    });
    let claims = json!({
        "iss": "checks", "sub": USER, "aud": "checks", "jti": format!("{now}-{}", scopes.join(" ")),
        "iat": now - LEEWAY, "nbf": now - LEEWAY, "exp": now + seconds - LEEWAY,
        "access": access.collect::<Vec<Value>>(),
    });
    let head = json!({"typ": "JWT", "alg": "RS256", "x5c": [certificate]});
    let text = [head, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string())).join(".");
    Ok(format!("{text}.{}", URL_SAFE_NO_PAD.encode(authority.sign(&text, scratch)?)))
}
