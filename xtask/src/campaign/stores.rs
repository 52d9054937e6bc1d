//! Copies of the fixtures that may be broken, and what comes out of them while they are whole.

use std::fs;
use std::path::{Path, PathBuf};

use super::Campaign;
use super::mutants::Files;
use super::oracle::{self, Images};
use super::program::{Ran, ask, save};
use super::random::Random;
use crate::Outcome;
use crate::compare::sources::{self, Source};
use crate::engines::process::{program, run};

/// A data root, a layout or an archive.
pub(crate) struct Store {
    pub(crate) name: String,
    pub(crate) root: PathBuf,
    /// Whether everything in it is proven by a digest. Docker before 1.10 has none.
    pub(crate) has_digests: bool,
    pub(crate) files: Files,
    /// For each format that was needed: the images of the whole store, and what was said about it.
    pub(crate) whole: Vec<Whole>,
    /// What `verify` says about the whole store.
    pub(crate) verified: Ran,
}

/// What came out of the whole store in one format.
pub(crate) struct Whole {
    pub(crate) format: &'static str,
    pub(crate) images: Images,
    pub(crate) saved: Ran,
}

pub(crate) const FORMATS: [&str; 3] = ["docker-archive", "oci-archive", "docker-v1"];

/// The kinds of stores that have no digests.
const WITHOUT_DIGESTS: [&str; 2] = ["docker-graph", "docker-v1"];

/// The fixtures. Each is unpacked when it is first used: all of them take longer than a short campaign.
pub(crate) struct Stores {
    sources: Vec<Source>,
    opened: Vec<Option<Vec<Store>>>,
}

impl Stores {
    pub(crate) fn new(campaign: &Campaign<'_>) -> Outcome<Self> {
        let sources = sources::all(&campaign.options.also)?;
        let opened = sources.iter().map(|_| None).collect();
        Ok(Stores { sources, opened })
    }

    /// One of the stores. `None` if the fixture has none that can be opened.
    pub(crate) fn pick(
        &mut self,
        campaign: &Campaign<'_>,
        random: &mut Random,
    ) -> Outcome<Option<&mut Store>> {
        let number = random.below(self.sources.len());
        let stores = match &mut self.opened[number] {
            Some(stores) => stores,
            none => none.insert(unpacked(campaign, number, &self.sources[number])?),
        };
        let which = random.below(stores.len());
        Ok(stores.get_mut(which))
    }

    /// How many were used.
    pub(crate) fn used(&self) -> usize {
        self.opened.iter().flatten().map(Vec::len).sum()
    }
}

/// Every root in a fixture that can be opened.
fn unpacked(campaign: &Campaign<'_>, number: usize, source: &Source) -> Outcome<Vec<Store>> {
    let folder = campaign.scratch.folder(&format!("store-{number}"))?;
    let mut stores = Vec::new();
    for root in source.unpack(&folder)? {
        let place = root.strip_prefix(&folder).unwrap_or(Path::new("")).to_owned();
        if !root.starts_with(&folder) && root.extension().is_some_and(|name| name == "xz") {
            // The fixture as it is packed. What it holds comes next.
            continue;
        }
        let root = if root.starts_with(&folder) { root } else { copied(&root, &folder)? };
        let name = format!("{} {}", source.name(), place.display()).trim_end().to_owned();
        stores.extend(opened(campaign, name, root)?);
    }
    Ok(stores)
}

/// The fixture that is named, unpacked into a folder of its own.
pub(crate) fn named(campaign: &Campaign<'_>, part: &str, folder: &Path) -> Outcome<PathBuf> {
    let found = sources::all(&[])?.into_iter().find(|source| source.name().contains(part));
    let source = found.ok_or_else(|| format!("there is no fixture {part}"))?;
    let mut roots = source.unpack(folder)?;
    roots.retain(|root| root.starts_with(folder) && root.is_dir());
    let open = |root: &PathBuf| {
        Ran::of(ask(&campaign.layerlift, &["images"], root)).is_ok_and(|ran| ran.status == Some(0))
    };
    roots.into_iter().find(open).ok_or_else(|| format!("the fixture {part} cannot be opened").into())
}

/// A copy of something that belongs to the checkout.
fn copied(path: &Path, folder: &Path) -> Outcome<PathBuf> {
    let copy = folder.join("copy");
    run(program("cp", ["-a", "--"]).arg(path).arg(&copy))?;
    Ok(copy)
}

fn opened(campaign: &Campaign<'_>, name: String, root: PathBuf) -> Outcome<Option<Store>> {
    let listed = Ran::of(ask(&campaign.layerlift, &["images", "--json"], &root))?;
    let rows: Vec<serde_json::Value> = serde_json::from_str(&listed.stdout).unwrap_or_default();
    if rows.is_empty() {
        return Ok(None);
    }
    let kinds = rows.iter().filter_map(|row| row["store"].as_str());
    let files = Files::of(&root)?;
    let has_digests = !kinds.into_iter().any(|kind| WITHOUT_DIGESTS.contains(&kind));
    let verified = Ran::of(ask(&campaign.layerlift, &["verify"], &root))?;
    Ok(Some(Store { name, root, has_digests, files, whole: Vec::new(), verified }))
}

impl Store {
    /// What comes out in a format while the store is whole.
    pub(crate) fn whole(&mut self, campaign: &Campaign<'_>, format: &'static str) -> Outcome<usize> {
        if let Some(known) = self.whole.iter().position(|whole| whole.format == format) {
            return Ok(known);
        }
        let [output, work] = ["whole.tar", "whole"].map(|name| campaign.scratch.path().join(name));
        let _ = fs::remove_file(&output);
        let saved = Ran::of(save(&campaign.layerlift, &self.root, format, &output))?;
        let images = if output.exists() {
            oracle::images(&output, format, &work)
                .map_err(|error| format!("{}: {format}: {error}", self.name))?
        } else {
            Images::new()
        };
        self.whole.push(Whole { format, images, saved });
        Ok(self.whole.len() - 1)
    }
}
