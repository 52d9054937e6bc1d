//! containers-storage, which podman, buildah and skopeo write, as root and as an ordinary user.

use std::path::Path;

use super::archive::{Alike, same};
use super::images::{self, Archive, Set};
use super::pushed::{Access, Pushed};
use super::report::Report;
use super::source::{Checks, Shape, Source};
use super::{Engine, Options, builds};
use crate::Outcome;
use crate::engines::containers::Storage;
use crate::engines::place::Place;
use crate::engines::process::{installed, program, run, text};
use crate::engines::registry::Registry;
use crate::engines::scratch::{Mount, unmount_below};
use crate::engines::user::User;

/// The drivers, and whether an ordinary user owns the store.
const STORES: [(&str, bool); 6] =
    [("overlay", false), ("vfs", false), ("btrfs", false), (FUSE, false), ("overlay", true), ("vfs", true)];

/// The driver overlay, with fuse-overlayfs in place of the kernel.
const FUSE: &str = "fuse-overlayfs";

/// The store whose images are pushed.
const PUSHED: &str = "podman overlay";

/// Runs the checks of each requested store.
pub(crate) fn run_all(options: &Options, checks: &Checks<'_>, report: &mut Report) -> Outcome {
    let wanted =
        STORES.iter().filter(|(driver, _)| options.wants(Engine::Podman, driver)).collect::<Vec<_>>();
    if wanted.is_empty() {
        return Ok(());
    }
    if let Some(missing) = ["podman", "buildah", "skopeo"].iter().find(|program| !installed(program)) {
        report.not_run("podman, buildah, skopeo", &format!("{missing} is not installed"));
        return Ok(());
    }
    let folder = checks.scratch.folder("podman")?;
    let context = builds::context(&folder)?;
    let registry =
        if installed("docker-registry") { Some(Registry::start(&folder.join("registry"))?) } else { None };
    for (index, &(driver, ordinary)) in wanted.into_iter().enumerate() {
        let name = format!("podman {driver}{}", if ordinary { " of an ordinary user" } else { "" });
        // podman limits the run root to 50 characters.
        let home = checks.scratch.folder(&format!("p{index}"))?;
        let user = if ordinary {
            match User::make(checks.scratch) {
                Ok(user) => Some(user),
                Err(error) => {
                    report.not_run(&name, &error.to_string());
                    continue;
                }
            }
        } else {
            None
        };
        let (user, _mounts) = user.unzip();
        let archive = images::make(&folder, if ordinary { Set::Ordinary } else { Set::All })?;
        let (driver, option) = match driver {
            FUSE => ("overlay", Some("overlay.mount_program=/usr/bin/fuse-overlayfs")),
            other => (other, None),
        };
        let storage = Storage::new(&home, driver, user)?.with_option(option);
        let _btrfs = match needs(driver, option, &home, &storage.root()) {
            Ok(mount) => mount,
            Err(error) => {
                report.not_run(&name, &error.to_string());
                continue;
            }
        };
        if let Err(error) = run(storage.podman(["info"])) {
            report.not_run(&name, &error.to_string());
            continue;
        }
        one(&name, &storage, &archive, &context, registry.as_ref(), checks, report)?;
        unmount_below(&home);
        run(program("rm", ["-rf", "--"]).arg(&home))?;
    }
    Ok(())
}

/// Prepares what a driver needs below its graph root.
fn needs(driver: &str, option: Option<&str>, home: &Path, root: &Path) -> Outcome<Option<Mount>> {
    if option.is_some() && !(installed(FUSE) && Path::new("/dev/fuse").exists()) {
        return Err("fuse-overlayfs or /dev/fuse is missing".into());
    }
    if driver == "btrfs" { Mount::btrfs(&home.join("btrfs.img"), root).map(Some) } else { Ok(None) }
}

fn one(
    name: &str,
    storage: &Storage,
    archive: &Archive,
    context: &Path,
    registry: Option<&Registry>,
    checks: &Checks<'_>,
    report: &mut Report,
) -> Outcome {
    let loaded = report.check(&format!("{name}: podman load of the synthetic images"), || {
        run(storage.podman(["load", "--quiet", "--input"]).arg(&archive.path))?;
        same(&archive.images, &storage.images()?, Alike::default())
    });
    if !loaded {
        return Ok(());
    }
    report.check(&format!("{name}: podman build, buildah commit"), || builds::buildah(storage, context));
    report.check(&format!("{name}: skopeo copy"), || {
        let source = format!("docker-archive:{}:@0", archive.path.display());
        let to = storage.transport("localhost/interop/copied:s1");
        let mut skopeo = storage.owners_program("skopeo");
        run(skopeo.args(["copy", "--quiet", "--insecure-policy", "--format", "oci", &source, &to]))
    });
    match registry {
        Some(registry) => {
            report.check(&format!("{name}: podman push and pull"), || {
                builds::podman_registry(storage, registry)
            });
        }
        None => report.not_run(&format!("{name}: podman pull"), "docker-registry is not installed"),
    }
    let images = storage.images()?;
    // One is enough for what does not depend on the driver.
    if let Some(registry) = registry.filter(|_| name == PUSHED) {
        let (to, root) = (Access::open(registry.address()), storage.root());
        let home = storage.home().join("g");
        std::fs::create_dir_all(&home)?;
        let (root, images, home, place) = (&root, &images, &home, &Place::HERE);
        let pushed = Pushed { name, root, images, to: &to, home, place, keeps_manifests: false };
        pushed.check(checks, None, report)?;
    }
    let source = Source { name: name.to_owned(), root: storage.root(), images, ..Source::default() };
    checks.check(&source, None, report)?;
    if storage.is_rootless() {
        report.check(&format!("{name}: as that user, in its namespace"), || {
            let [by_user, by_root] = ["by-user.tar", "by-root.tar"].map(|file| storage.home().join(file));
            let mut unshare = storage.podman(["unshare"]);
            unshare.arg(checks.layerlift).args(["save", "--quiet", "--all", "--root"]).arg(storage.root());
            crate::engines::process::into_file(unshare, &by_user)?;
            run(checks.save(&storage.root(), Shape::PLAIN[0]).arg("--output").arg(&by_root))?;
            text(program("cmp", ["--"]).arg(by_user).arg(by_root)).map(drop)
        });
    }
    Ok(())
}
