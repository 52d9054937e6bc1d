//! Packs files into a tar: `pack OUT FILE…`. Each file is opened once, and its contents are written where
//! they belong.

use std::error::Error;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use layerlift_archive::{Entry, FileRange, Options, Tree, write_file};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let out = args.next().ok_or("usage: pack OUT FILE...")?;
    let mut tree = Tree::default();
    for path in args {
        let file = File::open(&path)?;
        let len = file.metadata()?.len();
        let content = FileRange { file: Arc::new(file), offset: 0, len, digest: None };
        tree.push(Entry::file(path.trim_start_matches('/'), 0, Arc::new(content)));
    }
    write_file(&tree, Path::new(&out), &Options::default())?;
    Ok(())
}
