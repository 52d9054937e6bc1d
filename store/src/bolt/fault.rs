//! What can be wrong with a page.

use std::io;
use std::path::Path;

use crate::Error;

/// What is wrong, and with which page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) page: u64,
    /// Whether it is an inline bucket on that page.
    pub(super) inline: bool,
    pub(super) what: What,
}

/// What is wrong with a page, or an inline bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// The database has only so many pages.
    Beyond(u64),
    /// The file, or the value that has the inline bucket, ends too early.
    Cut,
    /// It has the number of another page.
    Number(u64),
    /// It is neither a branch nor a leaf.
    Kind(u16),
    /// It is a branch of nothing.
    Empty,
    /// It claims more elements than it has room for.
    Count(usize),
    /// This element's key or value is outside, or overlaps with another.
    Element(usize),
    /// The key of this element is not greater than the one before it.
    Order(usize),
    /// Its keys are not between those of the branch above.
    Range,
    /// Something before it refers to it, or has its bytes.
    Twice,
    /// There are too many branches above it.
    Deep,
    /// There are too many buckets around it.
    Nested,
    /// An inline bucket is a branch, or has another bucket; bolt writes neither.
    Inner,
    /// The system could not read it.
    Read(Option<i32>),
}

impl Fault {
    pub(super) fn error(self, path: &Path) -> Error {
        let page = self.page;
        let it =
            if self.inline { format!("an inline bucket on page {page}") } else { format!("page {page}") };
        let why = match self.what {
            What::Beyond(pages) => {
                format!("{it} is referred to, but only pages 2 to {} exist", pages.max(3) - 1)
            }
            What::Cut => format!("{it} is cut off"),
            What::Number(found) => format!("{it} has the number {found} in its header"),
            What::Kind(kind) => format!("{it} is neither a branch nor a leaf (its kind is {kind:#x})"),
            What::Empty => format!("{it} is a branch with nothing below it"),
            What::Count(count) => format!("{it} has no room for the {count} elements that it claims"),
            What::Element(index) => format!("element {index} of {it} is out of bounds"),
            What::Order(index) => format!("the keys of {it} are out of order at element {index}"),
            What::Range => format!("keys of {it} belong on another page"),
            What::Twice => format!("{it} is referred to twice"),
            What::Deep => format!("{it} is below too many branches"),
            What::Nested => format!("{it} is in too many buckets"),
            What::Inner => format!("{it} refers to something below it, which bolt does not write"),
            What::Read(errno) => {
                return Error::io("read", path, io_error(errno)).within(format!("page {page}"));
            }
        };
        Error::malformed(path, why)
    }
}

/// The system's error with a number.
pub(super) fn io_error(errno: Option<i32>) -> io::Error {
    errno.map_or(io::ErrorKind::Other.into(), io::Error::from_raw_os_error)
}
