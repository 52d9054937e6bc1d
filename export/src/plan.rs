//! What will be written, and what has to come first: planned from metadata alone.

use std::collections::HashSet;

use layerlift_archive::Digest;
use layerlift_store::{Document, Platforms, Reference, Requirements, Store};
use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use crate::artifacts::{self, PlannedArtifact};
use crate::committed;
use crate::draft::{Draft, PlannedImage};
use crate::format::Contents;
use crate::format::list::List;
use crate::history;
use crate::layered::Layered;
use crate::layers::odd::{padding_left_out, refused_as_stored};
use crate::layers::{self, Distinct, Measured, PlannedLayer};
use crate::left_out::{self, LeftOut};
use crate::lines::Lines;
use crate::lists;
use crate::names::{self, Shared, check_names, leave_out_digests, settle_names};
use crate::partial;
use crate::salvage::report::SalvageReport;
use crate::select::{self, Selection, Wanted};
use crate::{Error, Format, Options, Ready, Warning};

/// What will be written, and what has to come first. Nothing is written yet, and no layer read.
///
/// Its `Display` is the report of a dry run.
pub struct Plan {
    pub(crate) drafts: Vec<Draft>,
    /// Indexes of images.
    pub(crate) lists: Vec<List>,
    pub(crate) shared: Vec<Shared>,
    pub(crate) artifacts: Vec<PlannedArtifact>,
    pub(crate) lines: Lines,
    /// All layers, also those of images that are left out.
    pub(crate) layers: Vec<PlannedLayer>,
    pub(crate) warnings: Vec<Warning>,
    pub(crate) left_out: Vec<Error>,
    /// With [`Options::salvage`]: layers that cannot be opened, by their places.
    pub(crate) unreadable: Vec<(usize, Error)>,
    /// What was salvaged.
    pub(crate) salvaged: Option<SalvageReport>,
    pub(crate) options: Options,
}

/// Plans an export. Nothing is written, no layer is read.
pub fn plan(store: &dyn Store, selection: Selection, options: &Options) -> Result<Plan, Error> {
    options.check()?;
    names::check_distinct(&selection)?;
    let mut left_out = LeftOut::new(options);
    let mut in_part = Vec::new();
    for broken in selection.broken {
        let rest = if options.salvage { broken.rest(store) } else { None };
        let name = broken.references.first().map_or(broken.what, ToString::to_string);
        match rest {
            Some(image) => {
                let wanted = Wanted { key: image.key.clone(), references: broken.references };
                in_part.push(Layered { wanted, name, image, on_top: Vec::new() });
            }
            None => left_out.add(Error::from(broken.error).of_image(&name))?,
        }
    }
    let mut notices = selection.notices;
    let asked: HashSet<Reference> =
        selection.images.iter().filter_map(|chosen| chosen.reference.clone()).collect();
    let chosen = (selection.images, selection.indexes);
    let (wanted, indexes) = select::wanted(store, chosen, &selection.platforms, options.tags)?;
    let images: Vec<_> = wanted.par_iter().map(|wanted| store.image(&wanted.key)).collect();
    let mut readable = Vec::new();
    let mut found = selection.artifacts;
    let mut lines = Lines::default();
    let taken: HashSet<&str> = in_part.iter().map(|one| &one.wanted).chain(&wanted).map(Wanted::id).collect();
    let of_others = match selection.platforms {
        Platforms::Usual => lists::other_platforms(store, &indexes, &taken),
        Platforms::Only(_) | Platforms::All => Vec::new(),
    };
    let shared = indexes.iter().map(Shared::of).collect();
    let (lists, mut warnings) = lists::plan(store, indexes, options, &mut lines, &mut left_out)?;
    warnings.extend(of_others);
    for (wanted, image) in wanted.into_iter().zip(images) {
        let name = select::name(&wanted.key, &wanted.references);
        match image {
            Ok(image) => {
                notices.extend(image.notices.iter().cloned());
                readable.push(Layered { wanted, name, image, on_top: Vec::new() });
            }
            Err(error) => match artifacts::of_key(store, &wanted.key, &wanted.references)? {
                // What was asked for by its name is an error where the format cannot hold it.
                artifacts if !artifacts.is_empty() && options.format.holds_artifacts() => {
                    found.extend(artifacts)
                }
                _ => left_out.add(Error::from(error).of_image(&name))?,
            },
        }
    }
    for chosen in selection.containers {
        let name = chosen.name();
        match committed::layered(store, chosen, options.keep_going, &mut warnings) {
            Ok(image) => readable.push(image),
            Err(error) => left_out.add(error.of_image(&name))?,
        }
    }
    for chosen in selection.orphans {
        let name = chosen.name();
        match committed::of_orphan(store, chosen, options.keep_going, &mut warnings) {
            Ok(image) => readable.push(image),
            Err(error) => left_out.add(error.of_image(&name))?,
        }
    }
    notices.extend(in_part.iter().flat_map(|one| one.image.notices.iter().cloned()));
    readable.extend(in_part);
    if !selection.everything {
        let named: HashSet<Digest> = found.iter().map(|artifact| artifact.digest).collect();
        let of_images = lists::referrers(store, &readable, &lists, &mut warnings).into_iter();
        found.extend(of_images.filter(|artifact| !named.contains(&artifact.digest)));
    }
    let mut lines_seen = HashSet::new();
    found.retain(|artifact| lines_seen.insert((artifact.digest, artifact.line.clone())));
    let (with_errors, of_artifacts) = artifacts::plan(found, options.format);
    let mut artifacts = Vec::with_capacity(with_errors.len());
    for artifact in with_errors {
        artifacts.extend(left_out.keep_beside(artifact)?);
    }
    if selection.everything && options.format == Format::DockerV1 {
        leave_out_digests(&mut readable, &mut warnings);
    }
    if !selection.everything {
        check_names(&asked, &readable, options.format)?;
    }
    lines.add_images(store, readable.iter().map(|one| &one.image));
    let mut plan = of_images(store, readable, (lists, shared), options, left_out)?;
    // Several images may share an odd document.
    let mut seen = HashSet::new();
    notices.retain(|notice| seen.insert(notice.clone()));
    warnings.extend(options.warning());
    warnings.extend(of_artifacts);
    plan.warnings.splice(..0, notices.iter().map(Warning::from).chain(warnings));
    (plan.artifacts, plan.lines) = (artifacts, lines);
    Ok(plan)
}

