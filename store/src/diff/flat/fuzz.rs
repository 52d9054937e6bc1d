//! For `store/fuzz`: tars in memory, put on top of each other.

use std::io::Write;
use std::sync::Arc;

use layerlift_archive::{Content as _, Error as ArchiveError, Plain};

use super::TarLayer;
use crate::diff::Form;
use crate::diff::tree::RootFs;

/// The tar of the files that the tars of layers make, base first, or what is wrong with them.
///
/// # Panics
///
/// If the tar does not have the length that was computed before it was written.
pub fn flatten(layers: &[Vec<u8>]) -> Result<Vec<u8>, String> {
    let layer = |(number, tar): (usize, &Vec<u8>)| {
        let bytes = tar.clone();
        let write = move |out: &mut dyn Write| {
            let failed = |error| ArchiveError::Stream(Arc::new(error));
            out.write_all(&bytes).map_err(failed)
        };
        TarLayer { name: number.to_string(), in_file: None, len: None, write: Arc::new(write) }
    };
    let layers = layers.iter().enumerate().map(layer).collect();
    let root_fs = RootFs::of_tars(layers, &std::env::temp_dir(), Form::Today);
    let tree = root_fs.read(None).map_err(|error| error.to_string())?;
    let tar = tree.tar(None, None).map_err(|error| error.to_string())?;
    let mut out = Vec::new();
    tree.write_tar(None, &mut Plain(&mut out)).map_err(|error| error.to_string())?;
    assert_eq!(tar.len(), out.len() as u64);
    Ok(out)
}
