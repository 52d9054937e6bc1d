//! What is odd about layers on their way into an archive.

use super::{Measured, PlannedLayer, State};
use crate::{Options, Warning};

/// A layer whose blob has zeros behind its end.
pub(crate) fn padding_left_out(layer: &PlannedLayer) -> Option<Warning> {
    match &layer.state {
        State::Measured(Measured { unpadded: Some(unpadded), .. }) if layer.uses > 0 => {
            Some(Warning::PaddingLeftOut { layer: layer.id.clone(), zeros: unpadded.zeros })
        }
        _ => None,
    }
}

/// Layers that stay as they are stored, though not every reader of the format can read them.
pub(crate) fn refused_as_stored(layers: &[PlannedLayer], options: &Options) -> Option<Warning> {
    if options.warning().is_some() {
        return None;
    }
    layers.iter().filter(|layer| layer.uses > 0).find_map(|layer| match &layer.state {
        State::Measured(Measured { compression, .. }) => {
            let engines = options.format.refused_by(*compression)?;
            Some(Warning::LayersRefused { compression: compression.name(), engines })
        }
        _ => None,
    })
}
