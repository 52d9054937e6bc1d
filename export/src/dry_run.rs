//! The report of a dry run.

use std::fmt;

use crate::Plan;
use crate::layers::{PlannedLayer, State};
use crate::plan::Draft;

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{}: {}, {}",
            self.options.format,
            count(self.drafts.len(), "image"),
            count(self.layer_count(), "layer")
        )?;
        for Draft { planned, image, layers, .. } in &self.drafts {
            let names: Vec<_> = planned.references.iter().map(ToString::to_string).collect();
            let names = if names.is_empty() { "(no name)".to_owned() } else { names.join(", ") };
            let id = planned.image_id.map_or_else(|| image.key.id().to_owned(), |id| id.0.hex());
            let total = total(layers.iter().map(|&index| &self.layers[index]));
            writeln!(f, "  {id:.12}  {names}: {}, {total}", count(layers.len(), "layer"))?;
        }
        for list in &self.lists {
            let names: Vec<_> = list.names.iter().map(ToString::to_string).collect();
            let names = if names.is_empty() { "(no name)".to_owned() } else { names.join(", ") };
            let images = self.drafts.iter().filter(|draft| list.has(draft.planned.key.id())).count();
            let what = if list.keep { "index, kept" } else { "index" };
            let others = list.companions.len();
            writeln!(f, "  {what}  {names}: {}, {}", count(images, "image"), count(others, "attestation"))?;
        }
        writeln!(f, "layers: {}", total(self.used()))?;
        let shared = self.used().map(|layer| (layer.uses as u64 - 1) * layer.len().unwrap_or(0)).sum();
        if shared > 0 {
            writeln!(f, "shared: {}, in the archive once", bytes(shared))?;
        }
        if let Some(len) = self.tar_len() {
            writeln!(f, "tar: {}", bytes(len))?;
        }
        self.first(f)?;
        for warning in &self.warnings {
            writeln!(f, "warning: {warning}")?;
        }
        Ok(())
    }
}

impl Plan {
    /// What comes before the first byte of the archive.
    fn first(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_unmeasured = |layer: &&PlannedLayer| matches!(layer.state, State::Unmeasured(_));
        let unmeasured = self.used().filter(is_unmeasured).count();
        let measured = self.first_pass().count() - unmeasured;
        if unmeasured > 0 {
            let layers = count(unmeasured, "layer");
            writeln!(f, "first: {layers} of unknown length to be written to temporary files")?;
        }
        if measured > 0 {
            let layers = count(measured, "layer");
            let why = if self.options.keep_going {
                "checked"
            } else {
                "hashed, as the store has no digest of them"
            };
            let len = self.first_pass().filter_map(PlannedLayer::len).sum();
            writeln!(f, "first: {layers} ({}) to be {why}", bytes(len))?;
        }
        Ok(())
    }
}

/// Bytes of layers, each as often as it comes.
fn total<'l>(layers: impl Iterator<Item = &'l PlannedLayer>) -> String {
    let mut sum = 0;
    let mut unknown = 0;
    for layer in layers {
        match layer.len() {
            Some(len) => sum += len,
            None => unknown += 1,
        }
    }
    match unknown {
        0 => bytes(sum),
        _ if sum == 0 => "length not known yet".to_owned(),
        _ => format!("{} and {} of unknown length", bytes(sum), count(unknown, "layer")),
    }
}

fn count(n: usize, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}

fn bytes(n: u64) -> String {
    format!("{n} bytes")
}
