//! containerd's own store, which Docker 29 uses on a fresh installation. It is recognised but cannot be read:
//! a database (bolt) says which blobs belong to which image, and there is no reader for it yet.
//!
//! ```text
//! io.containerd.metadata.v1.bolt/meta.db          names, manifests, snapshots
//! io.containerd.content.v1.content/blobs/sha256/  blobs
//! ```
//!
//! Docker since 20.10 has an empty one in `containerd/daemon` below its data root. Without blobs it does not
//! count.

use crate::kind::{Detected, StoreKind};
use crate::{Error, Root, Store};

const DATABASE: &str = "io.containerd.metadata.v1.bolt/meta.db";
const BLOBS: &str = "io.containerd.content.v1.content/blobs/sha256";

/// Looks for this kind of store in a directory.
pub(crate) fn detect(root: &Root) -> Result<Option<Detected>, Error> {
    if !root.exists(DATABASE)? || !root.exists(BLOBS)? || root.list(BLOBS)?.is_empty() {
        return Ok(None);
    }
    let evidence = vec![DATABASE.to_owned(), BLOBS.to_owned()];
    let root = root.path().to_owned();
    Ok(Some(Detected { kind: StoreKind::Containerd, root, partitions: Vec::new(), evidence }))
}

/// Returns the error that says what to do instead.
pub(crate) fn open(root: &Root) -> Result<Box<dyn Store>, Error> {
    if detect(root)?.is_none() {
        return Err(Error::no_store(root.path(), format!("it has no {DATABASE} with blobs beside it")));
    }
    let what = format!("{} is a store of containerd, which layerlift cannot read yet", root.path().display());
    Err(Error::unsupported(
        what,
        "start containerd and use `ctr --namespace NAMESPACE images export FILE NAME` (Docker's namespace is \
         moby, that of Kubernetes k8s.io); layerlift reads the archive that it writes",
    ))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::{OpenOptions, detect as detect_all, open};

    #[test]
    fn recognised_and_explained() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join(BLOBS)).unwrap();
        fs::create_dir_all(dir.path().join("io.containerd.metadata.v1.bolt")).unwrap();
        fs::write(dir.path().join(DATABASE), "").unwrap();
        assert!(detect_all(dir.path()).unwrap().is_empty(), "without blobs it is not a store");
        fs::write(dir.path().join(BLOBS).join("0"), "").unwrap();
        assert_eq!(detect_all(dir.path()).unwrap()[0].kind, StoreKind::Containerd);
        let error = open(dir.path(), &OpenOptions::default()).err().unwrap();
        assert!(matches!(error, Error::Unsupported { .. }), "{error}");
    }
}
