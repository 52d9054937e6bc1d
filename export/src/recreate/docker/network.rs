//! Networks and ports.
//!
//! ```text
//! NetworkMode    --network: default, bridge, host, none, container:<id>, or the name or id of a network
//! PortBindings   -p: {"80/tcp":[{"HostIp":"127.0.0.1","HostPort":"8080"}]}
//! ```
//!
//! `NetworkSettings.Networks` has all networks, with addresses and aliases that were asked for.

use std::net::Ipv4Addr;

use serde_json::Value;

use super::super::recipe::{Known, Recipe};
use super::super::values::{entries, is_true, number, text, texts};
use super::super::yaml::Yaml;

pub(super) fn read(
    recipe: &mut Recipe,
    document: &Value,
    config: &Value,
    host: &Value,
    exposed_by_image: Option<&Value>,
    known: &Known<'_>,
    read: &mut Vec<&str>,
) {
    read.extend(["NetworkMode", "PortBindings", "PublishAllPorts", "Dns", "DnsOptions", "DnsSearch"]);
    read.extend(["ExtraHosts", "Links"]);
    // "/db:/web/alias"
    let links = texts(host.get("Links")).into_iter().filter_map(|link| {
        let (other, alias) = link.split_once(':')?;
        Some(format!("{}:{}", other.trim_start_matches('/'), alias.rsplit('/').next()?))
    });
    let links: Vec<String> = links.collect();
    let mode = text(host, "NetworkMode").unwrap_or("default");
    networks(recipe, (document, config), (mode, &links), known);
    ports(recipe, config, host, exposed_by_image);
    if is_true(host, "PublishAllPorts") {
        recipe.options.push(vec!["--publish-all".to_owned()]);
        recipe.not_in_compose.push("all exposed ports were published (--publish-all)".to_owned());
    }
    recipe.list("--dns", "dns", texts(host.get("Dns")));
    recipe.list("--dns-option", "dns_opt", texts(host.get("DnsOptions")));
    recipe.list("--dns-search", "dns_search", texts(host.get("DnsSearch")));
    recipe.list("--add-host", "extra_hosts", texts(host.get("ExtraHosts")));
    links.iter().for_each(|link| recipe.option("--link", link.clone()));
    if !links.is_empty() {
        recipe.member("external_links", Yaml::list(links));
    }
    if let Some(mac) = text(config, "MacAddress") {
        recipe.both("--mac-address", "mac_address", mac);
    }
}

