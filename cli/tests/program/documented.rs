//! What the documents show is what the program prints, and what they show how to do on the example works.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::program::{layerlift, output};

/// The project.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The time since the example was made, in years: it goes on.
fn without_age(text: &str) -> String {
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let age = |words: Vec<String>| match words.iter().position(|word| word == "years") {
        Some(at) => [&words[..at - 1], &words[at + 2..]].concat(),
        None => words,
    };
    text.lines().map(|line| age(words(line)).join(" ") + "\n").collect()
}

#[test]
fn what_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    symlink(root().join("docs"), folder.path().join("docs")).unwrap();
    let text = fs::read_to_string(root().join("docs/README.md")).unwrap();
    let mut shown = 0;
    for block in text.split("```text\n$ layerlift ").skip(1) {
        let (line, rest) = block.split_once('\n').unwrap();
        let expected = rest.split("```").next().unwrap();
        let ran = output(layerlift().args(line.split(' ')).current_dir(folder.path()));
        let printed = String::from_utf8([ran.stdout, ran.stderr].concat()).unwrap();
        assert_eq!(without_age(&printed), without_age(expected), "{line}");
        shown += 1;
    }
    assert_eq!(shown, 3);
}

/// Every command of the README that needs no engine, on the example.
#[test]
fn what_the_readme_does_on_the_example() {
    let folder = tempfile::tempdir().unwrap();
    symlink(root().join("docs"), folder.path().join("docs")).unwrap();
    let text = fs::read_to_string(root().join("README.md")).unwrap();
    let mut ran = 0;
    for line in text.lines().filter(|line| line.contains("--root docs/example/")) {
        let arguments = line.split_once(" -- ").map_or(line, |(_, arguments)| arguments);
        let done = output(layerlift().args(arguments.split_whitespace()).current_dir(folder.path()));
        assert_eq!(done.status.code(), Some(0), "{line}: {}", String::from_utf8_lossy(&done.stderr));
        ran += 1;
    }
    assert!(ran > 0 && folder.path().join("base.tar").exists());
}
