//! Buckets and what is in them.

use super::Database;
use super::fault::{Fault, What};
use super::load::Place;
use super::node::{HEADER, Header, Node, extent};
use crate::Error;

/// A bucket: values and other buckets, by their keys.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bucket<'d> {
    database: &'d Database,
    top: Result<Top<'d>, Fault>,
}

/// The root of a bucket's tree.
#[derive(Debug, Clone, Copy)]
struct Top<'d> {
    page: u64,
    node: Node<'d>,
}

/// What a bucket has.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Entry<'d> {
    /// A key with a value.
    Value {
        /// Its key.
        key: &'d [u8],
        /// Its value.
        value: &'d [u8],
    },
    /// A key with a bucket.
    Bucket {
        /// Its key.
        key: &'d [u8],
        /// The bucket. If it cannot be read, that shows when it is.
        bucket: Bucket<'d>,
    },
}

impl<'d> Bucket<'d> {
    /// The bucket whose root page an element names.
    pub(super) fn at(database: &'d Database, from: Place) -> Self {
        let top = database.tree.follow(from).map(|(page, node)| Top { page, node });
        Bucket { database, top }
    }

    /// The bucket of a leaf's element.
    fn nested(database: &'d Database, page: u64, leaf: Node<'d>, index: usize) -> Self {
        if leaf.below(index).is_some() {
            return Bucket::at(database, (page, index));
        }
        let value = leaf.value(index);
        let node = inline(database, value.get(HEADER..).unwrap_or_default());
        let top = node.map(|node| Top { page, node }).map_err(|what| Fault { page, inline: true, what });
        Bucket { database, top }
    }

    /// The bucket with this name; `None` if nothing or a value has it.
    pub(crate) fn bucket(&self, name: &[u8]) -> Result<Option<Bucket<'d>>, Error> {
        let found = self.find(name)?.filter(|&(_, leaf, index)| leaf.is_bucket(index));
        Ok(found.map(|(page, leaf, index)| Bucket::nested(self.database, page, leaf, index)))
    }

    /// The bucket at the end of a path; `None` if one of the path is not there.
    pub(crate) fn path(&self, names: &[&[u8]]) -> Result<Option<Bucket<'d>>, Error> {
        names.iter().try_fold(Some(*self), |bucket, name| match bucket {
            Some(bucket) => bucket.bucket(name),
            None => Ok(None),
        })
    }

    /// The value of a key; `None` if nothing or a bucket has it.
    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<&'d [u8]>, Error> {
        let found = self.find(key)?.filter(|&(_, leaf, index)| !leaf.is_bucket(index));
        Ok(found.map(|(_, leaf, index)| leaf.value(index)))
    }

    /// All that is in it, by key. A page that cannot be read is one error in place of all that it has, and
    /// what comes after it follows.
    pub(crate) fn entries(&self) -> Entries<'d> {
        Entries { database: self.database, stack: vec![(self.top, 0)] }
    }

    /// Finds a key: its leaf, with its number, and its index there.
    fn find(&self, key: &[u8]) -> Result<Option<(u64, Node<'d>, usize)>, Error> {
        let error = |fault: Fault| fault.error(&self.database.path);
        let mut top = self.top.map_err(error)?;
        while !top.node.is_leaf() {
            let index = match top.node.search(key) {
                Ok(index) => index,
                Err(0) => return Ok(None),
                Err(after) => after - 1,
            };
            let (page, node) = self.database.tree.follow((top.page, index)).map_err(error)?;
            top = Top { page, node };
        }
        Ok(top.node.search(key).ok().map(|index| (top.page, top.node, index)))
    }
}

/// The page of an inline bucket.
fn inline<'d>(database: &'d Database, bytes: &'d [u8]) -> Result<Node<'d>, What> {
    let order = database.tree.order;
    if bytes.len() < HEADER {
        return Err(What::Cut);
    }
    let header = Header::parse(bytes, order, 0)?;
    if header.table() > bytes.len() {
        return Err(What::Count(header.table() / 16 - 1));
    }
    extent(bytes, order, &header, bytes.len() as u64)?;
    let node = Node::new(bytes, order);
    if !node.is_leaf() || (0..node.count()).any(|index| node.is_bucket(index)) {
        return Err(What::Inner);
    }
    node.check_order()?;
    Ok(node)
}

/// What is in a bucket, by key.
#[derive(Debug)]
pub(crate) struct Entries<'d> {
    database: &'d Database,
    /// Pages with the index of what comes next.
    stack: Vec<(Result<Top<'d>, Fault>, usize)>,
}

impl<'d> Iterator for Entries<'d> {
    type Item = Result<Entry<'d>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        while let Some((top, next)) = self.stack.last_mut() {
            let Top { page, node } = match *top {
                Ok(top) => top,
                Err(fault) => {
                    self.stack.pop();
                    return Some(Err(fault.error(&self.database.path)));
                }
            };
            let index = *next;
            *next += 1;
            if index >= node.count() {
                self.stack.pop();
            } else if node.is_leaf() {
                let key = node.key(index);
                return Some(Ok(if node.is_bucket(index) {
                    Entry::Bucket { key, bucket: Bucket::nested(self.database, page, node, index) }
                } else {
                    Entry::Value { key, value: node.value(index) }
                }));
            } else {
                let below = self.database.tree.follow((page, index));
                self.stack.push((below.map(|(page, node)| Top { page, node }), 0));
            }
        }
        None
    }
}