fn networks(
    recipe: &mut Recipe,
    (document, config): (&Value, &Value),
    (mode, known_links): (&str, &[String]),
    known: &Known<'_>,
) {
    let settings = document.get("NetworkSettings").and_then(|settings| settings.get("Networks"));
    let all: Vec<(&String, &Value)> = settings.and_then(Value::as_object).into_iter().flatten().collect();
    if mode.starts_with("container:") {
        let mode = recipe.other_container(mode, known, "--network");
        recipe.both("--network", "network_mode", mode);
        return;
    }
    if matches!(mode, "host" | "none") {
        recipe.both("--network", "network_mode", mode);
        return;
    }
    let by_default = is_default(mode);
    let mut members = Vec::new();
    let mut found = by_default;
    let several = all.len() > 1;
    for (name, network) in &all {
        let first = is_of_mode(mode, name, network);
        // Docker 28: which network has the default gateway.
        let priority = number(network, "GwPriority");
        found |= first;
        let name = known.network_name(name);
        if first && by_default {
            // Docker since 25 has it here; before, it was in `Config`.
            let mac = text(network, "DesiredMacAddress").filter(|_| text(config, "MacAddress").is_none());
            mac.iter().for_each(|mac| recipe.both("--mac-address", "mac_address", *mac));
            if let Some(priority) = priority {
                recipe.option("--network", format!("name=bridge,gw-priority={priority}"));
                recipe.not_in_compose.push(format!("the network bridge had the gateway priority {priority}"));
            }
            continue;
        }
        recipe.subnets.extend(subnet(network).map(|subnet| (name.to_owned(), subnet)));
        let address = network.get("IPAMConfig").unwrap_or(&Value::Null);
        let (ip, ip6) = (text(address, "IPv4Address"), text(address, "IPv6Address"));
        let own = |alias: &String| {
            let id = document.get("ID").and_then(Value::as_str).unwrap_or_default();
            !id.starts_with(alias.as_str())
        };
        let aliases: Vec<String> = texts(network.get("Aliases")).into_iter().filter(own).collect();
        let mut words: Vec<String> = match first {
            true => vec!["--network".to_owned(), name.to_owned()],
            false => [recipe.program, "network", "connect"].map(str::to_owned).to_vec(),
        };
        let option = |flag: &str, words: &mut Vec<String>, value: &str| {
            words.extend([flag.to_owned(), value.to_owned()]);
        };
        let alias = if first { "--network-alias" } else { "--alias" };
        aliases.iter().for_each(|value| option(alias, &mut words, value));
        ip.iter().for_each(|value| option("--ip", &mut words, value));
        ip6.iter().for_each(|value| option("--ip6", &mut words, value));
        let local = texts(address.get("LinkLocalIPs"));
        local.iter().for_each(|value| option("--link-local-ip", &mut words, value));
        // Those of the first network may be among the container's settings, too.
        let named = |link: &String| !first || !known_links.contains(link);
        let links: Vec<String> = texts(network.get("Links")).into_iter().filter(named).collect();
        links.iter().for_each(|value| option("--link", &mut words, value));
        let mac = text(network, "DesiredMacAddress");
        match mac.filter(|_| text(config, "MacAddress").is_none()) {
            Some(mac) if first => option("--mac-address", &mut words, mac),
            Some(mac) => recipe.not_in_run.push(format!("its address in network {name} was {mac}")),
            None => {}
        }
        let driver_options = entries(network.get("DriverOpts"));
        for (key, value) in &driver_options {
            recipe.not_in_compose.push(format!("option of its network {name}: {key}={value}"));
            if !first {
                option("--driver-opt", &mut words, &format!("{key}={value}"));
            }
        }
        if let (Some(priority), false) = (priority, first) {
            option("--gw-priority", &mut words, &priority.to_string());
        }
        if first && !(driver_options.is_empty() && priority.is_none()) {
            // No flag of its own has them.
            let more = driver_options.iter().map(|(key, value)| format!("driver-opt={key}={value}"));
            let more = more.chain(priority.map(|priority| format!("gw-priority={priority}")));
            let fields = std::iter::once(format!("name={name}")).chain(more);
            words[1] = fields.map(field).collect::<Vec<_>>().join(",");
        }
        if first {
            recipe.options.push(words);
        } else {
            words.extend([name.to_owned(), recipe.name.clone()]);
            recipe.after.push(words);
        }
        // Compose adds the name by itself.
        let aliases: Vec<String> = aliases.into_iter().filter(|alias| *alias != recipe.name).collect();
        let aliases = (!aliases.is_empty()).then(|| Yaml::list(aliases));
        let member = Yaml::map([
            ("aliases", aliases),
            ("ipv4_address", ip.map(Yaml::from)),
            ("ipv6_address", ip6.map(Yaml::from)),
            ("link_local_ips", (!local.is_empty()).then(|| Yaml::list(local))),
            ("mac_address", mac.map(Yaml::from)),
            ("gw_priority", priority.map(|priority| Yaml::Plain(priority.to_string()))),
            // Compose begins with that of the highest priority, else with the first name.
            ("priority", (first && several).then(|| Yaml::Plain("1".to_owned()))),
        ]);
        // Compose refuses a file that makes Docker's own network.
        if name == "bridge" {
            recipe.not_in_compose.push("it was connected to the network bridge, too".to_owned());
            continue;
        }
        let member = if member == Yaml::Map(Vec::new()) { Yaml::Null } else { member };
        members.push((name.to_owned(), member));
        recipe.networks.push(name.to_owned());
    }
    if !found {
        let mode = known.network_name(mode);
        recipe.option("--network", mode);
        members.push((mode.to_owned(), Yaml::Null));
        recipe.networks.push(mode.to_owned());
    }
    match by_default {
        // Without it, Compose would make a network for the project.
        true if members.is_empty() => recipe.member("network_mode", "bridge"),
        true => recipe.not_in_compose.push("it was connected to the network bridge, too".to_owned()),
        false => {}
    }
    if !members.is_empty() {
        recipe.member("networks", Yaml::Map(members));
    }
}

