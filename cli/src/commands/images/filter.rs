//! Which images `layerlift images` shows: those of a name, and those that `--filter` lets through.

use jiff::Timestamp;
use layerlift_store::{Broken, Error as StoreError, Image, ImageKey, Reference, StoreKind};
use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use super::rows::Row;
use crate::args::{Filter, Images};
use crate::error::Error;
use crate::labels::{described, has_label};
use crate::report::Reporter;
use crate::sources::{Source, Sources};
use crate::wanted::Name;

/// What was asked for.
#[derive(Debug, Default)]
pub(super) struct Filters {
    /// Any of them.
    names: Vec<Name>,
    /// Any of them, too.
    references: Vec<Name>,
    dangling: Option<bool>,
    /// All of them.
    labels: Vec<(String, Option<String>)>,
    before: Option<Timestamp>,
    since: Option<Timestamp>,
}

impl Filters {
    /// Looks up the images that others are compared with.
    pub(super) fn new(args: &Images, sources: &Sources, reporter: &Reporter) -> Result<Self, Error> {
        let mut filters = Filters { names: args.names.clone(), ..Filters::default() };
        let time = |name: &str| created(sources, name, reporter);
        for filter in &args.filter {
            match filter {
                Filter::Dangling(dangling) => filters.dangling = Some(*dangling),
                Filter::Reference(name) => filters.references.push(name.clone()),
                Filter::Label(label, value) => filters.labels.push((label.clone(), value.clone())),
                // Of several, all have to hold.
                Filter::Before(name) => {
                    let time = time(name)?;
                    filters.before = Some(filters.before.map_or(time, |before| before.min(time)));
                }
                Filter::Since(name) => {
                    let time = time(name)?;
                    filters.since = Some(filters.since.map_or(time, |since| since.max(time)));
                }
            }
        }
        Ok(filters)
    }

    /// Keeps the rows, and in each the names, that were asked for. Returns why labels of others are not
    /// known.
    pub(super) fn keep(&self, rows: &mut Vec<Row>, source: &Source) -> Vec<StoreError> {
        for names in [&self.names, &self.references].into_iter().filter(|names| !names.is_empty()) {
            rows.retain_mut(|row| {
                let image = &mut row.image;
                let all = std::mem::take(&mut image.references);
                let meant =
                    |reference: &Reference| names.iter().any(|name| name.means(source.kind, reference));
                let (kept, others): (Vec<_>, Vec<_>) = all.into_iter().partition(meant);
                let by_id = kept.is_empty() && names.iter().any(|name| name.is_id_of(image.key.id()));
                image.references = if by_id { others } else { kept };
                by_id || !image.references.is_empty()
            });
        }
        let has_tag = |row: &Row| row.image.references.iter().any(|reference| !reference.is_digest());
        rows.retain(|row| self.dangling.is_none_or(|dangling| has_tag(row) != dangling));
        if self.before.is_some() || self.since.is_some() {
            rows.retain(|row| {
                let time = row.image.created.as_ref().and_then(|text| text.parse::<Timestamp>().ok());
                let is = |limit: Option<Timestamp>, holds: fn(&Timestamp, &Timestamp) -> bool| {
                    limit.is_none_or(|limit| time.is_some_and(|time| holds(&time, &limit)))
                };
                is(self.before, Timestamp::lt) && is(self.since, Timestamp::gt)
            });
        }
        if !self.labels.is_empty() {
            let keys: Vec<&ImageKey> = rows.iter().map(|row| &row.image.key).collect();
            let labelled = keys.par_iter().map(|key| Ok(self.are_labels_of(&source.store.image(key)?)));
            let labelled: Vec<Result<bool, StoreError>> = labelled.collect();
            let mut labelled = labelled.into_iter();
            let mut unread = Vec::new();
            rows.retain(|_| match labelled.next() {
                Some(Ok(labelled)) => labelled,
                Some(Err(error)) => {
                    unread.push(error);
                    false
                }
                None => false,
            });
            return unread;
        }
        Vec::new()
    }

    fn are_labels_of(&self, image: &Image) -> bool {
        let described = described(image);
        self.labels.iter().all(|(label, value)| has_label(&described, label, value.as_deref()))
    }

    /// Whether something that cannot be read may be what was asked for. Its labels and its time are not
    /// known.
    pub(super) fn may_mean(&self, kind: StoreKind, broken: &Broken) -> bool {
        [&self.names, &self.references].into_iter().all(|names| {
            let meant = |name: &Name| {
                broken.references.iter().any(|reference| name.means(kind, reference))
                    || name.is_id_of(&broken.what)
            };
            names.is_empty() || names.iter().any(meant)
        })
    }
}

/// When the image of a name was made.
fn created(sources: &Sources, name: &str, reporter: &Reporter) -> Result<Timestamp, Error> {
    let (place, found) = sources.resolve(name, reporter)?;
    let store = &*sources.opened[place].store;
    let unknown = || Error::NoTime(name.to_owned());
    let key = found.first().ok_or_else(unknown)?.choose(store, None)?;
    let described = described(&store.image(&key)?);
    described["created"].as_str().and_then(|text| text.parse().ok()).ok_or_else(unknown)
}
