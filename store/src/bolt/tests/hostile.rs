//! Databases that are damaged, or made to harm a reader.

use std::time::{Duration, Instant};

use layerlift_archive::ErrorKind;

use super::super::node::Order;
use super::build::{BRANCH, Pages, inline, rooted};
use super::*;

/// What a reader says to a database.
fn answer(pages: &Pages) -> String {
    match read(pages.bytes.clone()) {
        Ok(database) => dump(database.root()),
        Err(error) => error.to_string(),
    }
}

/// A root with three leaves of two keys each.
fn three() -> Pages {
    let mut pages = Pages::small(6);
    pages.branch(2, &[(3, b"a"), (4, b"c"), (5, b"e")]);
    pages.leaf(3, &[(0, b"a", b"1"), (0, b"b", b"2")]);
    pages.leaf(4, &[(0, b"c", b"3"), (0, b"d", b"4")]);
    pages.leaf(5, &[(0, b"e", b"5"), (0, b"f", b"6")]);
    pages
}

#[test]
fn what_is_wrong_with_one_page_is_said_in_its_place() {
    type Change = fn(&mut Pages);
    let cases: [(Change, &str); 14] = [
        (|pages| pages.put64(4 * 512, 7), "page 4 has the number 7 in its header"),
        (|pages| pages.bytes[4 * 512..5 * 512].fill(0), "page 4 has the number 0 in its header"),
        (|pages| pages.put16(4 * 512 + 8, 0x10), "page 4 is neither a branch nor a leaf (its kind is 0x10)"),
        (|pages| pages.put16(4 * 512 + 8, BRANCH), "element 0 of page 4 is out of bounds"),
        (
            |pages| {
                pages.put16(4 * 512 + 8, BRANCH);
                pages.put16(4 * 512 + 10, 0);
            },
            "page 4 is a branch with nothing below it",
        ),
        (|pages| pages.put16(4 * 512 + 10, 9999), "page 4 has no room for the 9999 elements that it claims"),
        (|pages| pages.put32(4 * 512 + 16 + 12, 500), "element 0 of page 4 is out of bounds"),
        (|pages| pages.put32(4 * 512 + 32 + 4, u32::MAX), "element 1 of page 4 is out of bounds"),
        // The same bytes as element 0.
        (|pages| pages.put32(4 * 512 + 32 + 4, 16), "element 1 of page 4 is out of bounds"),
        (|pages| pages.put32(4 * 512 + 32 + 4, 0), "element 1 of page 4 is out of bounds"),
        (
            |pages| pages.leaf(4, &[(0, b"d", b""), (0, b"c", b"")]),
            "the keys of page 4 are out of order at element 1",
        ),
        (
            |pages| pages.leaf(4, &[(0, b"c", b""), (0, b"c", b"")]),
            "the keys of page 4 are out of order at element 1",
        ),
        (|pages| pages.leaf(4, &[(0, b"b", b""), (0, b"d", b"")]), "keys of page 4 belong on another page"),
        (|pages| pages.leaf(4, &[(0, b"c", b""), (0, b"e", b"")]), "keys of page 4 belong on another page"),
    ];
    assert_eq!(answer(&three()), "a=1\nb=2\nc=3\nd=4\ne=5\nf=6\n");
    for (change, message) in cases {
        let mut pages = three();
        change(&mut pages);
        let expected = format!("a=1\nb=2\n! meta.db is malformed: {message}\ne=5\nf=6\n");
        assert_eq!(answer(&pages), expected);
        let database = read(pages.bytes).unwrap();
        assert_eq!(database.root().get(b"c").unwrap_err().kind(), ErrorKind::Malformed);
        assert_eq!(database.root().get(b"e").unwrap(), Some(&b"5"[..]));
        assert!(database.root().bucket(b"d").is_err());
    }
}

#[test]
fn references_that_lead_astray() {
    let says = |page: u64, message: &str| {
        let mut pages = three();
        pages.branch(2, &[(3, b"a"), (page, b"c"), (5, b"e")]);
        let expected = format!("a=1\nb=2\n! meta.db is malformed: {message}\ne=5\nf=6\n");
        assert_eq!(answer(&pages), expected);
    };
    says(2, "page 2 is referred to twice");
    says(3, "page 3 is referred to twice");
    for page in [0, 1, 6, u64::MAX] {
        says(page, &format!("page {page} is referred to, but only pages 2 to 5 exist"));
    }
    let mut pages = three();
    pages.meta(1, 6, 6, 7);
    assert_eq!(
        answer(&pages),
        "! meta.db is malformed: page 6 is referred to, but only pages 2 to 5 exist\n"
    );
    // What comes first has it.
    pages = three();
    pages.branch(2, &[(3, b"a"), (4, b"c"), (4, b"e")]);
    let twice = "! meta.db is malformed: page 4 is referred to twice\n";
    assert_eq!(answer(&pages), format!("a=1\nb=2\nc=3\nd=4\n{twice}"));
}

