//! Which opaque directories hide something, as containers-storage decides it (`pkg/archive`).
//!
//! ```text
//! upper   etc/conf (opaque)          etc/moved (opaque: the mark came along when it was renamed)
//! lower   etc/conf                   -
//! tar     etc/conf/.wh..wh..opq      -
//! ```
//!
//! The layers below are asked from the uppermost on. The first one that has the path decides, and one that
//! removed it or a directory above it says that nothing is hidden.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{AtFlags, FileType, statat};

use super::records::{Kind, Records};
use crate::{Error, ErrorKind, Root};

/// Leaves out opaque marks that hide nothing in the layers below.
pub(super) fn leave_out_marks(records: &mut Records, below: &[Root]) -> Result<(), Error> {
    let marks: Vec<_> = (1..records.next()).filter(|id| records.get(*id).kind == Kind::Opaque).collect();
    for id in marks {
        let dir = records.path(records.get(id).parent);
        records.get_mut(id).written = hides(Path::new(OsStr::from_bytes(&dir)), below)?;
    }
    Ok(())
}

/// What a layer has at a path.
enum Found {
    Nothing,
    Whiteout,
    Entry,
}

fn hides(dir: &Path, below: &[Root]) -> Result<bool, Error> {
    for layer in below {
        match find(layer, dir)? {
            Found::Entry => return Ok(true),
            Found::Whiteout => return Ok(false),
            Found::Nothing => {}
        }
        for parent in dir.ancestors().skip(1).filter(|parent| !parent.as_os_str().is_empty()) {
            if matches!(find(layer, parent)?, Found::Whiteout) {
                return Ok(false);
            }
        }
    }
    Ok(false)
}

fn find(layer: &Root, path: &Path) -> Result<Found, Error> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Ok(Found::Entry) };
    let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    // A link or a file in its place is not a directory above the path.
    let dir = match layer.dir(parent) {
        Ok(dir) => dir,
        Err(error @ Error::Io { .. }) if error.kind() == ErrorKind::Environment => return Err(error),
        Err(_) => return Ok(Found::Nothing),
    };
    match statat(dir.as_dir(), name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat)
            if FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == 0 =>
        {
            Ok(Found::Whiteout)
        }
        Ok(_) => Ok(Found::Entry),
        Err(rustix::io::Errno::NOENT) => Ok(Found::Nothing),
        Err(errno) => Err(Error::io("look up", layer.join(path), errno)),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use rustix::fs::{CWD, Mode, mknodat};

    use super::*;

    #[test]
    fn the_first_layer_that_has_it_decides() {
        let (upper, lower) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for dir in ["a/b", "c"] {
            fs::create_dir_all(lower.path().join(dir)).unwrap();
        }
        fs::create_dir_all(upper.path().join("c")).unwrap();
        fs::write(lower.path().join("file"), "").unwrap();
        let roots = [&upper, &lower].map(|dir| Root::open(dir.path()).unwrap());
        for (dir, expected) in [("a", true), ("a/b", true), ("c", true), ("d", false), ("file/x", false)] {
            assert_eq!(hides(Path::new(dir), &roots).unwrap(), expected, "{dir}");
        }
        assert!(!hides(Path::new("a"), &[]).unwrap());
    }

    #[test]
    fn what_was_removed_hides_nothing() {
        let dirs = [(); 3].map(|()| tempfile::tempdir().unwrap());
        fs::create_dir_all(dirs[2].path().join("a/b")).unwrap();
        fs::create_dir_all(dirs[2].path().join("c")).unwrap();
        // Since Linux 5.8, everybody may make a whiteout.
        let made = ["a", "c"]
            .map(|name| mknodat(CWD, dirs[1].path().join(name), FileType::CharacterDevice, Mode::empty(), 0));
        if made.iter().any(Result::is_err) {
            let _ = writeln!(std::io::stderr(), "SKIPPED: what_was_removed_hides_nothing: no whiteouts here");
            return;
        }
        let roots = dirs.each_ref().map(|dir| Root::open(dir.path()).unwrap());
        for dir in ["a", "a/b", "c"] {
            assert!(!hides(Path::new(dir), &roots).unwrap(), "{dir}");
            assert!(hides(Path::new(dir), &roots[2..]).unwrap(), "{dir}");
        }
    }
}
