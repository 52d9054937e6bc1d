//! `hostconfig.json`: how a container was attached to its host.
//!
//! ```text
//! {"PortBindings":{"80/tcp":[{"HostIp":"","HostPort":"8080"}]},
//!  "RestartPolicy":{"Name":"on-failure","MaximumRetryCount":3}, …}
//! ```

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::Port;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Host {
    port_bindings: Option<BTreeMap<String, Option<Vec<Binding>>>>,
    restart_policy: Option<RestartPolicy>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[derive(Default)]
struct Binding {
    host_ip: String,
    host_port: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct RestartPolicy {
    name: String,
    maximum_retry_count: i64,
}

impl Host {
    /// As on a command line; `None` if the document was cut before it.
    pub(super) fn restart_policy(&self) -> Option<String> {
        self.restart_policy.as_ref().map(|policy| match policy {
            RestartPolicy { name, maximum_retry_count: count @ 1.. } => format!("{name}:{count}"),
            RestartPolicy { name, .. } if !name.is_empty() => name.clone(),
            _ => "no".to_owned(),
        })
    }
}

/// Ports that are published, and those that are only exposed. One that cannot be understood is left out
/// here; the record has it.
pub(super) fn ports(host: Option<&Host>, exposed: &Option<BTreeMap<String, IgnoredAny>>) -> Vec<Port> {
    let mut ports = Vec::new();
    let bindings = host.and_then(|host| host.port_bindings.as_ref());
    for (port, bindings) in bindings.into_iter().flatten() {
        let Some(port) = Port::exposed(port) else { continue };
        let given = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        ports.extend(bindings.iter().flatten().map(|binding| Port {
            host_ip: given(&binding.host_ip),
            host: given(&binding.host_port),
            published: true,
            ..port.clone()
        }));
    }
    let exposed = exposed.iter().flatten().filter_map(|(port, _)| Port::exposed(port));
    let exposed = exposed.filter(|port| {
        let same = |known: &Port| known.container == port.container && known.protocol == port.protocol;
        !ports.iter().any(same)
    });
    let exposed: Vec<Port> = exposed.collect();
    ports.extend(exposed);
    ports.sort_by(|a, b| (a.container, &a.protocol).cmp(&(b.container, &b.protocol)));
    ports
}