#[test]
fn a_leaf_that_claims_the_pages_after_it() {
    // All that it really has is on its own page.
    let mut pages = three();
    pages.put32(3 * 512 + 12, 2);
    assert_eq!(answer(&pages), answer(&three()));
    pages.put32(3 * 512 + 12, u32::MAX);
    assert_eq!(answer(&pages), answer(&three()));
    // An element that reaches into the next page takes that page.
    pages.put32(3 * 512 + 32 + 12, 600);
    let text = answer(&pages);
    assert!(text.contains("! meta.db is malformed: page 4 is referred to twice\ne=5"), "{text}");
    pages.put32(3 * 512 + 32 + 12, u32::MAX);
    assert_eq!(answer(&pages), "! meta.db is malformed: page 3 is cut off\nc=3\nd=4\ne=5\nf=6\n");
}

#[test]
fn files_that_are_cut() {
    let whole = three().bytes;
    for len in 0..whole.len() {
        let text = match read(whole[..len].to_vec()) {
            Ok(database) => dump(database.root()),
            Err(error) => error.to_string(),
        };
        let expected = match len {
            0 => "meta.db is malformed: it is empty",
            1..80 => "meta.db is malformed: it is not a bolt database",
            80..0x600 => "! meta.db is malformed: page 2 is cut off\n",
            0x600..0x800 => {
                "! meta.db is malformed: page 3 is cut off\n! meta.db is malformed: page 4 is cut off\n\
                 ! meta.db is malformed: page 5 is cut off\n"
            }
            _ => {
                assert!(text.starts_with("a=1\nb=2\n"), "{text}");
                continue;
            }
        };
        assert_eq!(text, expected, "{len}");
    }
}

#[test]
fn meta_pages() {
    // Both are whole: the transaction counts, not the place.
    for (first, second) in [(8, 7), (8, 9)] {
        let mut pages = three();
        pages.meta(0, 3, 6, first);
        pages.meta(1, 4, 6, second);
        let expected = if first > second { "a=1\nb=2\n" } else { "c=3\nd=4\n" };
        assert_eq!(answer(&pages), expected);
        // One of them is damaged: the other one counts.
        pages.bytes[40] ^= 1;
        assert_eq!(answer(&pages), "c=3\nd=4\n");
        pages.bytes[40] ^= 1;
        pages.bytes[512 + 40] ^= 1;
        assert_eq!(answer(&pages), "a=1\nb=2\n");
        pages.bytes[..512].fill(0);
        let database = read(pages.bytes.clone());
        assert_eq!(database.unwrap_err().kind(), ErrorKind::Damaged);
        pages.bytes[512..1024].fill(0);
        assert_eq!(answer(&pages), "meta.db is malformed: it is not a bolt database");
    }
    let mut pages = three();
    for page in 0..2 {
        pages.bytes[page * 512 + 72] ^= 0xff;
    }
    let both = "meta.db is damaged: the checksums of its meta pages, pages 0 and 1, are both wrong";
    assert_eq!(answer(&pages), both);
    for (field, value, message) in [
        (20, 3, "meta.db has version 3 of bolt's format, not 2"),
        (24, 0, "meta.db is malformed: by its meta page, a page has 0 bytes, which cannot be"),
        (24, 513, "meta.db is malformed: by its meta page, a page has 513 bytes, which cannot be"),
        (24, 1 << 31, "meta.db is malformed: by its meta page, a page has 2147483648 bytes, which cannot be"),
    ] {
        let mut pages = three();
        for page in 0..2 {
            pages.put32(page * 512 + field, value);
            pages.seal(page);
        }
        assert_eq!(answer(&pages), message);
    }
}

