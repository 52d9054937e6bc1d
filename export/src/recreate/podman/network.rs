//! Networks and ports.

use layerlift_store::{Container, Port};
use serde_json::Value;

use super::super::recipe::{Known, Recipe};
use super::super::values::{is_true, short, text, texts};
use super::super::yaml::Yaml;

/// The network that a container is in if none was named.
const DEFAULT: &str = "podman";

pub(super) fn join(
    recipe: &mut Recipe,
    container: &Container,
    config: &Value,
    spec: &Value,
    networks: &[String],
    known: &Known<'_>,
) {
    if container.pod.is_none() {
        networks_of(recipe, container, config, spec, networks, known);
    }
    let list = |key: &str| texts(config.get(key));
    let no_dns = is_true(config, "UseImageResolvConf").then(|| "none".to_owned());
    recipe.list("--dns", "dns", list("dnsServer").into_iter().chain(no_dns).collect());
    recipe.list("--dns-search", "dns_search", list("dnsSearch"));
    recipe.list("--dns-option", "dns_opt", list("dnsOption"));
    recipe.list("--add-host", "extra_hosts", list("hostsAdd"));
    if is_true(config, "UseImageHosts") {
        recipe.options.push(vec!["--no-hosts".to_owned()]);
        recipe.not_in_compose.push("its /etc/hosts was that of the image (--no-hosts)".to_owned());
    }
    if let Some(file) = text(config, "baseHostsFile") {
        recipe.option("--hosts-file", file);
        // Podman's API always asks for that.
        if file != "none" {
            recipe.not_in_compose.push(format!("--hosts-file {file}"));
        }
    }
}

/// The network namespace in its specification.
fn namespace(spec: &Value) -> Option<&Value> {
    let all = spec.pointer("/linux/namespaces").and_then(Value::as_array);
    all.into_iter().flatten().find(|namespace| text(namespace, "type") == Some("network"))
}

/// Whether its network is not that of the host.
pub(super) fn is_own(config: &Value, spec: &Value) -> bool {
    is_true(config, "createNetNS") || text(config, "netNsCtr").is_some() || namespace(spec).is_some()
}

fn networks_of(
    recipe: &mut Recipe,
    container: &Container,
    config: &Value,
    spec: &Value,
    networks: &[String],
    known: &Known<'_>,
) {
    if let Some(id) = text(config, "netNsCtr") {
        let other = recipe.other_container(&format!("container:{id}"), known, "--network");
        recipe.both("--network", "network_mode", other);
        return;
    }
    if !is_true(config, "createNetNS") {
        let mode = match namespace(spec) {
            Some(own) => text(own, "path").map_or_else(|| "none".to_owned(), |path| format!("ns:{path}")),
            None => "host".to_owned(),
        };
        recipe.both("--network", "network_mode", mode);
        return;
    }
    // Of `pasta` and `slirp4netns`, which make no network.
    let mode = text(config, "networkMode").unwrap_or_default();
    let options = config.pointer(&format!("/network_options/{mode}"));
    let options = texts(options).join(",");
    if !options.is_empty() {
        recipe.both("--network", "network_mode", format!("{mode}:{options}"));
        return;
    }
    if networks.is_empty() && matches!(mode, "pasta" | "slirp4netns") {
        recipe.member("network_mode", mode);
    }
    let mut members = Vec::new();
    for name in networks {
        let joined = config.pointer("/newNetworks").and_then(|all| all.get(name)).unwrap_or(&Value::Null);
        let (options, member) = joining(recipe, container, spec, joined);
        if name == DEFAULT && networks.len() == 1 {
            // Compose cannot name this network, and makes one of the project if nothing is said.
            recipe.member("network_mode", "bridge");
            if !options.is_empty() {
                recipe.option("--network", format!("{name}:{}", options.join(",")));
                recipe.not_in_compose.push(format!("--network {name}:{}", options.join(",")));
            }
            return;
        }
        let options = if options.is_empty() { String::new() } else { format!(":{}", options.join(",")) };
        recipe.option("--network", format!("{name}{options}"));
        members.push((name.clone(), member));
        recipe.networks.push(name.clone());
    }
    if !members.is_empty() {
        recipe.member("networks", Yaml::Map(members));
    }
}

/// How it joins a network: the settings of the option, and the entry in a compose file.
fn joining(recipe: &Recipe, container: &Container, spec: &Value, joined: &Value) -> (Vec<String>, Yaml) {
    let addresses = texts(joined.get("static_ips"));
    let mac = text(joined, "static_mac");
    let own = [short(container.key.id()), text(spec, "hostname").unwrap_or_default().to_owned()];
    let mut aliases = texts(joined.get("aliases"));
    aliases.retain(|alias| !own.contains(alias) && *alias != recipe.name);
    let interface = text(joined, "interface_name").filter(|name| !name.starts_with("eth"));
    let mut options: Vec<String> = addresses.iter().map(|ip| format!("ip={ip}")).collect();
    options.extend(mac.map(|mac| format!("mac={mac}")));
    options.extend(aliases.iter().map(|alias| format!("alias={alias}")));
    options.extend(interface.map(|name| format!("interface_name={name}")));
    if options.is_empty() {
        return (options, Yaml::Null);
    }
    let address = |six: bool| addresses.iter().find(|ip| ip.contains(':') == six);
    let member = Yaml::map([
        ("ipv4_address", address(false).map(|ip| Yaml::Text(ip.clone()))),
        ("ipv6_address", address(true).map(|ip| Yaml::Text(ip.clone()))),
        ("mac_address", mac.map(Yaml::from)),
        ("aliases", (!aliases.is_empty()).then(|| Yaml::list(aliases))),
        ("interface_name", interface.map(Yaml::from)),
    ]);
    (options, member)
}

pub(super) fn ports(
    recipe: &mut Recipe,
    container: &Container,
    of_image: Option<&Value>,
    publishes_all: bool,
) {
    let (mut published, mut exposed) = (Vec::new(), Vec::new());
    for port in &container.ports {
        let range = |first: u16| match port.count {
            0 | 1 => first.to_string(),
            count => format!("{first}-{}", first.saturating_add(count - 1)),
        };
        let inner = format!("{}/{}", range(port.container), port.protocol);
        if !port.published {
            exposed.extend((!is_exposed(of_image, port)).then_some(inner));
            continue;
        }
        let host = port.host.as_deref().and_then(|host| host.parse().ok()).map(range);
        let ip =
            port.host_ip.as_deref().map(|ip| if ip.contains(':') { format!("[{ip}]") } else { ip.into() });
        published.push(match (ip, host) {
            (None, None) => inner,
            (None, Some(host)) => format!("{host}:{inner}"),
            (Some(ip), host) => format!("{ip}:{}:{inner}", host.unwrap_or_default()),
        });
    }
    recipe.list("--publish", "ports", published);
    recipe.list("--expose", "expose", exposed);
    if publishes_all {
        recipe.options.push(vec!["--publish-all".to_owned()]);
    }
}

/// Whether the image exposes a port, perhaps in a range.
fn is_exposed(of_image: Option<&Value>, port: &Port) -> bool {
    let known = of_image.and_then(Value::as_object).into_iter().flatten();
    known.filter_map(|(known, _)| Port::exposed(known)).any(|known| {
        let last = |port: &Port| u32::from(port.container) + u32::from(port.count.max(1)) - 1;
        known.protocol == port.protocol && known.container <= port.container && last(port) <= last(&known)
    })
}
