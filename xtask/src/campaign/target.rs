//! An output that something happens to: what was there before, what should be there, what may be left.

use std::fs;
use std::path::{Path, PathBuf};

use super::oracle::{self, Images};
use super::program::{Ran, save};
use super::{Campaign, stores};
use crate::Outcome;
use crate::engines::process::{program, run};

/// The store that is saved: 71 layers, some of 1 MiB.
const STORE: &str = "docker-20.10-overlay2";
/// A store of which a layout is made that is then extended.
const OTHER: &str = "podman-4.3-small";

/// What may be left where a run could not clean up: less than any output.
const SMALL: u64 = 65536;

/// A way to save the store.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// To a new file.
    New(&'static str),
    /// Over an existing file.
    Over(&'static str),
    /// Into a layout that has images.
    Extend,
}

pub(crate) const WAYS: [Way; 6] = [
    Way::New("docker-archive"),
    Way::New("docker-v1"),
    Way::New("oci-archive"),
    Way::Over("docker-archive"),
    Way::Over("oci-archive"),
    Way::Extend,
];

/// The stores, and what comes out of them when nothing happens.
pub(crate) struct Target {
    pub(crate) root: PathBuf,
    layout: PathBuf,
    /// The images of the layout, and those that a save adds.
    before: Images,
    added: Images,
    /// What an existing file holds.
    old: Vec<u8>,
    right: Vec<(&'static str, Vec<u8>)>,
    pub(crate) folder: PathBuf,
    work: PathBuf,
}

impl Target {
    pub(crate) fn new(campaign: &Campaign<'_>) -> Outcome<Self> {
        let home = campaign.scratch.folder("target")?;
        let unpacked = |name: &str, folder: &str| {
            let folder = home.join(folder);
            if !folder.exists() {
                fs::create_dir(&folder)?;
            }
            stores::named(campaign, name, &folder)
        };
        oracle::fresh(&home)?;
        let (root, other) = (unpacked(STORE, "one")?, unpacked(OTHER, "other")?);
        let layout = home.join("layout");
        run(save(&campaign.layerlift, &other, "oci-archive", &layout.join("")))?;
        let before = oracle::read(&layout, "oci-archive")?;
        let mut right = Vec::new();
        for format in stores::FORMATS {
            let output = home.join(format!("right-{format}"));
            run(save(&campaign.layerlift, &root, format, &output))?;
            right.push((format, fs::read(&output)?));
        }
        let work = home.join("work");
        let added = oracle::images(&home.join("right-oci-archive"), "oci-archive", &work)?;
        let old = b"what was here before\n".repeat(5000);
        let folder = home.join("output");
        Ok(Target { root, layout, before, added, old, right, folder, work })
    }

    /// Prepares the place of the output, and returns the command without its program.
    pub(crate) fn prepare(&self, layerlift: &Path, way: Way) -> Outcome<std::process::Command> {
        oracle::fresh(&self.folder)?;
        let (format, output) = match way {
            Way::New(format) | Way::Over(format) => (format, self.folder.join("out.tar")),
            Way::Extend => ("oci-archive", self.folder.join("layout/")),
        };
        match way {
            Way::New(_) => {}
            Way::Over(_) => fs::write(&output, &self.old)?,
            Way::Extend => {
                run(program("cp", ["-a", "--"]).arg(&self.layout).arg(self.folder.join("layout")))?;
            }
        }
        Ok(save(layerlift, &self.root, format, &output))
    }

    /// What is wrong with the output after a run that ended like this. `removes` is false if the run could
    /// not clean up behind itself.
    pub(crate) fn complaint(&self, way: Way, ran: &Ran, removes: bool) -> Outcome<Option<String>> {
        let left = self.left(way)?;
        if left.is_some_and(|len| removes || len > SMALL) {
            return Ok(Some("temporary files are left".to_owned()));
        }
        match way {
            Way::Extend => self.layout_complaint(ran),
            Way::New(format) | Way::Over(format) => {
                let right = self.right.iter().find(|(of, _)| *of == format).map(|(_, bytes)| bytes);
                let output = self.folder.join("out.tar");
                let found = fs::read(&output).ok();
                let complete = found.as_ref() == right;
                let old = matches!(way, Way::Over(_)).then_some(&self.old);
                Ok(match ran.status {
                    _ if complete => None,
                    Some(0) => Some("status 0 with another archive than the right one".to_owned()),
                    // What could not be read was left out, and said.
                    Some(1 | 3) if found.is_some() && found.as_ref() != old => {
                        let read = oracle::images(&output, format, &self.work);
                        read.err().map(|error| format!("an archive that is wrong: {error}"))
                    }
                    _ if found.as_ref() == old => None,
                    _ if old.is_some() => Some("the existing output was harmed".to_owned()),
                    _ => Some("an output that is not complete".to_owned()),
                })
            }
        }
    }

    /// The layout has to stay one, with the images that it had.
    fn layout_complaint(&self, ran: &Ran) -> Outcome<Option<String>> {
        let images = match oracle::read(&self.folder.join("layout"), "oci-archive") {
            Ok(images) => images,
            Err(error) => return Ok(Some(format!("the layout is harmed: {error}"))),
        };
        if self.before.keys().any(|id| !images.contains_key(id)) {
            return Ok(Some("an image that the layout had is missing".to_owned()));
        }
        let whole = self.added.keys().all(|id| images.contains_key(id));
        Ok((ran.status == Some(0) && !whole).then(|| "status 0, but images were not added".to_owned()))
    }

    /// The bytes of all temporary files that are left, if there are any.
    fn left(&self, way: Way) -> Outcome<Option<u64>> {
        let mut left = None;
        let mut folders = vec![self.folder.clone()];
        if way == Way::Extend {
            folders.extend(["layout", "layout/blobs/sha256"].map(|name| self.folder.join(name)));
        }
        for folder in folders {
            for entry in fs::read_dir(&folder)? {
                let entry = entry?;
                let name = entry.file_name().to_string_lossy().into_owned();
                let known = ["out.tar", "layout", "blobs", "oci-layout", "index.json", "manifest.json"];
                let blob = name.len() == 64 && folder.ends_with("sha256");
                let meta = entry.metadata()?;
                if blob || known.contains(&&*name) || meta.len() == 0 {
                    continue;
                }
                left = Some(left.unwrap_or(0) + meta.len());
            }
        }
        Ok(left)
    }
}

impl Way {
    pub(crate) fn name(self) -> String {
        match self {
            Way::New(format) => format!("{format} to a new file"),
            Way::Over(format) => format!("{format} over a file"),
            Way::Extend => "into a layout".to_owned(),
        }
    }
}
