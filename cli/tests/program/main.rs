//! The program as its users run it, on stores that real engines wrote.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail as tests do")]

mod action;
mod again;
mod checks;
mod collisions;
mod committed;
mod completed;
mod composed;
mod conformance;
mod containerd;
mod containers;
mod determinism;
mod divided;
mod documented;
mod failures;
mod files;
mod finding;
mod flattened;
mod guides;
mod habits;
mod help;
mod ids;
mod large;
mod links;
mod listing;
mod networks;
mod odd_outputs;
mod orphans;
mod outputs;
mod partial;
mod platforms;
mod podman_api;
mod podman_lost;
mod program;
#[cfg(feature = "registry")]
mod proxied;
#[cfg(feature = "registry")]
mod push;
mod refused;
mod rootfs;
mod salvage;
mod schema;
#[cfg(feature = "registry")]
#[expect(dead_code, reason = "the tests of the library make it misbehave in more ways")]
#[path = "../../../export/tests/registry/server.rs"]
mod server;
mod shared;
mod store;
mod system_calls;
mod unreadable;
mod unrecorded;
mod volumes;
