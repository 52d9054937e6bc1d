//! Random damage to databases that engines wrote.

use proptest::prelude::*;

use super::*;

/// Keys ascend, and each one is found, unless a page is in the way.
fn walk(bucket: Bucket<'_>, depth: usize) -> usize {
    assert!(depth < 70);
    let mut last: Option<&[u8]> = None;
    let mut wrong = 0;
    for entry in bucket.entries() {
        let key = match entry {
            Ok(Entry::Value { key, value }) => {
                assert_eq!(bucket.get(key).unwrap(), Some(value));
                key
            }
            Ok(Entry::Bucket { key, bucket: inner }) => {
                assert!(bucket.bucket(key).unwrap().is_some());
                wrong += walk(inner, depth + 1);
                key
            }
            Err(error) => {
                assert!(error.to_string().contains("page "), "{error}");
                wrong += 1;
                continue;
            }
        };
        assert!(last.is_none_or(|last| last < key), "{}", key.escape_ascii());
        last = Some(key);
    }
    wrong
}

/// A database, and bytes of it that become others. Most of a file is not in use: half of the places are at
/// the beginning of a page.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let whole: Vec<Vec<u8>> = ["docker-28-history", "docker-28-overlayfs", "bbolt-1.3.6-pages-512"]
        .iter()
        .map(|name| fixture(&format!("{name}.db")))
        .collect();
    let place = prop_oneof![
        (any::<prop::sample::Index>(), Just(usize::MAX)),
        (any::<prop::sample::Index>(), 0..64_usize),
    ];
    (prop::sample::select(whole), prop::collection::vec((place, any::<u8>()), 1..40)).prop_map(
        |(mut bytes, changes)| {
            let page_size = u32::from_le_bytes(bytes[24..28].try_into().unwrap()) as usize;
            // What follows is not in use.
            let used = 200 << 10;
            bytes.truncate(used);
            for ((at, within), byte) in changes {
                let at = at.index(bytes.len());
                let at = if within == usize::MAX { at } else { at / page_size * page_size + within };
                bytes[at] = byte;
            }
            bytes
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_flips(bytes in damaged()) {
        if let Ok(database) = read(bytes) {
            walk(database.root(), 0);
        }
    }
}
