//! What containerd pulled has labels that name the repositories (`containerd.io/distribution.source.<host>`):
//! another repository of that registry takes the blobs from there.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::{FEW, PREFIX, Pushed};
use crate::Outcome;
use crate::engines::process::output;
use crate::interop::source::Checks;

/// The number of the next repository.
static NEXT: AtomicUsize = AtomicUsize::new(0);

/// Pushes what was pulled under the names below [`PREFIX`] to new repositories. Only manifests are sent.
pub(super) fn check(of: &Pushed<'_>, checks: &Checks<'_>) -> Outcome {
    for (_, _, reference) in of.named(PREFIX).iter().take(FEW) {
        // Stores of one suite push to the same registry.
        let at = NEXT.fetch_add(1, Ordering::Relaxed);
        let to = format!("{}/mounted{at}:1", of.to.address());
        let said = output(of.push(checks, [reference.as_str()], &to, &["--progress=json"]))?;
        let events = String::from_utf8_lossy(&said.stderr).into_owned();
        let with = |outcome: &str| {
            let outcome = format!("\"outcome\":\"{outcome}\"");
            events.lines().filter(|line| line.contains(&outcome)).count()
        };
        // The manifest is sent, or an index and its manifests; it was never in that repository.
        if !said.status.success() || with("mounted") == 0 || with("pushed") > 1 {
            return Err(format!("{reference}: {events}").into());
        }
        if of.manifest(&to)? != of.manifest(reference)? {
            return Err(format!("{reference} has another manifest when it is pushed to {to}").into());
        }
    }
    Ok(())
}