#[test]
fn any_page_size_from_the_second_meta_page() {
    for power in 9..=17 {
        for order in [Order::Little, Order::Big] {
            let mut pages = Pages::new(order, 1 << power, 4);
            pages.leaf(2, &[(0, b"key", b"value")]);
            assert_eq!(answer(&pages), "key=value\n");
            pages.bytes[..100].fill(0xaa);
            assert_eq!(answer(&pages), "key=value\n");
        }
    }
    for name in FIXTURES {
        let whole = fixture(&format!("{name}.db"));
        let page_size = Order::Little.u32(&whole, 24) as usize;
        let mut first = whole.clone();
        first[..80].fill(0);
        let mut second = whole.clone();
        second[page_size..page_size + 80].fill(0);
        let expected = dump(read(whole).unwrap().root());
        let texts = [first, second].map(|bytes| dump(read(bytes).unwrap().root()));
        // The older one may have lost pages since.
        assert!(texts.contains(&expected), "{name}");
    }
}

#[test]
fn inline_buckets_that_lie() {
    let mut pages = Pages::small(4);
    let says = |pages: &mut Pages, value: &[u8], message: &str| {
        pages.leaf(2, &[(0, b"a", b"1"), (1, b"b", value), (0, b"c", b"3")]);
        let expected = format!("a=1\nb/\n ! meta.db is malformed: {message}\nc=3\n");
        assert_eq!(answer(pages), expected);
        let database = read(pages.bytes.clone()).unwrap();
        assert!(database.root().bucket(b"b").unwrap().unwrap().get(b"x").is_err());
    };
    let good = inline(&[(0, b"x", b"1"), (0, b"y", b"2")]);
    pages.leaf(2, &[(1, b"b", &good)]);
    assert_eq!(answer(&pages), "b/\n x=1\n y=2\n");
    let bucket = "an inline bucket on page 2";
    for len in [0, 8, 15, 16, 31] {
        says(&mut pages, &good[..len], &format!("{bucket} is cut off"));
    }
    says(&mut pages, &good[..40], &format!("{bucket} has no room for the 2 elements that it claims"));
    says(&mut pages, &good[..good.len() - 1], &format!("element 1 of {bucket} is out of bounds"));
    let changed = |at: usize, byte: u8| {
        let mut value = good.clone();
        value[at] = byte;
        value
    };
    says(&mut pages, &changed(16, 9), &format!("{bucket} has the number 9 in its header"));
    says(&mut pages, &changed(24, 4), &format!("{bucket} is neither a branch nor a leaf (its kind is 0x4)"));
    says(&mut pages, &changed(36, 1), &format!("element 0 of {bucket} is out of bounds"));
    let inner = format!("{bucket} refers to something below it, which bolt does not write");
    says(&mut pages, &changed(32, 1), &inner);
    let order = inline(&[(0, b"y", b"1"), (0, b"x", b"2")]);
    says(&mut pages, &order, &format!("the keys of {bucket} are out of order at element 1"));
    says(&mut pages, &rooted(2), "page 2 is referred to twice");
    says(&mut pages, &rooted(9), "page 9 is referred to, but only pages 2 to 3 exist");
}

#[test]
fn depth_has_limits() {
    // Branches with one page each.
    let mut pages = Pages::small(300);
    for page in 2..299 {
        pages.branch(page, &[(page as u64 + 1, b"a")]);
    }
    pages.leaf(299, &[(0, b"a", b"1")]);
    assert_eq!(answer(&pages), "! meta.db is malformed: page 43 is below too many branches\n");
    // Buckets in buckets.
    for page in 2..299 {
        pages.leaf(page, &[(0, b"a", b"1"), (1, b"b", &rooted(page as u64 + 1))]);
    }
    let text = answer(&pages);
    assert!(text.ends_with("! meta.db is malformed: page 67 is in too many buckets\n"), "{text}");
    assert_eq!(text.lines().count(), 2 * 65 + 1);
}

#[test]
fn swapped_pages_hide_only_themselves() {
    let whole = fixture("bbolt-1.3.6-pages-512.db");
    // Of a node that runs on into other pages, nothing says which bytes these had.
    let small = |line: &&str| line.starts_with(" key%20");
    let expected = String::from_utf8(fixture("bbolt-1.3.6-pages-512.txt")).unwrap();
    let expected: Vec<&str> = expected.lines().filter(small).collect();
    let mut hidden = 0;
    for page in 2..315 {
        let mut bytes = whole.clone();
        let (a, b) = bytes.split_at_mut((page + 1) * 512);
        a[page * 512..].swap_with_slice(&mut b[..512]);
        let text = dump(read(bytes).unwrap().root());
        let wrong = text.lines().filter(|line| line.trim_start().starts_with('!')).count();
        let mut rest = expected.iter();
        let kept = text.lines().filter(small);
        let kept = kept.inspect(|line| assert!(rest.any(|other| other == line), "{page}: {line}")).count();
        assert!(wrong <= 4 && (wrong > 0 || kept == expected.len()), "{page}: {text}");
        hidden = hidden.max(expected.len() - kept);
    }
    assert!(hidden > 0);
}

