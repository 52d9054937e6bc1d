//! `layerlift images`: what a store lists, as `docker images` prints it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use layerlift_store::{
    Broken, Error as StoreError, ImageSummary, Index, IndexSummary, Listing, Member, Needs, Platform,
    Platforms, Reference, Store, StoreKind,
};
use rayon::iter::{IntoParallelRefMutIterator, ParallelIterator};
use serde::Serialize;

use crate::args::Images;
use crate::error::Error;
use crate::index::MemberJson;
use crate::output::{print, print_json};
use crate::report::Reporter;
use crate::size::human;
use crate::sources::{Sources, broken_error};
use crate::status::Status;
use crate::table::Table;
use crate::time::ago;

/// An image, and the store that it is in.
struct Row {
    root: String,
    kind: &'static str,
    image: ImageSummary,
    /// Those of which an image is here; without an index, its own. Only filled if a row has several.
    platforms: Vec<String>,
    /// The digests of the indexes that its names lead to. Like `own`, only filled for machines and if digests
    /// are shown.
    indexes: Vec<String>,
    /// What stands for the members of an index, if it is not of one.
    own: Option<MemberJson>,
}

/// An image for machines.
#[derive(Serialize)]
struct ImageJson<'a> {
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

pub(crate) fn run(args: &Images, reporter: &Reporter) -> Result<Status, Error> {
    let sources = match args.all_namespaces {
        true => Sources::open_all(&args.store, reporter)?,
        false => Sources::open(&args.store, reporter)?,
    };
    let mut status = sources.warn_of_failed(reporter);
    let mut rows = Vec::new();
    let mut of_stores = Vec::new();
    let mut other_platforms = Vec::new();
    for source in &sources.opened {
        let mut listing = source.store.images()?;
        if args.all {
            listing = listing.with_intermediate();
        }
        let indexes = listing.indexes.clone();
        let listing = listing.on(&*source.store, args.store.platforms());
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
        let first = rows.len();
        rows.extend(listing.images.into_iter().map(row));
        if args.store.platforms() == Platforms::Usual {
            let others = listing.broken.iter().filter_map(|broken| other(&*source.store, &indexes, broken));
            rows.extend(others.map(row));
        }
        if (args.json || args.digests) && has_manifests(source.kind) {
            rows[first..].par_iter_mut().for_each(|row| row.add_digests(&*source.store, &indexes));
        }
        of_stores.push((first..rows.len(), &*source.store));
        for broken in listing.broken {
            let other_platform = matches!(broken.error, StoreError::NoPlatform { .. });
            if other_platform && !args.store.platform.is_empty() {
                other_platforms.push(broken);
                continue;
            }
            reporter.warn_error(&broken_error(broken));
            status = Status::Incomplete;
        }
    }
    // A filter may leave images out. If it leaves none over, the warnings say what there is.
    if rows.is_empty() {
        for broken in other_platforms {
            reporter.warn_error(&broken_error(broken));
            status = Status::Incomplete;
        }
    }
    if args.json {
        let images: Vec<ImageJson<'_>> = rows.iter().map(Row::json).collect();
        print_json(&images)?;
    } else {
        if rows.iter().any(|row| row.here().count() > 1) {
            for (places, store) in of_stores {
                rows[places].iter_mut().for_each(|row| row.add_platforms(store));
            }
        }
        print(&table(&rows, args.digests, args.no_trunc, sources.several(), Timestamp::now()))?;
    }
    Ok(status)
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

fn table(rows: &[Row], digests: bool, no_trunc: bool, several_stores: bool, now: Timestamp) -> String {
    let drivers: BTreeSet<&str> = rows.iter().map(|row| row.image.key.partition()).collect();
    let several_drivers = drivers.len() > 1;
    let mut headings = vec!["REPOSITORY", "TAG"];
    headings.extend(digests.then_some("DIGEST"));
    headings.extend(["IMAGE ID", "CREATED", "SIZE", "LAYERS"]);
    let several_platforms = rows.iter().any(|row| !row.platforms.is_empty());
    headings.extend(several_platforms.then_some("PLATFORMS"));
    let namespaces = rows.iter().all(|row| row.kind == StoreKind::Containerd.name());
    headings.extend(several_drivers.then_some(if namespaces { "NAMESPACE" } else { "DRIVER" }));
    let partial = rows.iter().any(|row| !row.image.needs.is_empty());
    headings.extend(several_stores.then_some("STORE"));
    headings.extend(partial.then_some("NEEDS"));
    let mut table = Table::new(&headings);
    for row in rows {
        let image = &row.image;
        for [repository, tag, digest] in names(&image.references, row.digest().as_deref(), digests) {
            let id = if no_trunc { image.key.id() } else { short(image.key.id()) };
            let mut cells = vec![repository, tag];
            cells.extend(digests.then_some(digest));
            cells.extend([
                id.to_owned(),
                ago(image.created.as_deref(), now),
                image.size.map_or_else(|| "N/A".to_owned(), human),
                image.layers.to_string(),
            ]);
            cells.extend(several_platforms.then(|| row.platforms.join(", ")));
            cells.extend(several_drivers.then(|| image.key.partition().to_owned()));
            cells.extend(several_stores.then(|| row.root.clone()));
            let needs = || if image.needs.is_empty() { String::new() } else { image.needs.to_string() };
            cells.extend(partial.then(needs));
            table.row(cells);
        }
    }
    table.render()
}

/// Repository, tag and digest, a line for each; as Docker does, a digest has lines of its own only where it
/// is asked for or where there is no tag. `own` is the digest of what is not named by one.
fn names(references: &[Reference], own: Option<&str>, digests: bool) -> Vec<[String; 3]> {
    let none = || "<none>".to_owned();
    let mut repositories: BTreeMap<&str, (Vec<&str>, Vec<&str>)> = BTreeMap::new();
    for reference in references {
        let (tags, with_digest) = repositories.entry(reference.repository()).or_default();
        let list = if reference.is_digest() { with_digest } else { tags };
        list.push(reference.tag_or_digest());
    }
    let mut lines = Vec::new();
    for (repository, (tags, found)) in repositories {
        let found = if digests { found } else { Vec::new() };
        let tags = if tags.is_empty() { vec!["<none>"] } else { tags };
        let found = if found.is_empty() { vec![own.unwrap_or("<none>")] } else { found };
        for tag in tags {
            lines.extend(found.iter().map(|&digest| [repository, tag, digest].map(str::to_owned)));
        }
    }
    if lines.is_empty() {
        lines.push([none(), none(), own.map_or_else(none, str::to_owned)]);
    }
    lines
}

/// The twelve digits by which engines show an id.
pub(super) fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
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
    fn digest(&self) -> Option<String> {
        let own = self.own.as_ref().and_then(|own| own.manifest.as_ref());
        let recorded = self.image.digest.map(|digest| digest.to_string());
        recorded.or(self.indexes.first().or(own).cloned())
    }

    fn json(&self) -> ImageJson<'_> {
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

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use layerlift_store::Keyring;

    use super::*;

    fn row(root: &str, driver: &str, digit: char, references: &[(&str, &str)], size: Option<u64>) -> Row {
        let reference = |&(r, t): &(&str, &str)| Reference::new(r, t);
        let key = Keyring::new().image(driver, digit.to_string().repeat(64));
        let mut image = ImageSummary::new(key, references.iter().map(reference).collect(), 3);
        image.created = Some("2015-10-12T19:16:27Z".to_owned());
        image.size = size;
        Row {
            root: root.to_owned(),
            kind: "docker",
            image,
            platforms: Vec::new(),
            indexes: Vec::new(),
            own: None,
        }
    }

    fn now() -> Timestamp {
        "2015-11-02T00:00:00Z".parse().unwrap()
    }

    fn digest() -> String {
        format!("sha256:{}", "d".repeat(64))
    }

    #[test]
    fn one_store() {
        let digest = digest();
        let rows = [
            row("/d", "vfs", 'a', &[("base", "latest"), ("base", "1.0"), ("base", &digest)], Some(1_234_567)),
            row("/d", "vfs", 'b', &[("pulled", &digest)], Some(0)),
            row("/d", "vfs", 'c', &[], None),
        ];
        assert_snapshot!(table(&rows, false, false, false, now()), @r"
        REPOSITORY   TAG      IMAGE ID       CREATED       SIZE     LAYERS
        base         latest   aaaaaaaaaaaa   2 weeks ago   1.23MB   3
        base         1.0      aaaaaaaaaaaa   2 weeks ago   1.23MB   3
        pulled       <none>   bbbbbbbbbbbb   2 weeks ago   0B       3
        <none>       <none>   cccccccccccc   2 weeks ago   N/A      3
        ");
        assert_snapshot!(table(&rows, true, true, false, now()), @r"
        REPOSITORY   TAG      DIGEST                                                                    IMAGE ID                                                           CREATED       SIZE     LAYERS
        base         latest   sha256:dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd   aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa   2 weeks ago   1.23MB   3
        base         1.0      sha256:dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd   aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa   2 weeks ago   1.23MB   3
        pulled       <none>   sha256:dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd   bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb   2 weeks ago   0B       3
        <none>       <none>   <none>                                                                    cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc   2 weeks ago   N/A      3
        ");
    }

    #[test]
    fn several_drivers_and_stores() {
        let rows = [
            row("/d", "aufs", 'a', &[("base", "latest")], Some(1)),
            row("/p", "overlay", 'a', &[("localhost/base", "latest")], Some(1)),
        ];
        assert_snapshot!(table(&rows, false, false, true, now()), @r"
        REPOSITORY       TAG      IMAGE ID       CREATED       SIZE   LAYERS   DRIVER    STORE
        base             latest   aaaaaaaaaaaa   2 weeks ago   1B     3        aufs      /d
        localhost/base   latest   aaaaaaaaaaaa   2 weeks ago   1B     3        overlay   /p
        ");
        let none = table(&[], false, false, false, now());
        assert_snapshot!(none, @"REPOSITORY   TAG   IMAGE ID   CREATED   SIZE   LAYERS");
    }
}
