//! Makes this machine's packages in two folders, whose paths differ in length, and compares them.

use std::fs;
use std::path::{Path, PathBuf};

use xshell::cmd;

use super::time;
use crate::engines::scratch::Scratch;
use crate::{Outcome, workspace};

pub(super) fn check() -> Outcome {
    let shell = workspace::shell()?;
    let scratch = Scratch::below(&workspace::target())?;
    let time = time(&shell)?.to_string();
    let folders = [scratch.folder("a")?, scratch.folder("another/folder")?];
    // Both at once: somebody may go on working here.
    for folder in &folders {
        copy(folder)?;
    }
    let mut sums = Vec::new();
    for folder in folders {
        let _there = shell.push_dir(&folder);
        println!("building in {}", folder.display());
        let dist =
            cmd!(shell, "cargo xtask dist").env_remove("CARGO_TARGET_DIR").env("SOURCE_DATE_EPOCH", &time);
        dist.quiet().run()?;
        sums.push(fs::read_to_string(folder.join("target/dist/SHA256SUMS"))?);
    }
    let differing = differing(&sums[0], &sums[1]);
    if differing.is_empty() {
        println!("equal:\n{}", sums[0].trim_end());
        return Ok(());
    }
    Err(format!("the two builds differ: {}", differing.join(", ")).into())
}

/// Copies the files that belong to the checkout.
fn copy(to: &Path) -> Outcome {
    for file in workspace::files()? {
        let copy: PathBuf = to.join(&file);
        fs::create_dir_all(copy.parent().unwrap_or(to))?;
        fs::copy(workspace::root().join(&file), copy)?;
    }
    Ok(())
}

/// The lines of one list that the other does not have.
fn differing<'a>(one: &'a str, other: &'a str) -> Vec<&'a str> {
    let missing = |from: &'a str, of: &'a str| -> Vec<&'a str> {
        from.lines().filter(|line| !of.lines().any(|other| other == *line)).collect()
    };
    [missing(one, other), missing(other, one)].concat()
}

#[cfg(test)]
mod tests {
    #[test]
    fn lists_that_differ() {
        let differing = super::differing("1  a\n2  b\n", "1  a\n3  b\n4  c\n");
        assert_eq!(differing, ["2  b", "3  b", "4  c"]);
    }
}
