//! Copies the pages that can be reached from a root, each one once, and checks them.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use super::fault::{Fault, What};
use super::meta::Meta;
use super::node::{Header, Node, Order, extent};
use super::source::Source;
use crate::Error;

/// Bytes of pages that are read at most. The databases of busy hosts have some dozens of MiB in use.
const LIMIT: u64 = 1 << 30;
/// Branches above a leaf, at most. A branch has two pages below it at least, so 2^32 pages are fewer levels.
const LEVELS: usize = 40;
/// Buckets around a bucket, at most. containerd has eight.
const BUCKETS: usize = 64;
/// References to pages that cannot be read, at most. Each takes some memory.
const FAULTS: usize = 1 << 20;

/// An element: the number of its page, and its index there.
pub(super) type Place = (u64, usize);

/// Stands for the meta page, which refers to the root.
pub(super) const ROOT: Place = (0, 0);

/// Pages in memory.
#[derive(Debug)]
pub(super) struct Tree {
    pub(super) order: Order,
    root: u64,
    pages: BTreeMap<u64, Page>,
    /// What is wrong with the page to which an element refers.
    faults: HashMap<Place, What>,
}

#[derive(Debug)]
struct Page {
    bytes: Box<[u8]>,
    /// The number after that of its last page.
    end: u64,
}

/// Elements of a page whose pages are still to be copied.
struct Rest {
    page: u64,
    next: usize,
    level: usize,
    bucket: usize,
    /// The key above which this page must not have any.
    high: Option<Place>,
}

/// A reference to a page.
struct Link {
    from: Place,
    to: u64,
    level: usize,
    bucket: usize,
    low: Option<Place>,
    high: Option<Place>,
}

impl Tree {
    pub(super) fn load(source: &impl Source, meta: &Meta, path: &Path) -> Result<Self, Error> {
        let size = source.size().map_err(|source| Error::io("read", path, source))?;
        let tree =
            Tree { order: meta.order, root: meta.root, pages: BTreeMap::new(), faults: HashMap::new() };
        let mut loader = Loader { source, meta, size, read: 0, bad: HashMap::new(), tree };
        let mut stack = Vec::new();
        let root = Link { from: ROOT, to: meta.root, level: 0, bucket: 0, low: None, high: None };
        let mut link = Some(root);
        loop {
            if let Some(link) = link.take() {
                match loader.page(&link) {
                    Ok(page) => {
                        loader.tree.pages.insert(link.to, page);
                        let Link { to: page, level, bucket, high, .. } = link;
                        stack.push(Rest { page, next: 0, level, bucket, high });
                    }
                    Err(what) => _ = loader.tree.faults.insert(link.from, what),
                }
                if loader.read > loader.most() {
                    let why = match loader.most() {
                        LIMIT => {
                            format!("more than {} MiB of it are in use, which no engine needs", LIMIT >> 20)
                        }
                        _ => "many of its pages claim the same bytes".to_owned(),
                    };
                    return Err(Error::malformed(path, why));
                }
                if loader.tree.faults.len() > FAULTS {
                    return Err(Error::malformed(path, format!("more than {FAULTS} of its pages are wrong")));
                }
            }
            let Some(rest) = stack.last_mut() else { break };
            link = loader.tree.next(rest);
            if link.is_none() {
                stack.pop();
            }
        }
        Ok(loader.tree)
    }

    /// The next reference of a page.
    fn next(&self, rest: &mut Rest) -> Option<Link> {
        let node = Node::new(&self.pages.get(&rest.page)?.bytes, self.order);
        while rest.next < node.count() {
            let from = (rest.page, rest.next);
            rest.next += 1;
            let Some(to) = node.below(from.1) else { continue };
            return Some(if node.is_leaf() {
                Link { from, to, level: 0, bucket: rest.bucket + 1, low: None, high: None }
            } else {
                let high = if rest.next < node.count() { Some((rest.page, rest.next)) } else { rest.high };
                Link { from, to, level: rest.level + 1, bucket: rest.bucket, low: Some(from), high }
            });
        }
        None
    }

    fn key(&self, (page, index): Place) -> &[u8] {
        self.pages.get(&page).map_or(&[], |page| Node::new(&page.bytes, self.order).key(index))
    }

