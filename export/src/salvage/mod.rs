//! Salvage: images with damaged layers in the best form that can be had.
//!
//! ```text
//! Plan ──salvage──> Plan     every layer is read; for one that is damaged, in this order:
//!                            repaired   its recorded bytes, from elsewhere: the id stays
//!                            declared   what is left of it: another id, other names, `salvage.json`
//! ```
//!
//! The recorded bytes of a whole layer may be in another store or archive; those of a file at the same path
//! in any other layer. Size and CRC-64 of a file decide, and in the end the digest of the layer.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use layerlift_archive::Options as WriteOptions;
use layerlift_store::{Document, LayerKey, LayerTar, Reference, Rules, Store};

use crate::document::salvaged::Declaration;
use crate::draft::Draft;
use crate::layers::{Origin, PlannedLayer, State};
use crate::left_out::{self, LeftOut};
use crate::{Error, Plan, Warning, first_pass, lists};

mod damage;
mod header;
mod outlook;
mod reach;
mod repair;
pub(crate) mod report;

pub use outlook::{Outlook, outlook};
pub use report::{
    FileBytes, FileResult, FoundBytes, SalvageReport, Salvaged, SalvagedFile, SalvagedImage, SalvagedLayer,
};

use reach::Reach;
use repair::{Patient, Surgery};

/// A store or an archive that may have what another has lost.
pub struct RepairSource<'s> {
    /// What messages call it: its path.
    pub name: String,
    /// The store.
    pub store: &'s dyn Store,
}

