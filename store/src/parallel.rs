//! Reads the records of many images in parallel, on rayon's threads. A program limits these once for all
//! crates.

use rayon::iter::{IndexedParallelIterator, IntoParallelRefIterator, ParallelIterator};

/// How many items are worth a thread. A listing reads a few small files for each.
const PER_THREAD: usize = 64;

/// Applies `read` to all items, and keeps their order. A short list is read on the calling thread, without
/// starting others.
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
