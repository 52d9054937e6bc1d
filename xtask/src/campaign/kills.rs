//! Ends runs at random moments: by SIGKILL, as when memory runs out, and by SIGTERM.
//!
//! The rules: nothing incomplete under the output's name, an existing output as it was, a layout that is one;
//! nothing of an output's size is left, after SIGTERM nothing at all.

use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::findings::Findings;
use super::program::Ran;
use super::random::Random;
use super::target::{Target, WAYS};
use super::{Budget, Campaign};
use crate::Outcome;
use crate::engines::process::{self, signal};

/// Ends runs until the time is over. Returns a line of figures.
pub(crate) fn run(campaign: &Campaign<'_>, budget: &Budget, findings: &mut Findings) -> Outcome<String> {
    let target = Target::new(campaign)?;
    let (mut done, mut ended) = (0, 0);
    // How long a run takes when it is left alone, as far as is known.
    let mut usual = Duration::from_millis(200);
    while budget.allows(done) {
        let seed = campaign.seed.wrapping_add(done as u64);
        let mut random = Random::new(seed);
        let way = *random.one_of(&WAYS);
        let name = *random.one_of(&["KILL", "KILL", "TERM"]);
        let mut command = target.prepare(&campaign.layerlift, way)?;
        let share = random.below(1100) as u32;
        let start = Instant::now();
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let moment = usual * share / 1000;
        thread::sleep(moment);
        signal(name, &child.id().to_string());
        let status = finished(&mut child)?;
        if status.is_some() {
            // It was faster than the signal.
            usual = (usual + start.elapsed()) / 2;
        } else {
            ended += 1;
            usual = (usual * 19 + usual * 21 * share.min(1000) / 1000).max(usual * 20) / 20;
        }
        let ran = Ran::ended(status, &format!("SIG{name} after {moment:?}"));
        let complaint = if status == Some(101) {
            Some("panic".to_owned())
        } else {
            target.complaint(way, &ran, name == "TERM")?
        };
        if let Some(what) = complaint {
            let recipe = format!(
                "{} ended by SIG{name} after {moment:?}; the moment decides, so repeat it often:\n\
                 cargo xtask campaign --only kills --seed {seed}",
                way.name()
            );
            findings.add("kills", &what, &format!("{}, SIG{name}", way.name()), &recipe, Some(&ran));
        }
        done += 1;
    }
    Ok(format!("{done} runs, {ended} of them ended by the signal"))
}

/// The status of a run that was sent a signal; `None` if that or 130 says that it was ended.
fn finished(child: &mut Child) -> Outcome<Option<i32>> {
    let status = process::wait(child, Duration::from_secs(60))?;
    Ok(status.code().filter(|code| *code < 128))
}
