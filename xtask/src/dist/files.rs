//! Files by their path, in a package that is not written yet.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use xshell::Shell;

use super::{Release, gzip};
use crate::Outcome;
use crate::engines::tarball::{DIRECTORY, Dialect, FILE, Member, Tarball};

/// What a package holds, sorted by path. Its directories follow from the paths.
#[derive(Clone, Default)]
pub(super) struct Files(BTreeMap<String, (u32, Vec<u8>)>);

impl Files {
    /// The files right in a folder.
    pub(super) fn below(folder: &Path) -> Outcome<Self> {
        let mut files = Files::default();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            files.add(&entry.file_name().to_string_lossy(), fs::read(entry.path())?);
        }
        Ok(files)
    }

    /// Adds a file that all can read.
    pub(super) fn add(&mut self, path: &str, bytes: impl Into<Vec<u8>>) {
        self.0.insert(path.to_owned(), (0o644, bytes.into()));
    }

    /// Adds a program.
    pub(super) fn add_program(&mut self, path: &str, bytes: impl Into<Vec<u8>>) {
        self.0.insert(path.to_owned(), (0o755, bytes.into()));
    }

    /// Adds other files below a folder.
    pub(super) fn add_all(&mut self, folder: &str, files: &Files) {
        for (name, file) in &files.0 {
            self.0.insert(format!("{folder}/{name}"), file.clone());
        }
    }

    /// What each system has in the same places: the program, its pages and completions, those of zsh in the
    /// folder that is named.
    pub(super) fn of_any_system(shell: &Shell, release: &Release<'_>, zsh: &str) -> Outcome<Self> {
        let mut files = Files::default();
        files.add_program("usr/bin/layerlift", release.program);
        for (name, page) in release.man.iter() {
            files.add(&format!("usr/share/man/man1/{name}.gz"), gzip(shell, page)?);
        }
        for (name, path) in [
            ("layerlift.bash", "usr/share/bash-completion/completions/layerlift"),
            ("_layerlift", &*format!("usr/share/zsh/{zsh}/_layerlift")),
            ("layerlift.fish", "usr/share/fish/vendor_completions.d/layerlift.fish"),
        ] {
            files.add(path, release.completions.find(name)?);
        }
        Ok(files)
    }

    /// Paths and contents.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0.iter().map(|(path, (_, bytes))| (path.as_str(), bytes.as_slice()))
    }

    /// The content of a file.
    pub(super) fn find(&self, path: &str) -> Outcome<&[u8]> {
        let file = self.0.get(path).ok_or_else(|| format!("{path} was not made"))?;
        Ok(&file.1)
    }

    /// Writes them to a folder.
    pub(super) fn write(&self, folder: &Path) -> Outcome {
        for (name, (mode, bytes)) in &self.0 {
            let path = folder.join(name);
            fs::create_dir_all(path.parent().unwrap_or(folder))?;
            fs::write(&path, bytes)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(*mode))?;
        }
        Ok(())
    }

    /// A tar of them. Root owns everything, and each directory comes before what is in it.
    pub(super) fn tar(&self, dialect: Dialect, prefix: &str, time: i64) -> Vec<u8> {
        let mut tar = Tarball::new(dialect);
        let (mtime, owner) = ((time, 0), ("root", "root"));
        let mut last = String::new();
        for (path, (mode, data)) in &self.0 {
            let path = format!("{prefix}{path}");
            for (at, _) in path.match_indices('/') {
                let folder = &path[..=at];
                if !last.starts_with(folder) {
                    tar.add(&Member { mtime, owner, ..Member::new(DIRECTORY, folder) });
                }
            }
            tar.add(&Member { mode: *mode, mtime, owner, data, ..Member::new(FILE, &path) });
            last = path;
        }
        tar.finish(1024)
    }
}
