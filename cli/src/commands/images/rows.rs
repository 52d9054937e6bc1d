//! The rows of `layerlift images`: an image each, and the store that it is in.

use std::ops::Range;

use layerlift_store::{
    Broken, Error as StoreError, ImageSummary, Index, IndexSummary, Listing, Member, Needs, Platform,
    Platforms, Store, StoreKind,
};
use rayon::iter::{IntoParallelRefMutIterator, ParallelIterator};
use serde::Serialize;

use super::filter::Filters;
use crate::args::Images;
use crate::error::Error;
use crate::index::MemberJson;
use crate::report::Reporter;
use crate::sources::{Sources, broken_error};
use crate::status::Status;

/// An image, and the store that it is in.
pub(super) struct Row {
    pub(super) root: String,
    pub(super) kind: &'static str,
    pub(super) image: ImageSummary,
    /// Those of which an image is here; without an index, its own. Only filled if a row has several.
    pub(super) platforms: Vec<String>,
    /// The digests of the indexes that its names lead to. Like `own`, only filled for machines and if digests
    /// are shown.
    pub(super) indexes: Vec<String>,
    /// What stands for the members of an index, if it is not of one.
    pub(super) own: Option<MemberJson>,
}

/// An image for machines.
#[derive(Serialize)]
pub(super) struct ImageJson<'a> {
    id: &'a str,
    references: Vec<String>,
    created: Option<&'a str>,
    size: Option<u64>,
    layers: usize,
    /// The digests of the indexes that its names lead to.
    indexes: &'a [String],
    /// All images of these indexes; without an index, the image itself, where the store has manifests.
    platforms: Vec<MemberJson>,
    /// What a partial archive leaves out of it.
    #[serde(skip_serializing_if = "Needs::is_empty")]
    needs: &'a Needs,
    driver: &'a str,
    store: &'a str,
    root: &'a str,
}

/// All rows, and which of them come from which store.
pub(super) struct Rows<'s> {
    pub(super) rows: Vec<Row>,
    of_stores: Vec<(Range<usize>, &'s dyn Store)>,
}

impl<'s> Rows<'s> {
    /// The images that the stores list and the filters let through. Reports what cannot be read, unless it is
    /// certain that it was not asked for. The rows have digests if `digests` says so.
    pub(super) fn gather(
        sources: &'s Sources,
        args: &Images,
        filters: &Filters,
        digests: bool,
        reporter: &Reporter,
    ) -> Result<(Self, Status), Error> {
        let mut status = sources.warn_of_failed(reporter);
        let mut rows = Vec::new();
        let mut of_stores = Vec::new();
        let mut other_platforms = Vec::new();
        for source in &sources.opened {
            let store = &*source.store;
            let mut listing = store.images()?;
            if args.all {
                listing = listing.with_intermediate();
            }
            let indexes = listing.indexes.clone();
            let listing = listing.on(store, args.store.platforms());
            reporter.notices(&listing.notices);
            if reporter.lost(&listing.lost) {
                status = Status::Incomplete;
            }
            let root = source.root.display().to_string();
            let row = |image| Row {
                root: root.clone(),
                kind: source.kind.name(),
                image,
                platforms: Vec::new(),
                indexes: Vec::new(),
                own: None,
            };
            let mut found: Vec<Row> = listing.images.into_iter().map(row).collect();
            if args.store.platforms() == Platforms::Usual {
                let others = listing.broken.iter().filter_map(|broken| other(store, &indexes, broken));
                found.extend(others.map(row));
            }
            for unread in filters.keep(&mut found, source) {
                reporter.warn_error(&unread);
                status = Status::Incomplete;
            }
            if digests && has_manifests(source.kind) {
                found.par_iter_mut().for_each(|row| row.add_digests(store, &indexes));
            }
            let first = rows.len();
            rows.append(&mut found);
            of_stores.push((first..rows.len(), store));
            let asked = |broken: &Broken| filters.may_mean(source.kind, broken);
            for broken in listing.broken.into_iter().filter(asked) {
                let other_platform = matches!(broken.error, StoreError::NoPlatform { .. });
                if other_platform && !args.store.platform.is_empty() {
                    other_platforms.push(broken);
                    continue;
                }
                reporter.warn_error(&broken_error(broken));
                status = Status::Incomplete;
            }
        }
        // The platforms may leave images out. If they leave none over, the warnings say what there is.
        if rows.is_empty() {
            for broken in other_platforms {
                reporter.warn_error(&broken_error(broken));
                status = Status::Incomplete;
            }
        }
        Ok((Rows { rows, of_stores }, status))
    }

