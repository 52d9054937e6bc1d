//! What `save` is asked for: names, patterns, a list in a file, labels; and the names that images get.

use std::fs;
use std::io::{self, Read};
use std::path::Path;

use layerlift_store::{Error as StoreError, Reference, Rules, Selected, StoreKind};

use crate::args::Save;
use crate::error::Error;
use crate::labels::{described, has_label};
use crate::pattern::Pattern;
use crate::report::Reporter;
use crate::sources::{Sources, broken_error};
use crate::wanted::Name;

/// Names, in the order in which they were asked for.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    pub(crate) requests: Vec<Request>,
    /// Whether something may have been asked for that cannot be read.
    pub(crate) incomplete: bool,
}

/// A name, and the one that its image gets instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    /// As it is in the store, or as it was typed.
    pub(crate) name: String,
    rename: Option<Rename>,
}

/// `REPO` or `REPO:TAG`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Rename {
    reference: Reference,
    /// Without a tag, each image keeps its own.
    tagged: bool,
}

impl Requests {
    /// Looks up what patterns and labels mean.
    pub(crate) fn new(args: &Save, sources: &Sources, reporter: &Reporter) -> Result<Self, Error> {
        let mut requests = Requests::default();
        for typed in &args.names {
            let (name, rename) = match typed.split_once('=') {
                Some((name, to)) => (name, Some(Rename::parse(to)?)),
                None => (&**typed, None),
            };
            if !Pattern::is_one(name) {
                requests.requests.push(Request { name: name.to_owned(), rename });
                continue;
            }
            let mut found = matching(sources, name)?.into_iter().peekable();
            if rename.as_ref().is_some_and(|rename| rename.tagged) && found.peek().is_some() {
                return Err(Error::OneNameForSeveral(typed.clone()));
            }
            if found.peek().is_none() {
                return Err(StoreError::NotFound { name: name.to_owned(), suggestions: Vec::new() }.into());
            }
            requests.requests.extend(found.map(|name| Request { name, rename: rename.clone() }));
        }
        if !args.choice.label.is_empty() {
            requests.add_labelled(args, sources, reporter)?;
        }
        Ok(requests)
    }

    /// Adds the images that have all labels.
    fn add_labelled(&mut self, args: &Save, sources: &Sources, reporter: &Reporter) -> Result<(), Error> {
        let before = self.requests.len();
        for source in &sources.opened {
            let store = &*source.store;
            let listing = store.images()?.on(store, args.platforms());
            self.incomplete |= reporter.lost(&listing.lost);
            for image in listing.images {
                let found = match store.image(&image.key) {
                    Ok(found) => described(&found),
                    Err(error) => {
                        reporter.error(&error);
                        self.incomplete = true;
                        continue;
                    }
                };
                let has = |label: &String| match label.split_once('=') {
                    Some((label, value)) => has_label(&found, label, Some(value)),
                    None => has_label(&found, label, None),
                };
                if !args.choice.label.iter().all(has) {
                    continue;
                }
                let tags = image.references.iter().filter(|reference| !reference.is_digest());
                let mut names: Vec<String> = tags.map(ToString::to_string).collect();
                if names.is_empty() {
                    names.push(image.key.id().to_owned());
                }
                self.requests.extend(names.into_iter().map(|name| Request { name, rename: None }));
            }
            for broken in listing.broken {
                reporter.error(&broken_error(broken));
                self.incomplete = true;
            }
        }
        if self.requests.len() == before {
            return Err(Error::NoLabelled(args.choice.label.join(", ")));
        }
        Ok(())
    }
}

/// The arguments with the names that lists have; `None` if there are no lists.
pub(crate) fn with_listed(args: &Save) -> Result<Option<Save>, Error> {
    if args.choice.from_file.is_empty() {
        return Ok(None);
    }
    let reads_stdin = args.choice.from_file.iter().any(|path| path.as_os_str() == "-");
    if reads_stdin && args.registry.creds_stdin {
        return Err(Error::StdinTwice);
    }
    let mut args = args.clone();
    for path in &args.choice.from_file {
        let text = read_list(path).map_err(|source| Error::NamesNotRead { path: path.clone(), source })?;
        args.names.extend(lines(&text).map(str::to_owned));
    }
    let chosen = !args.choice.label.is_empty() || !args.choice.containers.is_empty();
    if args.names.is_empty() && !chosen {
        return Err(Error::NothingNamed);
    }
    Ok(Some(args))
}

