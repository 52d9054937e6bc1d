//! Whether a layer is still there: its record is read again.
//!
//! Podman removes a layer's tar-split data and its directory, and writes `layers.json` without it. It marks
//! the record as incomplete before anything else (`layers.go`, `deleteInternal`).

use super::images::Images;
use super::records::{self, LayerRecord};
use crate::{Error, Root};

impl Images {
    /// A check that fails if the layer was removed or is being removed, or if it has got, or lost, its
    /// tar-split data.
    pub(super) fn still(
        &self,
        record: &LayerRecord,
        has_tar_split: bool,
    ) -> impl Fn() -> Result<(), Error> + Send + Sync + use<> {
        let id = record.id;
        let places: Vec<Root> = self.places_of(id).cloned().collect();
        let lists = self.layer_lists();
        let split = self.tar_split_file(id);
        let on_record = move |place: &Root| -> Result<bool, Error> {
            for list in &lists {
                let records = records::read::<LayerRecord>(place, list)?;
                if let Some(found) = records.good.iter().find(|record| record.id == id) {
                    return Ok(!found.is_incomplete());
                }
            }
            Ok(false)
        };
        let path = self.layer_path(id);
        let expected = self.is_recorded(id) && !record.is_of_config;
        move || {
            let mut found = false;
            for place in &places {
                found |= place.exists(&split)?;
            }
            let recorded = match places.first() {
                Some(place) if expected => on_record(place)?,
                _ => expected,
            };
            if found == has_tar_split && recorded == expected {
                return Ok(());
            }
            Err(Error::Changed { path: path.clone() })
        }
    }
}
