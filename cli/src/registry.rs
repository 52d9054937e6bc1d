//! Pushing to a registry, one repository after another.
//!
//! ```text
//! {"event":"blob","outcome":"pushed","repository":"team/app","digest":"sha256:4f…","size":2580480,
//!  "sent":2580480}
//! {"event":"blob","outcome":"mounted","repository":"team/app","digest":"sha256:…","size":…,"from":"base"}
//! {"event":"blob","outcome":"exists","repository":"team/app","digest":"sha256:…","size":…}
//! {"event":"tag","repository":"team/app","tag":"2","digest":"sha256:…"}
//! {"event":"done","output":"docker://r.example/team/app","images":1,"layers":3,"blobs":5,"exist":2,
//!  "mounted":1,"pushed":2,"bytes":2580480,"seconds":0.98}
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::sync::{Mutex, MutexGuard, PoisonError};

use layerlift_archive::{ErrorKind, Observer, Options};
use layerlift_export::{
    Address, Ahead, Blob, BlobThere, Bundle, Descriptor, Events, Outcome, Placed, Plan, Prepared, Registry,
    RegistryOptions, Repository, Selection, Target, placed, push, put_ahead,
};
use layerlift_store::{DiffId, LayerKey, Store};
use serde::Serialize;

use crate::args::{RegistryArgs, Save};
use crate::commands::several;
use crate::destination::REGISTRY;
use crate::error::Error;
use crate::output::print;
use crate::progress::{Progress, Words, plural};
use crate::report::Reporter;
use crate::size::human;
use crate::terminal::visible;

/// What containerd calls the repositories that a blob was pulled from, with the host behind it, without a
/// port.
const SOURCE: &str = "containerd.io/distribution.source.";

/// How many blobs of a layer are asked for.
const CANDIDATES: usize = 3;

/// What is known of layers before they are compressed.
#[derive(Default)]
pub(crate) struct Destined {
    /// The compressed blobs that the store remembers, and that the registry has wherever they have to be:
    /// those layers need not be compressed again.
    pub(crate) there: BTreeMap<DiffId, BlobThere>,
    /// The repository that each layer goes to first.
    repositories: BTreeMap<DiffId, String>,
}

/// More than any name and password.
const CREDENTIALS: u64 = 64 << 10;

/// A registry to push to.
pub(crate) struct Pushing {
    address: Address,
    registry: Registry,
}

/// What happened to the blobs, for the last line.
#[derive(Default, Serialize)]
struct Summary {
    output: String,
    images: usize,
    layers: usize,
    blobs: usize,
    exist: usize,
    mounted: usize,
    pushed: usize,
    /// Those that were sent.
    bytes: u64,
}

#[derive(Serialize)]
struct BlobEvent<'e> {
    event: &'e str,
    outcome: &'e str,
    repository: &'e str,
    digest: String,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<&'e str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sent: Option<u64>,
}

#[derive(Serialize)]
struct TagEvent<'e> {
    event: &'e str,
    repository: &'e str,
    tag: &'e str,
    digest: String,
}

/// Counts, and reports each for machines.
struct Listener<'r> {
    reporter: &'r Reporter,
    summary: Mutex<Summary>,
}

impl Listener<'_> {
    fn summary(&self) -> MutexGuard<'_, Summary> {
        self.summary.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Events for Listener<'_> {
    fn blob(&self, repository: &str, blob: &Descriptor, outcome: &Outcome) {
        let mut summary = self.summary();
        summary.blobs += 1;
        let (outcome, from, sent) = match outcome {
            Outcome::Mounted { from } => {
                summary.mounted += 1;
                ("mounted", Some(from.as_str()), None)
            }
            Outcome::Pushed { sent } => {
                summary.pushed += 1;
                summary.bytes += sent;
                ("pushed", None, Some(*sent))
            }
            _ => {
                summary.exist += 1;
                ("exists", None, None)
            }
        };
        drop(summary);
        let (digest, size) = (blob.digest.to_string(), blob.size);
        self.reporter.event(&BlobEvent { event: "blob", outcome, repository, digest, size, from, sent });
    }

    fn tag(&self, repository: &str, tag: &str, root: &Descriptor) {
        self.reporter.event(&TagEvent { event: "tag", repository, tag, digest: root.digest.to_string() });
    }
}

impl Words for Summary {
    fn words(&self) -> String {
        let (images, layers) = (plural(self.images, "image"), plural(self.layers, "layer"));
        let Summary { output, exist, mounted, pushed, bytes, .. } = self;
        let mut words = format!("pushed {output}: {images}, {layers}; sent {}", plural(*pushed, "blob"));
        words.push_str(&format!(" ({})", human(*bytes)));
        if *mounted > 0 {
            words.push_str(&format!("; {mounted} mounted"));
        }
        if *exist > 0 {
            words.push_str(&format!("; {exist} there"));
        }
        words
    }
}

