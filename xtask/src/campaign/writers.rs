//! Two runs that add different images to one layout, or write one file, at once.
//!
//! The rules: what ended with 0 is there, the layout is one, a file is one of the two archives.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use super::findings::Findings;
use super::oracle;
use super::program::{Ran, save};
use super::random::Random;
use super::{Budget, Campaign, stores};
use crate::Outcome;

/// The stores whose images the two runs write.
const STORES: [&str; 2] = ["docker-20.10-overlay2", "podman-4.3-small"];

/// Lets two runs write to one place until the time is over. Returns a line of figures.
pub(crate) fn run(campaign: &Campaign<'_>, budget: &Budget, findings: &mut Findings) -> Outcome<String> {
    let home = campaign.scratch.folder("writers")?;
    let mut roots = Vec::new();
    let mut right = Vec::new();
    for (number, name) in STORES.iter().enumerate() {
        let folder = home.join(number.to_string());
        oracle::fresh(&folder)?;
        let root = stores::named(campaign, name, &folder)?;
        let layout = home.join(format!("right-{number}"));
        Ran::of(save(&campaign.layerlift, &root, "oci-archive", &layout.join("")))?;
        right.push(oracle::read(&layout, "oci-archive")?);
        roots.push(root);
    }
    let (mut done, mut both) = (0, 0);
    while budget.allows(done) {
        let seed = campaign.seed.wrapping_add(done as u64);
        let mut random = Random::new(seed);
        let output = home.join("output");
        oracle::fresh(&output)?;
        let existing = random.below(2) == 0;
        let layout = output.join("layout/");
        if existing {
            // A layout without images, but with the blobs of one of the stores.
            let root = &roots[random.below(2)];
            Ran::of(save(&campaign.layerlift, root, "oci-archive", &layout))?;
            fs::write(layout.join("index.json"), r#"{"schemaVersion":2,"manifests":[]}"#)?;
            let _ = fs::remove_file(layout.join("manifest.json"));
        }
        let later = Duration::from_millis(random.below(40) as u64);
        let (first, second) = at_once(campaign, &roots[0], &roots[1], &layout, later)?;
        done += 1;
        let mut found = |what: &str, ran: &Ran| {
            let recipe = format!(
                "{}\nand {later:?} later\n{}\ncargo xtask campaign --only writers --seed {seed}",
                first.line, second.line
            );
            let place = if existing { "an existing layout" } else { "a new layout" };
            findings.add("writers", what, place, &recipe, Some(ran));
        };
        for ran in [&first, &second] {
            if let Some(complaint) = ran.complaint() {
                found(complaint, ran);
            }
        }
        both += usize::from(first.status == Some(0) && second.status == Some(0));
        let images = match oracle::read(&layout, "oci-archive") {
            Ok(images) => images,
            Err(error) => {
                found(&format!("the layout is wrong: {error}"), &second);
                continue;
            }
        };
        for (ran, right) in [(&first, &right[0]), (&second, &right[1])] {
            if ran.status == Some(0) && right.keys().any(|id| !images.contains_key(id)) {
                found("status 0, but an image is not in the layout", ran);
            }
        }
    }
    Ok(format!("{done} pairs of runs, {both} in which both ended with 0"))
}

/// Runs both.
fn at_once(
    campaign: &Campaign<'_>,
    one: &Path,
    other: &Path,
    layout: &Path,
    later: Duration,
) -> Outcome<(Ran, Ran)> {
    let first = save(&campaign.layerlift, one, "oci-archive", layout);
    let second = save(&campaign.layerlift, other, "oci-archive", layout);
    let first = thread::spawn(move || Ran::of(first).map_err(|error| error.to_string()));
    thread::sleep(later);
    let second = Ran::of(second)?;
    Ok((first.join().map_err(|_| "a thread panicked")??, second))
}
