//! A plan in words, for a dry run.

use std::fmt;

use crate::Plan;
use crate::layers::{Planned, State};

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{}: {}, {}",
            self.options.format,
            count(self.images.len(), "image"),
            count(self.layers.len(), "layer")
        )?;
        for (image, source) in self.images.iter().zip(&self.sources) {
            let names: Vec<_> = image.references.iter().map(ToString::to_string).collect();
            let names = if names.is_empty() { "(no name)".to_owned() } else { names.join(", ") };
            let id = image.image_id.map_or(source.image.key.id.clone(), |id| id.0.hex());
            let layers = count(source.layers.len(), "layer");
            writeln!(f, "  {id:.12}  {names}: {layers}, {}", self.total(source.layers.iter().copied()))?;
        }
        writeln!(f, "layers: {}", self.total(0..self.layers.len()))?;
        let shared = self.layers.iter().filter(|layer| layer.uses > 1);
        let spared: u64 = shared.map(|layer| (layer.uses as u64 - 1) * layer.len().unwrap_or(0)).sum();
        if spared > 0 {
            writeln!(f, "shared: {}, in the archive once", bytes(spared))?;
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
        let is_unmeasured = |layer: &&Planned| matches!(layer.state, State::Unmeasured(_));
        let unmeasured = self.layers.iter().filter(is_unmeasured).count();
        let measured = self.first_pass().count() - unmeasured;
        if unmeasured > 0 {
            let layers = count(unmeasured, "layer");
            writeln!(f, "first: {layers} without a length beforehand to be written to temporary files")?;
        }
        if measured > 0 {
            let layers = count(measured, "layer");
            let why = if self.options.keep_going {
                "checked"
            } else {
                "hashed, as the store has no digest of them"
            };
            let len = self.first_pass().filter_map(Planned::len).sum();
            writeln!(f, "first: {layers} ({}) to be {why}", bytes(len))?;
        }
        Ok(())
    }

    /// Bytes of some layers, each index as often as it comes.
    fn total(&self, indices: impl Iterator<Item = usize>) -> String {
        let mut sum = 0;
        let mut unknown = 0;
        for index in indices {
            match self.layers[index].len() {
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
}

fn count(n: usize, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}

fn bytes(n: u64) -> String {
    format!("{n} bytes")
}
