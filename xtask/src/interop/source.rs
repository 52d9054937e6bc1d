//! A store that an engine filled, and everything that layerlift must do with it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::archive::{self, Alike, Format, all_manifest_digests, same};
use super::listing::Listing;
use super::readers::{Readers, Written};
use super::report::Report;
use crate::Outcome;
use crate::engines::image::{Image, hex};
use crate::engines::process::{into_file, program, run, text};
use crate::engines::scratch::{Mount, Scratch};

/// A store.
#[derive(Default)]
pub(crate) struct Source {
    /// Its name in the report.
    pub(crate) name: String,
    /// The value of `--root`.
    pub(crate) root: PathBuf,
    /// The images that its engine lists.
    pub(crate) images: Vec<Image>,
    /// In what the archives may differ from that list.
    pub(crate) alike: Alike,
    /// Digests of the manifests that an OCI layout made from it must keep.
    pub(crate) manifests: Vec<String>,
    /// Whether manifests are kept in docker-archive too, in whatever format they are.
    pub(crate) keeps_manifests: bool,
    /// Ids that layerlift lists where those are not digests of configs.
    pub(crate) listed: BTreeMap<String, String>,
    /// Whether compressed outputs are tried too.
    pub(crate) compress: bool,
    /// Ids that may be listed in addition, although the engine hides them, such as the steps of a build.
    pub(crate) hidden: BTreeSet<String>,
}

/// A kind of output.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) format: Format,
    /// The value of `--compress`.
    pub(crate) compress: Option<&'static str>,
}

impl Source {
    /// The id by which layerlift lists an image.
    fn listed_id<'a>(&'a self, image: &'a Image) -> &'a String {
        self.listed.get(&image.id).unwrap_or(&image.id)
    }
}

impl Shape {
    /// Layers as they are in the store.
    pub(crate) const PLAIN: [Shape; 3] = [
        Shape { format: Format::DockerArchive, compress: None },
        Shape { format: Format::DockerV1, compress: None },
        Shape { format: Format::OciArchive, compress: None },
    ];

    const COMPRESSED: [Shape; 3] = [
        Shape { format: Format::DockerArchive, compress: Some("gzip") },
        Shape { format: Format::OciArchive, compress: Some("gzip:9") },
        Shape { format: Format::OciArchive, compress: Some("zstd") },
    ];
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.format.name())?;
        self.compress.map_or(Ok(()), |how| write!(f, " with {how}"))
    }
}

/// What all checks share.
pub(crate) struct Checks<'a> {
    pub(crate) layerlift: &'a Path,
    pub(crate) scratch: &'a Scratch,
    pub(crate) readers: &'a [&'a Readers],
}

