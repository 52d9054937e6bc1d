//! Reads the records of many images at a time: on rayon's threads, which the program limits once for all
//! crates.

use rayon::iter::{IndexedParallelIterator, IntoParallelRefIterator, ParallelIterator};

/// Items for which a thread is worth its start: a listing reads a few small files for each.
const PER_THREAD: usize = 64;

/// What `read` makes of each item, in the order of the items. A short list is read on the calling thread,
/// and no other is started for it.
pub(crate) fn map<T: Sync, R: Send>(items: &[T], read: impl Fn(&T) -> R + Sync + Send) -> Vec<R> {
    if items.len() < 2 * PER_THREAD || rayon::current_num_threads() == 1 {
        return items.iter().map(read).collect();
    }
    items.par_iter().with_min_len(PER_THREAD).map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_stays() {
        for len in [0, 1, 127, 128, 10_000] {
            let items: Vec<usize> = (0..len).collect();
            assert_eq!(map(&items, |item| item * 2), items.iter().map(|item| item * 2).collect::<Vec<_>>());
        }
    }
}
