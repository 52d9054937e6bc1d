//! Lets system calls fail, be interrupted or be late, by strace.
//!
//! The rules: status 0 only with the right archive, any archive sound, an existing output as it was, no
//! panic, no end by a signal.

use super::findings::Findings;
use super::program::Ran;
use super::random::Random;
use super::target::{Target, WAYS};
use super::{Budget, Campaign};
use crate::Outcome;
use crate::engines::process::{installed, program};

/// Calls, and what happens to them.
const FAULTS: [(&str, &[&str]); 13] = [
    ("openat2", &["error=EIO", "error=EMFILE", "error=EINTR", "error=ENOENT", "error=ENOSYS"]),
    ("openat", &["error=EIO", "error=EMFILE", "error=ENOSPC", "error=EINTR", "error=EOPNOTSUPP"]),
    ("read", &["error=EIO", "error=EINTR", "retval=0"]),
    ("pread64", &["error=EIO", "error=EINTR", "retval=0"]),
    ("write", &["error=EIO", "error=ENOSPC", "error=EINTR"]),
    ("pwrite64", &["error=EIO", "error=ENOSPC", "error=EINTR"]),
    ("fsync", &["error=EIO", "error=EINTR"]),
    ("rename,renameat,renameat2,linkat", &["error=EIO", "error=ENOSPC", "error=EXDEV"]),
    ("getdents64", &["error=EIO"]),
    ("statx,fstat,newfstatat", &["error=EIO"]),
    ("copy_file_range,sendfile,splice", &["error=EIO", "error=ENOSYS", "error=EXDEV"]),
    ("close", &["error=EIO", "error=EINTR"]),
    ("clone,clone3", &["error=EAGAIN"]),
];

/// Injects faults until the time is over. Returns a line of figures.
pub(crate) fn run(campaign: &Campaign<'_>, budget: &Budget, findings: &mut Findings) -> Outcome<String> {
    if !installed("strace") {
        return Ok("not run: strace is not installed".to_owned());
    }
    if program("strace", ["-f", "-o", "/dev/null", "true"]).output().is_ok_and(|ran| !ran.status.success()) {
        return Ok("not run: strace may not trace here".to_owned());
    }
    let target = Target::new(campaign)?;
    let (mut done, mut unstarted) = (0, 0);
    let mut statuses = [0_usize; 4];
    while budget.allows(done) {
        let seed = campaign.seed.wrapping_add(done as u64);
        let mut random = Random::new(seed);
        let way = *random.one_of(&WAYS);
        let (calls, faults) = *random.one_of(&FAULTS);
        let fault = *random.one_of(faults);
        // Most calls that matter are among the first hundred; others come late.
        let limit = *random.one_of(&[3, 30, 300]);
        let number = 1 + random.below(limit);
        // A call that is interrupted for ever does not end, which is right.
        let again = random.below(4) == 0 && !fault.contains("EINTR");
        let when = if again { format!("{number}+") } else { number.to_string() };
        let plain = target.prepare(&campaign.layerlift, way)?;
        let mut command = program("strace", ["-f", "-qq", "-o", "/dev/null"]);
        command.arg("-e").arg(format!("trace={calls}"));
        if random.below(8) == 0 {
            command.arg("-e").arg(format!("inject={calls}:delay_enter=3000:when=1+7"));
        } else {
            command.arg("-e").arg(format!("inject={calls}:{fault}:when={when}"));
        }
        command.arg(plain.get_program()).args(plain.get_args());
        let ran = Ran::of(command)?;
        done += 1;
        // The loader reads the libraries by the same calls.
        if ran.status == Some(127) || ran.stderr.contains("error while loading shared libraries") {
            unstarted += 1;
            continue;
        }
        if let Some(times) = ran.status.and_then(|status| statuses.get_mut(status as usize)) {
            *times += 1;
        }
        // A read of 0 bytes is an end of the file. Where nothing proves the length, nothing can tell.
        let complaint = match ran.complaint() {
            Some(complaint) => Some(complaint.to_owned()),
            None => target.complaint(way, &ran, false)?,
        };
        if let Some(what) = complaint {
            let recipe = format!("{}\ncargo xtask campaign --only faults --runs 1 --seed {seed}", ran.line);
            findings.add("faults", &what, &format!("{calls}:{fault}, {}", way.name()), &recipe, Some(&ran));
        }
    }
    Ok(format!(
        "{done} runs, {unstarted} of them failed before the program began; statuses 0 to 3: {statuses:?}"
    ))
}
