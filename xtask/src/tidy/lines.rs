//! Lines end before they need scrolling, in source, scripts and Markdown.
//!
//! Left alone is what cannot be broken: tables, a line that is one long word (a link, mostly), a listing with
//! whole digests in a fence of Markdown, and raw strings of tests. The latter two are quotations: a listing
//! with a digest cut or a document with other line ends would not be what the engine wrote.

use std::path::Path;

use super::rust::{Kind, spans, tests_begin};

/// Columns, in characters.
const COLUMNS: usize = 110;

/// A digest is at least this long, in hexadecimal digits.
const DIGEST: usize = 40;

/// Checks one file.
pub(crate) fn check(file: &Path, text: &str) -> Vec<String> {
    let rust = file.extension().is_some_and(|extension| extension == "rs");
    let markdown = file.extension().is_some_and(|extension| extension == "md");
    let quoted = if rust { quotations(file, text) } else { Vec::new() };
    let (mut fence, mut at) = (false, 0);
    let mut complaints = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let range = at..at + line.len();
        at += line.len() + 1;
        fence ^= markdown && line.trim_start().starts_with("```");
        let columns = line.chars().count();
        let free = || {
            let words = line.trim_start().trim_start_matches(['/', '!', '#', '-', '*', '>', ' ']);
            one_word(words)
                || ((markdown || words.len() < line.trim_start().len()) && words.starts_with('|'))
                || (fence && holds_a_digest(line))
                || quoted.iter().any(|span| span.start < range.end && range.start < span.end)
        };
        if columns > COLUMNS && !free() {
            complaints.push(format!("{}:{}: {columns} columns of {COLUMNS}", file.display(), index + 1));
        }
    }
    complaints
}

/// Raw strings of tests.
fn quotations(file: &Path, text: &str) -> Vec<std::ops::Range<usize>> {
    let Some(begin) = tests_begin(file, text) else { return Vec::new() };
    let raw = spans(text).into_iter().filter(|span| span.kind == Kind::Raw && span.range.start >= begin);
    raw.map(|span| span.range).collect()
}

fn one_word(words: &str) -> bool {
    !words.trim_end().contains(char::is_whitespace)
}

fn holds_a_digest(line: &str) -> bool {
    line.split(|c: char| !c.is_ascii_hexdigit()).any(|run| run.len() >= DIGEST)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    #[test]
    fn long_lines() {
        let long = "word ".repeat(30);
        let id = "ab".repeat(32);
        for (file, text, expected) in [
            ("a.rs", format!("//! x\n// {long}\n"), &[2][..]),
            ("a.rs", format!("//! | {long}\n/// https://{}\n", "x".repeat(200)), &[]),
            ("a.rs", format!("fn a() {{}} | {long}\n"), &[1]),
            ("a.rs", format!("x(r\"{long}\")\n"), &[1]),
            (
                "a.rs",
                format!("#[cfg(test)]\nmod tests {{ x(r#\"\n{long}\n{long}\"#);\ny(\"{long}\") }}\n"),
                &[5],
            ),
            ("a.rs", format!("#[cfg(test)]\nmod tests {{ x(r#\"\n{long}\n\"#) }}\n"), &[]),
            ("tests/a.rs", format!("x(r\"{long}\")\nx(\"{long}\")\n"), &[2]),
            ("a.md", format!("| {long}\n{long}\n```text\n{long}\n{long}{id}\n```\n{long}{id}\n"), &[2, 4, 7]),
            ("a.md", "ä".repeat(110) + " \n" + &"ä ".repeat(55), &[]),
            ("a.sh", format!("# {long}\n"), &[1]),
        ] {
            let lines: Vec<_> = super::check(Path::new(file), &text)
                .iter()
                .map(|complaint| complaint.split(':').nth(1).unwrap().parse::<usize>().unwrap())
                .collect();
            assert_eq!(lines, expected, "{file}: {text}");
        }
    }
}
