//! The names of images as Docker keeps them, before 1.10 and since: one JSON file for each graph driver,
//! which Docker writes when it starts and at each change.
//!
//! ```text
//! file         what is in it
//! containers   names that containers still have when it is lost
//! ```
//!
//! A power loss leaves the file empty, cut, full of zeros, or without its folder's entry. That costs names,
//! not images, and what stands before a cut is as good as ever.

mod containers;
pub(crate) mod file;

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;

use crate::{Error, Reference, Root};

pub(crate) use file::Form;

/// By repository, then by tag or digest: the id of the image, or whatever the file has there.
pub(crate) type Repositories = BTreeMap<String, BTreeMap<String, String>>;

/// How often a listing is made of a store that changes meanwhile, before the last one has to do.
pub(crate) const MOMENTS: usize = 20;

/// Where the names of one driver are.
pub(crate) struct NamesFile<'r> {
    /// The directory of the file.
    pub(crate) dir: &'r Root,
    /// Its name.
    pub(crate) name: String,
    /// How it spells names.
    pub(crate) form: Form,
    /// Its largest size.
    pub(crate) limit: u64,
    /// The data root, which has the containers.
    pub(crate) data: &'r Root,
    /// The graph driver.
    pub(crate) driver: &'r str,
}

/// The names at one moment.
pub(crate) struct Names {
    pub(crate) repositories: Repositories,
    /// What the file no longer says. If there is anything, an image without a name may have had one.
    pub(crate) lost: Vec<Error>,
    /// What the file was, to see whether it changes.
    state: State,
}

/// Inode, time and size of the file; `None` if it cannot be opened. What has changed twice may have its old
/// bytes again.
type State = Option<(u64, i64, i64, u64)>;

impl NamesFile<'_> {
    /// Reads the file. Names that it has lost are taken from containers, if `exists` knows the image.
    /// Docker always writes the file, so its absence is a loss, unless `any` says that there is no image.
    pub(crate) fn read(&self, any: impl FnOnce() -> bool, exists: impl Fn(&str) -> bool) -> Names {
        let mut names = Names { repositories: Repositories::new(), lost: Vec::new(), state: self.state() };
        let path = || self.dir.join(&self.name);
        let missing = match self.dir.try_read(&self.name, self.limit) {
            Err(error) => {
                names.lost.push(error);
                return self.recovered(names, &exists).0;
            }
            Ok(None) if !any() => return names,
            Ok(None) => None,
            Ok(Some(bytes)) => {
                let read = file::parse(&bytes, self.form);
                names.repositories = read.repositories;
                names.lost.extend(read.wrong.into_iter().map(|why| Error::malformed(path(), why)));
                match read.error {
                    Some(why) => Some(why),
                    None if names.lost.is_empty() => return names,
                    None => return self.recovered(names, &exists).0,
                }
            }
        };
        let kept = names.repositories.values().map(BTreeMap::len).sum::<usize>();
        let (mut names, found) = self.recovered(names, &exists);
        let lost = what_is_lost(kept, found);
        names.lost.push(match missing {
            Some(why) => Error::malformed(path(), format!("{why}: {lost}")),
            None => Error::NotThere { path: path(), why: lost },
        });
        names
    }

    /// Whether the file is no longer what it was when the names were read.
    pub(crate) fn changed(&self, names: &Names) -> bool {
        self.state() != names.state
    }

    fn state(&self) -> State {
        let metadata = self.dir.open_file(&self.name).ok()?.metadata().ok()?;
        Some((metadata.ino(), metadata.mtime(), metadata.mtime_nsec(), metadata.len()))
    }

    /// Adds names that containers have; how many these are.
    fn recovered(&self, mut names: Names, exists: &dyn Fn(&str) -> bool) -> (Names, usize) {
        let mut found = 0;
        for (reference, image) in containers::names(self.data, self.driver) {
            let known = names.repositories.get(reference.repository());
            if known.is_none_or(|tags| !tags.contains_key(reference.tag_or_digest())) && exists(&image) {
                let tags = names.repositories.entry(reference.repository().to_owned()).or_default();
                tags.insert(reference.tag_or_digest().to_owned(), image);
                found += 1;
            }
        }
        (names, found)
    }
}

impl Names {
    /// All names by the id that they lead to, which may be anything.
    pub(crate) fn by_image(&self) -> BTreeMap<&str, Vec<Reference>> {
        let mut by_image: BTreeMap<&str, Vec<Reference>> = BTreeMap::new();
        for (repository, tags) in &self.repositories {
            for (tag, id) in tags {
                by_image.entry(id).or_default().push(Reference::new(repository, tag));
            }
        }
        by_image
    }
}

fn what_is_lost(kept: usize, found: usize) -> String {
    let names = |count| if count == 1 { "1 name".to_owned() } else { format!("{count} names") };
    let mut text = match kept {
        0 => "names are lost".to_owned(),
        kept => format!("{} before that can be read, others are lost", names(kept)),
    };
    if found > 0 {
        let verb = if found == 1 { "is" } else { "are" };
        text.push_str(&format!("; {} {verb} taken from containers", names(found)));
    }
    text.push_str("; every image is listed by its id");
    text
}
