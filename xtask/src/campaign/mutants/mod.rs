//! Breaks one thing in a store, asks the program for everything, and mends it again.
//!
//! The rules: no panic, no signal, an end; the store stays as it is; no output where the status is 2, and
//! nothing beside it ever; every archive is sound, whatever the status; with status 0 all images of the whole
//! store are in it, or something says what is not.

mod change;
mod json;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::findings::Findings;
use super::oracle::{self, SECRET, difference};
use super::program::{Ran, ask, save};
use super::random::Random;
use super::stores::{FORMATS, Store, Stores};
use super::{Budget, Campaign};
use crate::Outcome;
use crate::interop::listing::Listing;
use change::Change;

/// Folders in which a mutant works.
struct Places {
    /// What was taken out of the store.
    held: PathBuf,
    /// A file that no archive may hold.
    secret: PathBuf,
    output: PathBuf,
    work: PathBuf,
}

/// Makes mutants until the time is over. Returns a line of figures.
pub(crate) fn run(campaign: &Campaign<'_>, budget: &Budget, findings: &mut Findings) -> Outcome<String> {
    let mut stores = Stores::new(campaign)?;
    let places = Places {
        held: campaign.scratch.folder("held")?,
        secret: campaign.scratch.folder("outside")?.join("secret"),
        output: campaign.scratch.folder("output")?,
        work: campaign.scratch.path().join("work"),
    };
    fs::write(&places.secret, format!("{SECRET}\n").repeat(40))?;
    let mut statuses: BTreeMap<String, usize> = BTreeMap::new();
    let (mut done, mut made) = (0, 0);
    while budget.allows(done) {
        let seed = campaign.seed.wrapping_add(done as u64);
        let mut random = Random::new(seed);
        done += 1;
        let Some(store) = stores.pick(campaign, &mut random)? else { continue };
        let format = FORMATS[[0, 0, 0, 1, 1, 2][random.below(6)]];
        let whole = store.whole(campaign, format)?;
        let path = store.files.pick(&mut random);
        let applied = Change::apply(&path, &store.root, &places, &mut random)
            .map_err(|error| format!("seed {seed}: {}: {error}", path.display()))?;
        let Some(change) = applied else {
            // Nothing to change there, such as a flipped bit of an empty file.
            continue;
        };
        let judged = judge(campaign, store, whole, &change, &places, seed, findings);
        let shown = change.shown(&store.root);
        change.undo().map_err(|error| format!("seed {seed}: {shown} cannot be undone: {error}"))?;
        let judged = judged.map_err(|error| format!("seed {seed}: {shown}: {error}"));
        *statuses.entry(judged?).or_insert(0) += 1;
        made += 1;
    }
    let statuses: Vec<String> =
        statuses.iter().map(|(status, times)| format!("{times} with {status}")).collect();
    Ok(format!("{made} mutants of {} stores and archives; save ended {}", stores.used(), statuses.join(", ")))
}

