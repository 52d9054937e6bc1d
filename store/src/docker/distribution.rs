//! `image/<driver>/distribution`: the compressed blobs from which layers were pulled, or as which they were
//! pushed.
//!
//! ```text
//! distribution/v2metadata-by-diffid/sha256/<diff id>
//!     [{"Digest":"sha256:0e05…","SourceRepository":"docker.io/library/alpine","HMAC":""}]
//! ```
//!
//! The newest entry is the last (Docker 20.10, `distribution/metadata/v2_metadata_service.go`). A file that
//! cannot be read is worth no less than a missing one: the layer is compressed then.

use serde::Deserialize;

use crate::{DiffId, Remembered, Root};

/// Docker keeps at most 50 entries.
const LIMIT: u64 = 1 << 20;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    digest: String,
    #[serde(default)]
    source_repository: String,
}

/// What an image root remembers of a layer, the newest first.
pub(super) fn remembered(images: &Root, diff_id: DiffId) -> Vec<Remembered> {
    let path = format!("distribution/v2metadata-by-diffid/sha256/{}", diff_id.0.hex());
    let bytes = images.try_read(path, LIMIT).ok().flatten().unwrap_or_default();
    let entries: Vec<Entry> = serde_json::from_slice(&bytes).unwrap_or_default();
    let remembered = |entry: Entry| {
        let repository = Some(entry.source_repository).filter(|repository| !repository.is_empty());
        Some(Remembered { digest: entry.digest.parse().ok()?, repository })
    };
    entries.into_iter().rev().filter_map(remembered).collect()
}

#[cfg(test)]
mod tests {
    use layerlift_archive::Digest;

    use super::*;

    #[test]
    fn entries() {
        let dir = tempfile::tempdir().unwrap();
        let diff_id = DiffId(Digest::of(b"tar"));
        let folder = dir.path().join("distribution/v2metadata-by-diffid/sha256");
        std::fs::create_dir_all(&folder).unwrap();
        let (one, two) = (Digest::of(b"1"), Digest::of(b"2"));
        let text = format!(
            r#"[{{"Digest":"{one}","SourceRepository":"docker.io/library/a","HMAC":""}},
                {{"Digest":"{two}","SourceRepository":"","HMAC":""}},{{"Digest":"x"}}]"#
        );
        let root = Root::open(dir.path()).unwrap();
        assert!(remembered(&root, diff_id).is_empty());
        std::fs::write(folder.join(diff_id.0.hex()), text).unwrap();
        let newest = Remembered { digest: two, repository: None };
        let oldest = Remembered { digest: one, repository: Some("docker.io/library/a".to_owned()) };
        assert_eq!(remembered(&root, diff_id), [newest, oldest]);
        std::fs::write(folder.join(diff_id.0.hex()), "[{").unwrap();
        assert!(remembered(&root, diff_id).is_empty());
    }
}
