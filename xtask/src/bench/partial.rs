//! What is read for an image of ten layers of which nine are left out: the tenth.

use std::fs;
use std::path::Path;

use super::Bench;
use super::counts::Counts;
use super::growth::build;
use super::image::Noise;
use crate::Outcome;

const BASE: &str = "partial/base:1";
const APP: &str = "partial/app:1";
/// Small files, so that what a run costs by itself is little of it.
const FILES: usize = 2_000;
/// The layers of the base are much larger than what may be read beside the tenth.
const BASE_BYTES: u64 = 24 << 20;

/// Builds the images with the benchmark's daemon, and saves one without the layers of the other.
pub(crate) fn count(bench: &Bench, folder: &Path) -> Outcome<Counts> {
    let context = folder.join("partial");
    fs::create_dir_all(&context)?;
    let mut noise = Noise(7);
    let below: Vec<String> = (0..9)
        .map(|layer| noise.layer(&format!("below{layer}"), 110, 16_000, &context))
        .collect::<Outcome<_>>()?;
    let sizes = below.iter().map(|layer| Ok(fs::metadata(context.join(layer))?.len()));
    let size = sizes.sum::<Outcome<u64>>()?;
    if size < BASE_BYTES {
        return Err(format!("the base has {size} bytes, which is too little to be noticed").into());
    }
    let top = noise.layer("top", FILES, 20, &context)?;
    let adds: String = below.iter().map(|layer| format!("ADD {layer} /\n")).collect();
    build(bench, &context, &format!("FROM scratch\n{adds}"), BASE)?;
    build(bench, &context, &format!("FROM {BASE}\nADD {top} /\n"), APP)?;
    let out = bench.disk.join("part");
    let save = bench
        .save(&bench.stores.docker_root, &["-o", &out.display().to_string(), "--exclude", BASE, APP])
        .command;
    let counts = Counts::of(&save, &out, FILES as u64)?;
    fs::remove_file(&out)?;
    fs::remove_dir_all(&context)?;
    Ok(counts)
}
