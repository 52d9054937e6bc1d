//! One target in this process: damage, run, keep what got a new answer.

use std::collections::HashSet;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use layerlift_fuzz::Target;
use layerlift_fuzz::mutate::{Random, mutate};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::{Args, Outcome, findings};

/// One input takes no longer on a slow machine.
const HANG: Duration = Duration::from_secs(10);

/// Memory that the process may have: what it uses, and what it reserves.
const RESIDENT: u64 = 512 << 20;
const RESERVED: u64 = 4 << 30;

/// How the names of temporary folders begin; random characters follow.
const TEMPORARY: &str = ".tmp";

/// Inputs that are kept at most.
const KEPT: usize = 4_096;

/// How the process ends if an input hangs or fills the memory; the supervisor takes the input from the file.
pub(crate) const HANGS: i32 = 40;
pub(crate) const FILLS: i32 = 41;

/// Inputs that were begun.
static BEGUN: AtomicU64 = AtomicU64::new(0);

/// Searches until the time is over or something is found.
pub(crate) fn run(target: &Target, args: &Args, current: &Path) -> Outcome {
    let hard = getrlimit(Resource::As).maximum;
    setrlimit(Resource::As, Rlimit { current: Some(RESERVED), maximum: hard })?;
    let current = File::options().write(true).create(true).truncate(true).open(current)?;
    let start = Instant::now();
    let corpus = (target.corpus)();
    if corpus.is_empty() {
        return Err(format!("{}: no corpus", target.name).into());
    }
    findings::catch_panics();
    thread::spawn(watch);

    let mut pool = Vec::new();
    let mut answers = HashSet::new();
    let mut random = Random::new(args.seed);
    let mut runs = 0_u64;
    let end = start + Duration::from_secs(args.seconds);
    let mut whole = corpus.iter();
    while Instant::now() < end {
        // First everything as it is, then damaged.
        let input = match whole.next() {
            Some(input) => input.clone(),
            None => {
                let base: &Vec<u8> = match random.below(4) {
                    0 => &corpus[random.below(corpus.len())],
                    _ => &pool[random.below(pool.len())],
                };
                let mut input = base.clone();
                mutate(&mut input, &corpus[random.below(corpus.len())], &mut random);
                input
            }
        };
        current.write_all_at(&[&(input.len() as u64).to_le_bytes(), input.as_slice()].concat(), 0)?;
        BEGUN.fetch_add(1, Ordering::SeqCst);
        runs += 1;
        match findings::answer(target, &input) {
            Ok(answer) => {
                if answers.insert(fingerprint(&answer)) && pool.len() < KEPT {
                    pool.push(input);
                }
            }
            Err(message) => {
                let small = findings::smaller(target, &input);
                let file = findings::save(&args.findings, target.name, &small)?;
                let name = target.name;
                return Err(
                    format!("{name}: PANIC in {}, after {runs} inputs: {message}", file.display()).into()
                );
            }
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{:>14}: {runs} inputs in {seconds:.0} s, {} answers, nothing found",
        target.name,
        answers.len()
    );
    Ok(())
}

/// An answer without what differs from run to run or from input to input: the names of temporary folders,
/// digits, and what is quoted.
fn squeezed(answer: &str) -> String {
    let mut squeezed = String::new();
    let mut quoted = false;
    for (part, text) in answer.split(TEMPORARY).enumerate() {
        let text =
            if part == 0 { text } else { text.trim_start_matches(|c: char| c.is_ascii_alphanumeric()) };
        for c in text.chars() {
            quoted ^= c == '"';
            let hex = c.is_ascii_digit() || ('a'..='f').contains(&c);
            if !quoted && !hex && squeezed.len() < 300 {
                squeezed.push(c);
            }
        }
    }
    squeezed
}

/// Of an answer only this is kept: millions of texts would fill the memory that is watched.
fn fingerprint(answer: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    squeezed(answer).hash(&mut hasher);
    hasher.finish()
}

/// Ends the process if an input takes too long or too much memory.
fn watch() {
    let mut last = (0, Instant::now());
    loop {
        thread::sleep(Duration::from_millis(50));
        let begun = BEGUN.load(Ordering::SeqCst);
        if begun != last.0 {
            last = (begun, Instant::now());
        }
        if begun > 0 && last.1.elapsed() > HANG {
            std::process::exit(HANGS);
        }
        // Pages: all of the process, then those in memory.
        let pages = fs::read_to_string("/proc/self/statm").unwrap_or_default();
        let resident = pages.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0);
        if resident * 4096 > RESIDENT {
            std::process::exit(FILLS);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::squeezed;

    #[test]
    fn answers_of_two_runs_are_the_same() {
        let answer =
            |folder: &str, id: &str| squeezed(&format!("/x/{folder}/tree/etc: {id} has changed, \"{id}\""));
        assert_eq!(answer(".tmp70vBxn", "0a1"), answer(".tmpqAo2Mh", "9fc"));
        assert_ne!(squeezed("is missing"), squeezed("is malformed"));
    }
}