    /// The page to which an element refers, and its number.
    pub(super) fn follow(&self, from: Place) -> Result<(u64, Node<'_>), Fault> {
        let to = match from {
            ROOT => self.root,
            (page, index) => self.pages.get(&page).and_then(|page| self.node(page).below(index)).unwrap_or(0),
        };
        let fault = |what| Fault { page: to, inline: false, what };
        match (self.faults.get(&from), self.pages.get(&to)) {
            (None, Some(page)) => Ok((to, self.node(page))),
            (Some(&what), _) => Err(fault(what)),
            (None, None) => Err(fault(What::Twice)),
        }
    }

    fn node<'d>(&self, page: &'d Page) -> Node<'d> {
        Node::new(&page.bytes, self.order)
    }
}

/// Reads pages.
struct Loader<'s, S> {
    source: &'s S,
    meta: &'s Meta,
    /// The length of the file.
    size: u64,
    /// How many bytes were read.
    read: u64,
    /// Pages that were read once, and are wrong.
    bad: HashMap<u64, What>,
    tree: Tree,
}

impl<S: Source> Loader<'_, S> {
    fn page(&mut self, link: &Link) -> Result<Page, What> {
        let number = link.to;
        if link.level > LEVELS {
            return Err(What::Deep);
        }
        if link.bucket > BUCKETS {
            return Err(What::Nested);
        }
        if number < 2 || number >= self.meta.pages {
            return Err(What::Beyond(self.meta.pages));
        }
        let before = self.tree.pages.range(..=number).next_back();
        if before.is_some_and(|(_, page)| page.end > number) {
            return Err(What::Twice);
        }
        if let Some(&what) = self.bad.get(&number) {
            return Err(what);
        }
        self.copy(link).inspect_err(|&what| _ = self.bad.insert(number, what))
    }

    fn copy(&mut self, link: &Link) -> Result<Page, What> {
        let (number, page_size) = (link.to, u64::from(self.meta.page_size));
        let mut bytes = Vec::new();
        self.read_to(&mut bytes, number, page_size)?;
        let order = self.meta.order;
        let header = Header::parse(&bytes, order, number)?;
        let room = (u64::from(header.more) + 1) * page_size;
        let table = header.table() as u64;
        if table > room {
            return Err(What::Count(header.table() / 16 - 1));
        }
        self.read_to(&mut bytes, number, table)?;
        let used = extent(&bytes, order, &header, room)?;
        self.read_to(&mut bytes, number, used)?;
        let end = number + used.div_ceil(page_size);
        if self.tree.pages.range(number..end).next().is_some() {
            return Err(What::Twice);
        }
        bytes.truncate(used as usize);
        let node = Node::new(&bytes, order);
        node.check_order()?;
        if let Some(last) = node.count().checked_sub(1) {
            let early = link.low.is_some_and(|low| node.key(0) < self.tree.key(low));
            let late = link.high.is_some_and(|high| node.key(last) >= self.tree.key(high));
            if early || late {
                return Err(What::Range);
            }
        }
        Ok(Page { bytes: bytes.into_boxed_slice(), end })
    }

    /// How many bytes may be read. Each page is read once, which adds up to the size of the file; pages that
    /// reach into others may double that.
    fn most(&self) -> u64 {
        LIMIT.min(self.size.saturating_mul(2))
    }

    /// Reads more of a page, until there are `len` bytes of it.
    fn read_to(&mut self, bytes: &mut Vec<u8>, number: u64, len: u64) -> Result<(), What> {
        let have = bytes.len();
        if len <= have as u64 {
            return Ok(());
        }
        let start = number.checked_mul(u64::from(self.meta.page_size)).ok_or(What::Cut)?;
        if start.checked_add(len).is_none_or(|end| end > self.size) {
            return Err(What::Cut);
        }
        self.read += len - have as u64;
        if self.read > self.most() {
            return Err(What::Cut);
        }
        bytes.resize(len as usize, 0);
        let read = self.source.read_at(&mut bytes[have..], start + have as u64);
        let read = read.map_err(|error| What::Read(error.raw_os_error()))?;
        if have + read == len as usize { Ok(()) } else { Err(What::Cut) }
    }
}
