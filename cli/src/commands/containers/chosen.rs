//! The containers that `save --container` names.

use layerlift_export::ChosenContainer;
use layerlift_store::{Error as StoreError, Reference, Rules};

use super::row::find;
use crate::error::Error;
use crate::sources::Sources;

/// The containers that the values of `--container` mean, each with its value and the place of its store.
pub(in crate::commands) fn chosen<'a>(
    sources: &Sources,
    values: &'a [String],
) -> Result<Vec<(&'a String, usize, ChosenContainer)>, Error> {
    let able = sources.able();
    let mut all = Vec::new();
    for value in values {
        let (name, image) = match value.split_once('=') {
            Some((name, image)) => (name, Some(image)),
            None => (value.as_str(), None),
        };
        let reference = image.map(reference).transpose()?;
        let (source, container) = find(&able, name)?;
        let place = sources.opened.iter().position(|opened| std::ptr::eq(opened, source));
        all.push((value, place.unwrap_or_default(), ChosenContainer::new(container, reference)));
    }
    Ok(all)
}

/// The name that an image gets; without a tag, `latest`.
fn reference(text: &str) -> Result<Reference, Error> {
    let reference = Reference::parse(text, Rules::Distribution)?;
    if reference.is_digest() {
        let why = "a digest follows from an image, and cannot be chosen";
        return Err(StoreError::BadName { name: text.to_owned(), why }.into());
    }
    Ok(reference)
}
