//! The fixtures of this checkout, as data roots, layouts and archives.

use std::fs;
use std::path::{Path, PathBuf};

use crate::engines::process::{self, program};
use crate::{Outcome, workspace};

/// Folders with `*.tar.xz` of stores and archives, at any depth.
const FIXTURES: [&str; 2] = ["store/tests/fixtures", "export/tests/fixtures"];

/// Stores that are not packed.
const PLAIN: [&str; 1] = ["docs/example/docker-1.8"];

/// Something that may hold images.
pub(crate) struct Source {
    path: PathBuf,
}

/// All of this checkout, then those in folders that somebody names.
pub(crate) fn all(also: &[PathBuf]) -> Outcome<Vec<Source>> {
    let mut found = Vec::new();
    for folder in FIXTURES {
        packed(&workspace::root().join(folder), &mut found)?;
    }
    found.extend(PLAIN.iter().map(|path| workspace::root().join(path)));
    for path in also {
        let path = path.canonicalize()?;
        let before = found.len();
        if path.is_dir() {
            packed(&path, &mut found)?;
        }
        if found.len() == before {
            found.push(path);
        }
    }
    Ok(found.into_iter().map(|path| Source { path }).collect())
}

/// Adds packed files below a folder, in the order of their names.
fn packed(folder: &Path, found: &mut Vec<PathBuf>) -> Outcome {
    let mut entries = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Outcome<Vec<_>>>()?;
    entries.sort();
    for path in entries {
        if path.is_dir() {
            packed(&path, found)?;
        } else if path.to_string_lossy().ends_with(".tar.xz") {
            found.push(path);
        }
    }
    Ok(())
}

impl Source {
    /// The path, from the checkout's root on.
    pub(crate) fn name(&self) -> String {
        self.path.strip_prefix(workspace::root()).unwrap_or(&self.path).display().to_string()
    }

    /// Everything in it that might be opened: the file itself, what is in it, and the folders of that.
    pub(crate) fn unpack(&self, folder: &Path) -> Outcome<Vec<PathBuf>> {
        if !self.path.to_string_lossy().ends_with(".tar.xz") {
            return Ok(vec![self.path.clone()]);
        }
        let tar = folder.join("tar");
        let xz = fs::File::open(&self.path)?;
        process::into_file(program("xz", ["-dc"]).stdin(xz), &tar)?;
        let unpacked = folder.join("unpacked");
        fs::create_dir(&unpacked)?;
        let flags = ["--xattrs", "--xattrs-include=*", "--numeric-owner", "-xf"];
        // One fixture breaks off, and an ordinary user cannot make all of others: what is there is compared.
        if process::run(program("tar", flags).arg(&tar).arg("-C").arg(&unpacked)).is_err() {
            println!("not whole  {}", self.name());
        }
        let mut roots = vec![self.path.clone(), tar, unpacked.clone()];
        let mut inner: Vec<_> =
            fs::read_dir(&unpacked)?.filter_map(|entry| Some(entry.ok()?.path())).collect();
        inner.retain(|path| path.is_dir());
        inner.sort();
        roots.extend(inner);
        Ok(roots)
    }
}
