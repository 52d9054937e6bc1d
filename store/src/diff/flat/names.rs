//! Names of entries, as engines take them: cleaned like Go's `path.Clean`.

use super::entries::{Failure, bad};

/// The kernel's limits.
const NAME: usize = 255;
const PATH: usize = 4095;

/// The components of a path below the root; none for the root. A name that leads out of it is refused, as
/// Docker does; containerd takes it as if the root was its own parent.
pub(super) fn components<'n>(name: &'n [u8], what: &str) -> Result<Vec<&'n [u8]>, Failure> {
    let shown = || match name.len() {
        0..=200 => name.escape_ascii().to_string(),
        _ => format!("{}…", name[..200].escape_ascii()),
    };
    if name.len() > PATH || name.contains(&0) {
        return bad(format!("{what} {} cannot be a path", shown()));
    }
    let mut components: Vec<&[u8]> = Vec::new();
    for part in name.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." if components.pop().is_some() || name[0] == b'/' => {}
            b".." => return bad(format!("{what} {} leads out of it", shown())),
            part if part.len() > NAME => {
                return bad(format!("{what} {} has a name of {} bytes", shown(), part.len()));
            }
            part => components.push(part),
        }
    }
    Ok(components)
}

/// The name in a path that begins at `at`, and where the next one begins.
pub(super) fn part(path: &[u8], at: usize) -> (&[u8], usize) {
    let part = path[at..].split(|byte| *byte == b'/').next().unwrap_or_default();
    (part, (at + part.len() + 1).min(path.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        let of = |name: &str| {
            let found = components(name.as_bytes(), "entry").ok();
            found.map(|parts| parts.join(&b'/')).map(|path| String::from_utf8(path).unwrap())
        };
        for (name, expected) in [
            ("a/b", Some("a/b")),
            ("./a//b/", Some("a/b")),
            ("/a", Some("a")),
            ("a/../b", Some("b")),
            ("/../a", Some("a")),
            ("./", Some("")),
            ("", Some("")),
            ("a/..", Some("")),
            ("../a", None),
            ("a/../../b", None),
            ("a\0b", None),
        ] {
            assert_eq!(of(name).as_deref(), expected, "{name:?}");
        }
        assert_eq!(of(&"x".repeat(256)), None);
        assert_eq!(of(&"x/".repeat(2048)), None);
        assert!(of(&"x".repeat(255)).is_some());
    }
}