/// Plans the export of images that could be read.
pub(crate) fn of_images(
    store: &dyn Store,
    images: Vec<Layered>,
    (mut lists, mut shared): (Vec<List>, Vec<Shared>),
    options: &Options,
    mut left_out: LeftOut,
) -> Result<Plan, Error> {
    let mut distinct = Distinct::default();
    let mut on_top = Vec::new();
    let mut drafts = Vec::new();
    for Layered { wanted: Wanted { key, references }, name, image, on_top: above } in images {
        let planned = PlannedImage { key, references, image_id: None };
        on_top.extend(above.into_iter().map(|layer| (drafts.len(), layer)));
        let lists = || lists.iter().filter(|list| list.has(planned.key.id()));
        let of_index = options.as_archived || lists().next().is_some();
        let keep = options.as_archived || lists().any(|list| list.keep);
        drafts.push(Draft {
            planned,
            name,
            layers: distinct.add(&image, keep),
            image,
            documents: None,
            of_index,
            salvaged: None,
        });
    }
    let (mut layers, mut unreadable) = distinct.plan(store, options);
    let to_salvage = if options.salvage { std::mem::take(&mut unreadable) } else { Vec::new() };
    for (draft, (name, tar)) in on_top {
        if let Err(error) = layers::measure(&tar, options) {
            unreadable.push((layers.len(), error.of_layer(&name)));
        }
        drafts[draft].layers.push(layers.len());
        layers.push(PlannedLayer::new(&name, Some(tar), None, options));
    }
    let ids = |index: usize| layers[index].id.clone();
    let mut drafts = left_out::without(drafts, unreadable, ids, &mut left_out)?;
    for draft in &drafts {
        let needs_digest = options.format.needs_digests(&draft.image.document);
        draft.layers.iter().for_each(|&index| layers[index].needs_digest |= needs_digest);
    }
    layers.iter_mut().for_each(PlannedLayer::omit);
    let mut warnings = settle_names(&mut drafts, &mut lists, &mut shared, options.format);
    warnings.extend(odd_records(&drafts, &layers));
    warnings.extend(drafts.iter().filter_map(|draft| {
        history::too_long(&draft.image.document, &draft.name, draft.layers.len(), options.format)
    }));
    warnings.extend(drafts.iter().filter_map(|draft| digest_not_kept(draft, &layers)));
    let mut made = Vec::with_capacity(drafts.len());
    for draft in drafts {
        let ready: Option<Vec<&Measured>> = draft.layers.iter().map(|&index| layers[index].ready()).collect();
        match ready {
            Some(ready) => made.extend(left_out.keep(draft.with_documents(options.format, ready))?),
            None => made.push(draft),
        }
    }
    names::hand_over(&mut made, &shared);
    for draft in &made {
        draft.layers.iter().for_each(|&index| layers[index].uses += 1);
    }
    warnings.extend(made.iter().filter_map(Draft::other_manifest));
    warnings.extend(lists::changes(&made, &lists)?);
    warnings.extend(layers.iter().filter_map(padding_left_out));
    warnings.extend(refused_as_stored(&layers, options));
    let named: Vec<_> = made.iter().map(Draft::named).collect();
    let entries = lists::entries(&made, &lists);
    warnings.extend(partial::warnings::of(&named, entries, &*layers, options));
    Ok(Plan {
        drafts: made,
        lists,
        shared,
        artifacts: Vec::new(),
        lines: Lines::default(),
        layers,
        warnings,
        left_out: left_out.into_errors(),
        unreadable: to_salvage,
        salvaged: None,
        options: options.clone(),
    })
}

