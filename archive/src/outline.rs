//! Contents whose bytes are brought together from many places, by several threads side by side.
//!
//! What a layer consists of is known long before its files are read. An [`Outline`] goes through that, one
//! buffer at a time: it copies what it has and leaves gaps for the rest. [`Gaps`] are filled by any thread,
//! in any order, at any time.
//!
//! ```text
//! outline   header│          │padding, header│     │padding
//! gaps            │ a file   │               │ ... │
//! ```

use std::io;

/// A buffer that has been outlined: its bytes, and what is still missing among them.
pub type Outlined<'a> = (usize, Option<Box<dyn Gaps + 'a>>);

/// What a content consists of, from front to back. See [`crate::Content::raw_outline`].
pub trait Outline<'a>: Send {
    /// Takes the buffer for the next bytes and fills in those that it has. Returns how many bytes the buffer
    /// now stands for, and what fills its gaps. 0 means the end.
    ///
    /// An error comes after everything that precedes it: a call returns what it has up to there, and the next
    /// one fails.
    fn next(&mut self, buf: &mut [u8]) -> io::Result<Outlined<'a>>;
}

/// The bytes that are missing in a buffer.
pub trait Gaps: Send {
    /// Fills them in. The buffer is the one that [`Outline::next`] got, cut to the bytes that it stands for.
    fn fill(&mut self, buf: &mut [u8]) -> io::Result<()>;
}