impl Request {
    /// Gives what the name means the other name.
    pub(crate) fn renamed(&self, mut found: Vec<Selected>) -> Result<Vec<Selected>, Error> {
        let Some(rename) = &self.rename else { return Ok(found) };
        if rename.tagged && found.len() > 1 {
            return Err(Error::OneNameForSeveral(self.name.clone()));
        }
        for selected in &mut found {
            let own = selected.reference.as_ref().and_then(Reference::tag).filter(|_| !rename.tagged);
            let tag = own.unwrap_or(rename.reference.tag_or_digest());
            selected.reference = Some(Reference::new(rename.reference.repository(), tag));
        }
        Ok(found)
    }
}

impl Rename {
    fn parse(text: &str) -> Result<Self, Error> {
        let reference = chosen_name(text)?;
        let tagged = text.len() > reference.repository().len();
        Ok(Rename { reference, tagged })
    }
}

/// A name that an image gets; without a tag, `latest`.
pub(crate) fn chosen_name(text: &str) -> Result<Reference, Error> {
    let reference = Reference::parse(text, Rules::Distribution)?;
    if reference.is_digest() {
        let why = "a digest follows from an image, and cannot be chosen";
        return Err(StoreError::BadName { name: text.to_owned(), why }.into());
    }
    Ok(reference)
}

/// The names in the stores that a pattern matches, each once.
fn matching(sources: &Sources, pattern: &str) -> Result<Vec<String>, Error> {
    let pattern: Name =
        pattern.parse().map_err(|why| Error::BadPattern { pattern: pattern.to_owned(), why })?;
    let mut names = Vec::new();
    // To Docker 1.5 to 1.9, this was a name like any other, and unknown.
    for source in sources.opened.iter().filter(|source| source.kind != StoreKind::DockerGraph) {
        let listing = source.store.images()?;
        let of_images = listing.images.iter().chain(&listing.intermediate).map(|image| &image.references);
        let of_indexes = listing.indexes.iter().map(|index| &index.references);
        // What cannot be read is an error when it is looked up.
        let of_broken = listing.broken.iter().map(|broken| &broken.references);
        let all = of_images.chain(of_indexes).chain(of_broken).flatten();
        let matched = all.filter(|name| !name.is_digest() && pattern.means(source.kind, name));
        names.extend(matched.map(ToString::to_string));
    }
    names.sort();
    names.dedup();
    Ok(names)
}

fn read_list(path: &Path) -> io::Result<String> {
    if path == Path::new("-") {
        let mut text = String::new();
        return io::stdin().lock().read_to_string(&mut text).map(|_| text);
    }
    fs::read_to_string(path)
}

/// The names in a list, without comments.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let lines = text.strip_prefix('\u{feff}').unwrap_or(text).lines();
    let names = lines.map(|line| line.split(" #").next().unwrap_or_default().trim());
    names.filter(|name| !name.is_empty() && !name.starts_with('#'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists() {
        let text = "\u{feff}# of today\r\nbase:1\r\n\r\n  team/app=other/app:2   # renamed\nx";
        assert_eq!(lines(text).collect::<Vec<_>>(), ["base:1", "team/app=other/app:2", "x"]);
    }

    #[test]
    fn other_names() {
        for (text, repository, tagged) in
            [("a/b", "a/b", false), ("a/b:1", "a/b", true), ("h:5000/a", "h:5000/a", false)]
        {
            let rename = Rename::parse(text).unwrap();
            assert_eq!((rename.reference.repository(), rename.tagged), (repository, tagged), "{text}");
        }
        for text in ["", "A", "a:", "a@sha256:1", "a b"] {
            assert!(Rename::parse(text).is_err(), "{text}");
        }
    }
}
