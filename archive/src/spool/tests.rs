//! Spools in the outputs that take them over.

use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use super::Spools;
use crate::{Bytes, Digest, Entry, Options, Tree, write_dir, write_file, write_stream};

const TEXTS: [&[u8]; 4] = [b"one", &[2; 100_000], b"", &[4; 512]];

fn spool(spools: &Spools, bytes: &[u8]) -> Spooled {
    let mut spool = spools.next(512, true).unwrap();
    spool.write_all(bytes).unwrap();
    let spooled = spool.finish();
    assert_eq!(spooled.sha256(), Some(Digest::of(bytes)));
    spooled
}

fn tree(contents: impl IntoIterator<Item = Arc<dyn Content>>) -> Tree {
    let named = contents.into_iter().enumerate();
    named.map(|(number, content)| Entry::file(format!("{number}"), 0, content)).collect()
}

fn expected(order: &[usize]) -> Vec<u8> {
    let mut out = Vec::new();
    let contents = order.iter().map(|&place| Arc::new(Bytes(TEXTS[place].to_vec())) as Arc<dyn Content>);
    write_stream(&tree(contents), &mut out, &Options::default()).unwrap();
    out
}

/// A spool that is not kept, longer than what comes in its place.
fn spool_all(spools: &Spools) -> Vec<Arc<dyn Content>> {
    let mut all: Vec<Arc<dyn Content>> = Vec::new();
    for text in TEXTS {
        spool(spools, &[9; 200_000]);
        let spooled = spool(spools, text);
        spools.keep(&spooled);
        all.push(Arc::new(spooled));
    }
    all
}

#[test]
fn a_tar_takes_over_what_is_in_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out.tar");
    for (order, is_taken) in [([0, 1, 2, 3], true), ([0, 2, 1, 3], false), ([1, 1, 2, 3], false)] {
        let spools = Spools::in_tar(&path, "/nowhere").unwrap();
        let all = spool_all(&spools);
        let tree = tree(order.map(|place| all[place].clone()));
        let Kind::Tar(tar) = &spools.0 else { unreachable!() };
        let inode = tar.file.metadata().unwrap().ino();
        write_file(&tree, &path, &Options::default().with_spools(&spools)).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), expected(&order), "{order:?}");
        assert_eq!(path.metadata().unwrap().ino() == inode, is_taken, "{order:?}");
        assert_eq!(spools.kept_len() == 0, is_taken);
    }
    assert_eq!(dir.path().read_dir().unwrap().count(), 1);
}

#[test]
fn room_is_left_for_what_comes_later() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out.tar");
    let spools = Spools::in_tar(&path, dir.path()).unwrap();
    let first: Arc<dyn Content> = Arc::new(Bytes(TEXTS[1].to_vec()));
    spools.skip(Entry::file("0", 0, first.clone()).tar_len());
    assert_eq!(spools.kept_len(), 0);
    let second = spool(&spools, TEXTS[0]);
    spools.keep(&second);
    assert_eq!(spools.kept_len(), TEXTS[0].len() as u64);
    let aside = spools.aside(false).unwrap().finish();
    let all: [Arc<dyn Content>; 3] = [first, Arc::new(second), Arc::new(aside)];
    write_file(&tree(all), &path, &Options::default().with_spools(&spools)).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), expected(&[1, 0, 2]));
}

#[test]
fn a_tar_that_is_not_written_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    drop(spool_all(&Spools::in_tar(&dir.path().join("out.tar"), dir.path()).unwrap()));
    drop(spool_all(&Spools::in_files(dir.path())));
    assert_eq!(dir.path().read_dir().unwrap().count(), 0);
}

#[test]
fn files_only_get_a_name() {
    let dir = tempfile::tempdir().unwrap();
    let spools = Spools::in_files(dir.path());
    let all = spool_all(&spools);
    let Kind::Dir(files) = &spools.0 else { unreachable!() };
    let inodes: Vec<u64> =
        lock(&files.drafts).iter().map(|(file, _)| file.metadata().unwrap().ino()).collect();
    let out = dir.path().join("out");
    write_dir(&tree(all), &out, &Options::default().with_spools(&spools)).unwrap();
    for (number, text) in TEXTS.iter().enumerate() {
        let path = out.join(number.to_string());
        assert_eq!(std::fs::read(&path).unwrap(), *text);
        assert!(inodes.contains(&path.metadata().unwrap().ino()));
    }
}

#[test]
fn memory_up_to_a_budget() {
    let dir = tempfile::tempdir().unwrap();
    let spools = Spools::in_memory(100_600, dir.path());
    let kept: Vec<Spooled> = TEXTS.iter().map(|text| spool(&spools, text)).collect();
    assert!(kept.iter().all(|spooled| spooled.in_file().is_none()));
    let more = spool(&spools, TEXTS[1]);
    assert!(more.in_file().is_some());
    let all: Vec<Arc<dyn Content>> = vec![Arc::new(kept[0].clone()), Arc::new(more)];
    let mut out = Vec::new();
    write_stream(&tree(all), &mut out, &Options::default().with_spools(&spools)).unwrap();
    assert_eq!(out, expected(&[0, 1]));
}
