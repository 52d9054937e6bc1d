//! How a registry lets someone in: Basic, or a token of its token server for each scope (distribution's
//! `token.md`, `oauth.md`).

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine;
use serde::Deserialize;
use ureq::http::{Method, Uri, header};

use super::client::detail;
use super::credentials::{Identity, Secret};
use super::error::RegistryError;
use super::http::{Answer, Call, Http, asked, authority};

/// How long a token holds that does not say so (`token.md`), and how much earlier it is renewed.
const USUAL: u64 = 60;
const EARLIER: u64 = 10;

/// Who comes, and what has been learned of how to get in.
pub(super) struct Auth {
    host: String,
    identity: Option<Identity>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    challenge: Option<Challenge>,
    /// By the scopes that they are for.
    tokens: BTreeMap<String, Token>,
    /// All that must not be repeated.
    seen: Vec<Secret>,
}

struct Token {
    value: Secret,
    until: Instant,
}

/// What a registry asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Challenge {
    Basic,
    Bearer { realm: String, service: Option<String> },
}

/// What a token server answers.
#[derive(Deserialize)]
struct Granted {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<u64>,
}

impl Auth {
    pub(super) fn new(host: &str, identity: Option<Identity>) -> Self {
        let seen = match &identity {
            Some(Identity::Password(user, password)) => vec![password.clone(), Secret(basic(user, password))],
            Some(Identity::Token(token)) => vec![token.clone()],
            None => Vec::new(),
        };
        let state = Mutex::new(State { seen, ..State::default() });
        Auth { host: host.to_owned(), identity, state }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The value of the header for these scopes; `None` as long as the registry has not asked for one.
    pub(super) fn header(&self, http: &Http, scopes: &[String]) -> Result<Option<String>, RegistryError> {
        let key = scopes.join(" ");
        let challenge = {
            let state = self.state();
            if let Some(token) = state.tokens.get(&key).filter(|token| Instant::now() < token.until) {
                return Ok(Some(format!("Bearer {}", token.value.0)));
            }
            state.challenge.clone()
        };
        match challenge {
            None => Ok(None),
            Some(Challenge::Basic) => match &self.identity {
                Some(Identity::Password(user, password)) => {
                    Ok(Some(format!("Basic {}", basic(user, password))))
                }
                _ => Err(RegistryError::NoLogin { host: self.host.clone() }),
            },
            Some(Challenge::Bearer { realm, service }) => {
                let token = self.token(http, &realm, service.as_deref(), scopes)?;
                let header = format!("Bearer {}", token.value.0);
                let mut state = self.state();
                state.seen.push(token.value.clone());
                state.tokens.insert(key, token);
                Ok(Some(header))
            }
        }
    }

    /// After a 401: what the registry asks for. An error if it has been given just that.
    pub(super) fn challenged(
        &self,
        answer: &Answer,
        scopes: &[String],
        given: Option<&str>,
        renewed: bool,
    ) -> Result<(), RegistryError> {
        let values = answer.headers.get_all(header::WWW_AUTHENTICATE);
        let values: Vec<&str> = values.iter().filter_map(|value| value.to_str().ok()).collect();
        let Some(challenge) = challenge(&values) else {
            return Err(RegistryError::Answer {
                host: answer.host(),
                asked: answer.asked.clone(),
                why: "it asks for a login and does not say how".to_owned(),
            });
        };
        let refused = || RegistryError::Login { host: answer.host(), detail: self.detail(&answer.body) };
        let mut state = self.state();
        state.tokens.remove(&scopes.join(" "));
        let is_final =
            renewed || challenge == Challenge::Basic && given.is_some_and(|given| given.starts_with("Basic"));
        state.challenge = Some(challenge);
        drop(state);
        match (is_final, &self.identity) {
            (true, None) => Err(RegistryError::NoLogin { host: answer.host() }),
            (true, Some(_)) => Err(refused()),
            (false, _) => Ok(()),
        }
    }

    /// A token for some scopes.
    fn token(
        &self,
        http: &Http,
        realm: &str,
        service: Option<&str>,
        scopes: &[String],
    ) -> Result<Token, RegistryError> {
        let mut query: Vec<(&str, &str)> = service.map(|service| ("service", service)).into_iter().collect();
        query.extend(scopes.iter().map(|scope| ("scope", scope.as_str())));
        let wrong = |why: &str| RegistryError::Answer {
            host: self.host.clone(),
            asked: "GET /v2/".to_owned(),
            why: why.to_owned(),
        };
        let unusable = |_| wrong("the address of its token server cannot be one");
        let (method, uri, form) = match &self.identity {
            Some(Identity::Token(token)) => {
                let all = scopes.join(" ");
                query.retain(|(name, _)| *name != "scope");
                query.extend([("scope", &*all), ("grant_type", "refresh_token"), ("client_id", "layerlift")]);
                query.push(("refresh_token", &token.0));
                (Method::POST, realm.parse::<Uri>().map_err(unusable)?, Some(encoded(&query)))
            }
            _ => {
                let sep = if realm.contains('?') { '&' } else { '?' };
                let uri = format!("{realm}{sep}{}", encoded(&query));
                (Method::GET, uri.trim_end_matches(['?', '&']).parse::<Uri>().map_err(unusable)?, None)
            }
        };
        if uri.authority().is_none() || uri.scheme().is_none() {
            return Err(wrong("the address of its token server cannot be one"));
        }
        let secret = match &self.identity {
            Some(Identity::Password(user, password)) => Some(format!("Basic {}", basic(user, password))),
            _ => None,
        };
        let mut call = Call::new(method.clone(), uri.clone());
        if let Some(form) = &form {
            call = call
                .with(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
                .with_secret(form.as_bytes());
        }
        let answer = http.exchange(&mut call, secret.as_deref().map(|secret| (&uri, secret)))?;
        match answer.status {
            200 => {}
            401 if self.identity.is_none() => {
                return Err(RegistryError::NoLogin { host: self.host.clone() });
            }
            400 | 401 | 403 => {
                let detail = self.detail(&answer.body);
                return Err(RegistryError::Login { host: authority(&uri), detail });
            }
            status => {
                return Err(RegistryError::Status {
                    host: answer.host(),
                    status,
                    asked: answer.asked.clone(),
                    detail: self.detail(&answer.body),
                    retry_after: answer.retry_after(),
                });
            }
        }
        if answer.is_cut {
            let why = "the answer of its token server ended early".to_owned();
            return Err(RegistryError::Broken { host: authority(&uri), why });
        }
        let granted: Option<Granted> = serde_json::from_slice(&answer.body).ok();
        let found = granted.and_then(|granted| {
            Some((
                granted.token.or(granted.access_token).filter(|token| !token.is_empty())?,
                granted.expires_in,
            ))
        });
        let Some((value, expires_in)) = found else {
            let (host, asked) = (authority(&uri), asked(&method, &uri));
            return Err(RegistryError::Answer { host, asked, why: "it holds no token".to_owned() });
        };
        let holds = expires_in.unwrap_or(USUAL).min(24 * 3600);
        let until = Instant::now() + Duration::from_secs(holds.saturating_sub(EARLIER.min(holds / 2)));
        Ok(Token { value: Secret(value), until })
    }

    /// What an error says, without what is secret, of which a part may be cut off otherwise.
    pub(super) fn detail(&self, body: &[u8]) -> String {
        self.redact(&detail(self.redact(&String::from_utf8_lossy(body)).as_bytes()))
    }

    /// A text of somebody else without what is secret: a server may repeat what it was sent.
    pub(super) fn redact(&self, text: &str) -> String {
        let state = self.state();
        let secrets = state.seen.iter().filter(|secret| !secret.0.is_empty());
        // A form and a query have it in other characters.
        secrets.fold(text.to_owned(), |text, secret| {
            text.replace(&secret.0, "***").replace(&percent(&secret.0), "***")
        })
    }
}

fn basic(user: &str, password: &Secret) -> String {
    base64::engine::general_purpose::STANDARD.encode(format!("{user}:{}", password.0))
}

fn encoded(query: &[(&str, &str)]) -> String {
    let pairs: Vec<String> = query.iter().map(|(name, value)| format!("{name}={}", percent(value))).collect();
    pairs.join("&")
}

/// What stands in a query or a form.
fn percent(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b':' | b'/' | b',' => {
                out.push(byte as char);
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// The best of the challenges in the values of `WWW-Authenticate`.
fn challenge(values: &[&str]) -> Option<Challenge> {
    let mut found = Vec::new();
    for value in values {
        let mut rest = value.trim();
        while !rest.is_empty() {
            let (scheme, after) = rest.split_once(' ').unwrap_or((rest, ""));
            let mut params = BTreeMap::new();
            rest = parameters(after, &mut params);
            if scheme.eq_ignore_ascii_case("bearer") {
                let service = params.remove("service");
                found.extend(params.remove("realm").map(|realm| Challenge::Bearer { realm, service }));
            } else if scheme.eq_ignore_ascii_case("basic") {
                found.push(Challenge::Basic);
            }
        }
    }
    let bearer = found.iter().position(|challenge| *challenge != Challenge::Basic);
    (!found.is_empty()).then(|| found.swap_remove(bearer.unwrap_or(0)))
}

/// Reads `name="value"` and `name=value`, and returns what follows them: the next challenge.
fn parameters<'t>(mut text: &'t str, into: &mut BTreeMap<String, String>) -> &'t str {
    loop {
        text = text.trim_start_matches([' ', ',']);
        let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || "-_".contains(c))).unwrap_or(text.len());
        let (name, after) = text.split_at(end);
        let Some(after) = after.strip_prefix('=').filter(|_| !name.is_empty()) else { return text };
        let value = match after.strip_prefix('"') {
            Some(quoted) => {
                let mut value = String::new();
                let mut chars = quoted.char_indices();
                let mut rest = "";
                while let Some((at, c)) = chars.next() {
                    match c {
                        '"' => {
                            rest = &quoted[at + 1..];
                            break;
                        }
                        '\\' => value.extend(chars.next().map(|(_, c)| c)),
                        c => value.push(c),
                    }
                }
                text = rest;
                value
            }
            None => {
                let end = after.find([',', ' ']).unwrap_or(after.len());
                text = &after[end..];
                after[..end].to_owned()
            }
        };
        into.insert(name.to_ascii_lowercase(), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges() {
        let bearer = |realm: &str, service: Option<&str>| {
            Some(Challenge::Bearer { realm: realm.to_owned(), service: service.map(str::to_owned) })
        };
        for (values, expected) in [
            (vec![r#"Basic realm="x""#], Some(Challenge::Basic)),
            (
                vec![
                    r#"Bearer realm="https://a.example/t",service="r.example",scope="repository:a:pull,push""#,
                ],
                bearer("https://a.example/t", Some("r.example")),
            ),
            (
                vec![r#"Basic realm="a, b", Bearer realm="https://t/", service=s"#],
                bearer("https://t/", Some("s")),
            ),
            (vec!["Basic", r#"bearer realm="https://t/""#], bearer("https://t/", None)),
            (vec!["Negotiate"], None),
            (vec!["Bearer service=\"x\""], None),
            (vec!["Bearer realm=\"https://t/"], bearer("https://t/", None)),
            (vec!["=", ",,,", "\""], None),
            (vec![], None),
        ] {
            assert_eq!(challenge(&values), expected, "{values:?}");
        }
    }

    #[test]
    fn what_is_secret_is_not_repeated() {
        let identity = Identity::Password("user".to_owned(), Secret("hunter2".to_owned()));
        let auth = Auth::new("r.example", Some(identity));
        let text = auth.redact("you sent Basic dXNlcjpodW50ZXIy, that is hunter2");
        assert_eq!(text, "you sent Basic ***, that is ***");
    }
}
