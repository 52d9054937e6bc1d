//! System calls that an old kernel does not know, or that a sandbox refuses.

use std::process::{Command, Stdio};

use crate::program::{layerlift, output, skipped};
use crate::store::{BASE, Store};

/// `layerlift` under strace with these options; `None`, said aloud, where nothing can be traced.
fn traced(what: &str, options: &[&str]) -> Option<Command> {
    let trial = Command::new("strace").args(["-o", "/dev/null", "true"]).stderr(Stdio::null()).status();
    match trial {
        Ok(status) if status.success() => {}
        Ok(_) => {
            skipped(what, "strace cannot trace here");
            return None;
        }
        Err(_) => {
            skipped(what, "strace is not installed");
            return None;
        }
    }
    let program = layerlift();
    let mut command = Command::new("strace");
    command.stdin(Stdio::null()).env_remove("XDG_DATA_HOME").env("HOME", "/nonexistent");
    command.args(["-f", "-qq", "-o", "/dev/null"]).args(options).arg(program.get_program());
    Some(command)
}

/// Seccomp filters of older container runtimes answer EPERM, kernels before 5.6 ENOSYS.
#[test]
fn without_openat2() {
    let store = Store::example();
    // One layer has to be computed from its directory.
    std::fs::remove_file(store.root.join(format!("graph/{BASE}/tar-data.json.gz"))).unwrap();
    for error in ["EPERM", "ENOSYS"] {
        let inject = format!("inject=openat2:error={error}");
        for args in [&["images", "--no-trunc"][..], &["verify"], &["save", "--all"]] {
            let Some(mut command) = traced("without_openat2", &["-e", "trace=openat2", "-e", &inject]) else {
                return;
            };
            let expected = output(layerlift().args(args).arg("--root").arg(&store.root));
            let refused = output(command.args(args).arg("--root").arg(&store.root));
            assert!(expected.status.success() && !expected.stdout.is_empty(), "{args:?}: {expected:?}");
            assert_eq!(String::from_utf8_lossy(&refused.stderr), "", "{error} {args:?}");
            assert!(refused.status.success(), "{error} {args:?}");
            assert!(refused.stdout == expected.stdout, "{error} {args:?}");
        }
    }
}