impl Checks<'_> {
    /// A command that saves all images of a root.
    pub(crate) fn save(&self, root: &Path, shape: Shape) -> Command {
        let mut command =
            program(self.layerlift, ["save", "--quiet", "--all", "--format", shape.format.name()]);
        command.args(shape.compress.map(|how| format!("--compress={how}"))).arg("--root").arg(root);
        command
    }

    /// Runs all checks on a store whose engine is stopped. `live` is an archive that was saved while it was
    /// running.
    pub(crate) fn check(&self, source: &Source, live: Option<&Path>, report: &mut Report) -> Outcome {
        let name = &source.name;
        let before = Listing::of(&source.root)?;
        report.check(&format!("{name}: layerlift images"), || self.listed(source));
        report.check(&format!("{name}: layerlift verify"), || {
            run(program(self.layerlift, ["verify", "--quiet", "--root"]).arg(&source.root))
        });
        let compressed = if source.compress { &Shape::COMPRESSED[..] } else { &[] };
        for &shape in Shape::PLAIN.iter().chain(compressed) {
            let what = format!("{name}, {shape}");
            let folder = self.scratch.folder("saved")?;
            let written = report
                .step(&format!("{what}: layerlift save, each digest"), || self.saved(source, shape, &folder));
            if let Some(written) = written {
                report.check(&format!("{what}: the same bytes again"), || {
                    self.again(source, &written, live, &folder)
                });
                for readers in self.readers {
                    readers.check(&what, &written, report);
                }
            }
            run(program("rm", ["-rf", "--"]).arg(&folder))?;
        }
        report.check(&format!("{name}: each image by itself"), || self.each(source));
        report.check(&format!("{name}: the store is as it was"), || before.same(&Listing::of(&source.root)?));
        Ok(())
    }

    fn listed(&self, source: &Source) -> Outcome {
        let listed = text(program(self.layerlift, ["images", "--json", "--root"]).arg(&source.root))?;
        let listed: Vec<Value> = serde_json::from_str(&listed)?;
        let id = |image: &Value| hex(image["id"].as_str().unwrap_or_default());
        for image in &source.images {
            let found = listed.iter().find(|found| id(found) == *source.listed_id(image));
            let found = found.ok_or_else(|| format!("{} {:?} is not listed", image.id, image.tags))?;
            let names = found["references"].as_array().into_iter().flatten().filter_map(Value::as_str);
            let tags: BTreeSet<String> =
                names.filter(|name| !name.contains('@')).map(crate::engines::image::familiar).collect();
            if tags != image.tags && !source.alike.other_tags {
                return Err(format!("{} is listed with {tags:?}, not {:?}", image.id, image.tags).into());
            }
        }
        let known = |id: &String| {
            source.hidden.contains(id) || source.images.iter().any(|one| source.listed_id(one) == id)
        };
        match listed.iter().map(id).find(|id| !known(id)) {
            None => Ok(()),
            Some(id) => Err(format!("{id} is listed, but the engine does not know it").into()),
        }
    }

    /// Saves everything, and compares the archive with what the engine lists.
    fn saved(&self, source: &Source, shape: Shape, folder: &Path) -> Outcome<Written> {
        let format = shape.format;
        let (tar, unpacked) = (folder.join("all.tar"), folder.join("all"));
        run(self.save(&source.root, shape).arg("--output").arg(&tar))?;
        archive::unpack(&tar, &unpacked)?;
        let mut images = archive::images(&unpacked, format)?;
        if format != Format::DockerV1 {
            images.retain(|image| !source.hidden.contains(&image.id) || source.images.contains(image));
        }
        same(&source.images, &images, Alike { other_ids: format == Format::DockerV1, ..source.alike })?;
        let kept = match format {
            Format::OciArchive if shape.compress.is_none() => all_manifest_digests(&unpacked)?,
            Format::DockerArchive if shape.compress.is_none() && source.keeps_manifests => {
                all_manifest_digests(&unpacked)?
            }
            _ => source.manifests.clone(),
        };
        if let Some(lost) = source.manifests.iter().find(|digest| !kept.contains(digest)) {
            return Err(format!("manifest {lost} was not kept").into());
        }
        // Where engines and layouts name images differently, readers have to find the names in the archive.
        let images = if source.alike.other_tags { images } else { source.images.clone() };
        Ok(Written { shape, tar, folder: unpacked, images })
    }

    /// Saves again with one thread and with eight, into a pipe, from a read-only mount, from a copy
    /// elsewhere, and into a folder. The bytes must be the same each time, and the same as those saved while
    /// the engine was running.
    fn again(&self, source: &Source, written: &Written, live: Option<&Path>, folder: &Path) -> Outcome {
        let other = folder.join("other.tar");
        let same_bytes = |how: &str| -> Outcome {
            let equal = run(program("cmp", ["--"]).arg(&written.tar).arg(&other));
            fs::remove_file(&other)?;
            equal.map_err(|error| format!("{how}: {error}").into())
        };
        for threads in ["1", "8"] {
            run(self.save(&source.root, written.shape).args(["--jobs", threads, "--output"]).arg(&other))?;
            same_bytes(&format!("--jobs {threads}"))?;
        }
        into_file(self.save(&source.root, written.shape).stdin(Stdio::null()), &other)?;
        same_bytes("into a pipe")?;

        let place = folder.join("read-only");
        if source.root.is_dir() {
            fs::create_dir(&place)?
        } else {
            fs::write(&place, "")?
        }
        let mount = Mount::new(&["-o", "bind,ro"], &source.root, &place)?;
        run(self.save(&place, written.shape).arg("--output").arg(&other))?;
        drop(mount);
        same_bytes("from a read-only mount")?;

        let copy = folder.join("copy");
        run(program("cp", ["-a", "--"]).arg(&source.root).arg(&copy))?;
        run(self.save(&copy, written.shape).arg("--output").arg(&other))?;
        run(program("rm", ["-rf", "--"]).arg(&copy))?;
        same_bytes("from a copy elsewhere")?;

        let mut as_folder = other.clone().into_os_string();
        as_folder.push("/");
        run(self.save(&source.root, written.shape).arg("--output").arg(as_folder))?;
        run(program("diff", ["-r", "--"]).arg(&written.folder).arg(&other))
            .map_err(|error| format!("as a folder: {error}"))?;
        run(program("rm", ["-rf", "--"]).arg(&other))?;

        match live {
            Some(live)
                if written.shape.format == Format::DockerArchive && written.shape.compress.is_none() =>
            {
                run(program("cmp", ["--"]).arg(&written.tar).arg(live))
                    .map_err(|error| format!("while the engine ran: {error}").into())
            }
            _ => Ok(()),
        }
    }

    /// Saves each image on its own, by its first tag or else by its id.
    fn each(&self, source: &Source) -> Outcome {
        let folder = self.scratch.folder("each")?;
        for image in &source.images {
            let name = image.tags.first().unwrap_or_else(|| source.listed_id(image));
            let tar = folder.join("one.tar");
            run(program(self.layerlift, ["save", "--quiet", "--root"])
                .arg(&source.root)
                .arg("--output")
                .arg(&tar)
                .arg("--")
                .arg(name))?;
            let unpacked = folder.join("one");
            archive::unpack(&tar, &unpacked)?;
            let tags = image.tags.first().cloned().into_iter().collect();
            same(
                &[Image { tags, ..image.clone() }],
                &archive::images(&unpacked, Format::DockerArchive)?,
                source.alike,
            )?;
            run(program("rm", ["-rf", "--"]).arg(&unpacked))?;
        }
        run(program("rm", ["-rf", "--"]).arg(&folder))
    }
}
