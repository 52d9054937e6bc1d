//! Random damage to databases that engines wrote.

use std::sync::LazyLock;

use proptest::prelude::*;
use proptest::sample::Index;

use super::super::fuzz;
use super::*;

static WHOLE: LazyLock<[Vec<u8>; 4]> = LazyLock::new(|| {
    ["bbolt-1.3.6-compact", "bbolt-1.3.6-pages-512", "docker-28-history", "docker-28-meta"]
        .map(|name| fixture(&format!("{name}.db")))
});

/// A byte for some place, half of them at the beginning of a page.
fn change() -> impl Strategy<Value = (Index, Option<usize>, u8)> {
    (any::<Index>(), proptest::option::of(0..64_usize), any::<u8>())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_flips(
        database in 0..4_usize,
        changes in proptest::collection::vec(change(), 1..40),
        seal in any::<bool>(),
    ) {
        let mut bytes = WHOLE[database].clone();
        let page_size = u32::from_le_bytes(bytes[24..28].try_into().unwrap()) as usize;
        let pages = u64::from_le_bytes(bytes[56..64].try_into().unwrap()) as usize;
        for (at, within, byte) in changes {
            let at = at.index(pages * page_size);
            bytes[within.map_or(at, |within| at / page_size * page_size + within)] = byte;
        }
        if seal {
            fuzz::seal(&mut bytes);
        }
        if let Ok((wrong, _)) = fuzz::database(&bytes) {
            prop_assert!(wrong.iter().all(|error| error.contains("page ")));
        }
    }
}
