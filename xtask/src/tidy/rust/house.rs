//! The modules of a crate, and where a path of one of them leads.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::module::{Import, Module, parse};
use super::{code_only, is_test};

/// Where a path leads.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// To what this module defines.
    Item(usize),
    /// To a module.
    Module(usize),
    /// Out of the crate.
    Outside(Vec<String>),
}

/// All modules of a crate, tests aside.
pub(crate) struct House {
    rooms: Vec<Room>,
}

struct Room {
    file: PathBuf,
    parent: Option<usize>,
    children: BTreeMap<String, usize>,
    module: Module,
}

/// How far imports of imports are followed.
const DEPTH: usize = 24;

impl House {
    /// Makes it of the sources of one crate. Their paths are relative to its `src`.
    pub(crate) fn new<'t>(sources: impl IntoIterator<Item = (&'t Path, &'t str)>) -> House {
        let mut house = House { rooms: Vec::new() };
        let mut files: Vec<(Vec<String>, &Path, &str)> = sources
            .into_iter()
            .filter(|(file, _)| !is_test(file))
            .map(|(file, text)| (module_path(file), file, text))
            .collect();
        // Parents first.
        files.sort();
        for (path, file, text) in files {
            let mut parent = None;
            for name in &path[..path.len().saturating_sub(1)] {
                parent = parent.or(Some(0)).map(|room: usize| house.child(room, name, file));
            }
            let parent = if path.is_empty() { None } else { parent.or(Some(0)) };
            house.add(parent, path.last().map_or("", String::as_str), file, parse(&code_only(text)));
        }
        house
    }

    fn child(&mut self, room: usize, name: &str, file: &Path) -> usize {
        match self.rooms[room].children.get(name) {
            Some(child) => *child,
            None => self.add(Some(room), name, file, Module::default()),
        }
    }

    fn add(&mut self, parent: Option<usize>, name: &str, file: &Path, mut module: Module) -> usize {
        let blocks = std::mem::take(&mut module.blocks);
        let index = self.rooms.len();
        self.rooms.push(Room { file: file.to_owned(), parent, children: BTreeMap::new(), module });
        if let Some(parent) = parent {
            self.rooms[parent].children.insert(name.to_owned(), index);
        }
        for (name, block) in blocks {
            self.add(Some(index), &name, file, block);
        }
        index
    }

    /// The numbers of all modules.
    pub(crate) fn rooms(&self) -> std::ops::Range<usize> {
        0..self.rooms.len()
    }

    /// The file of a module.
    pub(crate) fn file(&self, room: usize) -> &Path {
        &self.rooms[room].file
    }

    /// Where everything leads that the code of a module names, and where that stands in its file. An import
    /// for others counts if the module itself uses the name.
    pub(crate) fn named(&self, room: usize) -> Vec<(Target, usize)> {
        let module = &self.rooms[room].module;
        let used = |import: &Import| match &import.name {
            Some(name) => !import.public || module.names.contains(name),
            None => !import.public,
        };
        let imports = module.imports.iter().filter(|import| used(import)).filter_map(|import| {
            let target = self.resolve(room, &import.path, DEPTH)?;
            // All that a module has is as good as one thing of it.
            let target = match target {
                Target::Module(of) if import.name.is_none() => Target::Item(of),
                other => other,
            };
            Some((target, import.at))
        });
        let paths =
            module.paths.iter().filter_map(|(path, at)| Some((self.resolve(room, path, DEPTH)?, *at)));
        imports.chain(paths).collect()
    }

    /// Paths out of the crate that the code of a module names, in full, and where they stand.
    pub(crate) fn outside(&self, room: usize) -> Vec<(String, usize)> {
        let named = self.named(room).into_iter();
        let outside = named.filter_map(|(target, at)| match target {
            Target::Outside(path) => Some((path.join("::"), at)),
            Target::Item(_) | Target::Module(_) => None,
        });
        outside.collect()
    }

    /// Follows a path from a module; `None` if imports go round in a circle.
    fn resolve(&self, room: usize, path: &[String], depth: usize) -> Option<Target> {
        let Some((first, mut rest)) = path.split_first() else { return Some(Target::Module(room)) };
        let depth = depth.checked_sub(1)?;
        let mut here = match first.as_str() {
            "crate" => 0,
            "self" => room,
            "super" => self.rooms[room].parent.unwrap_or(0),
            name => match self.step(room, name, depth) {
                Some(Target::Module(child)) => child,
                Some(Target::Outside(path)) => return Some(Target::Outside([&path, rest].concat())),
                Some(item) => return Some(item),
                None => return Some(Target::Outside(path.to_vec())),
            },
        };
        while let Some((name, behind)) = rest.split_first() {
            here = match name.as_str() {
                "super" => self.rooms[here].parent.unwrap_or(0),
                name => match self.step(here, name, depth) {
                    Some(Target::Module(child)) => child,
                    Some(Target::Outside(path)) => return Some(Target::Outside([&path, behind].concat())),
                    Some(item) => return Some(item),
                    // A macro may have made it.
                    None => return Some(Target::Item(here)),
                },
            };
            rest = behind;
        }
        Some(Target::Module(here))
    }

    /// What a name means in a module.
    fn step(&self, room: usize, name: &str, depth: usize) -> Option<Target> {
        let here = &self.rooms[room];
        if let Some(child) = here.children.get(name) {
            return Some(Target::Module(*child));
        }
        if here.module.items.contains(name) {
            return Some(Target::Item(room));
        }
        let by_name = here.module.imports.iter().find(|import| import.name.as_deref() == Some(name));
        // `use name;` of another crate would lead to itself.
        if let Some(import) = by_name.filter(|import| import.path != [name]) {
            return self.resolve(room, &import.path, depth);
        }
        if let Some(import) = by_name {
            return Some(Target::Outside(import.path.clone()));
        }
        let depth = depth.checked_sub(1)?;
        here.module.imports.iter().filter(|import| import.name.is_none()).find_map(|import| {
            match self.resolve(room, &import.path, depth)? {
                Target::Module(of) if of != room => self.step(of, name, depth),
                _ => None,
            }
        })
    }
}