#[test]
fn a_million_keys() {
    let (per_page, leaves) = (100_usize, 10_000_usize);
    let branches = leaves / 100;
    let mut pages = Pages::new(Order::Little, 4096, 3 + branches + leaves);
    let key = |number: usize| format!("key {number:09}").into_bytes();
    let first = 3 + branches;
    let root: Vec<_> = (0..branches).map(|n| (3 + n as u64, key(n * 100 * per_page))).collect();
    pages.branch(2, &root.iter().map(|(page, key)| (*page, &key[..])).collect::<Vec<_>>());
    for branch in 0..branches {
        let below = branch * 100..branch * 100 + 100;
        let below: Vec<_> = below.map(|n| ((first + n) as u64, key(n * per_page))).collect();
        let below: Vec<_> = below.iter().map(|(page, key)| (*page, &key[..])).collect();
        pages.branch(3 + branch, &below);
    }
    for leaf in 0..leaves {
        let keys: Vec<_> = (leaf * per_page..(leaf + 1) * per_page).map(key).collect();
        let keys: Vec<_> = keys.iter().map(|key| (0, &key[..], &b"value"[..])).collect();
        pages.leaf(first + leaf, &keys);
    }
    let start = Instant::now();
    let database = read(pages.bytes).unwrap();
    let count = database.root().entries().filter(Result::is_ok).count();
    assert_eq!(count, 1_000_000);
    assert_eq!(database.root().get(&key(765_432)).unwrap(), Some(&b"value"[..]));
    // 0.1 s with optimization.
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
}

#[test]
fn pages_that_cost_more_than_they_have() {
    // A branch of many elements, all of which lead to a large page that is wrong at its end.
    let size = 1 << 20;
    let mut pages = Pages::new(Order::Little, size, 5);
    let keys: Vec<_> = (0..43_000_u32).map(u32::to_be_bytes).collect();
    let below: Vec<_> = keys.iter().map(|key| (3, &key[..])).collect();
    pages.branch(2, &below);
    let mut wrong: Vec<_> = keys.iter().map(|key| (0, &key[..], &b""[..])).collect();
    wrong.push((0, b"", b""));
    pages.leaf(3, &wrong);
    let start = Instant::now();
    let database = read(pages.bytes).unwrap();
    assert_eq!(database.root().entries().filter(Result::is_err).count(), below.len());
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    // Pages that all reach to the end of the file, and are wrong there.
    let mut pages = Pages::new(Order::Little, 4096, 4096);
    let below: Vec<_> = (100..300).map(|page| (page, page.to_string())).collect();
    pages.branch(2, &below.iter().map(|(page, key)| (*page, key.as_bytes())).collect::<Vec<_>>());
    for page in 100..300 {
        pages.leaf(page, &[(0, b"b", b""), (0, b"a", b"")]);
        pages.put32(page * 4096 + 12, 3790);
        pages.put32(page * 4096 + 32 + 12, 4096 * 3700);
    }
    assert_eq!(answer(&pages), "meta.db is malformed: many of its pages claim the same bytes");
}

#[test]
fn a_sparse_file_takes_no_memory() {
    let dir = tempfile::tempdir().unwrap();
    let mut pages = Pages::small(3);
    pages.meta(1, 2, 1 << 40, 7);
    pages.leaf(2, &[(0, b"a", b"1")]);
    pages.put32(2 * 512 + 12, u32::MAX);
    pages.put32(2 * 512 + 16 + 12, u32::MAX);
    fs::write(dir.path().join("meta.db"), &pages.bytes).unwrap();
    let file = fs::File::options().write(true).open(dir.path().join("meta.db")).unwrap();
    file.set_len(1 << 43).unwrap();
    let error = Database::open(&Root::open(dir.path()).unwrap(), Path::new("meta.db")).unwrap_err();
    let text = "is malformed: more than 1024 MiB of it are in use, which no engine needs";
    assert!(error.to_string().ends_with(text), "{error}");
}
