//! The names in stores that begin as was typed.

use std::collections::BTreeSet;
use std::path::Path;

use layerlift_store::discover::open_usual;
use layerlift_store::{OpenOptions, Reference, Store, StoreKind, lists_at_once, open_all};

use super::asked::Asked;

/// More than this is of no help, and slow to print.
const MOST: usize = 300;

/// Sorted. What cannot be read is not offered.
pub(super) fn candidates(asked: &Asked) -> Vec<String> {
    let mut found = BTreeSet::new();
    let mut add = |name: String| {
        if name.starts_with(&asked.typed) && is_plain(&name) {
            found.insert(name);
        }
    };
    for store in stores(&asked.roots, &asked.open) {
        if asked.images {
            images(&*store, &asked.typed, &mut add);
        }
        let Some(containers) = store.containers() else { continue };
        if asked.containers
            && let Ok(listing) = containers.containers()
        {
            listing.containers.into_iter().flat_map(|container| container.names).for_each(&mut add);
        }
        if asked.volumes
            && let Ok(listing) = containers.volumes()
        {
            listing.volumes.into_iter().map(|volume| volume.name).for_each(&mut add);
        }
    }
    few(found, &asked.typed)
}

fn stores(roots: &[impl AsRef<Path>], options: &OpenOptions) -> Vec<Box<dyn Store>> {
    let all = match roots {
        [] => open_usual(options),
        roots => {
            let roots = roots.iter().map(AsRef::as_ref).filter(|root| lists_at_once(root));
            roots.filter_map(|root| open_all(root, options).ok()).flatten().collect()
        }
    };
    all.into_iter().flatten().map(|opened| opened.store).collect()
}

fn images(store: &dyn Store, typed: &str, add: &mut impl FnMut(String)) {
    let Ok(listing) = store.images() else { return };
    let of_images = listing.images.iter().map(|image| &image.references);
    let of_indexes = listing.indexes.iter().map(|index| &index.references);
    let of_broken = listing.broken.iter().map(|broken| &broken.references);
    let names = of_images.chain(of_indexes).chain(of_broken).flatten();
    for name in names.filter(|name| !name.is_digest() || typed.contains('@')) {
        add(spelled(store.kind(), name, typed));
    }
}

/// A name as the user began to spell it; else as it is listed.
fn spelled(kind: StoreKind, name: &Reference, typed: &str) -> String {
    let (full, familiar) = (name.to_string(), name.familiar().to_string());
    let local = full.strip_prefix("localhost/").filter(|_| kind == StoreKind::ContainersStorage);
    let begins = |spelled: &&str| spelled.starts_with(typed);
    let found = [Some(&*full), Some(&*familiar), local].into_iter().flatten().find(begins);
    found.unwrap_or(&full).to_owned()
}

/// Whether a shell takes it as it is: what a damaged record calls a name is not put on a command line.
fn is_plain(name: &str) -> bool {
    let plain = |char: char| char.is_ascii_alphanumeric() || "._/:@+-".contains(char);
    !name.is_empty() && !name.starts_with('-') && name.chars().all(plain)
}

/// Not more than a user can read: of too many names, what they begin with up to a separator. The first and
/// the last stay in any case, because a shell completes what all of them have in common.
fn few(mut found: BTreeSet<String>, typed: &str) -> Vec<String> {
    for separator in [':', '/'] {
        if found.len() <= MOST {
            break;
        }
        let shorter = |name: &String| match name[typed.len()..].find(separator) {
            Some(at) => name[..=typed.len() + at].to_owned(),
            None => name.clone(),
        };
        found = found.iter().map(shorter).collect();
    }
    let last = found.last().cloned();
    let mut few: Vec<String> = found.into_iter().take(MOST).collect();
    if let (Some(last), Some(kept)) = (last, few.last_mut()) {
        *kept = last;
    }
    few
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_for_a_command_line() {
        for (name, plain) in [
            ("team/app:1.2", true),
            ("h:5000/a@sha256:0", true),
            ("", false),
            ("-o", false),
            ("a b", false),
            ("$(touch x)", false),
            ("a;b", false),
            ("a\nb", false),
            ("a'b", false),
        ] {
            assert_eq!(is_plain(name), plain, "{name}");
        }
    }

    #[test]
    fn spellings() {
        use StoreKind::{Containerd, ContainersStorage};
        for (kind, name, typed, expected) in [
            (Containerd, "docker.io/library/base", "", "docker.io/library/base:1"),
            (Containerd, "docker.io/library/base", "ba", "base:1"),
            (Containerd, "docker.io/library/base", "docker.io/", "docker.io/library/base:1"),
            (ContainersStorage, "localhost/app", "ap", "app:1"),
            (ContainersStorage, "localhost/app", "lo", "localhost/app:1"),
            (Containerd, "localhost/app", "ap", "localhost/app:1"),
        ] {
            assert_eq!(spelled(kind, &Reference::new(name, "1"), typed), expected, "{name} {typed}");
        }
    }

    #[test]
    fn too_many_names() {
        let tags =
            |name: &str, count: usize| (0..count).map(|tag| format!("{name}:{tag}")).collect::<Vec<_>>();
        let all = |lists: Vec<Vec<String>>| lists.into_iter().flatten().collect::<BTreeSet<_>>();
        assert_eq!(few(all(vec![tags("a", 300)]), "").len(), 300);
        assert_eq!(few(all(vec![tags("a", 301), tags("b", 2)]), ""), ["a:", "b:"]);
        let teams = (0..400).map(|team| format!("team/{team}:1")).collect();
        assert_eq!(few(all(vec![teams, tags("b", 1)]), ""), ["b:", "team/"]);
        let many: Vec<String> = (0..400).map(|n| format!("a{n:03}")).chain(["b".to_owned()]).collect();
        let few = few(all(vec![many]), "");
        assert_eq!((few.len(), &*few[0], &*few[299]), (300, "a000", "b"));
    }
}