impl Plan {
    /// Reads every layer, and puts in place of each damaged one the best that can be had from `store` and
    /// `sources`. For a plan with [`crate::Options::salvage`], and the store that it was made of.
    ///
    /// An image whose layers cannot be salvaged is the error, or left out, as elsewhere.
    pub fn salvage(
        mut self,
        store: &dyn Store,
        sources: &[RepairSource<'_>],
        options: &WriteOptions<'_>,
    ) -> Result<Plan, Error> {
        let chosen = self.options.clone();
        let folder = first_pass::spool_folder(&chosen);
        let own = std::iter::once((store, String::new()));
        let others = sources.iter().map(|source| (source.store, format!(" in {}", source.name)));
        let reach = Reach::new(own.chain(others));
        let surgery = Surgery { reach: &reach, chosen: &chosen, options, folder: &folder };
        let mut report = SalvageReport::default();
        let mut mended: BTreeMap<usize, Salvaged> = BTreeMap::new();
        self.find_exact(&surgery, &mut report, &mut mended)?;
        let mut left: Vec<(usize, Error)> = Vec::new();
        for (index, error) in self.examine(options)? {
            let layer = &self.layers[index];
            let Some(origin) = layer.origin.clone().filter(|_| damage::is_damage(&error)) else {
                left.push((index, error));
                continue;
            };
            let tar = origin.tar.as_ref();
            let patient = Patient {
                key: &origin.key,
                called: &layer.called,
                tar,
                diff_id: origin.diff_id,
                error: &error,
            };
            let mended_layer = match surgery.mend(&patient) {
                Ok(None) => surgery.rebuild(&patient, || self.unpacked(store, index, &origin.key)),
                other => other,
            };
            match mended_layer {
                Ok(Some((measured, record))) => {
                    self.layers[index].state = State::Measured(measured);
                    // The other side has what was recorded.
                    let same = record.result == Salvaged::Repaired;
                    self.layers[index].omitted.take_if(|_| !same);
                    mended.insert(index, record.result);
                    report.layers.push(record);
                }
                Ok(None) => left.push((index, error)),
                Err(error) if error.ends_all() => return Err(error),
                Err(error) => left.push((index, error)),
            }
        }
        self.layers.iter_mut().for_each(PlannedLayer::omit);
        self.unreadable.clear();
        self.settle(left, &mended, report)
    }

    /// For layers whose blobs are missing, and others that would have to be computed: the exact bytes from
    /// elsewhere. They are better than another blob with the same tar, because the manifest stays.
    fn find_exact(
        &mut self,
        surgery: &Surgery<'_>,
        report: &mut SalvageReport,
        mended: &mut BTreeMap<usize, Salvaged>,
    ) -> Result<(), Error> {
        for index in 0..self.layers.len() {
            let layer = &self.layers[index];
            let Some(Origin { key, tar: Some(tar), diff_id: diff_id @ Some(_) }) = layer.origin.clone()
            else {
                continue;
            };
            let computed = matches!(layer.state, State::Unmeasured(LayerTar::Diff(_)));
            let blob = tar.lost_blob();
            if layer.uses == 0 || !computed && blob.is_none() {
                continue;
            }
            let mut found = match blob {
                Some(blob) => surgery.same_blob(&key, diff_id, blob)?,
                None => None,
            };
            if found.is_none() && computed {
                found = surgery.sound_elsewhere(&key, diff_id)?;
            }
            if let Some((measured, from)) = found {
                let diff_id = diff_id.map(|id| id.to_string());
                let why = match blob {
                    Some(blob) => format!("its blob {blob} is missing"),
                    None => "the record of its tar is lost".to_owned(),
                };
                report.layers.push(SalvagedLayer {
                    layer: key.id().to_owned(),
                    called: layer.called.clone(),
                    lacks: Some(why.clone()),
                    new_diff_id: diff_id.clone(),
                    diff_id,
                    result: Salvaged::Repaired,
                    why,
                    from: Some(from),
                    files: Vec::new(),
                });
                if let Some(notice) = self.layers[index].notice.take().filter(|_| blob.is_some()) {
                    let said = Warning::from(&notice);
                    self.warnings.retain(|warning| *warning != said);
                }
                self.layers[index].state = State::Measured(measured);
                mended.insert(index, Salvaged::Repaired);
            }
        }
        Ok(())
    }

    /// What the store's engine has unpacked of a layer.
    fn unpacked(&self, store: &dyn Store, index: usize, key: &LayerKey) -> Option<LayerTar> {
        self.drafts.iter().find_map(|draft| {
            let place = draft.layers.iter().position(|layer| *layer == index)?;
            let up_to = draft.image.layers.get(..=place)?;
            let diff_ids = up_to.iter().map(|layer| layer.diff_id).collect::<Option<Vec<_>>>()?;
            store.unpacked(key, &diff_ids).ok()?
        })
    }

    /// Reads all layers. Returns what is wrong with the damaged ones.
    fn examine(&mut self, options: &WriteOptions<'_>) -> Result<Vec<(usize, Error)>, Error> {
        let mut bad = std::mem::take(&mut self.unreadable);
        bad.retain(|(index, _)| matches!(self.layers[*index].state, State::Unreadable));
        let spooled = first_pass::spool(&self.layers, &self.options, options);
        self.warnings.extend(self.layers.iter().flat_map(PlannedLayer::findings).map(Warning::from));
        self.left_out.extend(self.layers.iter().flat_map(PlannedLayer::left_out));
        for (index, result) in spooled {
            if let Some(measured) = first_pass::keep(result, index, &mut bad)? {
                self.layers[index].state = State::Measured(measured);
            }
        }
        for (index, result) in first_pass::check(&self.layers, true, options) {
            if let Some(digest) = first_pass::keep(result, index, &mut bad)?
                && let State::Measured(measured) = &self.layers[index].state
            {
                self.layers[index].state = State::Measured(measured.clone().hashed(digest));
            }
        }
        bad.sort_by_key(|(index, _)| *index);
        Ok(bad)
    }

    /// Leaves out what could not be salvaged, and gives what is declared other names.
    fn settle(
        mut self,
        left: Vec<(usize, Error)>,
        mended: &BTreeMap<usize, Salvaged>,
        mut report: SalvageReport,
    ) -> Result<Plan, Error> {
        let mut left_out = LeftOut::new(&self.options);
        let ids = |index: usize| self.layers[index].id.clone();
        let mut drafts = left_out::without(std::mem::take(&mut self.drafts), left, ids, &mut left_out)?;
        self.left_out.extend(left_out.into_errors());
        let is_declared =
            |draft: &Draft| draft.layers.iter().any(|index| mended.get(index) == Some(&Salvaged::Declared));
        let sound = drafts.iter().filter(|draft| !is_declared(draft));
        let mut taken: HashSet<Reference> =
            sound.flat_map(|draft| draft.planned.references.iter().cloned()).collect();
        for draft in &mut drafts {
            let layers: BTreeSet<usize> =
                draft.layers.iter().copied().filter(|index| mended.contains_key(index)).collect();
            if layers.is_empty() {
                continue;
            }
            // They name the contents that were damaged.
            draft.documents = None;
            let declared = is_declared(draft);
            let result = if declared { Salvaged::Declared } else { Salvaged::Repaired };
            let names: Vec<String> = layers.iter().map(|&index| self.layers[index].id.clone()).collect();
            let id = match &draft.image.document {
                Document::Config { .. } => draft.image.image_id().map(|id| id.to_string()),
                Document::V1(_) => None,
            };
            let id = id.unwrap_or_else(|| draft.image.key.id().to_owned());
            if declared {
                // What its index names are the recorded bytes.
                let key = draft.planned.key.id();
                self.lists.iter_mut().for_each(|list| list.images.retain(|image| image != key));
                self.shared.iter_mut().for_each(|shared| shared.remove(key));
                let comment = comment(&report, &names, &id);
                draft.salvaged = Some(Declaration { id: id.clone(), comment });
                let references = std::mem::take(&mut draft.planned.references);
                draft.planned.references = renamed(references, &mut taken, &mut self.warnings);
            }
            report.images.push(SalvagedImage {
                image: draft.name.clone(),
                id,
                new_id: None,
                names: draft.planned.references.iter().map(ToString::to_string).collect(),
                result,
                layers: names,
            });
        }
        self.warnings.extend(report.layers.iter().map(Warning::of_salvaged));
        self.drafts = drafts;
        self.salvaged = Some(report);
        self.recount();
        Ok(self)
    }

    /// Counts how often each layer is used, and warns again of those that are computed.
    fn recount(&mut self) {
        self.layers.iter_mut().for_each(|layer| layer.uses = 0);
        for draft in &self.drafts {
            draft.layers.iter().for_each(|&index| self.layers[index].uses += 1);
        }
        let replaced = |id: &String| {
            let exact = |layer: &SalvagedLayer| layer.layer == *id && layer.result == Salvaged::Repaired;
            self.salvaged.iter().flat_map(|report| &report.layers).any(exact)
        };
        self.warnings.retain(|warning| match warning {
            Warning::DigestNotKept { layer, .. } => !replaced(layer),
            // Both are known, and said, when the documents are made.
            Warning::OtherManifest { .. } => false,
            Warning::CompanionsLeftOut { why, .. } => why != lists::OF_OTHER_MANIFEST,
            Warning::LayersRebuilt { image, others, .. } => {
                let of_image = self.drafts.iter().filter(|draft| draft.name == *image);
                let layers = of_image.flat_map(|draft| &draft.layers).map(|&index| &self.layers[index].id);
                layers.filter(|id| replaced(id)).count() <= *others
            }
            _ => true,
        });
    }
}

/// `base:1-salvaged` for `base:1`. An image must not be taken for the one that it was.
fn renamed(
    references: Vec<Reference>,
    taken: &mut HashSet<Reference>,
    warnings: &mut Vec<Warning>,
) -> Vec<Reference> {
    let mut names = Vec::new();
    for reference in references {
        let Some(tag) = reference.tag() else { continue };
        let name = Reference::new(reference.repository(), format!("{tag}-salvaged"));
        let why = match name.check(Rules::Distribution) {
            Err(why) if reference.check(Rules::Distribution).is_ok() => Some(why),
            _ if taken.contains(&name) => Some("another image has it too"),
            _ => None,
        };
        match why {
            Some(why) => warnings.push(Warning::NameLeftOut { name, why }),
            None => {
                taken.insert(name.clone());
                names.push(name);
            }
        }
    }
    names
}

/// What the history of a declared image says.
fn comment(report: &SalvageReport, layers: &[String], id: &str) -> String {
    let declared =
        |layer: &&SalvagedLayer| layer.result == Salvaged::Declared && layers.contains(&layer.layer);
    let count = |of: FileResult| {
        let files = report.layers.iter().filter(declared).flat_map(|layer| &layer.files);
        files.filter(|file| file.result == of).count()
    };
    let (kept, left_out) = (count(FileResult::Kept), count(FileResult::LeftOut));
    let what = match (kept, left_out) {
        (0, 0) => "a layer is not what was recorded".to_owned(),
        (kept, left_out) => format!("{} with other bytes, {left_out} left out", files(kept)),
    };
    format!("salvaged by layerlift from damaged layers of {id}: {what}")
}

fn files(count: usize) -> String {
    if count == 1 { "1 file".to_owned() } else { format!("{count} files") }
}
