//! Measures the same lookups on a store of containerd, made by containerd of the images of the other store.

use std::path::{Path, PathBuf};

use super::Bench;
use crate::Outcome;
use crate::engines::containerd::Containerd;
use crate::engines::process::{program, run};

/// The titles of the comparisons.
pub(crate) const TITLES: [&str; 2] =
    ["images, on a store of containerd with 1,000 images", "save of one small image of containerd"];

/// Has containerd import all images of a store. Without containerd the result is `None`, and the reason is
/// printed.
pub(crate) fn make(bench: &Bench, (from, images): (&Path, usize), folder: &Path) -> Outcome<Option<PathBuf>> {
    // A plan keeps files of all its layers open, so not all images fit into one.
    const AT_ONCE: usize = 100;
    let archive = folder.join("many.tar");
    let home = folder.join("c");
    let containerd = match Containerd::start(&home) {
        Ok(containerd) => containerd,
        Err(error) => {
            println!("not measured, since containerd does not start: {error}");
            return Ok(None);
        }
    };
    for first in (0..images).step_by(AT_ONCE) {
        let last = images.min(first + AT_ONCE);
        run(program(&bench.layerlift, ["save", "--format", "oci-archive", "--root"])
            .arg(from)
            .args((first..last).map(|image| format!("many/image-{image}:1")))
            .arg("-o")
            .arg(&archive))?;
        run(containerd.command(["images", "import", "--no-unpack"]).arg(&archive))?;
    }
    containerd.stop()?;
    std::fs::remove_file(&archive)?;
    Ok(Some(home.join("root")))
}
