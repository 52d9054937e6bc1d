//! A containerd whose layer blobs were removed after unpacking, by hand or by the CRI's own setting, as
//! Kubernetes nodes may have it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use super::Round;
use super::content;
use crate::Outcome;
use crate::engines::containerd::Containerd;
use crate::engines::image::{familiar, hex};
use crate::engines::process::{bytes, installed, output, program, run};
use crate::interop::archive::{self, Format};
use crate::interop::listing::Listing;
use crate::interop::readers::Written;
use crate::interop::report::Report;
use crate::interop::source::Shape;

/// Removes all layer blobs with `ctr content rm`, saves, and lets every program read the result.
pub(super) fn run_all(round: &Round<'_>, report: &mut Report) -> Outcome {
    let name = format!("{}: containerd without blobs of layers", round.suite.name());
    let home = round.checks.scratch.folder("s-bare")?;
    let containerd = Containerd::start_in(&round.place, &home);
    let Some(containerd) = report.started(&name, containerd) else { return Ok(()) };
    let root = home.join("root");
    let discarded = report.check(&format!("{name}: ctr images import, ctr content rm"), || {
        run(containerd.command(["images", "import"]).arg(&round.material.packed.path))?;
        let stored = content::stored(&containerd, &root)?;
        let layers: BTreeSet<&str> = stored.iter().flat_map(|one| &one.layers).map(String::as_str).collect();
        run(containerd.command(["content", "rm"].into_iter().chain(layers.iter().copied())))?;
        // That takes them off the records; their files go when garbage is collected, as here.
        let [name, other] = ["docker.io/interop/runs:1", "docker.io/interop/other:1"];
        run(containerd.command(["images", "tag", name, other]))?;
        run(containerd.command(["images", "rm", "--sync", other]))?;
        match layers.iter().find(|digest| root.join(content::BLOBS).join(hex(digest)).exists()) {
            Some(digest) => Err(format!("the file of {digest} is still there").into()),
            None => Ok(()),
        }
    });
    containerd.stop()?;
    if !discarded {
        return Ok(());
    }
    let before = Listing::of(&root)?;
    report.check(&format!("{name}: layerlift save --no-rebuild"), || refused(round, &root, &home));
    let written = report
        .step(&format!("{name}: layerlift save, each digest, each file"), || rebuilt(round, &root, &home));
    if let Some(written) = written {
        for readers in round.checks.readers {
            readers.check(&name, &written, report);
        }
    }
    report.check(&format!("{name}: the store is as it was"), || before.same(&Listing::of(&root)?));
    Ok(())
}

/// The same with the setting of the CRI, and an image that was pulled through it.
pub(super) fn by_cri(round: &Round<'_>, report: &mut Report) -> Outcome {
    let name = format!("{}: containerd whose CRI discards layers", round.suite.name());
    let Some(image) = round.material.pulled.as_ref().filter(|_| installed("curl")) else {
        report.not_run(&name, "docker-registry or curl is not installed");
        return Ok(());
    };
    let home = round.checks.scratch.folder("s-cri")?;
    let containerd = Containerd::start_discarding(&round.place, &home);
    let Some(containerd) = report.started(&name, containerd) else { return Ok(()) };
    let root = home.join("root");
    let discarded = report.check(&format!("{name}: PullImage"), || {
        containerd.pull_by_cri(image, &home)?;
        let stored = content::stored(&containerd, &root)?;
        let layers: Vec<PathBuf> = stored
            .iter()
            .flat_map(|one| &one.layers)
            .map(|layer| root.join(content::BLOBS).join(hex(layer)))
            .collect();
        // Garbage is collected a moment later.
        for _ in 0..100 {
            if !layers.iter().any(|layer| layer.exists()) {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(100));
        }
        Err("the blobs of layers are still there".into())
    });
    containerd.stop()?;
    if !discarded {
        return Ok(());
    }
    report.check(&format!("{name}: layerlift save --no-rebuild"), || refused(round, &root, &home));
    let written = report.step(&format!("{name}: layerlift save, each digest, each file"), || {
        let (tar, folder) = (home.join("all.tar"), home.join("all"));
        run(round.checks.save(&root, Shape::PLAIN[0]).arg("--output").arg(&tar))?;
        archive::unpack(&tar, &folder)?;
        let layers = archive::layers(&folder, &familiar(image))?;
        let names: Vec<BTreeSet<Vec<u8>>> =
            layers.iter().map(|layer| members(layer)).collect::<Outcome<_>>()?;
        let expected = ["one", "other"]
            .map(|file| ["etc", "etc/last", file].into_iter().map(|name| name.as_bytes().to_vec()).collect());
        if names != expected {
            return Err(format!("other names: {names:?}").into());
        }
        let images = archive::images(&folder, Format::DockerArchive)?;
        Ok(Written { shape: Shape::PLAIN[0], tar, folder, images })
    });
    if let Some(written) = written {
        for readers in round.checks.readers {
            readers.check(&name, &written, report);
        }
    }
    Ok(())
}