impl Pushing {
    /// Looks at the place and the options. Nothing is asked yet.
    pub(crate) fn begin(place: &str, args: &Save) -> Result<Self, Error> {
        let address: Address = place.parse()?;
        several(args, address.tag().is_some())?;
        for repository in &args.registry.mount_from {
            format!("{}/{repository}", address.host()).parse::<Address>()?;
        }
        let registry = Registry::new(&address, &options(&args.registry)?)?;
        Ok(Pushing { address, registry })
    }

    /// Where layers go, and which of them are there. That the registry cannot be reached is said before
    /// anything is compressed for it.
    pub(crate) fn destined(
        &self,
        store: &dyn Store,
        selection: &Selection,
        is_dry_run: bool,
        observer: &dyn Observer,
    ) -> Result<Destined, Error> {
        self.registry.reach(observer)?;
        let mut wanted: BTreeMap<DiffId, (LayerKey, BTreeSet<String>)> = BTreeMap::new();
        for chosen in &selection.images {
            // What cannot be read is reported by who plans it.
            let Ok(image) = store.image(&chosen.image) else { continue };
            let Some(repository) = self.address.repository(chosen.reference.as_ref()) else { continue };
            for layer in image.layers {
                let Some(diff_id) = layer.diff_id else { continue };
                wanted.entry(diff_id).or_insert((layer.key, BTreeSet::new())).1.insert(repository.clone());
            }
        }
        let first = |(diff_id, (_, repositories)): (&DiffId, &(LayerKey, BTreeSet<String>))| {
            Some((*diff_id, repositories.first()?.clone()))
        };
        let mut destined =
            Destined { repositories: wanted.iter().filter_map(first).collect(), ..Destined::default() };
        let mut failed = BTreeSet::new();
        for (diff_id, (key, repositories)) in wanted {
            for remembered in store.remembered(&key, diff_id).into_iter().take(CANDIDATES) {
                let digest = remembered.digest;
                let of_host = remembered.repository.as_deref().and_then(|name| name.split_once('/'));
                if let Some((_, path)) = of_host.filter(|(host, path)| self.has_repository(host, path)) {
                    self.registry.add_place(digest, path);
                }
                let mut all = Vec::new();
                for repository in &repositories {
                    if failed.contains(repository) {
                        break;
                    }
                    match self.registry.repository(repository, &()).find(digest, !is_dry_run, observer) {
                        Ok(Some(found)) => all.push(found),
                        Ok(None) => break,
                        Err(error) if observer.cancelled() || !self.registry.is_reached() => {
                            return Err(error.into());
                        }
                        // It fails again when something is pushed there, and is reported then.
                        Err(_) => drop(failed.insert(repository.clone())),
                    }
                }
                if all.len() == repositories.len()
                    && let Some(&(size, compression)) = all.first()
                {
                    destined.there.insert(diff_id, BlobThere { digest, size, compression });
                    break;
                }
            }
        }
        Ok(destined)
    }

    /// Prepares the images, and sends layers as soon as they are compressed.
    pub(crate) fn prepare(
        &self,
        plan: Plan,
        destined: &Destined,
        keep_going: bool,
        options: &Options<'_>,
        progress: &Progress<'_>,
    ) -> Result<Prepared, Error> {
        let repositories: BTreeSet<&String> = destined.repositories.values().collect();
        let targets: BTreeMap<&String, Repository<'_>> =
            repositories.into_iter().map(|name| (name, self.registry.repository(name, &()))).collect();
        let place = |blob: &Blob| {
            let repository = destined.repositories.get(&blob.diff_id?)?;
            targets.get(repository).map(|target| target as &dyn Target)
        };
        let left = |bytes| {
            progress.end();
            progress.begin("push", Some(bytes));
        };
        let ahead = Ahead { place: &place, keep_going, left: &left };
        Ok(put_ahead(&ahead, options, |ready, options| plan.with_ready(ready).prepare(options))?)
    }

    /// Whether a store means a repository of this registry: what it remembers may be anything.
    fn has_repository(&self, host: &str, path: &str) -> bool {
        host == self.address.host() && format!("{host}/{path}").parse::<Address>().is_ok()
    }

    /// What goes where. Images without names that get no repository are reported; returns whether there are.
    fn placed(&self, prepared: &Prepared, reporter: &Reporter) -> Result<(Vec<Placed>, bool), Error> {
        let bundle = prepared.bundle().cloned().unwrap_or_default();
        let (placed, without) = placed(&bundle, &self.address)?;
        for root in &without {
            let digest = root.descriptor.digest;
            reporter.warn(&format!("{digest} has no name, so it gets no repository below {}", self.address));
        }
        for Placed { repository, bundle, .. } in &placed {
            for root in bundle.roots.iter().filter(|root| root.line.is_none() && root.names.is_empty()) {
                let (host, digest) = (self.address.host(), root.descriptor.digest);
                reporter.warn(&format!("{host}/{repository} gets {digest} without a tag: it has no name"));
            }
        }
        Ok((placed, !without.is_empty()))
    }

