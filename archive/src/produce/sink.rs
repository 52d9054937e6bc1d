//! Where the bytes go.

use crate::Error;

/// An output: takes the bytes of items.
///
/// The outputs of this crate are sinks themselves (a stream, a file, a directory), so another one is as fast
/// as they are. `examples/chunks.rs` writes a directory of chunks.
pub trait Sink: Sync {
    /// Takes bytes of an item, the next after those that it took of this item before. `item` is its index,
    /// `offset` the number of its bytes that came before.
    ///
    /// A content's digest is known only after its last byte: until the item's [`crate::Outcome`] is known,
    /// the bytes may be damaged. With [`Order::AsGiven`] the last bytes of a damaged content never come.
    fn put(&self, item: usize, offset: u64, bytes: &[u8]) -> Result<(), Error>;

    /// Whether different items may be written at the same time, for example because each has a file of its
    /// own.
    fn side_by_side(&self) -> bool {
        false
    }
}

/// In which order a sink gets bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Order {
    /// Those of different items in turn, each item's from the first to the last. The largest items begin
    /// first.
    Any,
    /// One item after another. A content's last buffer is written only after the content has been compared
    /// with its digest, and a failure is reported only after everything before it has been written.
    AsGiven,
}
