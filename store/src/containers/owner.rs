//! The owner of a store.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Whether a path is in a store that this user owns. Files in it can belong to subordinate ids, which only a
/// user namespace gives the user.
pub(crate) fn is_in_store_of(path: &Path, user: u32) -> bool {
    let is_store = |folder: &Path| folder.join("storage.lock").exists();
    let owner = |folder: &Path| folder.symlink_metadata().ok().map(|metadata| metadata.uid());
    path.ancestors().skip(1).any(|folder| is_store(folder) && owner(folder) == Some(user))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stores_of_a_user() {
        let home = tempfile::tempdir().unwrap();
        let user = home.path().metadata().unwrap().uid();
        let file = home.path().join("storage/overlay/l/diff/etc/shadow");
        std::fs::create_dir_all(home.path().join("storage")).unwrap();
        assert!(!is_in_store_of(&file, user));
        std::fs::write(home.path().join("storage/storage.lock"), "").unwrap();
        assert!(is_in_store_of(&file, user));
        assert!(!is_in_store_of(&file, user + 1));
    }
}
