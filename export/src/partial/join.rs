//! The other half of a partial export: several archives as one source.

use std::collections::HashSet;

use layerlift_archive::Digest;
use layerlift_store::{Joined, Platforms, Store};

use crate::{Chosen, Error, Selection, select_all};

/// Everything that those of the archives name which leave something out, in their order and with their
/// names; if none of them does, everything that any of them names.
pub fn select_partial(joined: &Joined) -> Result<Selection, Error> {
    let partial = joined.partial()?;
    if partial.is_empty() {
        return in_order(joined, &[joined]);
    }
    in_order(joined, &partial)
}

/// Everything that archives name, in their order.
fn in_order(joined: &Joined, stores: &[&dyn Store]) -> Result<Selection, Error> {
    let mut all = Selection::new(Platforms::All);
    all.everything = true;
    let mut artifacts: HashSet<Digest> = HashSet::new();
    for store in stores {
        let listing = store.images()?;
        for selected in &listing.roots {
            all.add(*store, selected)?;
        }
        let rest = select_all(*store, Platforms::All)?;
        let known: HashSet<_> = all.images.iter().map(|chosen| chosen.image.clone()).collect();
        all.images.extend(rest.images.into_iter().filter(|chosen| !known.contains(&chosen.image)));
        let new = rest.indexes.into_iter().filter(|new| all.indexes.iter().all(|one| one.index != new.index));
        let new: Vec<_> = new.collect();
        all.indexes.extend(new);
        for broken in rest.broken {
            // A layer is missing there, and is in another archive.
            match joined.completed(&broken) {
                Some(image) if known.contains(&image.key) => {}
                Some(image) => {
                    let names = broken.references.into_iter().map(Some).collect::<Vec<_>>();
                    let names = if names.is_empty() { vec![None] } else { names };
                    let chosen = |reference| Chosen { image: image.key.clone(), reference };
                    all.images.extend(names.into_iter().map(chosen));
                }
                None => all.broken.push(broken),
            }
        }
        all.lost.extend(rest.lost);
        all.notices.extend(rest.notices);
        all.artifacts.extend(rest.artifacts.into_iter().filter(|new| artifacts.insert(new.digest)));
    }
    Ok(all)
}
