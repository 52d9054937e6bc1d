//! How a container was run, as a command line or a compose file that makes it again.
//!
//! ```text
//! docker     `Config` and `HostConfig` of Docker   ─┐
//! podman     the config in Podman's database       ─┴─> Recipe ─┬─> run      docker run …, podman run …
//!                                                               └─> compose  a compose file
//! ```
//!
//! What the image sets itself is left out, if the image is still there to compare with. What cannot be
//! expressed is a comment.

mod compose;
mod docker;
mod needs;
mod podman;
mod recipe;
mod run;
mod values;
mod yaml;

use layerlift_store::{Container, ContainerRecord};
use serde_json::Value;

use values::short;

use crate::runtime_spec::as_config;
pub use compose::compose;
pub use recipe::{Known, Recipe};

/// What JSON has in place of bytes that are not UTF-8, as it is and as Go writes it.
const REPLACED: [&str; 2] = ["\u{fffd}", "\\ufffd"];

/// Reads how a container was run from its engine's records.
pub fn recipe(container: &Container, known: &Known<'_>) -> Recipe {
    let label = |what: &str| container.labels.get(&format!("com.docker.compose.{what}")).cloned();
    let mut recipe = Recipe {
        program: "docker",
        name: container.names.first().map_or_else(|| short(container.key.id()), Clone::clone),
        image: container.image.clone().or_else(|| container.image_id.clone()).unwrap_or_default(),
        general: Vec::new(),
        options: Vec::new(),
        arguments: Vec::new(),
        after: Vec::new(),
        recorded: None,
        service: Vec::new(),
        volumes: Vec::new(),
        networks: Vec::new(),
        subnets: Vec::new(),
        needed_networks: Vec::new(),
        needed_volumes: Vec::new(),
        comments: Vec::new(),
        not_in_compose: Vec::new(),
        not_in_run: Vec::new(),
        project: label("project"),
        service_name: label("service"),
        depends_on: label("depends_on"),
        is_named_by_compose: false,
    };
    if let (Some(project), Some(service)) = (&recipe.project, &recipe.service_name) {
        // `shop-web-1`, and with Compose 1 `shop_web_1`.
        let rest = recipe.name.strip_prefix(project.as_str());
        let rest = rest.and_then(|rest| rest.strip_prefix(['-', '_'])?.strip_prefix(service.as_str()));
        let number = rest.and_then(|rest| rest.strip_prefix(['-', '_']));
        recipe.is_named_by_compose = number.is_some_and(|number| number.parse::<u32>().is_ok());
    }
    let mut replaced = false;
    let mut value = |raw: &[u8]| match serde_json::from_slice::<Value>(raw) {
        Ok(value) => {
            let text = String::from_utf8_lossy(raw);
            replaced |= REPLACED.iter().any(|mark| text.contains(mark));
            value
        }
        // Bytes that are not UTF-8.
        Err(_) => {
            replaced = true;
            serde_json::from_str(&String::from_utf8_lossy(raw)).unwrap_or_default()
        }
    };
    match &container.record {
        ContainerRecord::Docker { config, host_config } => {
            let (config, host) = (value(config), host_config.as_deref().map(value));
            docker::read(&mut recipe, container, &config, host.as_ref(), known);
        }
        ContainerRecord::Podman { config, networks, .. } => {
            podman::read(&mut recipe, container, &value(config), networks, known);
        }
        ContainerRecord::Storage { runtime: Some(runtime), lacks, .. } => {
            let config = as_config(runtime, known.image, container.key.id());
            podman::read(&mut recipe, container, &config, &[], known);
            let file = lacks.as_ref().map_or("the engine's record".into(), |path| path.display().to_string());
            recipe.comment(format!(
                "{file} does not have how it was run; these options are those of its last start, and \
                 ports, networks, labels, pod, secrets, health check and restart policy are not known"
            ));
        }
        ContainerRecord::Storage { lacks, .. } => {
            recipe.program = "podman";
            recipe.comment(match lacks {
                Some(path) => format!(
                    "{} does not have how it was run; only its name and its image are known",
                    path.display()
                ),
                None => "how it was run is not recorded; only its name and its image are known".to_owned(),
            });
            recipe.option("--name", recipe.name.clone());
        }
        _ => recipe.comment("how it was run is not known"),
    }
    recipe.needs(known);
    if replaced {
        let text = "where a text has the character U+FFFD, it had bytes that are not UTF-8, which are lost";
        recipe.comment(text);
    }
    for error in container.faults() {
        recipe.comment(format!("{error}; what was only there is missing here"));
    }
    if recipe.image.is_empty() {
        recipe.image = "IMAGE".to_owned();
        recipe.comment("its image is not recorded: put the name in place of IMAGE");
    } else if !container.image_present {
        recipe.comment(format!(
            "its image was removed from the store: {}",
            container.image_id.as_deref().unwrap_or("it was not recorded")
        ));
    }
    recipe
}
