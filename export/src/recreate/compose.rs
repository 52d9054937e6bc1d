//! The compose file.

use std::collections::{BTreeMap, BTreeSet};

use super::recipe::Recipe;
use super::run;
use super::yaml::Yaml;

/// A compose file with a service for each container.
pub fn compose(recipes: &[Recipe]) -> String {
    let mut text = String::new();
    let keys = keys(recipes);
    let mut names = BTreeMap::new();
    let mut services = Vec::new();
    for (recipe, key) in recipes.iter().zip(&keys) {
        names.entry(recipe.name.as_str()).or_insert(key.as_str());
    }
    let others = Others { by_name: names, keys: &keys };
    for (recipe, key) in recipes.iter().zip(&keys) {
        // Compose gives names of its own to the containers that it makes, and numbers them.
        let named = !recipe.is_named_by_compose;
        let first = !named || others.by_name.get(recipe.name.as_str()) == Some(&key.as_str());
        if !first {
            let comment = format!(
                "{}: another container has this name; this one is service {key}, without a container_name",
                recipe.name
            );
            text.push_str(&run::comment_lines(&comment));
        }
        let (service, unknown) = recipe.service((named && first).then_some(&recipe.name), &others);
        services.push((key.clone(), service));
        for comment in recipe.comments.iter().chain(&recipe.not_in_compose).chain(&unknown) {
            text.push_str(&run::comment_lines(&format!("{}: {comment}", recipe.name)));
        }
    }
    let mut document = Vec::new();
    let projects: BTreeSet<&String> = recipes.iter().filter_map(|recipe| recipe.project.as_ref()).collect();
    if let (1, Some(project)) = (projects.len(), projects.first()) {
        document.push(("name".to_owned(), Yaml::Text((*project).clone())));
    }
    document.push(("services".to_owned(), Yaml::Map(services)));
    // Without `name` in them, compose prefixes the name of the project.
    let networks = recipes.iter().flat_map(|recipe| &recipe.needed_networks);
    let volumes = recipes.iter().flat_map(|recipe| &recipe.needed_volumes);
    for (key, needed) in [
        ("networks", of_each(networks.map(|network| (&network.name, network.member())))),
        ("volumes", of_each(volumes.map(|volume| (&volume.name, volume.member())))),
    ] {
        if !needed.is_empty() {
            let needed = needed.into_iter().map(|(name, member)| (name.clone(), member));
            document.push((key.to_owned(), Yaml::Map(needed.collect())));
        }
    }
    let mut yaml = String::new();
    Yaml::Map(document).write(0, &mut yaml);
    text.push_str(yaml.trim_start());
    text
}

/// What is needed, by name. If several containers need it, the one that says most of it counts.
fn of_each<'r>(all: impl Iterator<Item = (&'r String, Yaml)>) -> BTreeMap<&'r String, Yaml> {
    let size = |member: &Yaml| if let Yaml::Map(entries) = member { entries.len() } else { 0 };
    let mut needed: BTreeMap<&String, Yaml> = BTreeMap::new();
    for (name, member) in all {
        match needed.get(name) {
            Some(known) if size(known) >= size(&member) => {}
            _ => drop(needed.insert(name, member)),
        }
    }
    needed
}

/// A key for each service. Several containers may have one name, in a damaged store or in several.
fn keys(recipes: &[Recipe]) -> Vec<String> {
    let mut taken = BTreeSet::new();
    let mut keys = Vec::with_capacity(recipes.len());
    for recipe in recipes {
        let wanted = recipe.service_name.as_deref().unwrap_or(&recipe.name);
        let numbered = (2_usize..).map(|number| format!("{}-{number}", recipe.name));
        let mut names = [wanted, &recipe.name].into_iter().map(str::to_owned).chain(numbered);
        let key = names.find(|name| taken.insert(name.clone())).unwrap_or_default();
        keys.push(key);
    }
    keys
}

/// The services of the file.
struct Others<'a> {
    /// The key of each, by the name of its container.
    by_name: BTreeMap<&'a str, &'a str>,
    keys: &'a [String],
}

impl Recipe {
    /// The service, and what it refers to in vain. A member that several settings contribute to is written
    /// once.
    fn service(&self, container_name: Option<&String>, others: &Others<'_>) -> (Yaml, Vec<String>) {
        let mut members = vec![("image".to_owned(), Yaml::Text(self.image.clone()))];
        members.extend(container_name.map(|name| ("container_name".to_owned(), Yaml::Text(name.clone()))));
        let (needed, unknown) = self.dependencies(others);
        for (key, value) in &self.service {
            let value = refer(key, value.clone(), others);
            match (members.iter_mut().find(|(known, _)| known == key), value) {
                (Some((_, Yaml::List(known))), Yaml::List(more)) => known.extend(more),
                (Some((_, Yaml::Map(known))), Yaml::Map(more)) => known.extend(more),
                (_, value) => members.push((key.clone(), value)),
            }
        }
        if !needed.is_empty() {
            members.push(("depends_on".to_owned(), Yaml::Map(needed.into_iter().collect())));
        }
        (Yaml::Map(members), unknown)
    }

    /// The services that have to run before it, as its label says, and a comment for each one that is not in
    /// the file.
    fn dependencies(&self, others: &Others<'_>) -> (BTreeMap<String, Yaml>, Vec<String>) {
        let (mut needed, mut unknown) = (BTreeMap::new(), Vec::new());
        let listed = self.depends_on.as_deref().unwrap_or_default().split(',');
        for one in listed.map(str::trim).filter(|one| !one.is_empty()) {
            let mut words = one.split(':');
            let service = words.next().unwrap_or_default();
            let known = ["service_healthy", "service_completed_successfully"];
            let condition = words.next().filter(|word| known.contains(word)).unwrap_or("service_started");
            let restart = (words.next() == Some("true")).then(|| Yaml::Plain("true".to_owned()));
            if others.keys.iter().any(|key| key == service) {
                let member = Yaml::map([("condition", Some(condition.into())), ("restart", restart)]);
                needed.insert(service.to_owned(), member);
            } else {
                unknown.push(format!("it depends on the service {service} ({condition}), which is not here"));
            }
        }
        (needed, unknown)
    }
}

/// What a member says of a container in the same file names its service: Compose makes that one first, and
/// may call the container otherwise.
fn refer(key: &str, value: Yaml, others: &Others<'_>) -> Yaml {
    let service = |name: &str| others.by_name.get(name).map(|key| (*key).to_owned());
    match (key, value) {
        ("network_mode" | "pid" | "ipc", Yaml::Text(text)) => {
            let other = text.strip_prefix("container:").and_then(service);
            Yaml::Text(other.map_or(text, |other| format!("service:{other}")))
        }
        ("volumes_from", Yaml::List(all)) => {
            let refer = |one: Yaml| match one {
                Yaml::Text(text) => {
                    let (name, mode) = text.strip_prefix("container:").map_or(("", None), |rest| {
                        rest.split_once(':').map_or((rest, None), |(name, mode)| (name, Some(mode)))
                    });
                    Yaml::Text(match (service(name), mode) {
                        (Some(other), Some(mode)) => format!("{other}:{mode}"),
                        (Some(other), None) => other,
                        (None, _) => text,
                    })
                }
                other => other,
            };
            Yaml::List(all.into_iter().map(refer).collect())
        }
        (_, value) => value,
    }
}
