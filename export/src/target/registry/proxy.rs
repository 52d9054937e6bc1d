//! Proxies of the environment, as curl and Go read it.

use ureq::Proxy;

use super::address::is_loopback;
use super::error::RegistryError;

const FOR_ALL: [&str; 6] =
    ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];

/// The proxy for a host; none for this machine.
pub(super) fn of_environment(host: &str) -> Result<Option<Proxy>, RegistryError> {
    choose(host, |name| std::env::var(name).ok().filter(|value| !value.is_empty()))
}

fn choose(host: &str, variable: impl Fn(&str) -> Option<String>) -> Result<Option<Proxy>, RegistryError> {
    if is_loopback(host) {
        return Ok(None);
    }
    let found = FOR_ALL.into_iter().find_map(|name| Some((name, variable(name)?)));
    let Some((name, url)) = found else { return Ok(None) };
    let wrong = |_| RegistryError::Proxy { variable: name };
    let given = Proxy::new(&url).map_err(wrong)?;
    let mut proxy = Proxy::builder(given.protocol()).host(given.host()).port(given.port());
    if let Some(user) = given.username() {
        proxy = proxy.username(user);
    }
    if let Some(password) = given.password() {
        proxy = proxy.password(password);
    }
    let except = ["NO_PROXY", "no_proxy"].into_iter().find_map(&variable).unwrap_or_default();
    for host in exceptions(&except) {
        proxy = proxy.no_proxy(host);
    }
    proxy.build().map(Some).map_err(wrong)
}

/// The hosts in `NO_PROXY`.
fn exceptions(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|host| !host.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(host: &str, variables: &[(&str, &str)]) -> Result<Option<Proxy>, RegistryError> {
        choose(host, |name| {
            let value = variables.iter().find(|(found, _)| *found == name)?;
            Some(value.1.to_owned())
        })
    }

    #[test]
    fn proxies_of_the_environment() {
        let both = [("HTTP_PROXY", "http://plain:1"), ("https_proxy", "http://u:s@proxy:3128")];
        let proxy = chosen("r.example", &both).unwrap().unwrap();
        assert_eq!((proxy.host(), proxy.port(), proxy.username()), ("proxy", 3128, Some("u")));
        assert!(chosen("127.0.0.1:5000", &both).unwrap().is_none());
        assert!(chosen("r.example", &[]).unwrap().is_none());
        assert_eq!(exceptions("a.example, .r.example,").collect::<Vec<_>>(), ["a.example", ".r.example"]);
        let error = chosen("r.example", &[("ALL_PROXY", "nothing://u:secret@x:y")]).unwrap_err();
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}
