//! Lists the images of a store: `cargo run -p layerlift-store --example list -- /var/lib/docker [PARTITION]`.

use std::io::{self, Write};
use std::path::PathBuf;

use layerlift_store::{OpenOptions, open};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let root: PathBuf = arguments.next().ok_or("usage: list ROOT [PARTITION]")?.into();
    let partition = arguments.next().map(|name| name.to_string_lossy().into_owned());
    let mut options = OpenOptions::default();
    options.partition = partition;
    let store = open(&root, &options)?;
    let listing = store.images()?.on(&*store, None);
    let mut out = io::stdout().lock();
    for image in &listing.images {
        let names: Vec<String> = image.references.iter().map(ToString::to_string).collect();
        let created = image.created.as_deref().unwrap_or("-");
        writeln!(out, "{}  {} layers  {created}  {}", image.key.id(), image.layers, names.join(" "))?;
    }
    for broken in &listing.broken {
        writeln!(out, "{}  {}", broken.what, broken.error)?;
    }
    Ok(())
}
