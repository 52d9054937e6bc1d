//! A driver's directory that was moved to another disk, with a link left behind, as Docker follows it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use layerlift_store::{Error, ErrorKind, Hint, OpenOptions, Store, discover, open, open_all};

use crate::fixture::{DataRoot, root_user};

/// The number of layers that can be read, and the first error.
fn layers(store: &dyn Store) -> (usize, Option<Error>) {
    let listing = store.images().unwrap();
    assert!(listing.broken.is_empty() && listing.lost.is_empty(), "{listing:?}");
    let (mut count, mut error) = (0, None);
    for image in listing.images {
        for layer in store.image(&image.key).unwrap().layers {
            let copied = store.layer(&layer.key).map(|tar| {
                std::io::copy(&mut tar.reader().unwrap(), &mut std::io::sink()).expect("the layer is sound");
            });
            match copied {
                Ok(()) => count += 1,
                Err(failed) => error = error.or(Some(failed)),
            }
        }
    }
    (count, error)
}

fn read(root: &Path, options: &OpenOptions) -> (usize, Option<Error>) {
    layers(&*open(root, options).unwrap())
}

fn case() -> Option<(DataRoot, PathBuf)> {
    let data = root_user("files of root").then(|| DataRoot::case("docker-driver-directory-is-a-link"))?;
    let docker = data.path().join("docker");
    Some((data, docker))
}

#[test]
fn out_of_the_root() {
    let Some((data, docker)) = case() else { return };
    let link = docker.join("overlay2");
    let (count, error) = read(&docker, &OpenOptions::default());
    let error = error.expect("the link leads out");
    assert_eq!((count, error.kind()), (0, ErrorKind::Unsupported));
    assert_eq!(
        error.to_string(),
        format!(
            "{} is a symbolic link to ../bigdisk, which is not followed: it leads out of {}",
            link.display(),
            docker.display()
        )
    );
    let moved = docker.join("../bigdisk");
    assert_eq!(error.hints(), [Hint::FollowLink(link.clone()), Hint::MountInPlace(moved, link.clone())]);

    // Named by the caller, in any spelling, or below the folder that the caller named.
    let odd = data.path().join("docker/../docker/./overlay2");
    for options in [
        OpenOptions::default().with_follow([PathBuf::from("elsewhere"), link.clone()]),
        OpenOptions::default().with_follow([odd]),
        OpenOptions::default().with_within(data.path()),
    ] {
        let (count, error) = read(&docker, &options);
        assert_eq!((count, error.map(|error| error.to_string())), (5, None), "{options:?}");
    }
    let other = OpenOptions::default().with_follow([docker.join("image")]);
    assert_eq!(read(&docker, &other).0, 0, "another link");
}

/// Links that stay below the root, in the ways in which they can be written.
#[test]
fn below_the_root() {
    let Some((data, docker)) = case() else { return };
    let link = docker.join("overlay2");
    fs::create_dir(docker.join("big")).unwrap();
    fs::rename(data.path().join("bigdisk"), docker.join("big/layers")).unwrap();
    let absolute = docker.join("big/layers").display().to_string();
    for (target, count) in [
        ("big/layers", 5),
        ("./big/../big/layers/", 5),
        ("/big/layers", 5),
        (absolute.as_str(), 5),
        ("nothing", 0),
        ("overlay2", 0),
        ("../docker/big/layers", 0),
        ("../../../../../../../../../../../../etc", 0),
        ("/etc", 0),
    ] {
        fs::remove_file(&link).unwrap();
        symlink(target, &link).unwrap();
        let (found, error) = read(&docker, &OpenOptions::default());
        assert_eq!(found, count, "{target}: {error:?}");
        if let Some(error) = error {
            assert!(error.to_string().contains("is a symbolic link to"), "{error}");
        }
    }
    // Below a driver's directory there are no links, whatever they lead to.
    fs::remove_file(&link).unwrap();
    fs::rename(docker.join("big/layers"), &link).unwrap();
    let layer = fs::read_dir(&link)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.join("diff").exists() && !path.ends_with("l"));
    let diff = layer.unwrap().join("diff");
    fs::rename(&diff, docker.join("big/diff")).unwrap();
    symlink("../../big/diff", &diff).unwrap();
    let error = read(&docker, &OpenOptions::default()).1.unwrap();
    assert!(matches!(error, Error::Malformed { .. }), "{error}");
    assert!(
        error.to_string().contains("it is a symbolic link to ../../big/diff, which no engine"),
        "{error}"
    );
}

/// A disk's absolute links mean the disk: that of the driver, and that of the data root.
#[test]
fn links_of_a_disk() {
    let Some((data, docker)) = case() else { return };
    let disk = data.path();
    fs::create_dir_all(disk.join("var/lib")).unwrap();
    fs::create_dir(disk.join("data")).unwrap();
    fs::rename(&docker, disk.join("data/docker")).unwrap();
    symlink("/data/docker", disk.join("var/lib/docker")).unwrap();
    let link = disk.join("data/docker/overlay2");
    fs::remove_file(&link).unwrap();
    symlink("/bigdisk", &link).unwrap();

    let opened = open_all(disk, &OpenOptions::default()).unwrap();
    let [Ok(opened)] = &opened[..] else { panic!("one store") };
    assert_eq!((opened.root.clone(), layers(&*opened.store).0), (disk.join("data/docker"), 5));

    // The path that everyone would type.
    let named = disk.join("var/lib/docker");
    let (count, error) = read(&named, &OpenOptions::default());
    let error = error.expect("the link leads out").to_string();
    assert!(error.starts_with(link.to_str().unwrap()) && error.contains("has no such directory"), "{error}");
    assert_eq!(count, 0);
    assert_eq!(read(&named, &OpenOptions::default().with_within(disk)).0, 5);
    let places: Vec<PathBuf> = discover::search(&named).into_iter().map(|place| place.path).collect();
    assert_eq!(places, [disk.join("data/docker")]);
}

/// What Docker keeps of its images beside its layers may be moved, too.
#[test]
fn records() {
    for part in ["image", "image/overlay2", "image/overlay2/layerdb", "image/overlay2/imagedb"] {
        let Some((data, docker)) = case() else { return };
        // Its own link stays.
        let follow = [docker.join("overlay2"), docker.join(part)];
        fs::rename(docker.join(part), data.path().join("moved")).unwrap();
        symlink("/moved", docker.join(part)).unwrap();
        let error = open(&docker, &OpenOptions::default()).and_then(|store| store.images());
        let error = match error {
            Ok(listing) => {
                let broken = listing.broken.into_iter().map(|broken| broken.error);
                broken.chain(listing.lost).next().expect("the link leads out")
            }
            Err(error) => error,
        };
        assert!(matches!(&error, Error::Link { path, .. } if *path == docker.join(part)), "{part}: {error}");
        fs::remove_file(docker.join(part)).unwrap();
        symlink(data.path().join("moved"), docker.join(part)).unwrap();
        let (count, error) = read(&docker, &OpenOptions::default().with_follow(follow));
        assert_eq!((count, error.map(|error| error.to_string())), (5, None), "{part}");
        // Below the folder that the caller named.
        let (count, _) = read(&docker, &OpenOptions::default().with_within(data.path()));
        assert_eq!(count, 5, "{part}");
    }
}
