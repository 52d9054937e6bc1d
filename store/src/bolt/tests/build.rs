//! Makes databases that no engine writes.

use super::super::meta::fnv;
use super::super::node::Order;

pub(super) const BRANCH: u16 = 1;
pub(super) const LEAF: u16 = 2;

/// A database that is being made. Page 2 is its root.
pub(super) struct Pages {
    pub(super) order: Order,
    pub(super) size: usize,
    pub(super) bytes: Vec<u8>,
}

impl Pages {
    /// `count` pages of `size` bytes, all empty but for the meta pages.
    pub(super) fn new(order: Order, size: usize, count: usize) -> Self {
        let mut pages = Pages { order, size, bytes: vec![0; size * count] };
        pages.meta(0, 2, count as u64, 6);
        pages.meta(1, 2, count as u64, 7);
        pages
    }

    /// Pages of 512 bytes.
    pub(super) fn small(count: usize) -> Self {
        Pages::new(Order::Little, 512, count)
    }

    pub(super) fn put16(&mut self, at: usize, number: u16) {
        let bytes = if self.order == Order::Little { number.to_le_bytes() } else { number.to_be_bytes() };
        self.bytes[at..at + 2].copy_from_slice(&bytes);
    }

    pub(super) fn put32(&mut self, at: usize, number: u32) {
        let bytes = if self.order == Order::Little { number.to_le_bytes() } else { number.to_be_bytes() };
        self.bytes[at..at + 4].copy_from_slice(&bytes);
    }

    pub(super) fn put64(&mut self, at: usize, number: u64) {
        let bytes = if self.order == Order::Little { number.to_le_bytes() } else { number.to_be_bytes() };
        self.bytes[at..at + 8].copy_from_slice(&bytes);
    }

    pub(super) fn meta(&mut self, page: usize, root: u64, count: u64, transaction: u64) {
        let at = page * self.size;
        self.put64(at, page as u64);
        self.put16(at + 8, 4);
        self.put32(at + 16, 0xed0c_daed);
        self.put32(at + 20, 2);
        self.put32(at + 24, self.size as u32);
        self.put64(at + 32, root);
        self.put64(at + 48, u64::MAX);
        self.put64(at + 56, count);
        self.put64(at + 64, transaction);
        self.seal(page);
    }

    /// Writes the checksum of a meta page.
    pub(super) fn seal(&mut self, page: usize) {
        let at = page * self.size + 16;
        let sum = fnv(&self.bytes[at..at + 56]);
        self.put64(at + 56, sum);
    }

    /// A page with the elements' first fields, keys and values. Of a branch, the first field is the page.
    pub(super) fn node(&mut self, number: usize, kind: u16, elements: &[(u64, &[u8], &[u8])]) {
        let at = number * self.size;
        let end = self.write(at, number as u64, kind, elements);
        self.put32(at + 12, ((end - at).div_ceil(self.size) - 1) as u32);
    }

    /// A leaf whose flags, keys and values are these.
    pub(super) fn leaf(&mut self, number: usize, elements: &[(u64, &[u8], &[u8])]) {
        self.node(number, LEAF, elements);
    }

    /// A branch whose pages and keys are these.
    pub(super) fn branch(&mut self, number: usize, elements: &[(u64, &[u8])]) {
        let elements: Vec<_> = elements.iter().map(|&(page, key)| (page, key, &b""[..])).collect();
        self.node(number, BRANCH, &elements);
    }

    fn write(&mut self, at: usize, number: u64, kind: u16, elements: &[(u64, &[u8], &[u8])]) -> usize {
        self.put64(at, number);
        self.put16(at + 8, kind);
        self.put16(at + 10, elements.len() as u16);
        let mut end = at + 16 + elements.len() * 16;
        for (index, (first, key, value)) in elements.iter().enumerate() {
            let element = at + 16 + index * 16;
            let place = (end - element) as u32;
            if kind == BRANCH {
                self.put32(element, place);
                self.put32(element + 4, key.len() as u32);
                self.put64(element + 8, *first);
            } else {
                self.put32(element, *first as u32);
                self.put32(element + 4, place);
                self.put32(element + 8, key.len() as u32);
                self.put32(element + 12, value.len() as u32);
            }
            for bytes in [key, value] {
                self.bytes[end..end + bytes.len()].copy_from_slice(bytes);
                end += bytes.len();
            }
        }
        end
    }
}

/// The value of a bucket: its root page, and a sequence.
pub(super) fn rooted(page: u64) -> Vec<u8> {
    [page.to_le_bytes(), [0; 8]].concat()
}

/// The value of an inline bucket.
pub(super) fn inline(elements: &[(u64, &[u8], &[u8])]) -> Vec<u8> {
    let mut page = Pages { order: Order::Little, size: 4096, bytes: vec![0; 4096] };
    let end = page.write(0, 0, LEAF, elements);
    [&[0; 16], &page.bytes[..end]].concat()
}
