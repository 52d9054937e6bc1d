//! What a recipe has, and how a setting gets into both of its forms.

use layerlift_store::{Network, Volume};
use serde_json::Value;

use super::needs::{NeededNetwork, NeededVolume};
use super::yaml::Yaml;

/// How to make a container again.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// `docker` or `podman`.
    pub(super) program: &'static str,
    pub(super) name: String,
    pub(super) image: String,
    /// Options of the program, which come before `run`.
    pub(super) general: Vec<String>,
    /// Options, each with its value.
    pub(super) options: Vec<Vec<String>>,
    /// What follows the image.
    pub(super) arguments: Vec<String>,
    /// Commands that follow.
    pub(super) after: Vec<Vec<String>>,
    /// The whole command line, where the engine has recorded it.
    pub(super) recorded: Option<Vec<String>>,
    /// The service in a compose file.
    pub(super) service: Vec<(String, Yaml)>,
    /// Named volumes and networks that it needs.
    pub(super) volumes: Vec<String>,
    pub(super) networks: Vec<String>,
    /// The address ranges of networks in which it had an address.
    pub(super) subnets: Vec<(String, String)>,
    /// How these volumes and networks were made.
    pub(super) needed_networks: Vec<NeededNetwork>,
    pub(super) needed_volumes: Vec<NeededVolume>,
    /// What neither form can express.
    pub(super) comments: Vec<String>,
    /// What only one form cannot express.
    pub(super) not_in_compose: Vec<String>,
    pub(super) not_in_run: Vec<String>,
    pub(super) project: Option<String>,
    pub(super) service_name: Option<String>,
    /// The services on which Compose made it depend: `db:service_healthy:false,cache:service_started:true`.
    pub(super) depends_on: Option<String>,
    /// Whether Compose chose its name.
    pub(super) is_named_by_compose: bool,
}

/// What is known apart from the container's own record.
pub struct Known<'a> {
    /// The `config` of its image, if the image is still there.
    pub image: Option<&'a Value>,
    /// Names of containers by their ids.
    pub name_of: &'a dyn Fn(&str) -> Option<String>,
    /// The networks and the volumes of its store.
    pub networks: &'a [Network],
    /// The same.
    pub volumes: &'a [Volume],
}

impl Known<'_> {
    /// The name of a network that may have been given by its id, or the beginning of it.
    pub(super) fn network_name<'n>(&'n self, given: &'n str) -> &'n str {
        let by_name = || self.networks.iter().any(|network| network.name == given);
        let is_id = given.len() >= 12 && given.bytes().all(|byte| byte.is_ascii_hexdigit());
        let mut by_id = self.networks.iter().filter(|network| is_id && network.id.starts_with(given));
        match by_id.next() {
            Some(network) if !by_name() && by_id.next().is_none() => &network.name,
            _ => given,
        }
    }
}

impl Recipe {
    /// Whether it needs a network of Docker that is not on record.
    pub fn lacks_networks(&self) -> bool {
        self.program == "docker" && self.needed_networks.iter().any(|network| network.made.is_none())
    }

    /// Whether it needs a volume of Docker of which nothing but the name may be known.
    pub fn lacks_volumes(&self) -> bool {
        let is_known = |volume: &Volume| !volume.labels.is_empty() || !volume.options.is_empty();
        let lacks = |volume: &NeededVolume| !volume.made.as_ref().is_some_and(is_known);
        self.program == "docker" && self.needed_volumes.iter().any(lacks)
    }

    /// Says in both forms what is not known of its networks or volumes.
    pub fn lacks(&mut self, why: &str) {
        self.comment(format!("{why}; what was only there is missing here"));
    }

    pub(super) fn comment(&mut self, text: impl Into<String>) {
        self.comments.push(text.into());
    }

    /// Says how an option differs from what was recorded; a recorded command line has no such options.
    pub(super) fn approximates(&mut self, how: &str) {
        if self.recorded.is_none() {
            self.not_in_run.push(how.to_owned());
        }
    }

    /// A value `container:<id>`, with the name of the container in place of its id. Other values stay.
    pub(super) fn other_container(&mut self, value: &str, known: &Known<'_>, flag: &str) -> String {
        let Some(id) = value.strip_prefix("container:") else { return value.to_owned() };
        match (known.name_of)(id) {
            Some(name) => format!("container:{name}"),
            None => {
                self.comment(format!("container {id} is not in the store: {flag} has to name another"));
                value.to_owned()
            }
        }
    }

    /// An option of the command line alone.
    pub(super) fn option(&mut self, flag: &str, value: impl Into<String>) {
        self.options.push(vec![flag.to_owned(), value.into()]);
    }

    /// A member of the service alone.
    pub(super) fn member(&mut self, key: &str, value: impl Into<Yaml>) {
        self.service.push((key.to_owned(), value.into()));
    }

