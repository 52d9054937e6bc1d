//! Archives in volumes, and the digest of an archive.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use layerlift_archive::Digest;
use serde_json::Value;

use crate::program::{ended, layerlift, output, save};
use crate::store::Store;

struct Folder {
    store: Store,
    dir: tempfile::TempDir,
}

impl Folder {
    fn new() -> Self {
        Folder { store: Store::example(), dir: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn save(&self, args: &[&str]) -> (Option<i32>, String) {
        ended(&output(save(&self.store.root).arg("base:child").args(args).current_dir(self.dir.path())))
    }

    fn run(&self, args: &[&str]) -> (Option<i32>, String) {
        ended(&output(layerlift().args(args).current_dir(self.dir.path())))
    }

    /// Names in the folder, sorted.
    fn names(&self) -> Vec<String> {
        let names = fs::read_dir(self.dir.path()).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<String> = names.map(|name| name.to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    fn sums_are_right(&self) -> bool {
        let mut check = Command::new("sha256sum");
        check.args(["--quiet", "--check", "x.tar.sums"]).current_dir(self.dir.path());
        check.status().unwrap().success()
    }
}

#[test]
fn volumes_are_the_archive() {
    let folder = Folder::new();
    assert_eq!(folder.save(&["-o", "full.tar"]), (Some(0), String::new()));
    let full = fs::read(folder.path("full.tar")).unwrap();
    let third = format!("{}", full.len().div_ceil(3));
    let args = ["-o", "x.tar", "--volume-size", &third, "--digest-file", "digest", "--progress", "json"];
    let (status, messages) = folder.save(&args);
    assert_eq!(status, Some(0), "{messages}");
    assert_eq!(folder.names(), ["digest", "full.tar", "x.tar.001", "x.tar.002", "x.tar.003", "x.tar.sums"]);
    let events: Vec<Value> = messages.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let announced = events.iter().position(|event| event["event"] == "volumes").unwrap();
    assert_eq!(events[announced]["count"], 3);
    assert_eq!(events[announced + 1]["event"], "start", "before the first byte: {messages}");
    let done = events.last().unwrap();
    assert_eq!((&done["volumes"], &done["digest"]), (&3.into(), &Digest::of(&full).to_string().into()));
    let digest = fs::read_to_string(folder.path("digest")).unwrap();
    assert_eq!(digest, format!("{}  x.tar\n", Digest::of(&full).hex()));
    let volume = |number: u32| fs::read(folder.path(&format!("x.tar.{number:03}"))).unwrap();
    assert!([volume(1), volume(2), volume(3)].concat() == full);
    assert!(folder.sums_are_right());

    // They are read in place.
    let (status, messages) = folder.run(&["save", "--root", "x.tar.001", "--all", "-o", "again.tar"]);
    assert_eq!((status, &*messages), (Some(0), ""));
    assert!(fs::read(folder.path("again.tar")).unwrap() == full);
    assert_eq!(folder.run(&["verify", "--root", "x.tar.001"]), (Some(0), String::new()));
    let (status, messages) = folder.run(&["images", "--root", "x.tar.002"]);
    assert!(
        status == Some(2) && messages.contains("volume 2") && messages.contains("x.tar.001"),
        "{messages}"
    );

    // What is missing or differs is written again.
    let (second, mut third_volume) = (volume(2), volume(3));
    fs::remove_file(folder.path("x.tar.002")).unwrap();
    *third_volume.last_mut().unwrap() ^= 1;
    fs::write(folder.path("x.tar.003"), &third_volume).unwrap();
    let untouched = fs::metadata(folder.path("x.tar.001")).unwrap().modified().unwrap();
    let (status, messages) = folder.save(&["-o", "x.tar", "--volume-size", &third, "--resume"]);
    assert!(status == Some(0) && messages.contains("3 volumes of"), "{messages}");
    assert!(volume(2) == second && folder.sums_are_right());
    assert_eq!(fs::metadata(folder.path("x.tar.001")).unwrap().modified().unwrap(), untouched);
}

#[test]
fn sets_that_are_not_whole() {
    let folder = Folder::new();
    assert_eq!(folder.save(&["-o", "x.tar", "--volume-size", "2K"]).0, Some(0));
    let listed = |root: &str| folder.run(&["verify", "--root", root]);
    assert_eq!(listed("x.tar.001"), (Some(0), String::new()));

    fs::rename(folder.path("x.tar.003"), folder.path("kept")).unwrap();
    let (status, messages) = listed("x.tar.001");
    assert!(status == Some(2) && messages.contains("x.tar.003 is missing"), "{messages}");
    // Without the list, what follows shows it.
    let list = fs::read(folder.path("x.tar.sums")).unwrap();
    fs::remove_file(folder.path("x.tar.sums")).unwrap();
    let (status, messages) = listed("x.tar.001");
    assert!(status == Some(2) && messages.contains("x.tar.003 is missing"), "{messages}");
    fs::write(folder.path("x.tar.sums"), list).unwrap();
    fs::copy(folder.path("x.tar.002"), folder.path("x.tar.003")).unwrap();
    let (status, messages) = listed("x.tar.001");
    assert!(matches!(status, Some(1 | 2)) && !messages.is_empty(), "in the wrong order: {messages}");
    fs::write(folder.path("x.tar.003"), b"of another set").unwrap();
    let (status, messages) = listed("x.tar.001");
    assert!(status == Some(2) && messages.contains("does not belong to the volumes before it"), "{messages}");
    fs::rename(folder.path("kept"), folder.path("x.tar.003")).unwrap();

    // Volumes of the right size: two that change places, and one of another archive.
    let done = save(&folder.store.root).args(["base:latest", "-o"]).arg(folder.path("y.tar")).status();
    assert!(done.unwrap().success());
    let [second, third] = ["x.tar.002", "x.tar.003"].map(|name| fs::read(folder.path(name)).unwrap());
    let other = fs::read(folder.path("y.tar")).unwrap();
    let mut of_other = other.chunks_exact(second.len());
    let other = of_other.find(|chunk| *chunk != second && *chunk != third).unwrap().to_vec();
    for (name, in_its_place) in [("x.tar.002", &third), ("x.tar.002", &other), ("x.tar.003", &other)] {
        let before = fs::read(folder.path(name)).unwrap();
        assert_eq!(before.len(), in_its_place.len());
        fs::write(folder.path(name), in_its_place).unwrap();
        if in_its_place == &third {
            fs::write(folder.path("x.tar.003"), &second).unwrap();
        }
        assert!(!folder.sums_are_right());
        for args in [&["save", "--all", "--root"][..], &["join", "--all"]] {
            let (status, messages) = folder.run(&[args, &["x.tar.001", "-o", "again.tar"]].concat());
            assert!(matches!(status, Some(1 | 2)) && !messages.is_empty(), "{args:?}: {messages}");
            assert!(!folder.path("again.tar").exists(), "{args:?}");
        }
        fs::write(folder.path(name), before).unwrap();
        fs::write(folder.path("x.tar.003"), &third).unwrap();
    }
    fs::remove_file(folder.path("y.tar")).unwrap();

    // A set with fewer volumes would be put together with the rest of this one.
    let (status, messages) = folder.save(&["-o", "x.tar", "--volume-size", "1M", "--resume"]);
    assert!(status == Some(2) && messages.contains("would be taken for a volume"), "{messages}");
    assert!(listed("x.tar.001").0 == Some(0));
}

/// A set that is finished is not replaced by another archive, even if all sizes fit.
#[test]
fn sets_of_other_archives() {
    let folder = Folder::new();
    let resume = |name: &str| {
        let mut save = save(&folder.store.root);
        save.args([name, "-o", "x.tar", "--volume-size", "2K", "--resume"]).current_dir(folder.dir.path());
        ended(&output(&mut save))
    };
    let all = || folder.names().into_iter().map(|name| fs::read(folder.path(&name)).unwrap());
    assert_eq!(resume("base:latest").0, Some(0));
    let before: Vec<Vec<u8>> = all().collect();
    let names = folder.names();
    let last = &names[names.len() - 2];
    for lacks in [None, Some("x.tar.001"), Some(last)] {
        let kept = lacks.map(|name| (name, fs::read(folder.path(name)).unwrap()));
        if let Some((name, _)) = &kept {
            fs::remove_file(folder.path(name)).unwrap();
        }
        // Another tag of the same image: the same number of bytes.
        let (status, messages) = resume("base:1.0");
        assert_eq!(status, Some(2), "{lacks:?}: {messages}");
        assert!(
            messages.contains("belongs to another archive") && messages.contains("x.tar.sums"),
            "{messages}"
        );
        if let Some((name, bytes)) = kept {
            // What both have in common may be written again.
            assert!(fs::read(folder.path(name)).map_or(true, |found| found == bytes), "{lacks:?}");
            fs::write(folder.path(name), bytes).unwrap();
        }
        assert!(folder.names() == names && all().eq(before.iter().cloned()), "{lacks:?}");
    }
    // What is damaged belongs to no archive, and its own may be written again.
    fs::write(folder.path("x.tar.001"), vec![0; before[0].len()]).unwrap();
    assert_eq!(resume("base:latest").0, Some(0));
    assert!(all().eq(before.iter().cloned()));
    // A list that fits nothing says nothing.
    for name in &names[..names.len() - 1] {
        fs::write(folder.path(name), b"cut").unwrap();
    }
    assert_eq!(resume("base:1.0").0, Some(0));
    assert!(folder.sums_are_right() && !all().eq(before.iter().cloned()));
}

#[test]
fn outputs_that_cannot_be_divided() {
    let folder = Folder::new();
    for args in [
        &["-o", "dir/", "--volume-size", "1M"][..],
        &["-o", "dir/", "--digest-file", "digest"],
        &["-o", "x.tar.gz", "--volume-size", "1M"],
        &["-o", "x.tar", "--volume-size", "0"],
        &["-o", "x.tar", "--resume"],
        &["--volume-size", "1M"],
    ] {
        let (status, messages) = folder.save(args);
        assert_eq!(status, Some(2), "{args:?}: {messages}");
        assert!(folder.names().is_empty(), "{args:?}: {:?}", folder.names());
    }
    // A digest goes with any single output.
    let (status, _) = folder.save(&["-o", "x.tar.gz", "--digest-file", "digest"]);
    assert_eq!(status, Some(0));
    let digest = fs::read_to_string(folder.path("digest")).unwrap();
    let found = Digest::of(&fs::read(folder.path("x.tar.gz")).unwrap());
    assert_eq!(digest, format!("{}  x.tar.gz\n", found.hex()));
    let piped =
        output(save(&folder.store.root).args(["base:child", "--digest-file"]).arg(folder.path("piped")));
    let digest = fs::read_to_string(folder.path("piped")).unwrap();
    assert_eq!(digest, format!("{}  -\n", Digest::of(&piped.stdout).hex()));
}
