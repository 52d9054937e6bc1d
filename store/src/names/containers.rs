//! `containers/<id>/config.v2.json` (before 1.10 `config.json`): which image a container was made from, and
//! by which name.
//!
//! ```text
//! {"Created":"2015-06-07T08:09:10Z","Driver":"overlay2","Image":"sha256:<image id>",
//!  "Config":{"Image":"team/app:1.0",…},…}
//! ```

use serde::Deserialize;

use crate::json::{self, LIMIT};
use crate::{Reference, Root, Rules, hex_id};

/// Since 1.10, and before.
const FILES: &[&str] = &["config.v2.json", "config.json"];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Container {
    created: Option<String>,
    driver: Option<String>,
    image: Option<String>,
    config: Option<Config>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Config {
    image: Option<String>,
}

/// Names and the images that they led to when a container was made from them; of one name the youngest
/// first. A container that cannot be read gives none.
pub(super) fn names(data: &Root, driver: &str) -> Vec<(Reference, String)> {
    let ids = data.try_list("containers").unwrap_or_default();
    let mut names: Vec<_> = ids
        .iter()
        .filter_map(|id| id.to_str().filter(|id| hex_id(id)))
        .filter_map(|id| {
            let read = |file| data.try_read(format!("containers/{id}/{file}"), LIMIT).ok().flatten();
            name(&FILES.iter().find_map(read)?, driver)
        })
        .collect();
    names.sort_by(|(one, ..), (other, ..)| other.cmp(one));
    names.into_iter().map(|(_, reference, image)| (reference, image)).collect()
}

/// When a container was made, from which name, and from which image. Most people name an image; some give
/// the beginning of its id.
fn name(bytes: &[u8], driver: &str) -> Option<(Option<jiff::Timestamp>, Reference, String)> {
    let container: Container = json::object(bytes).ok()?;
    if container.driver.is_some_and(|other| other != driver) {
        return None;
    }
    let image = container.image?;
    let image = image.strip_prefix("sha256:").unwrap_or(&image).to_owned();
    let name = container.config?.image?;
    if !hex_id(&image) || name.starts_with("sha256:") || image.starts_with(&name) {
        return None;
    }
    let reference = Reference::parse(&name, Rules::Distribution).ok()?.familiar();
    Some((container.created.and_then(|time| time.parse().ok()), reference, image))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_containers() {
        let id = "a".repeat(64);
        let of = |driver: &str, image: &str, name: &str| {
            let text = format!(
                r#"{{"Created":"2024-01-02T03:04:05Z","Driver":"{driver}","Image":"{image}","Config":{{"Image":"{name}"}}}}"#
            );
            name_of(&text)
        };
        fn name_of(text: &str) -> Option<String> {
            name(text.as_bytes(), "vfs").map(|(_, reference, image)| format!("{reference} {}", &image[..2]))
        }
        let since_1_10 = format!("sha256:{id}");
        for (image, name, expected) in [
            (&since_1_10, "team/app:1.0", Some("team/app:1.0 aa")),
            (&id, "docker.io/library/base", Some("base:latest aa")),
            (&since_1_10, "localhost:5000/x", Some("localhost:5000/x:latest aa")),
            (&since_1_10, "aaaaaaaaaaaa", None),
            (&since_1_10, &since_1_10, None),
            (&since_1_10, "Team", None),
            (&since_1_10, "", None),
            (&"../x".to_owned(), "base", None),
        ] {
            assert_eq!(of("vfs", image, name).as_deref(), expected, "{image} {name}");
        }
        assert_eq!(of("aufs", &id, "base"), None);
        assert_eq!(name_of(""), None);
        assert_eq!(name_of(r#"{"Image":null,"Config":{}}"#), None);
    }
}