    /// An option that has a member of the same value.
    pub(super) fn both(&mut self, flag: &str, key: &str, value: impl Into<String>) {
        let value = value.into();
        self.option(flag, value.clone());
        self.member(key, value);
    }

    /// An option without a value, and a member that is true.
    pub(super) fn flag(&mut self, flag: &str, key: &str) {
        self.options.push(vec![flag.to_owned()]);
        self.member(key, Yaml::Plain("true".to_owned()));
    }

    /// An option for each value, and a member with all of them.
    pub(super) fn list(&mut self, flag: &str, key: &str, values: Vec<String>) {
        if values.is_empty() {
            return;
        }
        values.iter().for_each(|value| self.option(flag, value.clone()));
        self.member(key, Yaml::list(values));
    }

    /// `KEY=VALUE` for each entry, and a member with all of them.
    pub(super) fn map(&mut self, flag: &str, key: &str, entries: Vec<(String, String)>) {
        if entries.is_empty() {
            return;
        }
        entries.iter().for_each(|(key, value)| self.option(flag, format!("{key}={value}")));
        let entries = entries.into_iter().map(|(key, value)| (key, Yaml::Text(value)));
        self.member(key, Yaml::Map(entries.collect()));
    }

    /// The program and its arguments, where they differ from those of the image.
    pub(super) fn command(
        &mut self,
        entrypoint: &[String],
        command: &[String],
        of_image: [Option<Vec<String>>; 2],
    ) {
        let [image_entrypoint, image_command] = of_image;
        let same = |ours: &[String], of_image: &Option<Vec<String>>| of_image.as_deref() == Some(ours);
        // An entrypoint that is given takes away the command of the image.
        let taken = command.is_empty() && image_command.as_ref().is_some_and(|command| !command.is_empty());
        let keeps = !taken
            && (same(entrypoint, &image_entrypoint) || entrypoint.is_empty() && image_entrypoint.is_none());
        if !keeps {
            match entrypoint.split_first() {
                Some((_, more)) if self.program == "podman" && !more.is_empty() => {
                    self.option("--entrypoint", Value::from(entrypoint.to_vec()).to_string());
                }
                Some((program, more)) => {
                    self.option("--entrypoint", program.clone());
                    self.arguments.extend_from_slice(more);
                    if !more.is_empty() {
                        let text = "on a command line, the first word of its entrypoint is one, and the \
                                    others are arguments";
                        self.approximates(text);
                    }
                }
                None => self.option("--entrypoint", ""),
            }
            self.member("entrypoint", Yaml::list(entrypoint.to_vec()));
        }
        if !(keeps && same(command, &image_command)) {
            self.arguments.extend_from_slice(command);
            if !command.is_empty() {
                self.member("command", Yaml::list(command.to_vec()));
            }
        }
    }

    /// Finds out how the networks and volumes were made that it needs.
    pub(super) fn needs(&mut self, known: &Known<'_>) {
        let network = |name: &String| NeededNetwork {
            name: name.clone(),
            made: known.networks.iter().find(|network| network.name == *name).cloned(),
            subnet: self.subnets.iter().find(|(of, _)| of == name).map(|(_, subnet)| subnet.clone()),
        };
        self.needed_networks = self.networks.iter().map(network).collect();
        let volume = |name: &String| NeededVolume {
            name: name.clone(),
            made: known.volumes.iter().find(|volume| volume.name == *name).cloned(),
        };
        self.needed_volumes = self.volumes.iter().map(volume).collect();
        let made = self.needed_networks.iter().filter_map(|network| network.made.as_ref());
        for (network, from) in made.filter_map(|made| Some((&made.name, made.config_from.as_ref()?))) {
            let text = format!("network {network} had the settings of network {from} (--config-from)");
            self.not_in_compose.push(text);
        }
        let unknown = self.needed_networks.iter().filter(|network| network.made.is_none());
        let unknown: Vec<&str> = unknown.map(|network| &*network.name).collect();
        if self.program == "docker" && !unknown.is_empty() {
            let names = unknown.join(", ");
            self.comment(match unknown.len() {
                1 => format!("how network {names} was made is not on record"),
                _ => format!("how networks {names} were made is not on record"),
            });
        }
        if self.program == "docker" && !self.networks.is_empty() {
            let lines =
                self.needed_networks.iter().map(|network| format!("\n{}", network.create(self.program)));
            let text = format!("its networks have to be there:{}", lines.collect::<String>());
            self.not_in_run.push(text);
        }
        let lines = self.needed_volumes.iter().filter_map(|volume| volume.create(self.program));
        let lines: Vec<String> = lines.map(|line| format!("\n{line}")).collect();
        if !lines.is_empty() {
            self.not_in_run.push(format!("its volumes were made so:{}", lines.concat()));
        }
    }

    pub(super) fn volume(&mut self, name: &str) {
        if !self.volumes.iter().any(|known| known == name) {
            self.volumes.push(name.to_owned());
        }
    }
}
