//! Databases whose engine goes on writing.

use std::cell::{Cell, RefCell};
use std::io;

use layerlift_archive::ErrorKind;

use super::super::source::Source;
use super::build::Pages;
use super::*;

/// Bytes that change at certain reads.
struct Moving {
    bytes: RefCell<Vec<u8>>,
    reads: Cell<usize>,
    change: fn(usize, &mut Vec<u8>),
}

impl Source for Moving {
    fn size(&self) -> io::Result<u64> {
        self.bytes.borrow().size()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.reads.set(self.reads.get() + 1);
        (self.change)(self.reads.get(), &mut self.bytes.borrow_mut());
        self.bytes.borrow().read_at(buffer, offset)
    }
}

fn moving(change: fn(usize, &mut Vec<u8>)) -> (Result<Database, crate::Error>, usize) {
    let source = Moving { bytes: RefCell::new(version(0)), reads: Cell::new(0), change };
    (Database::read(&source, PathBuf::from("meta.db")), source.reads.get())
}

/// The database after a transaction.
fn version(number: u64) -> Vec<u8> {
    let mut pages = Pages::small(4);
    pages.meta((number % 2) as usize, 2 + number % 2, 4, 10 + number);
    pages.leaf(2 + (number % 2) as usize, &[(0, b"version", number.to_string().as_bytes())]);
    pages.bytes
}

#[test]
fn read_again_until_it_stands_still() {
    let (database, reads) = moving(|_, _| {});
    // Two meta pages, a page, two meta pages.
    assert_eq!((dump(database.unwrap().root()).as_str(), reads), ("version=0\n", 5));
    // Each change is between the meta page that is read before and the one after.
    for change in [
        |read, bytes: &mut Vec<u8>| {
            if read == 3 {
                *bytes = version(1);
            }
        },
        |read, bytes: &mut Vec<u8>| {
            if read == 4 {
                *bytes = version(1);
            }
        },
        |read, bytes: &mut Vec<u8>| {
            if read % 7 == 3 && read < 70 {
                *bytes = version(read as u64);
            }
        },
    ] {
        let (database, reads) = moving(change);
        let text = dump(database.unwrap().root());
        assert!(text.starts_with("version=") && text != "version=0\n" && reads >= 10, "{text} {reads}");
    }
}

#[test]
fn an_engine_that_never_rests() {
    let (database, _) = moving(|read, bytes| *bytes = version(read as u64));
    let error = database.unwrap_err();
    assert_eq!(error.to_string(), "meta.db has changed while it was read");
    assert_eq!(error.kind(), ErrorKind::Environment);
}

#[test]
fn what_cannot_be_read() {
    struct Failing(Vec<u8>, u64);
    impl Source for Failing {
        fn size(&self) -> io::Result<u64> {
            self.0.size()
        }
        fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
            if offset == self.1 {
                Err(io::Error::from_raw_os_error(5))
            } else {
                self.0.read_at(buffer, offset)
            }
        }
    }
    let whole = fixture("docker-28-network.db");
    let expected = dump(read(whole.clone()).unwrap().root());
    for page in 0..7 {
        let failing = Failing(whole.clone(), page * 4096);
        match Database::read(&failing, PathBuf::from("meta.db")) {
            // The root page of the older transaction may have become another.
            Err(error) => panic!("{page}: {error}"),
            Ok(database) => {
                let text = dump(database.root());
                let error = format!("! cannot read page {page}\n");
                assert!(text == expected || text.contains(&error) || page < 2, "{page}: {text}");
            }
        }
    }
    let mut other = whole;
    other[4096..8192].fill(0);
    let error = Database::read(&Failing(other, 0), PathBuf::from("meta.db")).unwrap_err();
    assert!(matches!(error, crate::Error::Io { .. }), "{error}");
    assert_eq!(error.kind(), ErrorKind::Environment);
}
