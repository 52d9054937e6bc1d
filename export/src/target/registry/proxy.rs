//! Proxies of the environment, as Go's programs (Docker, Podman, skopeo) and curl read it.
//!
//! ```text
//! HTTPS_PROXY, https_proxy    for https alone     ALL_PROXY, all_proxy    for both, where theirs is not set
//! HTTP_PROXY, http_proxy      for http alone      NO_PROXY, no_proxy      hosts that are asked directly
//! ```
//!
//! `NO_PROXY` is divided by commas: `*`; an address or a network (`10.0.0.0/8`); `example.org` with all names
//! below it; `.example.org` for those alone; each with a port or without. This machine is asked directly.

use std::net::IpAddr;

use ureq::http::Uri;
use ureq::{Proxy, ProxyProtocol};

use super::address::is_loopback;
use super::error::RegistryError;

/// What the environment says.
#[derive(Debug, Default)]
pub(super) struct Proxies {
    https: Option<Given>,
    http: Option<Given>,
    except: Vec<Exception>,
}

/// A variable and its value, which may hold a password. It is looked at where it counts.
#[derive(Clone)]
struct Given {
    variable: &'static str,
    url: String,
}

impl std::fmt::Debug for Given {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.variable)
    }
}

/// Hosts that are asked directly.
#[derive(Debug, PartialEq, Eq)]
struct Exception {
    hosts: Hosts,
    port: Option<u16>,
}

#[derive(Debug, PartialEq, Eq)]
enum Hosts {
    All,
    /// The addresses that have so many leading bits in common with this one.
    Network(IpAddr, u32),
    /// Names below this one, and this one itself or not.
    Domain {
        name: String,
        with_itself: bool,
    },
}

impl Proxies {
    pub(super) fn of_environment() -> Self {
        Proxies::from(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
    }

    fn from(variable: impl Fn(&str) -> Option<String>) -> Self {
        let first = |names: [&'static str; 4]| {
            names.into_iter().find_map(|name| Some(Given { variable: name, url: variable(name)? }))
        };
        let except = ["NO_PROXY", "no_proxy"].into_iter().find_map(&variable).unwrap_or_default();
        Proxies {
            https: first(["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]),
            http: first(["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"]),
            except: except.split(',').filter_map(Exception::parse).collect(),
        }
    }

    /// The proxy that is asked for an address.
    pub(super) fn of(&self, uri: &Uri) -> Result<Option<Proxy>, RegistryError> {
        let host = uri.host().unwrap_or_default();
        let (given, usual) = match uri.scheme_str() {
            Some("https") => (&self.https, 443),
            _ => (&self.http, 80),
        };
        let port = uri.port_u16().unwrap_or(usual);
        let Some(Given { variable, url }) = given else { return Ok(None) };
        if is_loopback(host) || self.except.iter().any(|exception| exception.holds(host, port)) {
            return Ok(None);
        }
        let unusable = |why| RegistryError::Proxy { variable, why };
        let proxy = Proxy::new(url).map_err(|_| unusable("its value is not a proxy URL"))?;
        match proxy.protocol() {
            ProxyProtocol::Http | ProxyProtocol::Https => Ok(Some(proxy)),
            // ureq without its feature for SOCKS panics.
            _ => Err(unusable("SOCKS is not supported; use an HTTP proxy")),
        }
    }
}

impl Exception {
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim().to_ascii_lowercase();
        if text == "*" {
            return Some(Exception { hosts: Hosts::All, port: None });
        }
        if let Some((address, bits)) = text.split_once('/') {
            let hosts = Hosts::Network(address.parse().ok()?, bits.parse().ok()?);
            return Some(Exception { hosts, port: None });
        }
        // An address of IPv6 has colons, and brackets if a port follows.
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
                (host, Some(port.parse().ok()?))
            }
            _ => (text.as_str(), None),
        };
        if let Some(address) = address(host) {
            return Some(Exception { hosts: Hosts::Network(address, u32::MAX), port });
        }
        let name = host.strip_prefix('*').unwrap_or(host).trim_end_matches('.');
        let with_itself = !name.starts_with('.');
        let name = name.trim_start_matches('.').to_owned();
        (!name.is_empty()).then_some(Exception { hosts: Hosts::Domain { name, with_itself }, port })
    }

    fn holds(&self, host: &str, port: u16) -> bool {
        if self.port.is_some_and(|own| own != port) {
            return false;
        }
        match &self.hosts {
            Hosts::All => true,
            Hosts::Network(network, bits) => {
                address(host).is_some_and(|address| in_network(address, *network, *bits))
            }
            Hosts::Domain { name, with_itself } => {
                let host = host.trim_end_matches('.').to_ascii_lowercase();
                match host.strip_suffix(name.as_str()) {
                    Some("") => *with_itself,
                    Some(rest) => rest.ends_with('.'),
                    None => false,
                }
            }
        }
    }
}

