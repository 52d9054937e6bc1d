//! The program as its users run it, on stores that real engines wrote.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail as tests do")]

mod again;
mod checks;
mod collisions;
mod committed;
mod composed;
mod conformance;
mod containerd;
mod containers;
mod determinism;
mod divided;
mod failures;
mod finding;
mod guides;
mod help;
mod large;
mod listing;
mod odd_outputs;
mod orphans;
mod outputs;
mod partial;
mod platforms;
mod podman_lost;
mod program;
mod refused;
mod rootfs;
mod salvage;
mod store;
mod system_calls;
mod volumes;
