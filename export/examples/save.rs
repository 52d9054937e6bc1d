//! Saves images into a tar: `cargo run -p layerlift-export --example save -- ROOT OUT NAME…`.

use std::path::Path;

use layerlift_archive::{Options as WriteOptions, write_file};
use layerlift_export::{Options, plan, select, tree};
use layerlift_store::{OpenOptions, open};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [root, out, names @ ..] = arguments.as_slice() else {
        return Err("usage: save ROOT OUT NAME...".into());
    };
    let store = open(Path::new(root), &OpenOptions::default())?;
    let selection = select(&*store, names, None)?;
    let prepared = plan(&*store, selection, &Options::default())?.prepare(&WriteOptions::default())?;
    write_file(&tree(&prepared), Path::new(out), &WriteOptions::default())?;
    Ok(())
}
