//! `cargo xtask cross`: builds the program for other machines, and lets it write what this machine's program
//! writes of the fixtures, under qemu. Each output has to be the same, byte for byte.
//!
//! Everything comes from Debian sid, in a chroot that is kept: Rust, C compilers for other machines, qemu,
//! and the std of each target, which is a package of its architecture.
//!
//! ```text
//! target/cross/
//!     sid/                                                   the chroot
//!     build/aarch64-unknown-linux-gnu/debug/layerlift        what it built
//!     layerlift-aarch64-unknown-linux-gnu                    a script that runs it under qemu
//! ```

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;

use crate::dist::target::Target;
use crate::engines::chroot::{self, WITHOUT_TEXTS};
use crate::engines::place::Place;
use crate::engines::process::output_within;
use crate::engines::scratch::{Mount, enter_namespaces};
use crate::{Outcome, compare, dist, workspace};

#[derive(Args)]
pub(crate) struct Options {
    /// Build for this target; can be given several times [default: every other machine with glibc]
    #[arg(long, value_name = "TRIPLE")]
    target: Vec<String>,
    /// Only fixtures whose name has one of these in it
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// The program for this machine [default: one that is built]
    #[arg(long)]
    program: Option<PathBuf>,
}

/// A build takes minutes, and a slow mirror may, too.
const LIMIT: Duration = Duration::from_secs(3600);

/// The profile for development: it is built fastest, what takes time is optimized all the same, and overflows
/// on machines of 32 bits are found.
const PROFILE: [(&str, &str); 2] = [("CARGO_INCREMENTAL", "0"), ("CARGO_PROFILE_DEV_DEBUG", "false")];

/// Builds and compares.
pub(crate) fn run_all(options: &Options) -> Outcome {
    enter_namespaces()?;
    let native = match &options.program {
        Some(program) => program.canonicalize()?,
        None => dist::program()?,
    };
    let targets = chosen(&options.target)?;
    let folder = workspace::target().join("cross");
    let machine = Machine::open(&folder)?;
    for target in &targets {
        let start = Instant::now();
        machine.fetch_std(target)?;
        machine.build(target)?;
        println!("{}: built in {} s", target.triple, start.elapsed().as_secs());
        let program = machine.script(target)?;
        compare::both(&compare::Options::of(&native, &program, &options.only))?;
        println!("{}: the same bytes as here ({} s in all)", target.triple, start.elapsed().as_secs());
    }
    Ok(())
}

/// The targets with glibc but this machine's, or those that are asked for.
fn chosen(triples: &[String]) -> Outcome<Vec<Target>> {
    let host = Target::host()?;
    let mut targets = Target::chosen(triples, triples.is_empty())?;
    targets.retain(|target| target.is_gnu() && target.triple != host.triple);
    if targets.is_empty() {
        return Err("no target is left: cross builds for other machines with glibc only".into());
    }
    Ok(targets)
}

/// What the chroot gets, in Debian's names.
fn packages() -> Outcome<Vec<String>> {
    let mut packages: Vec<String> =
        ["ca-certificates", "cargo", "gcc", "libc6-dev", "qemu-user", "rustc"].map(String::from).into();
    for target in Target::chosen(&[], true)?.iter().filter(|target| target.is_gnu()) {
        packages.push(format!("gcc-{}", prefix(target).replace('_', "-")));
        packages.push(format!("libc6-dev-{}-cross", target.deb));
    }
    Ok(packages)
}

/// The chroot with the compilers. Its mounts end with it.
struct Machine {
    folder: PathBuf,
    root: PathBuf,
    place: Place,
    _mounts: Vec<Mount>,
}

impl Machine {
    fn open(folder: &Path) -> Outcome<Self> {
        let packages = packages()?;
        let packages: Vec<&str> = packages.iter().map(String::as_str).collect();
        let root = chroot::kept("sid", &folder.join("sid"), &packages, &WITHOUT_TEXTS)?;
        let build = folder.join("build");
        let registry = dist::cargo_home()?.join("registry");
        for needed in [&build, &registry] {
            fs::create_dir_all(needed)?;
        }
        let mut mounts = Vec::new();
        for name in ["proc", "dev"] {
            mounts.push(Mount::new(&["--rbind"], &Path::new("/").join(name), &root.join(name))?);
        }
        let shared = [
            (workspace::root(), "layerlift"),
            (build.as_path(), "build"),
            (registry.as_path(), "cargo/registry"),
        ];
        for (outside, inside) in shared {
            let inside = root.join(inside);
            fs::create_dir_all(&inside)?;
            mounts.push(Mount::new(&["--bind"], outside, &inside)?);
        }
        // cargo asks for crates that are not here yet.
        fs::copy("/etc/resolv.conf", root.join("etc/resolv.conf"))?;
        mounts.reverse();
        Ok(Machine { folder: folder.to_owned(), place: Place::chroot(&root), root, _mounts: mounts })
    }

