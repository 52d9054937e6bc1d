//! Outputs that are not simply a file in a folder: closed, limited, a link that leads nowhere yet, a name
//! that asks for compression.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use crate::program::{ended, layerlift, output, save};
use crate::store::Store;

/// The command, started by a shell that does something first.
fn after(prelude: &str, command: &Command) -> Command {
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(format!("{prelude} exec \"$0\" \"$@\"")).arg(command.get_program());
    shell.args(command.get_args());
    shell
}

#[test]
fn closed_standard_output() {
    let store = Store::example();
    let command = |args: &[&str]| {
        let mut command = save(&store.root);
        command.args(args);
        output(&mut after("exec >&-;", &command))
    };
    for args in [&["base:latest"][..], &["base:latest", "-o", "-"], &["base:latest", "--dry-run"]] {
        let (status, said) = ended(&command(args));
        assert_eq!(status, Some(2));
        assert!(said.starts_with("layerlift: error: standard output is closed\nhint: redirect it"), "{said}");
    }
    for name in ["images", "verify", "stores"] {
        let mut listing = layerlift();
        listing.arg(name).arg("--root").arg(&store.root);
        let (status, said) = ended(&output(&mut after("exec >&-;", &listing)));
        assert_eq!(status, Some(2), "{name}: {said}");
        assert!(said.contains("standard output is closed"), "{name}: {said}");
    }
    let file = store.beside("out.tar");
    assert_eq!(
        ended(&command(&["base:latest", "-o", &file.display().to_string()])),
        (Some(0), String::new())
    );
    assert!(file.is_file());
    // Somebody who throws the archive away wants just that.
    let mut discarded = save(&store.root);
    discarded.arg("base:latest");
    assert_eq!(ended(&output(&mut after("exec >/dev/null;", &discarded))).0, Some(0));
    assert_eq!(ended(&output(&mut after("exec 1<>/dev/null;", &discarded))).0, Some(0));
}

#[test]
fn limited_file_size() {
    let store = Store::example();
    let file = store.beside("out.tar");
    let mut command = save(&store.root);
    command.args(["base:latest", "-o"]).arg(&file);
    let (status, said) = ended(&output(&mut after("ulimit -f 2;", &command)));
    assert_eq!(status, Some(2), "{said}");
    assert!(said.ends_with("out.tar: file too large\n"), "{said}");
    let folder = file.parent().unwrap();
    let left =
        |path: &Path| path.read_dir().unwrap().filter(|one| is_output(&one.as_ref().unwrap().path())).count();
    assert_eq!(left(folder), 0, "something is left of the output");
}

fn is_output(path: &Path) -> bool {
    let name = path.file_name().unwrap().to_string_lossy();
    name.ends_with(".tar") || name.ends_with(".tmp")
}

#[test]
fn link_to_a_file_that_is_not_there_yet() {
    let store = Store::example();
    let (link, between, target) =
        (store.beside("link.tar"), store.beside("between"), store.beside("target.tar"));
    symlink(&between, &link).unwrap();
    symlink("target.tar", &between).unwrap();
    for _ in ["created", "replaced"] {
        assert_eq!(ended(&output(save(&store.root).args(["base:latest", "-o"]).arg(&link))).0, Some(0));
        assert!(link.is_symlink() && between.is_symlink() && !target.is_symlink());
        assert_eq!(fs::read(&target).unwrap(), output(save(&store.root).arg("base:latest")).stdout);
    }
    let circle = store.beside("circle");
    symlink("circle", &circle).unwrap();
    let (status, said) = ended(&output(save(&store.root).args(["base:latest", "-o"]).arg(&circle)));
    assert_eq!(status, Some(2));
    assert!(said.contains("too many levels of symbolic links"), "{said}");
}

#[test]
fn link_to_a_directory() {
    let store = Store::example();
    let layout = |name: &str| {
        let out = format!("{}/", store.beside(name).display());
        ended(&output(save(&store.root).args(["base:latest", "--format", "oci-archive", "-o", &out]))).0
    };
    symlink("not there yet", store.beside("link")).unwrap();
    assert_eq!(layout("link"), Some(0));
    assert!(store.beside("link").is_symlink() && store.beside("not there yet/index.json").is_file());
    fs::create_dir(store.beside("empty")).unwrap();
    symlink("empty", store.beside("other")).unwrap();
    assert_eq!(layout("other"), Some(0));
    assert!(store.beside("other").is_symlink() && store.beside("empty/index.json").is_file());
}

/// Both find no layout when they begin. The second one to end adds its image to that of the first.
#[test]
fn a_layout_that_two_make_at_once() {
    let store = Store::example();
    let out = format!("{}/", store.beside("layout").display());
    for _ in 0..4 {
        let _ = fs::remove_dir_all(store.beside("layout"));
        let mut command = save(&store.root);
        command.args(["base:latest", "--format", "oci-archive", "-o", &out]);
        let first = command.spawn().unwrap();
        let (status, said) = ended(&output(&mut command));
        assert_eq!(status, Some(0), "{said}");
        assert!(first.wait_with_output().unwrap().status.success());
    }
}

#[test]
fn report_of_a_salvage() {
    let store = Store::example();
    let (out, folder) = (store.beside("out.tar"), store.beside("folder"));
    fs::create_dir(&folder).unwrap();
    let missing = store.beside("missing/report.json");
    for (report, why) in
        [(&out, "would be both"), (&missing, "No such file or directory"), (&folder, "is a directory")]
    {
        let mut command = save(&store.root);
        command.args(["base:latest", "--salvage", "--salvage-report"]).arg(report).arg("-o").arg(&out);
        let (status, said) = ended(&output(&mut command));
        assert_eq!((status, out.exists()), (Some(2), false), "{said}");
        assert!(said.to_lowercase().contains(&why.to_lowercase()), "{said}");
    }
}

#[test]
fn names_that_ask_for_compression() {
    let store = Store::example();
    let plain = output(save(&store.root).arg("base:latest")).stdout;
    for (name, more, magic) in [
        ("a.tar.gz", &[][..], &[0x1f, 0x8b][..]),
        ("a.tgz", &[], &[0x1f, 0x8b]),
        ("A.TAR.GZ", &[], &[0x1f, 0x8b]),
        ("a.tar.zstd", &[], &[0x28, 0xb5, 0x2f, 0xfd]),
        ("a.tar.zst", &[], &[0x28, 0xb5, 0x2f, 0xfd]),
        ("b.tar.gz", &["--archive-compress", "zstd"], &[0x28, 0xb5, 0x2f, 0xfd]),
        ("c.tar.gz", &["--archive-compress", "none"], &plain[..]),
        ("a.tar", &[], &plain[..]),
    ] {
        let file = store.beside(name);
        let mut command = save(&store.root);
        command.args(["base:latest", "-o"]).arg(&file).args(more);
        assert_eq!(ended(&output(&mut command)).0, Some(0), "{name}");
        assert!(fs::read(&file).unwrap().starts_with(magic), "{name} {more:?}");
    }
    let file = store.beside("a.tar.xz");
    let (status, said) = ended(&output(save(&store.root).args(["base:latest", "-o"]).arg(&file)));
    assert_eq!(status, Some(2));
    assert!(said.contains("would be compressed with xz") && !file.exists(), "{said}");
}