fn refused(round: &Round<'_>, root: &Path, home: &Path) -> Outcome {
    let tar = home.join("refused.tar");
    let mut command = round.checks.save(root, Shape::PLAIN[0]);
    let ran = output(command.arg("--no-rebuild").arg("--output").arg(&tar))?;
    let said = String::from_utf8_lossy(&ran.stderr);
    match (ran.status.code(), tar.exists()) {
        (Some(1), false) if said.contains("layerlift: error: ") => Ok(()),
        (_, there) => Err(format!("{}, an output: {there}: {said}", ran.status).into()),
    }
}

/// Layers are rebuilt from snapshots, so ids may be others, but tags and names of files are the same.
fn rebuilt(round: &Round<'_>, root: &Path, home: &Path) -> Outcome<Written> {
    let (tar, folder) = (home.join("all.tar"), home.join("all"));
    run(round.checks.save(root, Shape::PLAIN[0]).arg("--output").arg(&tar))?;
    archive::unpack(&tar, &folder)?;
    let images = archive::images(&folder, Format::DockerArchive)?;
    let expected = &round.material.packed;
    let original = home.join("original");
    archive::unpack(&expected.path, &original)?;
    for image in &expected.images {
        let found = images.iter().find(|one| one.tags == image.tags);
        let found = found.ok_or_else(|| format!("{:?} is not in the archive", image.tags))?;
        let tag = image.tags.first().ok_or("an image without a tag")?;
        let [was, is] = [archive::layers(&original, tag)?, archive::layers(&folder, tag)?];
        if was.len() != is.len() || is.len() != found.diff_ids.len() {
            return Err(format!("{tag} has {} layers, not {}", is.len(), was.len()).into());
        }
        for (number, (was, is)) in was.iter().zip(&is).enumerate() {
            let (was, is) = (members(was)?, members(is)?);
            if let Some(lost) = was.difference(&is).next() {
                return Err(format!("{tag}: layer {number} lacks {}", String::from_utf8_lossy(lost)).into());
            }
        }
    }
    if images.len() != expected.images.len() {
        return Err(format!("{} images, not {}", images.len(), expected.images.len()).into());
    }
    Ok(Written { shape: Shape::PLAIN[0], tar, folder, images })
}

/// Names in a layer, compressed or not.
fn members(layer: &Path) -> Outcome<BTreeSet<Vec<u8>>> {
    let listed = bytes(program("tar", ["--quoting-style=escape", "-tf"]).arg(layer))?;
    let name = |line: &[u8]| {
        let line = line.strip_prefix(b"./").unwrap_or(line);
        line.strip_suffix(b"/").unwrap_or(line).to_vec()
    };
    let lines = listed.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    Ok(lines.map(name).collect())
}
