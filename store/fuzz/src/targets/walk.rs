//! Opens a store and goes through everything in it, as `layerlift verify` would.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::Path;
use std::str::FromStr;

use layerlift_store::{Error, OpenOptions, Platform, Selected, Store, open};

/// As many images of a store, and layers of an image, are looked at.
const IMAGES: usize = 12;
const LAYERS: usize = 6;

/// A layer that is longer stops here.
const LONGEST: u64 = 8 << 20;

/// Goes through the store at a path.
pub(super) fn walk(path: &Path) -> String {
    let mut answers = BTreeSet::new();
    match open(path, &OpenOptions::default()) {
        Ok(store) => {
            images(&*store, &mut answers);
            indexes(&*store, &mut answers);
        }
        Err(error) => {
            answers.insert(described(&error));
        }
    }
    answers.into_iter().collect::<Vec<_>>().join("\n")
}

fn images(store: &dyn Store, answers: &mut BTreeSet<String>) {
    let listing = match store.images() {
        Ok(listing) => listing,
        Err(error) => {
            answers.insert(described(&error));
            return;
        }
    };
    let listing = listing.on(store, None);
    answers.extend(listing.broken.iter().map(|broken| described(&broken.error)));
    for row in listing.images.iter().take(IMAGES) {
        for reference in &row.references {
            match store.resolve(&reference.to_string()) {
                Ok(selected) => assert!(!selected.is_empty(), "{reference}: an empty answer"),
                Err(error) => {
                    answers.insert(described(&error));
                }
            }
        }
        let image = match store.image(&row.key) {
            Ok(image) => image,
            Err(error) => {
                answers.insert(described(&error));
                continue;
            }
        };
        answers.insert(format!("an image with {} layers", image.layers.len()));
        for layer in image.layers.iter().take(LAYERS) {
            let answer = match store.layer(&layer.key) {
                Ok(tar) => match tar.write_to(&mut Sink(LONGEST)) {
                    Ok(_) => "a layer".to_owned(),
                    Err(error) => error.to_string(),
                },
                Err(error) => described(&error),
            };
            answers.insert(answer);
        }
    }
}

/// Chooses from each index, for this machine and for another platform.
fn indexes(store: &dyn Store, answers: &mut BTreeSet<String>) {
    let other = Platform::from_str("linux/arm64").expect("a platform");
    for wanted in [None, Some(&other)] {
        let Ok(listing) = store.images() else { return };
        for one in listing.indexes.iter().take(IMAGES) {
            let selected = Selected::of_index(one.index.clone(), None);
            answers.insert(match selected.choose(store, wanted) {
                Ok(key) => format!("a member of {}: {}", one.index.members.len(), store.image(&key).is_ok()),
                Err(error) => described(&error),
            });
        }
        let chosen = listing.on(store, wanted);
        answers.extend(chosen.broken.iter().map(|broken| described(&broken.error)));
    }
}

/// All that an error has to say.
fn described(error: &Error) -> String {
    format!("{:?}: {error}", error.kind())
}

/// Counts what is left.
struct Sink(u64);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.checked_sub(bytes.len() as u64).ok_or_else(|| io::Error::other("long enough"))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
