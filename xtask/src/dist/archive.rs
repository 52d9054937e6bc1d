//! The archive: to be unpacked anywhere.
//!
//! ```text
//! layerlift-0.1.0-x86_64-linux/
//!     layerlift
//!     README.md CHANGELOG.md LICENSE-APACHE LICENSE-MIT THIRD-PARTY.txt
//!     completions/
//!     man/
//! ```

use std::fs;

use xshell::Shell;

use super::files::Files;
use super::{Release, gzip};
use crate::engines::tarball::Dialect;
use crate::{Outcome, workspace};

/// Texts that ship with the program.
const TEXTS: [&str; 4] = ["README.md", "CHANGELOG.md", "LICENSE-MIT", "LICENSE-APACHE"];

pub(super) fn files(release: &Release<'_>) -> Outcome<Files> {
    let mut files = Files::default();
    files.add_program("layerlift", release.program);
    for text in TEXTS {
        files.add(text, fs::read(workspace::root().join(text))?);
    }
    files.add("THIRD-PARTY.txt", release.licences);
    files.add_all("man", release.man);
    files.add_all("completions", release.completions);
    Ok(files)
}

/// Packs files as `name`. The bytes depend on contents, modes and `time` alone.
pub(super) fn pack(shell: &Shell, files: &Files, name: &str, time: i64) -> Outcome<Vec<u8>> {
    gzip(shell, &files.tar(Dialect::Pax, &format!("{name}/"), time))
}

#[cfg(test)]
mod tests {
    use xshell::cmd;

    use super::*;

    #[test]
    fn an_archive_depends_on_what_is_in_it() {
        let shell = workspace::shell().unwrap();
        let mut packed = Vec::new();
        for names in [["man/b", "man/a"], ["man/a", "man/b"]] {
            let mut files = Files::default();
            for name in names {
                files.add(name, &name[4..]);
            }
            files.add_program("program", "");
            packed.push(pack(&shell, &files, "x-1", 7).unwrap());
        }
        assert!(packed[0] == packed[1]);
        let list = cmd!(shell, "tar --utc --full-time -tvzf -").stdin(&packed[0]).quiet().read().unwrap();
        let words = |line: &str| {
            let words: Vec<&str> = line.split_whitespace().collect();
            format!("{} {} {} {} {}", words[0], words[1], words[2], words[4], words[5])
        };
        assert_eq!(
            list.lines().map(words).collect::<Vec<_>>(),
            [
                "drwxr-xr-x root/root 0 00:00:07 x-1/",
                "drwxr-xr-x root/root 0 00:00:07 x-1/man/",
                "-rw-r--r-- root/root 1 00:00:07 x-1/man/a",
                "-rw-r--r-- root/root 1 00:00:07 x-1/man/b",
                "-rwxr-xr-x root/root 0 00:00:07 x-1/program",
            ]
        );
    }
}
