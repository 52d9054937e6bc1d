//! Networks and volumes that have to be there before a container: the commands that make them, and what a
//! compose file says of them.

use layerlift_store::{AddressRange, Network, Volume};

use super::run::quoted;
use super::yaml::Yaml;

/// A network that a container needs.
#[derive(Debug, Clone)]
pub(super) struct NeededNetwork {
    pub(super) name: String,
    /// How it was made, if that is known.
    pub(super) made: Option<Network>,
    /// Else the range in which the container had an address.
    pub(super) subnet: Option<String>,
}

impl NeededNetwork {
    /// The command that makes it.
    pub(super) fn create(&self, program: &str) -> String {
        let mut words = [program, "network", "create"].map(str::to_owned).to_vec();
        let mut option = |flag: &str, value: &str| words.extend([flag.to_owned(), value.to_owned()]);
        match &self.made {
            None => self.subnet.iter().for_each(|subnet| option("--subnet", subnet)),
            Some(made) => {
                if made.driver != "bridge" {
                    option("--driver", &made.driver);
                }
                made.config_from.iter().for_each(|from| option("--config-from", from));
                made.options.iter().for_each(|(key, value)| option("--opt", &format!("{key}={value}")));
                made.ipam_driver.iter().for_each(|driver| option("--ipam-driver", driver));
                let of_ipam = made.ipam_options.iter();
                of_ipam.for_each(|(key, value)| option("--ipam-opt", &format!("{key}={value}")));
                for AddressRange { subnet, ip_range, gateway, others, .. } in &made.ranges {
                    subnet.iter().for_each(|subnet| option("--subnet", subnet));
                    ip_range.iter().for_each(|range| option("--ip-range", range));
                    gateway.iter().for_each(|gateway| option("--gateway", gateway));
                    others.iter().for_each(|(key, value)| option("--aux-address", &format!("{key}={value}")));
                }
                made.labels.iter().for_each(|(key, value)| option("--label", &format!("{key}={value}")));
                for (flag, is_set) in [
                    ("--ipv4=false", !made.ipv4),
                    ("--ipv6", made.ipv6),
                    ("--internal", made.internal),
                    ("--attachable", made.attachable),
                ] {
                    words.extend(is_set.then(|| flag.to_owned()));
                }
            }
        }
        words.push(self.name.clone());
        line(&words)
    }

    /// Its entry in a compose file.
    pub(super) fn member(&self) -> Yaml {
        let name = Some(Yaml::Text(self.name.clone()));
        let Some(made) = &self.made else {
            let range = self.subnet.as_deref().map(|subnet| Yaml::map([("subnet", Some(subnet.into()))]));
            let ipam = range.map(|range| Yaml::map([("config", Some(Yaml::List(vec![range])))]));
            return Yaml::map([("name", name), ("ipam", ipam)]);
        };
        let yes = |is_set: bool| is_set.then(|| Yaml::Plain("true".to_owned()));
        let text = |text: &Option<String>| text.clone().map(Yaml::Text);
        let range = |range: &AddressRange| {
            Yaml::map([
                ("subnet", text(&range.subnet)),
                ("ip_range", text(&range.ip_range)),
                ("gateway", text(&range.gateway)),
                ("aux_addresses", texts(range.others.iter())),
            ])
        };
        let ranges: Vec<Yaml> = made.ranges.iter().map(range).collect();
        let ipam = Yaml::map([
            ("driver", text(&made.ipam_driver)),
            ("config", (!ranges.is_empty()).then_some(Yaml::List(ranges))),
            ("options", texts(made.ipam_options.iter())),
        ]);
        Yaml::map([
            ("name", name),
            ("driver", (made.driver != "bridge").then(|| Yaml::Text(made.driver.clone()))),
            ("driver_opts", texts(made.options.iter())),
            ("ipam", Some(ipam).filter(|ipam| *ipam != Yaml::Map(Vec::new()))),
            ("enable_ipv4", (!made.ipv4).then(|| Yaml::Plain("false".to_owned()))),
            ("enable_ipv6", yes(made.ipv6)),
            ("internal", yes(made.internal)),
            ("attachable", yes(made.attachable)),
            ("labels", texts(made.labels.iter().filter(|(key, _)| !is_of_compose(key)))),
        ])
    }
}

/// A volume with a name that a container needs.
#[derive(Debug, Clone)]
pub(super) struct NeededVolume {
    pub(super) name: String,
    pub(super) made: Option<Volume>,
}

impl NeededVolume {
    /// The command that makes it, unless `run` makes the same.
    pub(super) fn create(&self, program: &str) -> Option<String> {
        let made = self.made.as_ref()?;
        let mut words = [program, "volume", "create"].map(str::to_owned).to_vec();
        let mut option = |flag: &str, value: &str| words.extend([flag.to_owned(), value.to_owned()]);
        if made.driver != "local" {
            option("--driver", &made.driver);
        }
        made.options.iter().for_each(|(key, value)| option("--opt", &format!("{key}={value}")));
        made.labels.iter().for_each(|(key, value)| option("--label", &format!("{key}={value}")));
        let is_plain = words.len() == 3;
        words.push(self.name.clone());
        (!is_plain).then(|| line(&words))
    }

    /// Its entry in a compose file.
    pub(super) fn member(&self) -> Yaml {
        let name = Some(Yaml::Text(self.name.clone()));
        let Some(made) = &self.made else { return Yaml::map([("name", name)]) };
        Yaml::map([
            ("name", name),
            ("driver", (made.driver != "local").then(|| Yaml::Text(made.driver.clone()))),
            ("driver_opts", texts(made.options.iter())),
            ("labels", texts(made.labels.iter().filter(|(key, _)| !is_of_compose(key)))),
        ])
    }
}

/// Compose sets its labels itself.
fn is_of_compose(label: &str) -> bool {
    label.starts_with("com.docker.compose.")
}

fn texts<'t>(entries: impl Iterator<Item = (&'t String, &'t String)>) -> Option<Yaml> {
    let entries: Vec<_> = entries.map(|(key, value)| (key.clone(), Yaml::Text(value.clone()))).collect();
    (!entries.is_empty()).then_some(Yaml::Map(entries))
}

fn line(words: &[String]) -> String {
    words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
}
