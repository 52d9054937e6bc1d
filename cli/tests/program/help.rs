//! Help, completions and man pages, all from one definition.

use crate::program::{ended, layerlift, output, skipped};

const COMMANDS: &[&str] = &[
    "save",
    "push",
    "join",
    "check",
    "images",
    "inspect",
    "verify",
    "containers",
    "rootfs",
    "volumes",
    "volume",
    "stores",
    "completions",
    "man",
];

fn printed(args: &[&str]) -> String {
    let output = output(layerlift().args(args).env("COLUMNS", "100"));
    assert_eq!(ended(&output), (Some(0), String::new()), "{args:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn help() {
    let mut text = printed(&["--help"]);
    for command in COMMANDS {
        text.push_str(&format!("\n## {command}\n{}", printed(&[command, "--help"])));
    }
    insta::assert_snapshot!(text);
}

#[test]
fn man_pages() {
    for (args, title) in [(&["man"][..], "layerlift"), (&["man", "save"], "layerlift-save")] {
        let page = printed(args);
        assert!(page.contains(&format!(".TH {title} 1")), "{page}");
    }
    for (args, sections) in [
        (&["man"][..], &["EXIT STATUS", "ENVIRONMENT", "FILES", "SEE ALSO"][..]),
        (&["man", "save"], &["EXIT STATUS", "ENVIRONMENT", "FILES", "EXAMPLES", "SEE ALSO"]),
    ] {
        let page = printed(args).replace('"', "");
        for section in sections {
            assert!(page.contains(&format!("\n.SH {section}\n")), "{args:?}: no {section}\n{page}");
        }
    }
    assert!(printed(&["man", "save"]).contains("[\\fB\\-o\\fR \\fIOUT\\fR]"));
    let unknown = output(layerlift().args(["man", "nosuch"]));
    assert_eq!(unknown.status.code(), Some(2));
}

/// No reader of man pages has anything to complain about.
#[test]
fn man_pages_without_warnings() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("page.1");
    let pages = [&["man"][..]].into_iter().map(<[_]>::to_vec);
    let pages = pages.chain(COMMANDS.iter().map(|command| vec!["man", *command]));
    for args in pages {
        std::fs::write(&path, printed(&args)).unwrap();
        for (reader, options) in
            [("groff", &["-man", "-ww", "-z", "-Tutf8"][..]), ("mandoc", &["-Tlint", "-Wwarning"])]
        {
            match std::process::Command::new(reader).args(options).arg(&path).output() {
                Ok(read) => {
                    let said = [read.stdout, read.stderr].concat();
                    assert_eq!(String::from_utf8_lossy(&said), "", "{reader} on {args:?}");
                }
                Err(_) => skipped(&format!("man pages with {reader}"), "it is not installed"),
            }
        }
    }
}

#[test]
fn completions() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = printed(&["completions", shell]);
        for word in ["keep-going", "docker-archive", "containers-storage"] {
            assert!(
                script.contains(word) || shell == "elvish" || shell == "powershell",
                "{shell}: no {word}"
            );
        }
    }
}

/// A folder is completed as one: without a space behind it, so that Tab goes on below it.
#[test]
fn completion_of_folders() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("old disk")).unwrap();
    std::fs::write(dir.path().join("script"), printed(&["completions", "bash"])).unwrap();
    for (command, option) in [("save", "--root"), ("images", "--follow"), ("save", "-o")] {
        let complete = format!(
            r#"source ./script; compopt() {{ echo "$@"; }}
            COMP_WORDS=(layerlift {command} {option} old) COMP_CWORD=3
            _layerlift layerlift old {option}; printf '%s\n' "${{COMPREPLY[@]}}""#
        );
        let mut bash = std::process::Command::new("bash");
        let bash = bash.args(["--norc", "-c", &complete]).current_dir(dir.path()).output().unwrap();
        let said = String::from_utf8(bash.stdout).unwrap();
        assert!(said.contains("-o filenames\n") && said.ends_with("old disk\n"), "{option}: {said}");
    }
}
