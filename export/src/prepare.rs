//! What an export is after the first pass: documents that are complete, and layers with lengths and digests.

use std::collections::HashMap;
use std::sync::Arc;

use layerlift_archive::{Entry, Error as ArchiveError, Options, Tree, Unfinished};
use layerlift_store::Requirements;

use crate::artifacts::PlannedArtifact;
use crate::bundle::Bundle;
use crate::draft::{Draft, PlannedImage};
use crate::first_pass::{First, Omitted, Passed, first_pass, keep};
use crate::format::list::{Companion, List};
use crate::format::{Contents, Documents};
use crate::layers::{Measured, PlannedLayer};
use crate::left_out::{self, LeftOut};
use crate::lines::Lines;
use crate::lists;
use crate::names::{self, Shared};
use crate::partial;
use crate::partial::other_side::Held;
use crate::partial::warnings::Layers;
use crate::salvage::report::SalvageReport;
use crate::{Error, Plan, Warning};

/// All that an archive needs: what is left is to write it, as a [`crate::tree()`] or by [`crate::push`].
pub struct Prepared {
    images: Vec<PlannedImage>,
    artifacts: usize,
    layers: usize,
    warnings: Vec<Warning>,
    left_out: Vec<Error>,
    contents: Contents,
    salvaged: Option<SalvageReport>,
    /// By their paths in the archive: what messages call layers, and the first image that has each.
    origins: HashMap<String, Origin>,
    required: Requirements,
    parts: Parts,
}

struct Origin {
    image: String,
    layer: String,
    place: usize,
}

/// What it takes to do without some layers once the output has begun.
struct Parts {
    drafts: Vec<Draft>,
    lists: Vec<List>,
    shared: Vec<Shared>,
    artifacts: Vec<PlannedArtifact>,
    lines: Lines,
    layers: Passed,
    /// What the other side has of the layers that are left out, by their places.
    omitted: Omitted,
    names: Names,
    /// The plan has said this already.
    announced: Vec<Warning>,
    options: crate::Options,
}

/// What layers are called, by their places.
struct Names {
    ids: Vec<String>,
    called: Vec<String>,
}

impl Plan {
    /// Does what has to come first, in parallel: spools layers that have no length, hashes those that have no
    /// digest, and with [`crate::Options::keep_going`] checks all of them, unless
    /// [`crate::Options::unchecked`] leaves that to the output.
    pub fn prepare(self, options: &Options<'_>) -> Result<Prepared, Error> {
        let Plan { drafts, mut lists, shared, mut artifacts, lines, layers, unreadable, salvaged, .. } = self;
        let (announced, chosen) = (self.warnings, self.options);
        let ids = layers.iter().map(|layer| layer.id.clone()).collect();
        let names = Names { ids, called: layers.iter().map(PlannedLayer::name).collect() };
        let First { layers, omitted, mut bad, missed, odd } = first_pass(layers, &chosen, options)?;
        bad.extend(unreadable);
        let mut left_out = LeftOut::new(&chosen);
        left_out.note(missed);
        let drafts = left_out::without(drafts, bad, |index| names.ids[index].clone(), &mut left_out)?;
        if chosen.keep_going || chosen.salvage {
            for artifact in std::mem::take(&mut artifacts) {
                artifacts.extend(left_out.keep_beside(artifact.checked(options))?);
            }
            for list in &mut lists {
                for Companion { about, artifact } in std::mem::take(&mut list.companions) {
                    let checked = left_out.keep_beside(artifact.checked(options))?;
                    list.companions.extend(checked.map(|artifact| Companion { about, artifact }));
                }
            }
        }
        Parts { drafts, lists, shared, artifacts, lines, layers, omitted, names, announced, options: chosen }
            .ready(left_out, odd, salvaged)
    }
}

