//! Rules for Rust files.

use std::path::Path;

use super::rust::code_only;

/// A file with more lines has a second idea in it.
const LINES: usize = 450;

/// Checks one file.
pub(crate) fn check(file: &Path, text: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut complain =
        |line: usize, what: &str| complaints.push(format!("{}:{line}: {what}", file.display()));
    if !text.starts_with("//!") && !text.starts_with("#!") {
        complain(1, "does not begin with `//!`");
    }
    let lines = text.lines().count();
    if lines > LINES {
        complain(lines, &format!("has {lines} lines, more than {LINES}"));
    }
    let code = code_only(text);
    for (index, line) in code.lines().enumerate() {
        for (mark, what) in [("todo!", "`todo!`"), ("dbg!", "`dbg!`"), ("unimplemented!", "`unimplemented!`")]
        {
            if line.contains(mark) {
                complain(index + 1, what);
            }
        }
    }
    for (at, attribute) in attributes(&code) {
        let line = code[..at].matches('\n').count() + 1;
        let lint = ["allow(", "expect("].iter().any(|word| attribute.contains(word));
        if lint && !attribute.contains("reason =") {
            complain(line, "a lint is silenced without `reason = \"…\"`");
        }
        if attribute == "ignore" {
            complain(line, "a test is ignored without saying why: `#[ignore = \"…\"]`");
        }
    }
    complaints
}

/// The attributes of code without strings: where each begins, and what is between its brackets.
fn attributes(code: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices('#') {
        let rest = &code[at + 1..];
        let rest = rest.strip_prefix('!').unwrap_or(rest);
        let Some(rest) = rest.strip_prefix('[') else { continue };
        let mut depth = 1;
        let end = rest.char_indices().find(|(_, c)| {
            match c {
                '[' => depth += 1,
                ']' => depth -= 1,
                _ => {}
            }
            depth == 0
        });
        if let Some((end, _)) = end {
            found.push((at, rest[..end].trim()));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    #[test]
    fn rules() {
        let cases: &[(&str, &[&str])] = &[
            ("//! x\nfn a() {}\n", &[]),
            ("fn a() {}\n", &["a.rs:1: does not begin with `//!`"]),
            ("//! x\nfn a() { todo!() } // dbg!\n", &["a.rs:2: `todo!`"]),
            ("//! x\nconst A: &str = \"todo!\";\nconst B: &str = r#\"a \" dbg!\"#;\nfn f<'a>() {}\n", &[]),
            (
                "//! x\n#[allow(dead_code)]\nfn a() {}\n",
                &["a.rs:2: a lint is silenced without `reason = \"…\"`"],
            ),
            (
                "//! x\n#[expect(\n    dead_code,\n    reason = \"[it] is\"\n)]\nfn a() { b.expect(\"\") }\n",
                &[],
            ),
            (
                "//! x\n#![cfg_attr(test, allow(dead_code))]\n",
                &["a.rs:2: a lint is silenced without `reason = \"…\"`"],
            ),
            (
                "//! x\n#[ignore]\nfn a() {}\n#[ignore = \"why\"]\nfn b() {}\n",
                &["a.rs:2: a test is ignored without saying why: `#[ignore = \"…\"]`"],
            ),
            ("//! x\nconst C: [char; 3] = ['\"', '\\'', '#'];\nfn a() { dbg!() }\n", &["a.rs:3: `dbg!`"]),
        ];
        for (text, expected) in cases {
            assert_eq!(super::check(Path::new("a.rs"), text), *expected, "{text}");
        }
    }
}
