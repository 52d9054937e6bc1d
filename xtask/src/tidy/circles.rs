//! Files of a crate that import each other in a circle can only be read together. Three may, since some pairs
//! are one idea on two pages; more is a knot.
//!
//! An edge leads from the file that names something to the file that defines it, through all re-exports:
//! `crate::Error` leads to `error.rs`, not to `lib.rs`. So a module that only declares and re-exports its
//! files is part of nothing. Tests may name what they like.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::rust::{House, Target};

/// As many files may be in a circle.
const FILES: usize = 3;

type Edges<'h> = BTreeMap<&'h Path, BTreeSet<&'h Path>>;

/// Checks a crate whose sources are in `folder`.
pub(crate) fn check(folder: &Path, house: &House) -> Vec<String> {
    let edges = edges(house);
    let circles = circles(&edges).into_iter().filter(|circle| circle.len() > FILES);
    circles
        .map(|circle| {
            let count = circle.len();
            let mut text =
                format!("{}: {count} files import each other, more than {FILES}:", folder.display());
            for file in &circle {
                let others = edges[file].intersection(&circle).map(|other| other.display().to_string());
                text += &format!("\n    {} -> {}", file.display(), others.collect::<Vec<_>>().join(", "));
            }
            text
        })
        .collect()
}

/// Which file names something of which other.
fn edges(house: &House) -> Edges<'_> {
    let mut edges = Edges::new();
    for room in house.rooms() {
        let from = edges.entry(house.file(room)).or_default();
        for (target, _) in house.named(room) {
            if let Target::Item(of) = target
                && house.file(of) != house.file(room)
            {
                from.insert(house.file(of));
            }
        }
    }
    edges
}

/// Groups of files of which each leads to each.
fn circles<'h>(edges: &Edges<'h>) -> Vec<BTreeSet<&'h Path>> {
    let reached: BTreeMap<&Path, BTreeSet<&Path>> =
        edges.keys().map(|&file| (file, reach(edges, file))).collect();
    let mut circles: Vec<BTreeSet<&Path>> = Vec::new();
    for (&file, to) in &reached {
        if !circles.iter().any(|circle| circle.contains(file)) {
            let circle: BTreeSet<&Path> =
                to.iter().copied().filter(|other| reached[other].contains(file)).collect();
            circles.push(circle);
        }
    }
    circles
}

/// Where one can get from a file.
fn reach<'h>(edges: &Edges<'h>, file: &'h Path) -> BTreeSet<&'h Path> {
    let mut reached = BTreeSet::new();
    let mut open = vec![file];
    while let Some(next) = open.pop() {
        for &other in edges.get(next).into_iter().flatten() {
            if reached.insert(other) {
                open.push(other);
            }
        }
    }
    reached
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::tidy::rust::House;

    fn complaints(sources: &[(&str, &str)]) -> Vec<String> {
        let house = House::new(sources.iter().map(|(file, text)| (Path::new(*file), *text)));
        super::check(Path::new("x/src"), &house)
    }

    #[test]
    fn a_circle_of_four() {
        let found = complaints(&[
            ("lib.rs", "mod a; mod b; mod c; mod d; pub use a::A; pub use b::B;"),
            ("a.rs", "use crate::B; pub struct A;"),
            ("b.rs", "use crate::c; pub struct B; fn f() { c::call() }"),
            ("c.rs", "pub fn call() { super::d::call() }"),
            ("d.rs", "use super::A; pub fn call() {}"),
        ]);
        let expected = [
            "x/src: 4 files import each other, more than 3:",
            "    a.rs -> b.rs",
            "    b.rs -> c.rs",
            "    c.rs -> d.rs",
            "    d.rs -> a.rs",
        ];
        assert_eq!(found, [expected.join("\n")]);
    }

    #[test]
    fn what_is_not_a_circle() {
        // A module that only declares and re-exports, a circle of three, and tests.
        let found = complaints(&[
            ("lib.rs", "mod a; mod b; mod c; pub use a::A; pub use b::B; pub use c::C;"),
            ("a.rs", "use crate::B; pub struct A;"),
            ("b.rs", "use crate::C; pub struct B;"),
            ("c.rs", "use crate::A; pub struct C;\n#[cfg(test)]\nmod tests { use crate::d::D; }"),
            ("d.rs", "use crate::{A, B}; pub struct D;"),
            ("b/tests.rs", "use crate::d::D;"),
        ]);
        assert!(found.is_empty(), "{found:?}");
    }

    #[test]
    fn a_module_that_uses_what_it_exports() {
        let sources = [
            ("lib.rs", "mod a; pub use a::A; struct Own(A);"),
            ("a.rs", "use crate::b::B; pub struct A;"),
            ("b.rs", "use crate::c::C; pub struct B;"),
            ("c.rs", "use crate::Own; pub struct C;"),
        ];
        assert_eq!(complaints(&sources).len(), 1);
    }
}
