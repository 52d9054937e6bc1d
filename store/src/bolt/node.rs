//! A branch or a leaf: a header of 16 bytes, elements of 16 bytes, then keys and values.
//!
//! ```text
//! header          number u64, kind u16, count u16, further pages u32
//! branch element  place u32, key length u32, page u64
//! leaf element    1 if it is a bucket u32, place u32, key length u32, value length u32
//! ```
//!
//! A place is a distance in bytes from the element.

use super::fault::What;

/// Bytes of a header.
pub(super) const HEADER: usize = 16;
/// Bytes of an element.
const ELEMENT: usize = 16;

const BRANCH: u16 = 1;
const LEAF: u16 = 2;

/// The byte order of the machine that wrote a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Little,
    Big,
}

impl Order {
    pub(super) fn u16(self, bytes: &[u8], at: usize) -> u16 {
        let bytes = field(bytes, at);
        if self == Order::Little { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) }
    }

    pub(super) fn u32(self, bytes: &[u8], at: usize) -> u32 {
        let bytes = field(bytes, at);
        if self == Order::Little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) }
    }

    pub(super) fn u64(self, bytes: &[u8], at: usize) -> u64 {
        let bytes = field(bytes, at);
        if self == Order::Little { u64::from_le_bytes(bytes) } else { u64::from_be_bytes(bytes) }
    }
}

/// The bytes of a number; zeros where there are none, which the callers have excluded.
fn field<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let field = bytes.get(at..).and_then(|rest| rest.first_chunk());
    field.copied().unwrap_or([0; N])
}

/// The header of a page.
#[derive(Debug, Clone, Copy)]
pub(super) struct Header {
    kind: u16,
    count: usize,
    /// How many pages follow that belong to this one.
    pub(super) more: u32,
}

impl Header {
    /// Parses the header of page `number`.
    pub(super) fn parse(bytes: &[u8], order: Order, number: u64) -> Result<Self, What> {
        let found = order.u64(bytes, 0);
        if found != number {
            return Err(What::Number(found));
        }
        let kind = order.u16(bytes, 8);
        let count = usize::from(order.u16(bytes, 10));
        match kind {
            BRANCH if count == 0 => Err(What::Empty),
            BRANCH | LEAF => Ok(Header { kind, count, more: order.u32(bytes, 12) }),
            _ => Err(What::Kind(kind)),
        }
    }

    /// Bytes of the header and the elements.
    pub(super) fn table(&self) -> usize {
        HEADER + self.count * ELEMENT
    }
}

/// A node whose elements are inside its bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node<'d> {
    bytes: &'d [u8],
    order: Order,
    leaf: bool,
    count: usize,
}

impl<'d> Node<'d> {
    /// A node whose bytes have been checked by [`extent`] and [`Node::check_order`].
    pub(super) fn new(bytes: &'d [u8], order: Order) -> Self {
        let leaf = order.u16(bytes, 8) == LEAF;
        Node { bytes, order, leaf, count: usize::from(order.u16(bytes, 10)) }
    }

    pub(super) fn is_leaf(&self) -> bool {
        self.leaf
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }

    fn number(&self, index: usize, field: usize) -> usize {
        self.order.u32(self.bytes, HEADER + index * ELEMENT + field) as usize
    }

    /// Where a key begins, and how long it is.
    fn place(&self, index: usize) -> (usize, usize) {
        let field = if self.leaf { 4 } else { 0 };
        (HEADER + index * ELEMENT + self.number(index, field), self.number(index, field + 4))
    }

    /// The key of an element; empty if the page does not have that many.
    pub(super) fn key(&self, index: usize) -> &'d [u8] {
        let (start, len) = self.place(index);
        self.bytes.get(start..start + len).unwrap_or_default()
    }

    /// The value of a leaf's element.
    pub(super) fn value(&self, index: usize) -> &'d [u8] {
        let (start, len) = self.place(index);
        let start = start + len;
        self.bytes.get(start..start + self.number(index, 12)).unwrap_or_default()
    }

    /// Whether a leaf's element is a bucket.
    pub(super) fn is_bucket(&self, index: usize) -> bool {
        self.leaf && self.number(index, 0) & 1 == 1
    }

    /// The page below a branch's element, or the root page of a bucket that is not inline.
    pub(super) fn below(&self, index: usize) -> Option<u64> {
        if !self.leaf {
            return Some(self.order.u64(self.bytes, HEADER + index * ELEMENT + 8));
        }
        let value = self.is_bucket(index).then(|| self.value(index)).filter(|value| value.len() >= HEADER)?;
        Some(self.order.u64(value, 0)).filter(|&page| page != 0)
    }

    /// Finds a key: its element, or the one before which it would stand.
    pub(super) fn search(&self, key: &[u8]) -> Result<usize, usize> {
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.key(middle).cmp(key) {
                std::cmp::Ordering::Equal => return Ok(middle),
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        Err(low)
    }

    /// Each key has to be greater than the one before it.
    pub(super) fn check_order(&self) -> Result<(), What> {
        let wrong = (1..self.count).find(|&index| self.key(index - 1) >= self.key(index));
        wrong.map_or(Ok(()), |index| Err(What::Order(index)))
    }
}

/// Where the last key or value ends. Each has to be behind those before it, as bolt writes them, and within
/// `room` bytes. If they could share bytes, a small page would have any number of long keys. The bytes given
/// are those of [`Header::table`] at least.
pub(super) fn extent(bytes: &[u8], order: Order, header: &Header, room: u64) -> Result<u64, What> {
    let mut end = header.table() as u64;
    for index in 0..header.count {
        let at = HEADER + index * ELEMENT;
        let number = |field: usize| u64::from(order.u32(bytes, at + field));
        let (place, len) =
            if header.kind == LEAF { (number(4), number(8) + number(12)) } else { (number(0), number(4)) };
        let start = at as u64 + place;
        if start < end || start + len > room {
            return Err(What::Element(index));
        }
        end = start + len;
    }
    Ok(end)
}