impl Plan {
    /// The images, in the order of the archive.
    pub fn images(&self) -> impl ExactSizeIterator<Item = &PlannedImage> {
        self.drafts.iter().map(|draft| &draft.planned)
    }

    /// Whether nothing would be in the archive.
    pub fn is_empty(&self) -> bool {
        self.drafts.is_empty() && self.artifacts.is_empty()
    }

    /// What the archive cannot give as the store has it. [`crate::Prepared::warnings`] has what a first pass
    /// adds.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// With [`Options::keep_going`]: what cannot be exported, and why. [`crate::Prepared::left_out`] has what
    /// a first pass adds.
    pub fn left_out(&self) -> &[Error] {
        &self.left_out
    }

    /// Number of distinct layers.
    pub fn layer_count(&self) -> usize {
        self.used().count()
    }

    /// The same plan with another choice of [`Options::unchecked`].
    #[must_use]
    pub fn with_unchecked(mut self, unchecked: bool) -> Self {
        self.options.unchecked = unchecked;
        self
    }

    /// The same plan, which hands layers over as soon as they are compressed; see [`crate::put_ahead`].
    #[must_use]
    pub fn with_ready(mut self, ready: Ready) -> Self {
        self.options.ready = Some(ready);
        self
    }

    /// Bytes that [`Plan::prepare`] reads, for progress: tars of layers, whatever they are compressed to. 0
    /// if there is nothing to do first, `None` if the length of a layer is unknown before it is read.
    pub fn first_pass_len(&self) -> Option<u64> {
        self.first_pass().map(PlannedLayer::first_pass_len).sum()
    }

    /// Length in bytes of the tar, if it is known before a first pass. With [`Options::keep_going`], the
    /// length if everything turns out to be sound.
    pub fn tar_len(&self) -> Option<u64> {
        let images = self.drafts.iter().map(Draft::made).collect::<Option<Vec<_>>>()?;
        let mut tree = Contents::new(&self.options, images, &self.lists, &self.artifacts, &self.lines).tree();
        tree.extend(partial::required::entry(&self.requirements()));
        Some(tree.tar_len())
    }

    /// What is left out, as far as that is known.
    pub(crate) fn requirements(&self) -> Requirements {
        let made: Vec<_> = self.drafts.iter().filter_map(Draft::with_layers).collect();
        partial::required::of(&made, |index| {
            self.layers[index].omitted.as_ref().zip(self.layers[index].ready())
        })
    }

    /// Layers that an image has.
    pub(crate) fn used(&self) -> impl Iterator<Item = &PlannedLayer> {
        self.layers.iter().filter(|layer| layer.uses > 0)
    }

    /// Layers that are read before the archive is written.
    pub(crate) fn first_pass(&self) -> impl Iterator<Item = &PlannedLayer> {
        self.used().filter(|layer| layer.is_read_first(self.options.checks_first()))
    }
}

/// Records of layers that are not as an engine writes them, each once.
fn odd_records(drafts: &[Draft], layers: &[PlannedLayer]) -> Vec<Warning> {
    let mut places: Vec<usize> = drafts.iter().flat_map(|draft| draft.layers.iter().copied()).collect();
    places.sort_unstable();
    places.dedup();
    // For rebuilt layers, their image has a warning already.
    let odd = |&index: &usize| rebuilt(&layers[index]).is_none();
    let notice = |index: usize| layers[index].notice.as_ref().map(Warning::from);
    places.into_iter().filter(odd).filter_map(notice).collect()
}

/// The missing blob of a layer that is rebuilt from what was unpacked.
fn rebuilt(layer: &PlannedLayer) -> Option<Digest> {
    layer.computed()?.blob
}

/// An image whose config names digests that its layers cannot have.
fn digest_not_kept(draft: &Draft, layers: &[PlannedLayer]) -> Option<Warning> {
    if !matches!(draft.image.document, Document::Config { .. }) {
        return None;
    }
    let recorded = draft.layers.iter().take(draft.image.layers.len()).map(|&index| &layers[index]);
    let mut computed = recorded.filter(|layer| layer.computed().is_some());
    let first = computed.next()?;
    if rebuilt(first).is_some() {
        let mut own = draft.image.layers.iter().zip(&draft.layers);
        let (layer, _) = own.find(|(_, index)| rebuilt(&layers[**index]).is_some())?;
        let layer = layer.diff_id?;
        let (image, image_id, others) = (draft.name.clone(), draft.image.image_id()?, computed.count());
        return Some(Warning::LayersRebuilt { image, image_id, layer, others });
    }
    let lacks =
        if first.notice.is_some() { "no tar-split data that could be used" } else { "no tar-split data" };
    Some(Warning::DigestNotKept {
        image: draft.name.clone(),
        image_id: draft.image.key.id().to_owned(),
        layer: first.id.clone(),
        others: computed.count(),
        lacks,
    })
}

#[cfg(test)]
mod tests;
