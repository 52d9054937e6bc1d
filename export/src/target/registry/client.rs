//! Requests to one registry: with what lets them in, and again where that may help.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use layerlift_archive::Observer;
use serde::Deserialize;
use ureq::http::{Method, Uri};

use super::address::{authority, is_loopback};
use super::auth::Auth;
use super::error::RegistryError;
use super::http::{Answer, Call, Http, is_cancelled};
use super::patience::Patience;

/// Characters of a registry's own words that a message has.
const WORDS: usize = 300;

/// One registry.
pub(super) struct Client {
    http: Http,
    auth: Auth,
    host: String,
    insecure: bool,
    pause: Duration,
    /// Scheme and host, once it has answered; or why it does not.
    base: Mutex<Option<Result<Uri, RegistryError>>>,
}

/// The errors of a registry (distribution-spec, "Error Codes").
#[derive(Deserialize)]
struct Errors {
    errors: Vec<Problem>,
}

#[derive(Deserialize)]
struct Problem {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

impl Client {
    pub(super) fn new(host: &str, http: Http, auth: Auth, insecure: bool, pause: Duration) -> Self {
        Client { http, auth, host: host.to_owned(), insecure, pause, base: Mutex::default() }
    }

    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// Whether it has answered.
    pub(super) fn is_reached(&self) -> bool {
        matches!(&*self.base.lock().unwrap_or_else(PoisonError::into_inner), Some(Ok(_)))
    }

    /// A text of the registry without what is secret.
    pub(super) fn redact(&self, text: &str) -> String {
        self.auth.redact(text)
    }

    fn redacted(&self, error: RegistryError) -> RegistryError {
        error.redacted(|text| self.redact(text))
    }

    pub(super) fn patience<'o>(&self, observer: &'o dyn Observer) -> Patience<'o> {
        Patience::new(self.pause, observer)
    }

    /// The address of something in the registry.
    pub(super) fn uri(&self, path_and_query: &str, observer: &dyn Observer) -> Result<Uri, RegistryError> {
        let base = self.base(observer)?;
        let whole =
            format!("{}://{}{path_and_query}", base.scheme_str().unwrap_or("https"), authority_of(&base));
        whole.parse().map_err(|_| RegistryError::Name {
            name: self.host.clone(),
            why: "no address can be made of it".to_owned(),
        })
    }

    /// One request, with what lets it in; a second time with a new token, where the first does not hold.
    pub(super) fn send(
        &self,
        call: &mut Call<'_, '_>,
        scopes: &[String],
        observer: &dyn Observer,
    ) -> Result<Answer, RegistryError> {
        let base = self.base(observer)?;
        let mut renewed = 0;
        loop {
            let header = self.auth.header(&self.http, scopes).map_err(|error| self.redacted(error))?;
            let secret = header.as_deref().map(|header| (&base, header));
            let answer = self.http.exchange(call, secret).map_err(|error| self.redacted(error))?;
            if answer.status != 401 || answer.uri.authority() != base.authority() {
                return Ok(answer);
            }
            // The first 401 says how, the second that a token has expired meanwhile.
            self.auth.challenged(&answer, scopes, header.as_deref(), renewed == 2)?;
            renewed += 1;
        }
    }

    /// The same, again where that may help, until the status is one of these.
    pub(super) fn ask(
        &self,
        call: &mut Call<'_, '_>,
        scopes: &[String],
        expected: &[u16],
        observer: &dyn Observer,
    ) -> Result<Answer, RegistryError> {
        let mut patience = self.patience(observer);
        loop {
            match self.send(call, scopes, observer).and_then(|answer| self.expect(answer, expected)) {
                Ok(answer) => return Ok(answer),
                Err(error) => patience.again(error)?,
            }
        }
    }

    /// An answer with one of these statuses; anything else is an error.
    pub(super) fn expect(&self, answer: Answer, expected: &[u16]) -> Result<Answer, RegistryError> {
        if expected.contains(&answer.status) {
            return Ok(answer);
        }
        Err(RegistryError::Status {
            host: answer.host(),
            status: answer.status,
            asked: self.redact(&answer.asked),
            detail: self.auth.detail(&answer.body),
            retry_after: answer.retry_after(),
        })
    }

    /// An answer that lacks what it must have.
    pub(super) fn unusable(&self, answer: &Answer, why: impl Into<String>) -> RegistryError {
        RegistryError::Answer { host: answer.host(), asked: self.redact(&answer.asked), why: why.into() }
    }

    /// Scheme and host of the registry. Plain HTTP only on this machine, or where it is allowed, and only if
    /// TLS is not spoken there.
    fn base(&self, observer: &dyn Observer) -> Result<Uri, RegistryError> {
        let mut base = self.base.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(base) = &*base {
            return base.clone();
        }
        let found = self.find(observer);
        // Who waits here meanwhile need not try again. A request to stop is not the host's answer.
        if !found.as_ref().is_err_and(is_cancelled) {
            *base = Some(found.clone());
        }
        found
    }

    /// Tries until there is an answer.
    fn find(&self, observer: &dyn Observer) -> Result<Uri, RegistryError> {
        let host = authority(&self.host);
        let origin = |scheme: &str| {
            let uri = format!("{scheme}://{host}/v2/").parse::<Uri>();
            uri.map_err(|_| RegistryError::Name {
                name: self.host.clone(),
                why: "its host cannot be one".to_owned(),
            })
        };
        let mut patience = self.patience(observer);
        loop {
            let secure = origin("https")?;
            let may_be_plain = self.insecure || is_loopback(host);
            let answered = match self.ping(&secure) {
                Err(error) if may_be_plain && may_be_without_tls(&error) => {
                    let plain = origin("http")?;
                    self.ping(&plain).map(|()| plain)
                }
                // Its name may be known to the proxy for plain HTTP alone.
                Err(error @ RegistryError::UnknownHost { .. }) if may_be_plain => {
                    let plain = origin("http")?;
                    match self.http.has_proxy(&plain) {
                        true => self.ping(&plain).map(|()| plain),
                        false => Err(error),
                    }
                }
                answered => answered.map(|()| secure),
            };
            match answered {
                Ok(found) => return Ok(found),
                Err(error) => patience.again(error)?,
            }
        }
    }

    /// Whether a registry answers there, and what it asks for.
    fn ping(&self, uri: &Uri) -> Result<(), RegistryError> {
        let exchanged = self.http.exchange(&mut Call::new(Method::GET, uri.clone()), None);
        let answer = exchanged.map_err(|error| self.redacted(error))?;
        if answer.status == 401 && answer.uri.authority() == uri.authority() {
            return self.auth.challenged(&answer, &[], None, false);
        }
        if answer.status == 404 {
            return Err(self.unusable(&answer, "there is nothing"));
        }
        self.expect(answer, &[200, 401, 403]).map(|_| ())
    }
}

