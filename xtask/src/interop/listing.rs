//! Lists a store entry by entry, to check that nothing in it has changed.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::Outcome;
use crate::engines::process::{bytes, program};

/// Every entry below a folder: type, mode, owner, links, size, times and the digest of its content. Among the
/// times is that of the last status change (ctime), which covers xattrs and changes that were undone; the
/// access time is not.
#[derive(PartialEq, Eq)]
pub(crate) struct Listing(BTreeMap<PathBuf, (String, String)>);

impl Listing {
    pub(crate) fn of(root: &Path) -> Outcome<Self> {
        let mut entries = BTreeMap::new();
        let mut folders = if root.is_dir() { vec![root.to_owned()] } else { Vec::new() };
        entries.insert(root.to_owned(), (described(&fs::symlink_metadata(root)?), String::new()));
        while let Some(folder) = folders.pop() {
            for path in
                fs::read_dir(&folder)?.map(|entry| entry.map(|e| e.path())).chain([Ok(folder.clone())])
            {
                let path = path?;
                let meta = fs::symlink_metadata(&path)?;
                if meta.is_dir() && path != folder {
                    folders.push(path.clone());
                }
                entries.insert(path, (described(&meta), String::new()));
            }
        }
        let script = "find \"$0\" -type f -print0 | sort -z | xargs -0 -r sha256sum -b -z --";
        for line in bytes(program("sh", ["-c", script]).arg(root))?.split(|&byte| byte == 0) {
            if let Some((digest, path)) = line.split_at_checked(64)
                && let Some(entry) = entries.get_mut(Path::new(OsStr::from_bytes(&path[2..])))
            {
                entry.1 = String::from_utf8_lossy(digest).into_owned();
            }
        }
        Ok(Listing(entries))
    }

    /// Fails if anything changed.
    pub(crate) fn same(&self, now: &Listing) -> Outcome {
        let mut differences = Vec::new();
        for (path, was) in &self.0 {
            match now.0.get(path) {
                None => differences.push(format!("{} is missing", path.display())),
                Some(is) if is != was => {
                    differences.push(format!(
                        "{} was `{} {}`, is `{} {}`",
                        path.display(),
                        was.0,
                        was.1,
                        is.0,
                        is.1
                    ));
                }
                Some(_) => {}
            }
        }
        differences.extend(
            now.0
                .keys()
                .filter(|path| !self.0.contains_key(*path))
                .map(|p| format!("{} is new", p.display())),
        );
        match differences.first() {
            None => Ok(()),
            Some(first) => {
                Err(format!("{} entries of the store changed, such as {first}", differences.len()).into())
            }
        }
    }
}

fn described(meta: &fs::Metadata) -> String {
    format!(
        "mode {:o} owner {}:{} links {} size {} device {} modified {}.{:09} changed {}.{:09}",
        meta.mode(),
        meta.uid(),
        meta.gid(),
        meta.nlink(),
        meta.size(),
        meta.rdev(),
        meta.mtime(),
        meta.mtime_nsec(),
        meta.ctime(),
        meta.ctime_nsec()
    )
}
