//! What a recipe has, and how a setting gets into both of its forms.

use serde_json::Value;

use super::yaml::Yaml;

/// How to make a container again.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// `docker` or `podman`.
    pub(super) program: &'static str,
    pub(super) name: String,
    pub(super) image: String,
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
}

impl Recipe {
    pub(super) fn comment(&mut self, text: impl Into<String>) {
        self.comments.push(text.into());
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
                Some((program, more)) => {
                    self.option("--entrypoint", program.clone());
                    self.arguments.extend_from_slice(more);
                    if !more.is_empty() {
                        let text = "on a command line, the first word of its entrypoint is one, and the \
                                    others are arguments";
                        self.not_in_run.push(text.to_owned());
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

    pub(super) fn volume(&mut self, name: &str) {
        if !self.volumes.iter().any(|known| known == name) {
            self.volumes.push(name.to_owned());
        }
    }
}
