//! As much of Rust as the rules need: literals, tokens, modules, and what a path leads to.

mod code;
mod house;
mod module;
mod tokens;

use std::path::Path;

pub(crate) use code::{Kind, code_only, spans};
pub(crate) use house::{House, Target};

/// Where the tests of a file begin: at its start, or at its module of tests.
pub(crate) fn tests_begin(file: &Path, text: &str) -> Option<usize> {
    if is_test(file) {
        return Some(0);
    }
    let mut from = 0;
    while let Some(at) = text[from..].find("#[cfg(test)]") {
        let begin = from + at;
        from = begin + 1;
        let item = text[begin..].split_once(']').map_or("", |(_, item)| item.trim_start());
        if item.starts_with("mod ") && item.lines().next().is_some_and(|line| line.contains('{')) {
            return Some(begin);
        }
    }
    None
}

/// Whether a file is all tests.
pub(crate) fn is_test(file: &Path) -> bool {
    file.file_stem().is_some_and(|stem| stem == "tests") || file.iter().any(|part| part == "tests")
}