/// An address, in brackets or without.
fn address(host: &str) -> Option<IpAddr> {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    bare.parse().ok()
}

fn in_network(address: IpAddr, network: IpAddr, bits: u32) -> bool {
    let differs = match (address, network) {
        (IpAddr::V4(one), IpAddr::V4(other)) => {
            u128::from(u32::from(one) ^ u32::from(other)) << (u128::BITS - u32::BITS)
        }
        (IpAddr::V6(one), IpAddr::V6(other)) => u128::from(one) ^ u128::from(other),
        _ => return false,
    };
    differs.leading_zeros() >= bits.min(if address.is_ipv4() { u32::BITS } else { u128::BITS })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(variables: &[(&str, &str)]) -> Proxies {
        Proxies::from(|name| {
            let value = variables.iter().find(|(found, _)| *found == name)?;
            Some(value.1.to_owned())
        })
    }

    /// The host of the proxy for an address.
    fn chosen(uri: &str, variables: &[(&str, &str)]) -> Option<String> {
        let proxy = proxies(variables).of(&uri.parse().unwrap()).unwrap();
        proxy.map(|proxy| proxy.host().to_owned())
    }

    #[test]
    fn each_scheme_has_its_own() {
        let (plain, secure) = (("HTTP_PROXY", "http://plain:1"), ("https_proxy", "http://u:s@secure:3128"));
        let all = ("ALL_PROXY", "http://all");
        for (uri, variables, expected) in [
            ("https://r.example/v2/", &[plain, secure][..], Some("secure")),
            ("http://r.example/v2/", &[plain, secure], Some("plain")),
            ("https://r.example/", &[plain], None),
            ("http://r.example/", &[secure], None),
            ("https://r.example/", &[plain, all], Some("all")),
            ("http://r.example/", &[all, secure], Some("all")),
            ("https://r.example/", &[all, secure], Some("secure")),
            ("https://r.example/", &[], None),
            ("https://127.0.0.1:5000/", &[all], None),
            ("https://[::1]/", &[all], None),
            ("http://localhost/", &[all], None),
        ] {
            assert_eq!(chosen(uri, variables).as_deref(), expected, "{uri} {variables:?}");
        }
        let given = proxies(&[secure]).of(&"https://r.example/".parse().unwrap()).unwrap().unwrap();
        assert_eq!((given.port(), given.username(), given.password()), (3128, Some("u"), Some("s")));
    }

    #[test]
    fn exceptions() {
        for (except, uri, is_direct) in [
            ("*", "https://r.example/", true),
            ("r.example", "https://r.example/", true),
            ("R.Example", "https://r.example:5000/", true),
            ("example", "https://r.example/", true),
            ("x.example,  r.example ,", "https://r.example/", true),
            ("ample", "https://r.example/", false),
            (".r.example", "https://r.example/", false),
            (".example", "https://r.example/", true),
            ("*.example", "https://r.example/", true),
            ("r.example:443", "https://r.example/", true),
            ("r.example:5000", "https://r.example/", false),
            ("r.example:5000", "https://r.example:5000/", true),
            ("10.1.2.3", "https://10.1.2.3/", true),
            ("10.1.2.3:5000", "https://10.1.2.3/", false),
            ("10.0.0.0/8", "https://10.1.2.3/", true),
            ("10.0.0.0/16", "https://10.1.2.3/", false),
            ("0.0.0.0/0", "https://10.1.2.3/", true),
            ("10.0.0.0/8", "https://r.example/", false),
            ("fd00::/8", "https://[fd12::1]:5000/", true),
            ("fd12::1", "https://[fd12::1]:5000/", true),
            ("[fd12::1]:5000", "https://[fd12::1]:5000/", true),
            ("[fd12::1]:5001", "https://[fd12::1]:5000/", false),
            ("/,:,.,x/y,r.example:z", "https://r.example/", false),
        ] {
            let variables = [("HTTPS_PROXY", "http://proxy:1"), ("no_proxy", except)];
            assert_eq!(chosen(uri, &variables).is_none(), is_direct, "{except} {uri}");
        }
    }

    /// What is not used need not be right, and a message does not have the value.
    #[test]
    fn values_that_cannot_be_used() {
        for (url, why) in [("nothing://u:secret@x:y", "URL"), ("socks5h://u:secret@x:1", "SOCKS")] {
            let proxies = proxies(&[("HTTPS_PROXY", url)]);
            assert!(proxies.of(&"http://r.example/".parse().unwrap()).unwrap().is_none());
            let error = proxies.of(&"https://r.example/".parse().unwrap()).unwrap_err();
            let text = format!("{error} {proxies:?}");
            assert!(text.contains("HTTPS_PROXY") && text.contains(why), "{text}");
            assert!(!text.contains("secret"), "{text}");
        }
    }
}
