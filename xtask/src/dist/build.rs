//! Builds the program so that its bytes depend on no path of this machine.

use std::path::{Path, PathBuf};

use xshell::{Shell, cmd};

use super::target::{Target, rustc_says, sysroot};
use crate::{Outcome, workspace};

/// Builds the program for this machine, as it is shipped.
pub(crate) fn program() -> Outcome<PathBuf> {
    build(&Target::host()?)
}

/// Builds the program for a target, stripped.
pub(super) fn build(target: &Target) -> Outcome<PathBuf> {
    let shell = prepared(target)?;
    let triple = target.triple;
    cmd!(shell, "cargo build --quiet --release --locked -p layerlift --target {triple}").quiet().run()?;
    Ok(built(target))
}

/// Builds the program for a target with glibc in it, and puts it beside the usual one.
///
/// Whether the C library is linked statically is decided when the program is linked. All crates but the last
/// are those of [`build`].
pub(super) fn build_static(target: &Target) -> Outcome<PathBuf> {
    let shell = prepared(target)?;
    let triple = target.triple;
    let cargo = cmd!(shell, "cargo rustc --quiet --release --locked -p layerlift --bin layerlift");
    cargo.args(["--target", triple, "--", "-C", "target-feature=+crt-static"]).quiet().run()?;
    let program = built(target).with_file_name("layerlift-static");
    shell.copy_file(built(target), &program)?;
    Ok(program)
}

pub(super) fn built(target: &Target) -> PathBuf {
    workspace::target().join(target.triple).join("release/layerlift")
}

/// A shell in which cargo builds for the target.
fn prepared(target: &Target) -> Outcome<Shell> {
    let shell = workspace::shell()?;
    let prefixes = prefixes()?;
    let mut flags = vec!["-Cstrip=symbols".to_owned()];
    let mut c = std::env::var("CFLAGS").unwrap_or_default();
    for (from, to) in prefixes {
        flags.push(format!("--remap-path-prefix={}={to}", from.display()));
        c += &format!(" -ffile-prefix-map={}={to}", from.display());
    }
    shell.set_var("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"));
    let name = target.triple.replace('-', "_");
    shell.set_var(format!("CFLAGS_{name}"), c.trim());
    if let Some(compiler) = target.cross_compiler()? {
        shell.set_var(format!("CARGO_TARGET_{}_LINKER", name.to_uppercase()), compiler);
        shell.set_var(format!("CC_{name}"), compiler);
    }
    Ok(shell)
}

/// Paths that reach the program in messages of panics and in `__FILE__`, and what stands there instead. The
/// last that fits wins.
fn prefixes() -> Outcome<[(PathBuf, String); 4]> {
    Ok([
        (workspace::root().to_owned(), "/layerlift".into()),
        (workspace::target(), "/layerlift/target".into()),
        (cargo_home()?, "/cargo".into()),
        // Paths of std have this prefix already, unless its source is installed.
        (sysroot()?.join("lib/rustlib/src/rust"), format!("/rustc/{}", rustc_says("commit-hash: ")?)),
    ])
}

/// Where cargo keeps the sources of crates.
pub(crate) fn cargo_home() -> Outcome<PathBuf> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(Path::new(&std::env::var_os("HOME")?).join(".cargo")));
    Ok(home.ok_or("neither CARGO_HOME nor HOME is set")?)
}
