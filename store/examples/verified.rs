//! Lists the images of a store and reads all their layers: `verified ROOT`. Ends with an error at the first
//! changed byte.

use std::error::Error;
use std::io::{self, Write};
use std::path::Path;

use layerlift_store::{OpenOptions, open};

/// Writes a line for each image and each of its layers.
pub(crate) fn verified(root: &Path, out: &mut dyn Write) -> Result<(), Box<dyn Error>> {
    let store = open(root, &OpenOptions::default())?;
    // Of an index of several platforms, this machine's image.
    for summary in store.images()?.on(&*store, None).images {
        let names: Vec<String> = summary.references.iter().map(ToString::to_string).collect();
        writeln!(out, "{} {}", summary.key.id(), names.join(" "))?;
        for layer in store.image(&summary.key)?.layers {
            let tar = store.layer(&layer.key)?;
            // The reader compares: what it hands out to its end is what the engine stored.
            let len = io::copy(&mut tar.reader()?, &mut io::sink())?;
            writeln!(out, "  {} {len} bytes", layer.key.id())?;
        }
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let root = std::env::args_os().nth(1).ok_or("usage: verified ROOT")?;
    verified(Path::new(&root), &mut io::stdout().lock())
}