/// A container lists its networks before its first start already (since Docker 1.9). Without the one that it
/// was made for, it was disconnected.
pub(super) fn disconnected(recipe: &mut Recipe, document: &Value, host: &Value, known: &Known<'_>) {
    let mode = text(host, "NetworkMode").filter(|mode| *mode != "host");
    let settings = document.get("NetworkSettings").and_then(|settings| settings.get("Networks"));
    let (Some(mode), Some(networks)) = (mode, settings.and_then(Value::as_object)) else { return };
    if mode.starts_with("container:")
        || networks.iter().any(|(name, network)| is_of_mode(mode, name, network))
    {
        return;
    }
    let name = if is_default(mode) { "bridge" } else { known.network_name(mode) };
    let words = [recipe.program, "network", "disconnect", name, &recipe.name];
    recipe.after.push(words.map(str::to_owned).to_vec());
    recipe.not_in_compose.push(format!("it was disconnected from the network {name}"));
}

fn is_default(mode: &str) -> bool {
    matches!(mode, "default" | "bridge")
}

/// Whether a network is the one that a container was made for.
fn is_of_mode(mode: &str, name: &str, network: &Value) -> bool {
    name == mode || text(network, "NetworkID") == Some(mode) || is_default(mode) && name == "bridge"
}

/// A field of a value with several, as in CSV.
fn field(text: String) -> String {
    if text.contains([',', '"']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

/// The range of a network, from the address that a running container had in it.
fn subnet(network: &Value) -> Option<String> {
    let address = text(network, "IPAddress")?.parse::<Ipv4Addr>().ok()?;
    let length = network.get("IPPrefixLen").and_then(Value::as_u64).filter(|length| *length <= 32)?;
    let mask = u32::MAX.checked_shl(32 - u32::try_from(length).ok()?).unwrap_or(0);
    Some(format!("{}/{length}", Ipv4Addr::from(u32::from(address) & mask)))
}

fn ports(recipe: &mut Recipe, config: &Value, host: &Value, exposed_by_image: Option<&Value>) {
    let bindings = host.get("PortBindings").and_then(Value::as_object);
    let mut published = Vec::new();
    for (port, bindings) in bindings.into_iter().flatten() {
        for binding in bindings.as_array().into_iter().flatten() {
            let host = text(binding, "HostPort");
            let ip = text(binding, "HostIp").map(|ip| match ip.contains(':') {
                true => format!("[{ip}]"),
                false => ip.to_owned(),
            });
            published.push(match (ip, host) {
                (None, None) => port.clone(),
                (None, Some(host)) => format!("{host}:{port}"),
                (Some(ip), host) => format!("{ip}:{}:{port}", host.unwrap_or_default()),
            });
        }
    }
    recipe.list("--publish", "ports", published);
    let exposed = config.get("ExposedPorts").and_then(Value::as_object);
    let known = |port: &&String| {
        exposed_by_image.is_some_and(|of_image| of_image.get(port.as_str()).is_some())
            || bindings.is_some_and(|bindings| bindings.contains_key(*port))
    };
    let exposed = exposed.into_iter().flatten().map(|(port, _)| port).filter(|port| !known(port));
    recipe.list("--expose", "expose", exposed.cloned().collect());
}