impl Parts {
    /// Makes the documents that are not there yet.
    fn ready(
        mut self,
        mut left_out: LeftOut,
        mut warnings: Vec<Warning>,
        mut salvaged: Option<SalvageReport>,
    ) -> Result<Prepared, Error> {
        let format = self.options.format;
        let mut ready = Vec::with_capacity(self.drafts.len());
        for draft in std::mem::take(&mut self.drafts) {
            if draft.documents.is_some() {
                ready.push(draft);
                continue;
            }
            let measured = draft.layers.iter().map(|&index| self.layers[index].as_ref());
            let measured = measured.collect::<Option<_>>().expect("images with bad layers are left out");
            ready.extend(left_out.keep(draft.with_documents(format, measured))?);
        }
        names::hand_over(&mut ready, &self.shared);
        let mut used: Vec<usize> = ready.iter().flat_map(|draft| draft.layers.iter().copied()).collect();
        used.sort_unstable();
        used.dedup();
        let other_blob =
            |&index: &usize| other_blob_digest(&self.names.ids[index], self.layers[index].as_ref()?);
        warnings.extend(used.iter().filter_map(other_blob));
        warnings.extend(ready.iter().filter_map(other_image_id));
        warnings.extend(ready.iter().filter_map(Draft::other_manifest));
        warnings.extend(lists::changes(&ready, &self.lists)?);
        let named: Vec<_> = ready.iter().map(Draft::named).collect();
        let entries = lists::entries(&ready, &self.lists);
        warnings.extend(partial::warnings::of(&named, entries, &self, &self.options));
        warnings.retain(|warning| !self.announced.contains(warning));
        if let Some(report) = &mut salvaged {
            let id = |draft: &Draft| Some((draft.name.clone(), draft.planned.image_id?.to_string()));
            let ids: HashMap<String, String> = ready.iter().filter_map(id).collect();
            report.images.iter_mut().for_each(|image| image.new_id = ids.get(&image.image).cloned());
        }
        let mut origins = HashMap::new();
        for draft in &ready {
            let paths = draft.documents.iter().flat_map(Documents::layer_paths);
            for (path, &index) in paths.zip(&draft.layers) {
                let layer = self.names.called[index].clone();
                let origin = || Origin { image: draft.name.clone(), layer, place: index };
                origins.entry(path).or_insert_with(origin);
            }
        }
        let parts = |draft: &Draft| Some((draft.planned.clone(), draft.made()?));
        let (images, made) = ready.iter().filter_map(parts).unzip();
        let contents = Contents::new(&self.options, made, &self.lists, &self.artifacts, &self.lines);
        let absent = |index| self.omitted.get(&index).zip(self.layers[index].as_ref());
        let made: Vec<_> = ready.iter().filter_map(Draft::with_layers).collect();
        let required = partial::required::of(&made, absent);
        self.drafts = ready;
        Ok(Prepared {
            origins,
            images,
            layers: used.len(),
            warnings,
            left_out: left_out.into_errors(),
            contents,
            artifacts: self.artifacts.len(),
            salvaged,
            required,
            parts: self,
        })
    }
}

impl Prepared {
    /// The images, in the order of the archive.
    pub fn images(&self) -> &[PlannedImage] {
        &self.images
    }

    /// Whether nothing will be in the archive.
    pub fn is_empty(&self) -> bool {
        self.images.is_empty() && self.artifacts == 0
    }

    /// Number of distinct layers.
    pub fn layer_count(&self) -> usize {
        self.layers
    }

    /// What the first pass adds to [`Plan::warnings`].
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// What the first pass adds to [`Plan::left_out`].
    pub fn left_out(&self) -> &[Error] {
        &self.left_out
    }

    /// What [`Plan::salvage`] did, if it was asked to do anything.
    pub fn salvaged(&self) -> Option<&SalvageReport> {
        self.salvaged.as_ref()
    }

    /// The layers that are left out because the other side has them.
    pub fn requirements(&self) -> &Requirements {
        &self.required
    }