    /// Adds the platforms, if a row has several.
    pub(super) fn add_platforms(&mut self) {
        if self.rows.iter().any(|row| row.here().count() > 1) {
            for (places, store) in &self.of_stores {
                self.rows[places.clone()].iter_mut().for_each(|row| row.add_platforms(*store));
            }
        }
    }
}

/// Whether images of these stores have manifests of their own. Those of graph drivers have digests only as
/// names, and to read a thousand of them, with the records of their layers, takes seconds.
fn has_manifests(kind: StoreKind) -> bool {
    matches!(kind, StoreKind::Containerd | StoreKind::OciLayout | StoreKind::DockerArchive | StoreKind::Dir)
}

/// Another image of an index whose usual one cannot be read: the rest of the index may still be sound.
fn other(store: &dyn Store, indexes: &[IndexSummary], broken: &Broken) -> Option<ImageSummary> {
    let is_of = |summary: &&IndexSummary| {
        let has = |member: &Member| member.image.as_ref().is_some_and(|key| key.id() == broken.what);
        !summary.references.is_empty()
            && summary.references.iter().all(|name| broken.references.contains(name))
            && summary.index.members.iter().any(has)
    };
    let IndexSummary { id, index, references, .. } = indexes.iter().find(is_of)?;
    let mut members = index.members.clone();
    let mut lost = broken.what.clone();
    loop {
        let is_lost = |member: &&mut Member| member.image.as_ref().is_some_and(|key| key.id() == lost);
        members.iter_mut().filter(is_lost).for_each(|member| member.image = None);
        let next = members.iter().find(|member| member.image.is_some())?.clone();
        lost = next.image.as_ref()?.id().to_owned();
        let alone = IndexSummary::new(id.clone(), Index::new(index.digest, vec![next]), references.clone());
        let listing = Listing::new(Vec::new(), vec![alone], Vec::new()).on(store, Platforms::All);
        if let Some(mut image) = listing.images.into_iter().next() {
            image.members = members;
            return Some(image);
        }
    }
}

impl Row {
    /// The images of its index that are here.
    fn here(&self) -> impl Iterator<Item = &Member> {
        self.image.members.iter().filter(|member| member.image.is_some())
    }

    /// Adds its platforms.
    fn add_platforms(&mut self, store: &dyn Store) {
        let of_index: Vec<Platform> = self.here().filter_map(|member| member.platform.clone()).collect();
        let read = || store.image(&self.image.key).ok().and_then(|image| image.platform());
        let own = of_index.is_empty().then(|| self.image.platform.clone().or_else(read)).flatten();
        let all = of_index.into_iter().chain(own);
        self.platforms = all.map(|platform| platform.to_string()).collect();
    }

    /// Adds the digests by which engines know the image: those of its indexes, or that of its manifest.
    fn add_digests(&mut self, store: &dyn Store, indexes: &[IndexSummary]) {
        let image = &self.image;
        let has = |manifest| image.members.iter().any(|member| member.manifest == manifest);
        let is_of = |summary: &&IndexSummary| {
            !image.members.is_empty()
                && summary.index.members.iter().all(|member| has(member.manifest))
                && summary.references.iter().all(|name| image.references.contains(name))
        };
        let indexes = indexes.iter().filter(is_of).map(|summary| &summary.index);
        // Images that only share a name have no document that names them, and so no digest.
        let documents = indexes.filter(|index| matches!(store.tree(index), Ok(Some(_))));
        self.indexes = documents.map(|index| index.digest.to_string()).collect();
        if image.members.is_empty() {
            let read = || store.image(&image.key).ok().map(|image| MemberJson::of_image(&image));
            self.own = MemberJson::of_summary(image).or_else(read);
        }
    }

    /// The digest by which engines know it.
    pub(super) fn digest(&self) -> Option<String> {
        let own = self.own.as_ref().and_then(|own| own.manifest.as_ref());
        let recorded = self.image.digest.map(|digest| digest.to_string());
        recorded.or(self.indexes.first().or(own).cloned())
    }

    pub(super) fn json(&self) -> ImageJson<'_> {
        ImageJson {
            id: self.image.key.id(),
            references: self.image.references.iter().map(ToString::to_string).collect(),
            created: self.image.created.as_deref(),
            size: self.image.size,
            layers: self.image.layers,
            indexes: &self.indexes,
            platforms: self.image.members.iter().map(MemberJson::of).chain(self.own.clone()).collect(),
            needs: &self.image.needs,
            driver: self.image.key.partition(),
            store: self.kind,
            root: &self.root,
        }
    }
}
