//! Names in completions, by the shells themselves.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::program::{ended, layerlift, output, skipped};
use crate::store::Store;

/// What Debian's bash-completion is read from.
const BASH_COMPLETION: &str = "/usr/share/bash-completion/bash_completion";

/// A folder with the script of a shell, and a store with `base:1.0`, `base:child`, `base:dup`, `base:latest`.
struct Place {
    folder: tempfile::TempDir,
    store: Store,
}

impl Place {
    fn new(shell: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let script = output(layerlift().args(["completions", shell]));
        fs::write(folder.path().join("script"), script.stdout).unwrap();
        Place { folder, store: Store::example() }
    }

    /// Runs a shell in the folder; `None` if it is not installed.
    fn shell(&self, shell: &str, options: &[&str], code: &str) -> Option<Output> {
        let found = Command::new(shell)
            .args(options)
            .args(["-c", code])
            .current_dir(self.folder.path())
            .env("HOME", self.folder.path())
            .env("STORE", &self.store.root)
            .env("PROGRAM", program())
            .env_remove("LAYERLIFT_ROOT")
            .output();
        if found.is_err() {
            skipped(&format!("completions of {shell}"), "it is not installed");
        }
        found.ok()
    }

    /// What bash offers for a line: `words` are its words as readline divides them.
    fn bash(&self, before: &str, line: &str, words: &str, program: &str) -> Vec<String> {
        let code = format!(
            r#"{before}
            source ./script
            COMP_LINE={line} COMP_POINT=${{#COMP_LINE}}
            COMP_WORDS=({words}) COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
            _layerlift_names {program} "${{COMP_WORDS[COMP_CWORD]}}" "${{COMP_WORDS[COMP_CWORD - 1]}}"
            printf '%s\n' "${{COMPREPLY[@]}}""#
        );
        lines(&self.shell("bash", &["--norc"], &code).unwrap())
    }
}

fn program() -> PathBuf {
    layerlift().get_program().into()
}

/// What was printed; nothing on standard error.
#[track_caller]
fn lines(output: &Output) -> Vec<String> {
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    String::from_utf8(output.stdout.clone()).unwrap().lines().map(str::to_owned).collect()
}

const ALL: &[&str] = &["base:1.0", "base:child", "base:dup", "base:latest"];
const TAGS: &[&str] = &["1.0", "child", "dup", "latest"];

#[test]
fn in_bash() {
    let place = Place::new("bash");
    let program = r#""$PROGRAM""#;
    let mut befores = vec![""];
    let sourced = format!("source {BASH_COMPLETION}");
    match Path::new(BASH_COMPLETION).exists() {
        true => befores.push(&sourced),
        false => skipped("completions of bash with bash-completion", "it is not installed"),
    }
    for before in befores {
        // The colon divides words; without it in the variable, it does not.
        for (breaks, line, words, expected) in [
            ("", r#""x save --root $STORE ""#, r#"x save --root "$STORE" """#, ALL),
            ("", r#""x save --root $STORE ba""#, r#"x save --root "$STORE" ba"#, ALL),
            ("", r#""x save --root $STORE base:""#, r#"x save --root "$STORE" base :"#, TAGS),
            ("", r#""x save --root $STORE base:c""#, r#"x save --root "$STORE" base : c"#, &["child"]),
            ("", r#""x save --root $STORE 'base:c""#, r#"x save --root "$STORE" "'base:c""#, &["base:child"]),
            ("", r#""x --root=$STORE images base:d""#, r#"x --root = "$STORE" images base : d"#, &["dup"]),
            ("", r#""x save --root $STORE --exclude=base:c""#, "x save --exclude = base : c", &["child"]),
            ("COMP_WORDBREAKS=' ='", r#""x save --root $STORE base:c""#, "x save base:c", &["base:child"]),
        ] {
            let before = format!("{before}\n{breaks}");
            assert_eq!(place.bash(&before, line, words, program), expected, "{line}");
        }
        // Where no name can be, and where the program has none or is not there: the words of the script.
        for (line, words, program, expected) in [
            ("'x stor'", "stor", program, "stores"),
            (r#""x save --root $STORE --exc""#, r#"save --root "$STORE" --exc"#, program, "--exclude"),
            ("'x save --root /nonexistent '", "save --root /nonexistent ''", program, "--keep-going"),
            ("'x save '", "save ''", "/nonexistent", "--keep-going"),
        ] {
            let found = place.bash(before, line, &format!("{program} {words}"), program);
            assert!(found.iter().any(|word| word == expected), "{line}: {found:?}");
        }
    }
    // A script that takes the prefix off as bash-completion does finds nothing left to take off.
    if Path::new(BASH_COMPLETION).exists() {
        let code = format!(
            r#"source {BASH_COMPLETION}; source ./script
            COMP_LINE="x save --root $STORE base:c" COMP_POINT=${{#COMP_LINE}}
            _layerlift_names "$PROGRAM" c :; __ltrim_colon_completions base:c; echo "${{COMPREPLY[@]}}""#
        );
        assert_eq!(lines(&place.shell("bash", &["--norc"], &code).unwrap()), ["child"]);
    }
    let registered = place.shell("bash", &["--norc"], "source ./script; complete -p layerlift").unwrap();
    assert!(lines(&registered)[0].contains("-F _layerlift_names"));
}

#[test]
fn in_zsh() {
    let place = Place::new("zsh");
    for (words, prefix, expected) in [
        (r#"save --root "$STORE" ''"#, "", ALL),
        (r#"save --root "$STORE" base:"#, "base:", ALL),
        (r#"save --root "$STORE" base:c"#, "base:c", &["base:child"]),
        (r#"save --root "$STORE" --exclude=base:c"#, "--exclude=base:c", &["--exclude=base:child"]),
        (r#"--root "${(q)STORE}" images base:d"#, "base:d", &["base:dup"]),
        ("stor", "stor", &["words"]),
    ] {
        let code = format!(
            r#"compdef() {{ }}; compadd() {{ print -l -- "${{(@P)2}}"; }}
            source ./script
            _layerlift_words() {{ echo words }}
            words=("$PROGRAM" {words}) CURRENT=$#words PREFIX='{prefix}'
            _layerlift"#
        );
        let Some(found) = place.shell("zsh", &["-f"], &code) else { return };
        assert_eq!(lines(&found), expected, "{words}");
    }
    let code = "compdef() { }; source ./script; _layerlift_words() { echo words }\n\
                words=(/nonexistent save '') CURRENT=3 PREFIX=; _layerlift";
    assert_eq!(place.shell("zsh", &["-f"], code).map(|found| lines(&found)), Some(vec!["words".to_owned()]));
}

#[test]
fn in_fish() {
    let place = Place::new("fish");
    std::os::unix::fs::symlink(program(), place.folder.path().join("layerlift")).unwrap();
    for (line, expected) in [
        ("layerlift save --root $STORE ", ALL),
        ("layerlift save --root $STORE base:c", &["base:child"]),
        ("layerlift save --root $STORE 'base:c", &["base:child"]),
        ("layerlift save --root $STORE --exclude=base:c", &["--exclude=base:child"]),
        ("layerlift save --root $STORE --exclude ", ALL),
        ("layerlift volume --root $STORE ", &[]),
        ("layerlift stores --root $STORE --orp", &["--orphans"]),
    ] {
        let code = format!(r#"set -x PATH $PWD $PATH; source ./script; complete -C "{line}""#);
        let Some(found) = place.shell("fish", &["--no-config"], &code) else { return };
        let words: Vec<String> = lines(&found)
            .into_iter()
            .map(|line| line.split('\t').next().unwrap_or_default().to_owned())
            .collect();
        assert_eq!(words, expected, "{line}");
    }
    let code = "source ./script; complete -C '/nonexistent/layerlift save '";
    let missing = place.shell("fish", &["--no-config"], code).unwrap();
    assert_eq!((lines(&missing), missing.status.code()), (vec![], Some(0)));
}

/// What a script gets for a line.
fn names(words: &[&str]) -> Vec<String> {
    let output = output(layerlift().args(["__complete", "zsh"]).args(words));
    let found = lines(&output);
    assert_eq!(output.status.code(), Some(i32::from(found.is_empty())), "{words:?}");
    found
}

#[test]
fn names_of_each_kind() {
    let store = Store::containers("podman-4.3");
    let root = store.root.to_str().unwrap();
    let images = names(&["save", "--root", root, ""]);
    assert!(images.iter().all(|name| name.contains(':')) && !images.is_empty(), "{images:?}");
    let containers = names(&["containers", "--root", root, ""]);
    let volumes = names(&["volume", "--root", root, ""]);
    assert!(containers.contains(&"never-started".to_owned()), "{containers:?}");
    assert!(volumes.contains(&"named".to_owned()), "{volumes:?}");
    for command in ["inspect", "rootfs"] {
        let mut both = [&*images, &*containers].concat();
        both.sort();
        both.dedup();
        assert_eq!(names(&[command, "--root", root, ""]), both, "{command}");
    }
    assert_eq!(names(&["save", "--root", root, "--container", "never"]), ["never-started"]);
    assert_eq!(names(&["save", "--root", root, "--store", "docker", ""]), [""; 0]);
    let by_variable =
        output(layerlift().args(["__complete", "zsh", "volume", "named"]).env("LAYERLIFT_ROOT", root));
    assert_eq!(lines(&by_variable), ["named"]);
}

/// What would have to be decompressed or waited for is not read, and no error is reported.
#[test]
fn places_that_are_slow_or_missing() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::example();
    let archive = |name: &str| {
        let path = dir.path().join(name);
        let saved =
            output(layerlift().args(["save", "--all", "--root"]).arg(&store.root).arg("-o").arg(&path));
        assert_eq!(ended(&saved).0, Some(0));
        path.to_str().unwrap().to_owned()
    };
    assert_eq!(names(&["save", "--root", &archive("plain.tar"), "base:c"]), ["base:child"]);
    assert_eq!(names(&["save", "--root", &archive("small.tar.gz"), "base:c"]), [""; 0]);
    let pipe = dir.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for root in [pipe.to_str().unwrap(), "-", "/nonexistent", "/dev/zero"] {
        assert_eq!(names(&["save", "--root", root, ""]), [""; 0], "{root}");
    }
    for words in [&[][..], &["save"], &["save", "--root"], &["--nosuch", ""]] {
        assert_eq!(names(words), [""; 0], "{words:?}");
    }
}