    /// An error of an output, in terms of the store: it knows the files of the archive alone.
    pub fn explain(&self, error: Error) -> Error {
        let Error::Archive(
            ArchiveError::Content { entry, .. }
            | ArchiveError::Mismatch { entry, .. }
            | ArchiveError::Length { entry, .. },
        ) = &error
        else {
            return error;
        };
        let name = entry.rsplit('/').next().unwrap_or_default().to_owned();
        // A layout gets a blob under another name first.
        let origin = self.origins.get(entry).or_else(|| self.origins.get(&format!("blobs/sha256/{entry}")));
        match (origin, error) {
            (Some(Origin { image, layer, .. }), Error::Archive(error)) => {
                Error::from(error.of_entry(layer)).of_image(image)
            }
            (None, Error::Archive(error)) => {
                match self.parts.artifacts.iter().find(|artifact| artifact.has(&name)) {
                    Some(artifact) => {
                        Error::from(error.of_entry(&format!("blob {name}"))).of_artifact(artifact.name())
                    }
                    None => error.into(),
                }
            }
            (_, error) => error,
        }
    }

    /// The same without the images that have layers which failed when the output was written; what was read
    /// of the others is taken from where it is now. [`Prepared::left_out`] then has what failed.
    ///
    /// # Errors
    ///
    /// The first failure, unless [`crate::Options::keep_going`] allows to leave it out, and one that no layer
    /// is to blame for.
    pub fn without(self, unfinished: Unfinished) -> Result<Prepared, Error> {
        let Prepared { origins, mut parts, salvaged, .. } = self;
        let Unfinished { failed, kept } = unfinished;
        let mut bad = Vec::new();
        for (path, error) in failed {
            let Some(Origin { layer, place, .. }) = origins.get(&path) else { return Err(error.into()) };
            keep::<()>(Err(error.of_entry(layer)), *place, &mut bad)?;
        }
        for (path, range) in kept {
            let place = origins.get(&path).map(|origin| origin.place);
            if let Some(layer) = place.and_then(|place| parts.layers[place].as_mut()) {
                layer.content = Some(Arc::new(range));
            }
        }
        let mut left_out = LeftOut::new(&parts.options);
        let ids = |index: usize| parts.names.ids[index].clone();
        parts.drafts = left_out::without(parts.drafts, bad, ids, &mut left_out)?;
        parts.drafts.iter_mut().for_each(|draft| draft.documents = None);
        parts.ready(left_out, Vec::new(), salvaged)
    }

    /// The images as blobs by digest. `None` for a format that does not have blobs.
    pub fn bundle(&self) -> Option<&Bundle> {
        self.contents.bundle()
    }
}

/// The tree of an archive: what was prepared, under the names that the format has for it.
pub fn tree(prepared: &Prepared) -> Tree {
    let declared = prepared.salvaged.as_ref().filter(|report| report.is_declared());
    let report = declared.map(|report| Entry::bytes(SalvageReport::FILE, 0, report.to_json()));
    let mut tree = Tree::from_iter(report);
    tree.extend(partial::required::entry(&prepared.required));
    tree.extend(prepared.contents.tree().entries().iter().cloned());
    tree
}

impl Layers for Parts {
    fn omitted(&self, index: usize) -> Option<&Held> {
        self.omitted.get(&index)
    }

    fn measured(&self, index: usize) -> Option<&Measured> {
        self.layers[index].as_ref()
    }

    fn id(&self, index: usize) -> &str {
        &self.names.ids[index]
    }
}

/// An image whose id could not be kept. One with layers on top is a new image.
fn other_image_id(draft: &Draft) -> Option<Warning> {
    if draft.layers.len() > draft.image.layers.len() {
        return None;
    }
    let (old, new) = (draft.image.image_id()?, draft.planned.image_id?);
    (old != new).then(|| Warning::OtherImageId { image: draft.name.clone(), old, new })
}

/// A layer whose blob goes out without its padding.
fn other_blob_digest(layer: &str, measured: &Measured) -> Option<Warning> {
    let (old, new) = (measured.unpadded?.stored?, measured.digest?);
    Some(Warning::OtherBlobDigest { layer: layer.to_owned(), old, new })
}