    /// Unpacks the std of a target, but none of what that package needs: it is for programs that are linked
    /// with the shared std.
    fn fetch_std(&self, target: &Target) -> Outcome {
        if self.root.join("usr/lib/rustlib").join(target.triple).is_dir() {
            return Ok(());
        }
        let script = "set -e; package=libstd-rust-dev
                      dpkg --add-architecture \"$0\"; apt-get update -q; cd /var/cache
                      apt-get download -q \"$package:$0\"
                      dpkg-deb -x \"$package\"_*_\"$0\".deb /; rm \"$package\"_*_\"$0\".deb";
        let output = output_within(self.place.program("sh", ["-c", script, target.deb]), LIMIT)?;
        let said = String::from_utf8_lossy(&output.stderr);
        if output.status.success() {
            return Ok(());
        }
        Err(format!("std for {}: {}", target.triple, said.lines().last().unwrap_or("no reason given")).into())
    }

    fn build(&self, target: &Target) -> Outcome {
        let name = target.triple.replace('-', "_");
        let arguments = ["build", "--quiet", "--locked", "-p", "layerlift", "--target", target.triple];
        let mut command = self.place.program("cargo", arguments);
        // A chroot has no current directory of this machine.
        command.args(["--manifest-path", "/layerlift/Cargo.toml"]);
        command.envs(PROFILE).env("CARGO_HOME", "/cargo").env("CARGO_TARGET_DIR", "/build");
        command.env(format!("CARGO_TARGET_{}_LINKER", name.to_uppercase()), target.compiler);
        command.env(format!("CC_{name}"), target.compiler);
        let output = output_within(command, LIMIT)?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let hint = if said.contains("incompatible version of rustc") {
            // sid has moved on between the chroot and the std of this target.
            format!("\nremove {}: the next run makes it again with the current Rust", self.root.display())
        } else {
            String::new()
        };
        Err(format!("{}: {}{hint}", target.triple, said.trim_end()).into())
    }

    /// Writes a script that runs what was built. qemu is linked statically, so it runs outside of the chroot.
    fn script(&self, target: &Target) -> Outcome<PathBuf> {
        let qemu = match target.triple.split('-').next() {
            Some("armv7") => "qemu-arm".to_owned(),
            machine => format!("qemu-{}", machine.unwrap_or_default()),
        };
        let qemu = self.root.join("usr/bin").join(qemu);
        let libraries = self.root.join("usr").join(prefix(target));
        let program = self.folder.join("build").join(target.triple).join("debug/layerlift");
        let script = self.folder.join(format!("layerlift-{}", target.triple));
        let [qemu, libraries, program] = [qemu, libraries, program].map(|path| quoted(&path));
        fs::write(&script, format!("#!/bin/sh\nexec {qemu} -L {libraries} {program} \"$@\"\n"))?;
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
        Ok(script)
    }
}

/// `aarch64-linux-gnu`, as Debian's compilers and their folders are called.
fn prefix(target: &Target) -> &'static str {
    target.compiler.trim_end_matches("-gcc")
}

/// A path as a shell reads it.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_of_the_chroot() {
        let packages = packages().unwrap();
        for name in ["gcc-x86-64-linux-gnu", "gcc-arm-linux-gnueabihf", "libc6-dev-s390x-cross"] {
            assert!(packages.iter().any(|package| package == name), "{name}: {packages:?}");
        }
        assert_eq!(packages.iter().filter(|package| package.starts_with("gcc-")).count(), 4);
    }

    #[test]
    fn targets_are_those_of_other_machines() {
        let host = Target::host().unwrap().triple;
        let all = chosen(&[]).unwrap();
        assert!(all.len() >= 3 && all.iter().all(|target| target.is_gnu() && target.triple != host));
        let error = chosen(&[host.to_owned()]).err().unwrap().to_string();
        assert!(error.starts_with("no target is left"), "{error}");
    }

    #[test]
    fn a_path_as_a_shell_reads_it() {
        assert_eq!(quoted(Path::new("/it's here")), r"'/it'\''s here'");
    }
}
