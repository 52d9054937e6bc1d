//! Inputs that must not do what they do: caught, made smaller, saved, and run again.

use std::cell::RefCell;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use layerlift_archive::Digest;
use layerlift_fuzz::{TARGETS, Target};

use crate::Outcome;

/// Making a finding smaller takes no longer.
const SHRINKING: Duration = Duration::from_secs(5);

thread_local! {
    static MESSAGE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// From now on panics are kept quiet, and their messages for [`answer`].
pub(crate) fn catch_panics() {
    set_hook(Box::new(|info| {
        let message = info.to_string();
        MESSAGE.with(|last| last.replace(message));
    }));
}

/// Runs a target; the error is the message of its panic.
pub(crate) fn answer(target: &Target, input: &[u8]) -> Result<String, String> {
    catch_unwind(AssertUnwindSafe(|| (target.run)(input))).map_err(|_| MESSAGE.with(RefCell::take))
}

/// A smaller input that panics, too.
pub(crate) fn smaller(target: &Target, input: &[u8]) -> Vec<u8> {
    let start = Instant::now();
    let mut small = input.to_vec();
    let mut len = small.len().div_ceil(2);
    while len > 0 {
        let mut at = 0;
        while at < small.len() && start.elapsed() < SHRINKING {
            let mut less = small.clone();
            less.drain(at..(at + len).min(small.len()));
            if answer(target, &less).is_err() {
                small = less;
            } else {
                at += len;
            }
        }
        len /= 2;
    }
    small
}

/// Saves an input, and returns its file.
pub(crate) fn save(folder: &Path, target: &str, input: &[u8]) -> Outcome<PathBuf> {
    fs::create_dir_all(folder)?;
    let file = folder.join(format!("{target}-{}", &Digest::of(input).hex()[..12]));
    fs::write(&file, input)?;
    Ok(file)
}

/// Runs saved inputs once each.
pub(crate) fn replay(files: &[PathBuf]) -> Outcome {
    let mut failed = 0;
    for file in files {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let Some(target) = TARGETS.iter().find(|target| name.starts_with(target.name)) else {
            return Err(format!("{}: its name does not begin with a target", file.display()).into());
        };
        match answer(target, &fs::read(file)?) {
            Ok(answer) => println!("{}: {}", file.display(), answer.replace('\n', "; ")),
            Err(message) => {
                println!("{}: PANIC: {message}", file.display());
                failed += 1;
            }
        }
    }
    if failed == 0 { Ok(()) } else { Err(format!("{failed} of {} inputs panic", files.len()).into()) }
}
