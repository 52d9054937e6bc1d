//! Layers that are handed over while others are still being compressed.

use std::fmt;
use std::sync::Arc;

use crate::bundle::Blob;

/// Hears of each layer that has been compressed, as soon as its blob is complete.
#[derive(Clone)]
pub struct Ready(Arc<dyn Fn(&Blob) + Send + Sync>);

impl Ready {
    /// Calls this.
    pub fn new(hears: impl Fn(&Blob) + Send + Sync + 'static) -> Self {
        Ready(Arc::new(hears))
    }

    pub(crate) fn hear(&self, blob: &Blob) {
        (self.0)(blob);
    }
}

impl fmt::Debug for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ready")
    }
}
