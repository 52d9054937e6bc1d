//! What a salvage could do about damaged layers, for those who only verify.

use layerlift_store::{LayerTar, Store};

use super::damage;
use super::reach::Reach;
use super::report::SalvagedFile;
use crate::verify::Report;

/// What a salvage could do about a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outlook {
    /// Another layer of the store has the same digest; it is not read here.
    Same(String),
    /// What would become of its files.
    Files(Vec<SalvagedFile>),
    /// Only another store or an archive can help.
    Elsewhere,
}

/// What [`crate::Plan::salvage`] could do about each layer of a report, with nothing but the store itself.
/// `None` for one that is sound, or whose error another user or another version would not have.
pub fn outlook(store: &dyn Store, report: &Report) -> Vec<Option<Outlook>> {
    let is_damaged = |error: &crate::Error| damage::is_damage(error);
    if !report.layers.iter().filter_map(|layer| layer.error.as_ref()).any(is_damaged) {
        return report.layers.iter().map(|_| None).collect();
    }
    let reach = Reach::new([(store, String::new())]);
    let mut outlooks = Vec::new();
    for (index, layer) in report.layers.iter().enumerate() {
        let Some(error) = layer.error.as_ref().filter(|error| is_damaged(error)) else {
            outlooks.push(None);
            continue;
        };
        let diff_id = layer.expected;
        let same = reach.same(&layer.key, diff_id).find(|other| {
            diff_id.is_some() && matches!(other.open(), Some(LayerTar::Split(_) | LayerTar::Blob(_)))
        });
        outlooks.push(match (same, store.layer(&layer.key)) {
            (Some(same), _) => Some(Outlook::Same(same.name.clone())),
            (None, Ok(LayerTar::Split(split))) => match damage::find(&split, &layer.key, &reach) {
                Ok(damages) => Some(Outlook::Files(damages.values().map(damage::Damage::report).collect())),
                Err(_) => None,
            },
            (None, _) if is_unpacked(store, report, index) => Some(Outlook::Files(Vec::new())),
            (None, _) => damage::is_damage(error).then_some(Outlook::Elsewhere),
        });
    }
    outlooks
}

/// Whether an engine has unpacked a layer of the report.
fn is_unpacked(store: &dyn Store, report: &Report, index: usize) -> bool {
    report.images.iter().any(|image| {
        let place = image.layers.iter().position(|layer| *layer == index);
        let up_to = place.and_then(|place| image.layers.get(..=place)).unwrap_or_default();
        let diff_ids = up_to.iter().map(|layer| report.layers[*layer].expected).collect::<Option<Vec<_>>>();
        let unpacked = diff_ids.map(|diff_ids| store.unpacked(&report.layers[index].key, &diff_ids));
        matches!(unpacked, Some(Ok(Some(_))))
    })
}
