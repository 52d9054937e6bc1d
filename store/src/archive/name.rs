//! Names in an archive: components joined by `/`, without `.` and `..`.

/// The name in its canonical form, without `./`, double and trailing slashes. `None` if it leads out (`..`, a
/// leading `/`) or is empty.
pub(crate) fn clean(name: &str) -> Option<String> {
    if name.starts_with('/') || name.contains('\0') {
        return None;
    }
    let mut clean = String::with_capacity(name.len());
    for component in name.split('/').filter(|component| !matches!(*component, "" | ".")) {
        if component == ".." {
            return None;
        }
        if !clean.is_empty() {
            clean.push('/');
        }
        clean.push_str(component);
    }
    (!clean.is_empty()).then_some(clean)
}

/// The name that a symbolic link leads to: `target` relative to the directory of `link`. `None` if it is
/// outside.
pub(super) fn beside(link: &str, target: &str) -> Option<String> {
    if target.starts_with('/') {
        return None;
    }
    let mut components: Vec<&str> = link.split('/').collect();
    components.pop();
    for component in target.split('/') {
        match component {
            "" | "." => {}
            ".." => drop(components.pop()?),
            name => components.push(name),
        }
    }
    clean(&components.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (name, expected) in [
            ("manifest.json", Some("manifest.json")),
            ("./blobs//sha256/x", Some("blobs/sha256/x")),
            ("x/", Some("x")),
            ("/manifest.json", None),
            ("../x", None),
            ("a/../x", None),
            ("..", None),
            (".", None),
            ("", None),
            ("a\0b", None),
        ] {
            assert_eq!(clean(name).as_deref(), expected, "{name:?}");
        }
    }

    #[test]
    fn targets() {
        for (link, target, expected) in [
            ("b/layer.tar", "../a/layer.tar", Some("a/layer.tar")),
            ("b/layer.tar", "layer.tar", Some("b/layer.tar")),
            ("layer.tar", "./a", Some("a")),
            ("layer.tar", "../a", None),
            ("b/layer.tar", "../../a", None),
            ("b/layer.tar", "/a", None),
            ("b/layer.tar", "..", None),
            ("b/layer.tar", "", Some("b")),
        ] {
            assert_eq!(beside(link, target).as_deref(), expected, "{link:?} -> {target:?}");
        }
    }
}
