//! Rules for every text file: nothing left to do, no path of the machine it was written on, links that lead
//! somewhere.

use std::path::{Component, Path, PathBuf};

use crate::workspace;

/// Folders that many machines have; a path below one of them says nothing about this one.
const COMMON: [&str; 13] = [
    "/", "/home", "/root", "/tmp", "/usr", "/var", "/opt", "/mnt", "/srv", "/data", "/src", "/build",
    "/var/tmp",
];

/// Checks one file.
pub(crate) fn check(file: &Path, text: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    if !is_ours(file) {
        return complaints;
    }
    let here = own_folders();
    for (index, line) in text.lines().enumerate() {
        let at = format!("{}:{}", file.display(), index + 1);
        // Spelt in two halves: this file is checked too.
        if [concat!("TO", "DO"), concat!("FIX", "ME")].iter().any(|mark| line.contains(mark)) {
            complaints.push(format!("{at}: something is left to do"));
        }
        if let Some(folder) = here.iter().find(|folder| names_folder(line, folder)) {
            complaints.push(format!("{at}: names a folder of this machine: {folder}"));
        }
        if file.extension().is_some_and(|extension| extension == "md") {
            for link in dead_links(file, line) {
                complaints.push(format!("{at}: a link that leads nowhere: {link}"));
            }
        }
    }
    complaints
}

/// Whether somebody of this project wrote the file. Bytes of engines lie in folders of fixtures, with scripts
/// and notes of ours beside them.
pub(crate) fn is_ours(file: &Path) -> bool {
    let is = |extensions: &[&str]| file.extension().is_some_and(|e| extensions.iter().any(|own| e == *own));
    let fixture = file.iter().any(|part| part == "fixtures");
    is(&["md", "sh"]) || file.starts_with(".ci") || (is(&["rs", "toml", "yml"]) && !fixture)
}

/// The checkout and the folders around it, except what is nothing special.
fn own_folders() -> Vec<String> {
    let folders = workspace::root().ancestors().filter_map(Path::to_str);
    folders.filter(|folder| !COMMON.contains(folder)).map(str::to_owned).collect()
}

/// Whether an absolute path in the line begins with the folder.
fn names_folder(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + folder.len()..].chars().next();
        let inside_a_path = |c: char| c.is_alphanumeric() || "._-/>}*…".contains(c);
        !before.is_some_and(inside_a_path) && after == Some('/')
    })
}

/// Relative links of a Markdown line whose file is not there.
fn dead_links<'l>(file: &Path, line: &'l str) -> Vec<&'l str> {
    let targets = line.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let relative = targets.filter(|target| !target.contains("://") && !target.starts_with(['#', '<', '/']));
    let folder = file.parent().unwrap_or(Path::new(""));
    relative
        .filter(|target| {
            let path = target.split('#').next().unwrap_or_default();
            !path.is_empty() && !workspace::root().join(plain(&folder.join(path))).exists()
        })
        .collect()
}

/// The path without `..`, so that `docs/../x` needs no `docs`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(plain.pop()),
            Component::CurDir => {}
            other => plain.push(other),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    #[test]
    fn folders_of_this_machine() {
        for (line, expected) in [
            ("see /here/it/is", true),
            ("open(\"/here/x\")", true),
            ("overlay2/<id>/here/x", false),
            ("a/here/x", false),
            ("/hereafter/x", false),
        ] {
            assert_eq!(super::names_folder(line, "/here"), expected, "{line}");
        }
    }

    #[test]
    fn links() {
        let line = "[a](../xtask/Cargo.toml) [b](nowhere.md#x) [c](https://example.org/) [d](#here)";
        assert_eq!(super::dead_links(Path::new("docs/x.md"), line), ["nowhere.md#x"]);
    }
}
