//! `daemon.json`: where Docker keeps its data, if not in the usual place.
//!
//! ```text
//! {"data-root":"/srv/docker"}     since 17.05; before that "graph"
//! ```

use std::path::{Path, PathBuf};

use crate::fs::named;

const FILE: &str = "etc/docker/daemon.json";

/// Settings are a few lines. A larger file is something else.
const LIMIT: u64 = 1 << 20;

/// The data root that the settings name, on the system whose root is `system`. Settings that cannot be read
/// are ignored: the usual places remain.
pub(crate) fn data_root(system: &Path) -> Option<PathBuf> {
    named::configured(system, &parse(&named::settings(system, &system.join(FILE), LIMIT)?)?)
}

fn parse(text: &str) -> Option<PathBuf> {
    let settings: serde_json::Value = serde_json::from_str(text).ok()?;
    let path = settings.get("data-root").or_else(|| settings.get("graph"))?.as_str()?;
    Some(PathBuf::from(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_roots() {
        for (text, expected) in [
            (r#"{"data-root": "/srv/d", "graph": "/old"}"#, Some("/srv/d")),
            (r#"{"graph": "/old"}"#, Some("/old")),
            (r#"{"data-root": 5}"#, None),
            ("no json", None),
        ] {
            assert_eq!(parse(text), expected.map(PathBuf::from), "{text}");
        }
        assert_eq!(data_root(Path::new("/nowhere")), None);
        let disk = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(disk.path().join("etc/docker")).unwrap();
        for (path, expected) in [
            ("/srv/d", Some(disk.path().join("srv/d"))),
            ("relative", None),
            ("/../../srv/d", None),
            ("/a/../b", None),
        ] {
            std::fs::write(disk.path().join(FILE), format!(r#"{{"data-root": "{path}"}}"#)).unwrap();
            assert_eq!(data_root(disk.path()), expected, "{path}");
        }
    }

    /// An absolute link on a mounted disk is relative to the disk's root.
    #[test]
    fn settings_of_a_mounted_disk() {
        let disk = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(disk.path().join("etc/docker")).unwrap();
        std::fs::create_dir_all(disk.path().join("etc/static")).unwrap();
        std::fs::write(disk.path().join("etc/static/daemon.json"), r#"{"data-root": "/srv/d"}"#).unwrap();
        std::os::unix::fs::symlink("/etc/static/daemon.json", disk.path().join(FILE)).unwrap();
        assert_eq!(data_root(disk.path()), Some(disk.path().join("srv/d")));
    }
}
