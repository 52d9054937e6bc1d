//! A content whose digest is known from elsewhere.

use std::io::{self, Read};
use std::sync::Arc;

use layerlift_archive::{Content, Digest, Explanation};

/// A content that is checked against a digest that it does not name itself.
pub(super) fn expecting(content: Arc<dyn Content>, digest: Option<Digest>) -> Arc<dyn Content> {
    match digest {
        Some(digest) if content.digest() != Some(digest) => Arc::new(Expecting { content, digest }),
        _ => content,
    }
}

struct Expecting {
    content: Arc<dyn Content>,
    digest: Digest,
}

impl Content for Expecting {
    fn len(&self) -> u64 {
        self.content.len()
    }

    fn digest(&self) -> Option<Digest> {
        Some(self.digest)
    }

    fn raw_reader(&self) -> io::Result<Box<dyn Read + Send + '_>> {
        self.content.raw_reader()
    }

    fn explain(&self) -> Option<Explanation> {
        self.content.explain()
    }
}
