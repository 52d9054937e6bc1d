//! `network/files/local-kv.db`: Docker's networks.
//!
//! ```text
//! bucket libnetwork
//!   docker/network/v1.0/network/<id>/     8 bytes (a counter), then JSON:
//!       {"name":"shop","networkType":"bridge","ipamV4Config":"[{\"PreferredPool\":\"10.77.0.0/16\"}]", …}
//!   docker/network/v1.0/bridge/<id>/, …   what drivers keep; not read
//! ```
//!
//! A text in the JSON has the ranges of addresses that were asked for, again as JSON (`ipamV4Info`, what the
//! engine chose). Networks of a swarm are in its managers' records. The file has been there since Docker 1.9.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::containers::parse;
use crate::bolt::{Bucket, Database, Entry};
use crate::{AddressRange, Error, Network, NetworkListing, Root};

const DATABASE: &str = "network/files/local-kv.db";
const BUCKET: &[u8] = b"libnetwork";
const NETWORK: &[u8] = b"docker/network/v1.0/network/";
/// Bytes before the JSON.
const COUNTER: usize = 8;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Record {
    id: Option<String>,
    name: Option<String>,
    network_type: Option<String>,
    attachable: Option<bool>,
    internal: Option<bool>,
    #[serde(rename = "enableIPv4")]
    enable_ipv4: Option<bool>,
    #[serde(rename = "enableIPv6")]
    enable_ipv6: Option<bool>,
    labels: Option<BTreeMap<String, String>>,
    generic: Option<Generic>,
    ipam_type: Option<String>,
    ipam_options: Option<BTreeMap<String, String>>,
    #[serde(rename = "ipamV4Config")]
    ipam_v4: Option<String>,
    #[serde(rename = "ipamV6Config")]
    ipam_v6: Option<String>,
    config_from: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Generic {
    #[serde(rename = "com.docker.network.generic")]
    options: Option<BTreeMap<String, serde_json::Value>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Range {
    preferred_pool: Option<String>,
    sub_pool: Option<String>,
    gateway: Option<String>,
    aux_addresses: Option<BTreeMap<String, String>>,
}

/// Reads the networks of a data root. A record that cannot be read hides no other.
pub(crate) fn read(data: &Root) -> Result<NetworkListing, Error> {
    let mut listing = NetworkListing::default();
    if !data.exists(DATABASE)? {
        return Ok(listing);
    }
    let mut lose = |error: Error| listing.lost.push(error.within("settings of networks"));
    let database = match Database::open(data, Path::new(DATABASE)) {
        Ok(database) => database,
        Err(error) => {
            lose(error);
            return Ok(listing);
        }
    };
    let bucket = database.root().bucket(BUCKET).unwrap_or_else(|error| {
        lose(error);
        None
    });
    for entry in bucket.iter().flat_map(Bucket::entries) {
        let (key, value) = match entry {
            Ok(Entry::Value { key, value }) => (key, value),
            Ok(Entry::Bucket { .. }) => continue,
            Err(error) => {
                lose(error);
                continue;
            }
        };
        let Some(id) = key.strip_prefix(NETWORK) else { continue };
        match network(value.get(COUNTER..).unwrap_or_default()) {
            Ok(network) => listing.networks.extend(network),
            Err(why) => {
                let id = String::from_utf8_lossy(id);
                let why = format!("network {}: {why}", id.trim_end_matches('/'));
                lose(Error::malformed(data.join(DATABASE), why));
            }
        }
    }
    listing.networks.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(listing)
}

/// A network from its record; `None` if Docker always has it.
fn network(json: &[u8]) -> Result<Option<Network>, String> {
    let record: Record = parse(json)?;
    let name = record.name.unwrap_or_default();
    if name.is_empty() || matches!(&*name, "bridge" | "host" | "none" | "docker_gwbridge") {
        return Ok(None);
    }
    let given = |text: Option<String>| text.filter(|text| !text.is_empty());
    let mut ranges = Vec::new();
    for text in [given(record.ipam_v4), given(record.ipam_v6)].into_iter().flatten() {
        let found: Option<Vec<Range>> =
            serde_json::from_str(&text).map_err(|error| format!("its address ranges: {error}"))?;
        ranges.extend(found.into_iter().flatten().map(|range| AddressRange {
            subnet: given(range.preferred_pool),
            ip_range: given(range.sub_pool),
            gateway: given(range.gateway),
            others: range.aux_addresses.unwrap_or_default(),
        }));
    }
    ranges.retain(|range| *range != AddressRange::default());
    let options = record.generic.and_then(|generic| generic.options).unwrap_or_default();
    let text = |(key, value): (String, serde_json::Value)| match value {
        serde_json::Value::String(value) => (key, value),
        value => (key, value.to_string()),
    };
    Ok(Some(Network {
        id: record.id.unwrap_or_default(),
        name,
        driver: given(record.network_type).unwrap_or_else(|| "bridge".to_owned()),
        options: options.into_iter().map(text).collect(),
        labels: record.labels.unwrap_or_default(),
        internal: record.internal.unwrap_or_default(),
        attachable: record.attachable.unwrap_or_default(),
        ipv4: record.enable_ipv4.unwrap_or(true),
        ipv6: record.enable_ipv6.unwrap_or_default(),
        ipam_driver: given(record.ipam_type).filter(|driver| driver != "default"),
        ipam_options: record.ipam_options.unwrap_or_default(),
        ranges,
        config_from: given(record.config_from),
    }))
}
