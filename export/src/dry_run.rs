//! The report of a dry run.

use std::fmt;

use crate::draft::Draft;
use crate::layers::{PlannedLayer, State};
use crate::{Format, Omission, Plan};

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
        let left_out = self.omission();
        if left_out.layers > 0 {
            writeln!(f, "left out: {}, {}", left_out.needs, bytes(left_out.bytes))?;
            writeln!(f, "{}", takers(self.options.format))?;
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
    /// What is left out because the other side has it, as far as that is known before a first pass.
    pub fn omission(&self) -> Omission {
        Omission::from(&self.requirements())
    }

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

/// Where a partial archive loads.
fn takers(format: Format) -> &'static str {
    match format {
        Format::DockerV1 => "loads where these layers are: Docker up to 1.9",
        Format::DockerArchive | Format::OciArchive => {
            "loads where these layers are: Docker with a graph driver; containerd and Docker with its store \
             need them as the same blobs, and so does Podman if they are compressed"
        }
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
