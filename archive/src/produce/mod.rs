//! Produces contents: reads them, hashes them, and hands their bytes to a sink, on several threads.
//!
//! Every buffer of an item passes three stages. Any worker does any of them; for one item they happen in the
//! order of its bytes:
//!
//! ```text
//!          ┌─> hash   with a buffer of another item, if there is one: two take little longer than one
//! read ────┤
//!          └─> write  one at a time, unless the sink takes items side by side
//! ```
//!
//! The number of buffers is fixed, so memory does not depend on what is read.
//!
//! A content that has an [`crate::Outline`] is read in two steps: a worker lays a buffer out, and while it
//! fills the gaps, another one lays out the next buffer of the same content. Where filling has to wait for a
//! disk (`blocked.rs`), threads that do nothing else take over, however few workers there are.

mod blocked;
mod item;
mod outcome;
mod pipeline;
mod schedule;
mod sink;
mod source;
mod workers;

use std::sync::{Condvar, Mutex};
use std::thread;

use crate::Options;

pub use item::Item;
pub(crate) use item::is_file;
pub use outcome::{Outcome, first_failure};
pub use sink::{Order, Sink};

pub(crate) use schedule::OnFailure;

use schedule::{Schedule, Writers};
use workers::{Ended, Workers};

/// Workers that can do something for one item at the same time: read, hash and write.
const STAGES: usize = 3;

/// Produces all items: `sink` gets the bytes of each, in order, and none of them is [`Outcome::Done`] unless
/// its length and its digest are right. The outcomes have the order of the items.
///
/// The first failure ends the work. [`first_failure`] makes one result of all outcomes.
///
/// ```
/// use layerlift_archive::{Bytes, Error, Item, Options, Order, Sink, first_failure, produce};
/// use std::sync::Mutex;
///
/// /// Keeps each item in memory.
/// struct Memory(Vec<Mutex<Vec<u8>>>);
///
/// impl Sink for Memory {
///     fn put(&self, item: usize, _offset: u64, bytes: &[u8]) -> Result<(), Error> {
///         self.0[item].lock().expect("no writer panics").extend_from_slice(bytes);
///         Ok(())
///     }
///
///     fn side_by_side(&self) -> bool {
///         true
///     }
/// }
///
/// let contents = [Bytes(b"hello".to_vec()), Bytes(b"world".to_vec())];
/// let items: Vec<Item> = contents.iter().map(|content| Item::new("greeting", content)).collect();
/// let memory = Memory(vec![Mutex::default(), Mutex::default()]);
/// first_failure(produce(&items, &memory, Order::Any, &Options::default()))?;
/// assert_eq!(memory.0[1].lock().expect("no writer panics").as_slice(), b"world");
/// # Ok::<(), Error>(())
/// ```
pub fn produce(items: &[Item<'_>], sink: &dyn Sink, order: Order, options: &Options<'_>) -> Vec<Outcome> {
    run(items, Some(sink), order, OnFailure::Stop, options, None)
}

/// Produces all items; without a sink they are only read and hashed. Each that ends is passed to `ended`.
pub(crate) fn run(
    items: &[Item<'_>],
    sink: Option<&dyn Sink>,
    order: Order,
    on_failure: OnFailure,
    options: &Options<'_>,
    ended: Option<Ended<'_>>,
) -> Vec<Outcome> {
    let mut contents = items.iter().filter_map(|item| item.content);
    let useful = match order {
        _ if contents.any(|content| content.raw_outline().is_some()) => usize::MAX,
        Order::Any => STAGES * items.len().max(1),
        Order::AsGiven => STAGES,
    };
    let count = options.threads.get().min(useful);
    let schedule = Mutex::new(Schedule::new(items, Writers::of(sink), order, on_failure, count));
    let workers =
        Workers { items, sink, options, ended, schedule, news: Condvar::new(), more_to_fill: Condvar::new() };
    thread::scope(|scope| {
        for _ in 1..count {
            // Fewer threads than asked for are slower, not wrong.
            if thread::Builder::new().spawn_scoped(scope, || workers.work(scope)).is_err() {
                break;
            }
        }
        workers.work(scope);
    });
    workers.finish()
}