    /// Where containerd remembers that each blob came from, on this registry: it may mount it from there.
    fn add_places(&self, bundle: &Bundle, store: &dyn Store) {
        let key = format!("{SOURCE}{}", self.address.hostname());
        let is_one = |name: &&str| format!("{}/{name}", self.address.host()).parse::<Address>().is_ok();
        let blobs = bundle.blobs.iter().map(|blob| &blob.descriptor);
        for digest in blobs.filter(|blob| !blob.names_others()).map(|blob| blob.digest) {
            let sources = store.annotations(digest);
            let repositories = sources.get(&key).into_iter().flat_map(|value| value.split(','));
            for repository in repositories.map(str::trim).filter(is_one) {
                self.registry.add_place(digest, repository);
            }
        }
    }

    /// Prints what would be sent. Asks what is there.
    pub(crate) fn dry_run(
        &self,
        prepared: &Prepared,
        options: &Options<'_>,
        reporter: &Reporter,
    ) -> Result<bool, Error> {
        let (placed, incomplete) = self.placed(prepared, reporter)?;
        let mut text = String::new();
        let (mut blobs, mut bytes) = (0, 0);
        for Placed { repository, bundle, .. } in &placed {
            let target = self.registry.repository(repository, &());
            let tags = bundle.roots.iter().flat_map(|root| &root.names).filter_map(|name| name.tag());
            let tags: Vec<&str> = tags.collect();
            text.push_str(&format!("{}/{repository}: {}\n", self.address.host(), tags.join(", ")));
            for blob in &bundle.blobs {
                let is_there = target.is_there(&blob.descriptor, options.observer)?;
                let Descriptor { digest, size, .. } = &blob.descriptor;
                let word = if is_there { "exists" } else { "push" };
                if !is_there {
                    blobs += 1;
                    bytes += size;
                }
                text.push_str(&format!("  {word:6}  {digest}  {}\n", human(*size)));
            }
        }
        text.push_str(&format!("to send: {}, {}\n", plural(blobs, "blob"), human(bytes)));
        print(&visible(&text))?;
        Ok(incomplete)
    }

    /// Pushes, repository by repository; returns whether something is missing there.
    pub(crate) fn push(
        &self,
        (prepared, store): (&Prepared, &dyn Store),
        args: &Save,
        options: &Options<'_>,
        progress: &Progress<'_>,
        reporter: &Reporter,
    ) -> Result<bool, Error> {
        let (placed, mut incomplete) = self.placed(prepared, reporter)?;
        progress.begin("push", Some(placed.iter().map(|one| one.bundle.len()).sum()));
        let summary = Summary {
            output: format!("{REGISTRY}{}", self.address),
            images: prepared.images().len(),
            layers: prepared.layer_count(),
            ..Summary::default()
        };
        let listener = Listener { reporter, summary: Mutex::new(summary) };
        let mut missing = BTreeMap::new();
        let mut first = None;
        for Placed { repository, bundle, .. } in &placed {
            self.add_places(bundle, store);
            let target = self.registry.repository(repository, &listener);
            let Err(error) = push(bundle, &target, options) else { continue };
            let error = prepared.explain(error);
            if error.is_cancelled() {
                return Err(error.into());
            }
            missing.insert(repository, names(bundle));
            // Nobody gets there: the other repositories are no better off.
            let ends_all = error.kind() == ErrorKind::Request && !self.registry.is_reached();
            if ends_all || !args.leaves_out() {
                first = Some(error);
                break;
            }
            incomplete = true;
            reporter.error(&error);
        }
        progress.end();
        if let Some(error) = first {
            let rest = placed.iter().skip_while(|one| !missing.contains_key(&one.repository)).skip(1);
            let lost: Vec<String> =
                missing.values().cloned().chain(rest.map(|one| names(&one.bundle))).flatten().collect();
            if !lost.is_empty() {
                reporter.warn(&format!("not pushed: {}", lost.join(", ")));
            }
            let has_begun = placed.first().is_some_and(|first| !missing.contains_key(&first.repository));
            if has_begun {
                // The registry has some of it.
                reporter.error(&error);
                return Ok(true);
            }
            return Err(error.into());
        }
        let lost: Vec<String> = missing.into_values().flatten().collect();
        if !lost.is_empty() {
            reporter.warn(&format!("not pushed: {}", lost.join(", ")));
        }
        progress.finish(&*listener.summary());
        Ok(incomplete)
    }
}

fn names(bundle: &Bundle) -> Vec<String> {
    bundle.roots.iter().flat_map(|root| &root.names).map(ToString::to_string).collect()
}

fn options(args: &RegistryArgs) -> Result<RegistryOptions, Error> {
    let mut options = RegistryOptions::default();
    options.insecure = args.insecure;
    options.authorities = args.ca.clone();
    options.chunk = args.chunk.map(std::num::NonZeroU64::get);
    options.mount_from = args.mount_from.clone();
    if !args.creds_stdin {
        return Ok(options);
    }
    let mut text = String::new();
    let read = io::stdin().lock().take(CREDENTIALS).read_to_string(&mut text);
    let line = text.lines().next().unwrap_or_default();
    match read.ok().and_then(|_| line.split_once(':')) {
        Some((user, password)) if !user.is_empty() => Ok(options.with_password(user, password)),
        _ => Err(Error::NoCredentials),
    }
}
