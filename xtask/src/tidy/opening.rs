//! Files below a store's root are opened in one room, `store/src/fs`, which alone knows how to stay below it.

use std::path::Path;

use super::rust::House;

/// The room, relative to the sources of `store`.
const ROOM: [&str; 2] = ["fs", "fs.rs"];

/// What takes a path to a file. All functions of `std::fs` do.
const OPENS: [&str; 9] = [
    "std::fs::File::open",
    "std::fs::File::create",
    "std::fs::File::create_new",
    "std::fs::File::options",
    "std::fs::OpenOptions::new",
    "rustix::fs::open",
    "rustix::fs::openat",
    "rustix::fs::openat2",
    "walkdir::WalkDir",
];

/// Checks the sources of `store`, which are in `folder`. `line` turns an offset in a file into the number of
/// its line.
pub(crate) fn check(folder: &Path, house: &House, line: impl Fn(&Path, usize) -> usize) -> Vec<String> {
    let mut complaints = Vec::new();
    for room in house.rooms() {
        let file = house.file(room);
        if file.iter().next().is_some_and(|first| ROOM.iter().any(|room| first == *room)) {
            continue;
        }
        let outside = house.outside(room);
        let opening = outside.into_iter().filter(|(path, _)| opens(path));
        complaints.extend(opening.map(|(path, at)| {
            format!("{}:{}: `{path}` outside of store/src/fs", folder.join(file).display(), line(file, at))
        }));
    }
    complaints
}

fn opens(path: &str) -> bool {
    let function = path.strip_prefix("std::fs::").filter(|rest| !rest.contains("::"));
    OPENS.iter().any(|opens| path == *opens || path.strip_prefix(opens).is_some_and(|p| p.starts_with("::")))
        || function
            .is_some_and(|function| function.starts_with(|c: char| c.is_lowercase()) && function != "self")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::tidy::rust::House;

    #[test]
    fn openings() {
        let sources = [
            ("lib.rs", "mod fs; mod a; mod b; pub struct OpenOptions;"),
            ("fs/mod.rs", "fn open() { std::fs::File::open(p); rustix::fs::openat(d, p) } pub fn read() {}"),
            (
                "a.rs",
                "use std::fs::{self, File};\nfn f() { File::open(p); fs::read(p); rustix::fs::openat(d, p) }",
            ),
            (
                "b.rs",
                "use crate::{OpenOptions, fs};\nfn f() { fs::read(p); OpenOptions::new(); File::open(p) }\n\
                 #[cfg(test)]\nmod tests { fn f() { std::fs::read(p) } }",
            ),
        ];
        let house = House::new(sources.map(|(file, text)| (Path::new(file), text)));
        let found = super::check(Path::new("store/src"), &house, |_, at| at);
        let what: Vec<_> = found.iter().map(|complaint| complaint.split('`').nth(1).unwrap()).collect();
        assert_eq!(what, ["std::fs::File::open", "std::fs::read", "rustix::fs::openat"]);
        assert!(found.iter().all(|complaint| complaint.starts_with("store/src/a.rs:")));
    }
}