/// Whether a failure can come from a host that does not speak TLS.
fn may_be_without_tls(error: &RegistryError) -> bool {
    match error {
        RegistryError::Unreachable { .. } | RegistryError::Broken { .. } | RegistryError::Silent { .. } => {
            !is_cancelled(error)
        }
        _ => false,
    }
}

fn authority_of(uri: &Uri) -> &str {
    uri.authority().map_or("", |authority| authority.as_str())
}

/// The words of a registry: what its JSON says. A page of a proxy is not worth repeating.
pub(super) fn detail(body: &[u8]) -> String {
    let Ok(Errors { errors }) = serde_json::from_slice(body) else { return String::new() };
    let words = |Problem { code, message }: Problem| match (code.is_empty(), message.is_empty()) {
        (_, true) => code,
        (true, false) => message,
        (false, false) => format!("{code}: {message}"),
    };
    let all: Vec<String> = errors.into_iter().map(words).filter(|words| !words.is_empty()).collect();
    let all = all.join("; ").replace(|c: char| c.is_control(), " ");
    match all.char_indices().nth(WORDS) {
        Some((end, _)) => format!("{}…", &all[..end]),
        None => all,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_registry() {
        let two = br#"{"errors":[{"code":"DENIED","message":"no\u001b[31m"},{"code":"X","detail":{}}]}"#;
        assert_eq!(detail(two), "DENIED: no [31m; X");
        assert_eq!(detail(b"<html>Bad Gateway</html>"), "");
        assert_eq!(detail(b""), "");
        let long = format!(r#"{{"errors":[{{"message":"{}"}}]}}"#, "x".repeat(9999));
        assert_eq!(detail(long.as_bytes()).chars().count(), WORDS + 1);
    }
}