/// Asks for everything. Returns the status of `save`.
fn judge(
    campaign: &Campaign<'_>,
    store: &Store,
    whole: usize,
    change: &Change,
    places: &Places,
    seed: u64,
    findings: &mut Findings,
) -> Outcome<String> {
    let whole = &store.whole[whole];
    let place = format!("{}, {}", store.name, change.class(&store.root));
    let recipe = format!(
        "{}: {}\ncargo xtask campaign --only mutants --runs 1 --seed {seed}",
        change.shown(&store.root),
        whole.format
    );
    let mut found = |what: &str, ran: &Ran| {
        let manner = format!("{what}, {}", change.name());
        findings.add("mutants", &manner, &place, &recipe, Some(ran));
    };
    let before = Listing::of(&store.root)?;
    oracle::fresh(&places.output)?;
    let output = places.output.join("out.tar");
    let listed = Ran::of(ask(&campaign.layerlift, &["images"], &store.root))?;
    let verified = Ran::of(ask(&campaign.layerlift, &["verify"], &store.root))?;
    let saved = Ran::of(save(&campaign.layerlift, &store.root, whole.format, &output))?;
    let mut broken = false;
    for (name, ran) in [("images", &listed), ("verify", &verified), ("save", &saved)] {
        if let Some(complaint) = ran.complaint() {
            found(&format!("{name}: {complaint}"), ran);
            broken = true;
        }
        if ran.status == Some(3) {
            found(&format!("{name}: status 3 on a store at rest"), ran);
        }
        if ran.stderr.contains(SECRET) || ran.stdout.contains(SECRET) {
            found(&format!("{name}: prints a file from outside of the root"), ran);
        }
    }
    if let Err(error) = before.same(&Listing::of(&store.root)?) {
        found(&format!("the store was changed: {error}"), &saved);
    }
    let left: Vec<_> = fs::read_dir(&places.output)?.flatten().map(|entry| entry.file_name()).collect();
    if left.iter().any(|name| name != "out.tar") {
        found(&format!("left beside the output: {left:?}"), &saved);
    }
    let status = format!("status {}", saved.status.map_or("none".to_owned(), |status| status.to_string()));
    if broken {
        return Ok(status);
    }
    if saved.status == Some(2) && output.exists() {
        found("status 2 with an output", &saved);
    }
    let images = if output.exists() {
        match oracle::images(&output, whole.format, &places.work) {
            Ok(images) => images,
            Err(error) => {
                found(&format!("an archive that is wrong, with {status}: {error}"), &saved);
                return Ok(status);
            }
        }
    } else {
        if matches!(saved.status, Some(0)) {
            found("status 0 without an output", &saved);
        }
        oracle::Images::new()
    };
    if let Some(difference) = difference(&whole.images, &images)
        && store.has_digests
        && !change.leaves_no_trace(&store.root)
    {
        if saved.status == Some(0) && !says_more(&saved, &whole.saved) {
            found(&format!("save: status 0, nothing said: {difference}"), &saved);
        }
        if verified.status == Some(0) && !says_more(&verified, &store.verified) {
            found(&format!("verify: status 0, nothing said: {difference}"), &verified);
        }
    }
    let fewer = whole.images.len() > images.len() && !change.leaves_no_trace(&store.root);
    if fewer && saved.status == Some(0) && !says_more(&saved, &whole.saved) {
        found("save: status 0, fewer images, nothing said", &saved);
    }
    Ok(status)
}

/// Whether a line is new.
fn says_more(now: &Ran, before: &Ran) -> bool {
    now.said().any(|line| before.said().all(|other| other != line))
}

/// The files and folders of a store in classes, so that a store of ten thousand files in layers and one
/// `repositories.json` has both broken equally often.
pub(crate) struct Files(Vec<(String, Vec<PathBuf>)>);

impl Files {
    pub(crate) fn of(root: &Path) -> Outcome<Self> {
        let mut classes: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
        let mut folders = vec![root.to_owned()];
        if !root.is_dir() {
            return Ok(Files(vec![("archive".to_owned(), vec![root.to_owned()])]));
        }
        while let Some(folder) = folders.pop() {
            let mut entries: Vec<_> = fs::read_dir(&folder)?.collect::<Result<_, _>>()?;
            entries.sort_by_key(fs::DirEntry::file_name);
            for entry in entries {
                let (path, kind) = (entry.path(), entry.file_type()?);
                if kind.is_dir() {
                    folders.push(path.clone());
                }
                if kind.is_dir() || kind.is_file() || kind.is_symlink() {
                    let name = change::class(&path, root);
                    let sort = if kind.is_dir() { "/" } else { "" };
                    classes.entry(name + sort).or_default().push(path);
                }
            }
        }
        Ok(Files(classes.into_iter().collect()))
    }

    fn pick(&self, random: &mut Random) -> PathBuf {
        let (_, paths) = random.one_of(&self.0);
        random.one_of(paths).clone()
    }
}
