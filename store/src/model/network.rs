//! Networks: how each was made.

use std::collections::BTreeMap;

use crate::Error;

/// What [`crate::Containers::networks`] found.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct NetworkListing {
    /// By name.
    pub networks: Vec<Network>,
    /// What the store had on record and has no longer.
    pub lost: Vec<Error>,
}

/// A network that somebody made: not one of those that the engine always has.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Network {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// `bridge`, `macvlan`, or the name of a plugin.
    pub driver: String,
    /// Options of the driver.
    pub options: BTreeMap<String, String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Whether it has no way out.
    pub internal: bool,
    /// Whether containers may join that are not services of a swarm.
    pub attachable: bool,
    /// Whether it has IPv4, which can be switched off since Docker 28.
    pub ipv4: bool,
    /// Whether it has IPv6.
    pub ipv6: bool,
    /// What chooses its addresses, if not the engine.
    pub ipam_driver: Option<String>,
    /// Options of that.
    pub ipam_options: BTreeMap<String, String>,
    /// The ranges of addresses that were asked for. The engine chooses one if there is none.
    pub ranges: Vec<AddressRange>,
    /// The network whose settings it has.
    pub config_from: Option<String>,
}

/// A range of addresses of a network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AddressRange {
    /// `10.77.0.0/16`
    pub subnet: Option<String>,
    /// The part of it from which containers get addresses.
    pub ip_range: Option<String>,
    /// The address of the gateway.
    pub gateway: Option<String>,
    /// Addresses that others have, by their names.
    pub others: BTreeMap<String, String>,
}
