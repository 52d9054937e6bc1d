//! Edits of configs and v1 documents, and the conversions between them.

use layerlift_export::fuzz;

use crate::corpus;

pub(super) fn run(bytes: &[u8]) -> String {
    fuzz::json_edits(bytes).unwrap_or_else(|why| why)
}

pub(super) fn corpus() -> Vec<Vec<u8>> {
    corpus::documents()
}
