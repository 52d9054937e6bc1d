//! The compose file.

use std::collections::BTreeSet;

use super::recipe::Recipe;
use super::run;
use super::yaml::Yaml;

/// A compose file with a service for each container.
pub fn compose(recipes: &[Recipe]) -> String {
    let mut text = String::new();
    let keys = keys(recipes);
    let mut names = BTreeSet::new();
    let mut services = Vec::new();
    for (recipe, key) in recipes.iter().zip(keys) {
        // Compose gives names of its own to the containers that it makes, and numbers them.
        let named = recipe.service_name.is_none();
        let first = !named || names.insert(&recipe.name);
        if !first {
            let comment = format!(
                "{}: another container has this name; this one is service {key}, without a container_name",
                recipe.name
            );
            text.push_str(&run::comment_lines(&comment));
        }
        services.push((key, recipe.service((named && first).then_some(&recipe.name))));
        for comment in recipe.comments.iter().chain(&recipe.not_in_compose) {
            text.push_str(&run::comment_lines(&format!("{}: {comment}", recipe.name)));
        }
    }
    let mut document = Vec::new();
    let projects: BTreeSet<&String> = recipes.iter().filter_map(|recipe| recipe.project.as_ref()).collect();
    if let (1, Some(project)) = (projects.len(), projects.first()) {
        document.push(("name".to_owned(), Yaml::Text((*project).clone())));
    }
    document.push(("services".to_owned(), Yaml::Map(services)));
    for (key, needed) in [
        ("networks", recipes.iter().flat_map(|recipe| &recipe.networks).collect::<BTreeSet<_>>()),
        ("volumes", recipes.iter().flat_map(|recipe| &recipe.volumes).collect()),
    ] {
        if !needed.is_empty() {
            // Without `name`, compose prefixes the name of the project.
            let entry = |name: &String| (name.clone(), Yaml::map([("name", Some(Yaml::Text(name.clone())))]));
            document.push((key.to_owned(), Yaml::Map(needed.into_iter().map(entry).collect())));
        }
    }
    let mut yaml = String::new();
    Yaml::Map(document).write(0, &mut yaml);
    text.push_str(yaml.trim_start());
    text
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

impl Recipe {
    /// A member that several settings contribute to is written once.
    fn service(&self, container_name: Option<&String>) -> Yaml {
        let mut members = vec![("image".to_owned(), Yaml::Text(self.image.clone()))];
        members.extend(container_name.map(|name| ("container_name".to_owned(), Yaml::Text(name.clone()))));
        for (key, value) in &self.service {
            match (members.iter_mut().find(|(known, _)| known == key), value) {
                (Some((_, Yaml::List(known))), Yaml::List(more)) => known.extend(more.iter().cloned()),
                (Some((_, Yaml::Map(known))), Yaml::Map(more)) => known.extend(more.iter().cloned()),
                _ => members.push((key.clone(), value.clone())),
            }
        }
        Yaml::Map(members)
    }
}