/// `docker/mod.rs` and `docker.rs` are `docker`; `lib.rs` and `main.rs` are the crate.
fn module_path(file: &Path) -> Vec<String> {
    let mut path: Vec<String> =
        file.with_extension("").iter().map(|p| p.to_string_lossy().into_owned()).collect();
    if path.last().is_some_and(|last| last == "mod") || path == ["lib"] || path == ["main"] {
        path.pop();
    }
    path
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{DEPTH, House, Target};

    #[test]
    fn paths_are_followed() {
        let sources = [
            ("lib.rs", "mod a; mod b; pub use a::deep::Thing; pub use b::*; use std::fs;"),
            ("a/mod.rs", "pub(crate) mod deep; fn own() {} mod block { pub struct In; }"),
            ("a/deep.rs", "use super::own; pub struct Thing; use crate::b; use std::fs::{self, File as F};"),
            ("b.rs", "pub enum Kind {} pub use std::io::Read;"),
            ("b/tests.rs", "use super::Kind;"),
        ];
        let house = House::new(sources.map(|(file, text)| (Path::new(file), text)));
        let room = |file: &str| house.rooms().find(|&room| house.file(room) == Path::new(file)).unwrap();
        let outside = |path: &str| Target::Outside(path.split("::").map(str::to_owned).collect());
        let deep = room("a/deep.rs");
        for (path, expected) in [
            ("crate::Thing", Target::Item(deep)),
            ("crate::Kind::One", Target::Item(room("b.rs"))),
            ("crate::Read", outside("std::io::Read")),
            ("super::own", Target::Item(room("a/mod.rs"))),
            ("own", Target::Item(room("a/mod.rs"))),
            ("b::Kind", Target::Item(room("b.rs"))),
            ("super::super::b", Target::Module(room("b.rs"))),
            ("F::open", outside("std::fs::File::open")),
            ("fs::read", outside("std::fs::read")),
            ("elsewhere::x", outside("elsewhere::x")),
        ] {
            let path: Vec<_> = path.split("::").map(str::to_owned).collect();
            assert_eq!(house.resolve(deep, &path, DEPTH), Some(expected), "{path:?}");
        }
        let inner = house.resolve(deep, &["super", "block", "In"].map(str::to_owned), DEPTH);
        assert!(matches!(inner, Some(Target::Item(block)) if house.file(block) == Path::new("a/mod.rs")));
        assert!(house.rooms().all(|room| house.file(room) != Path::new("b/tests.rs")));
    }
}
