//! Small synthetic data roots for what the recorded ones lack: other drivers, pulled images, several stores,
//! bad roots.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use layerlift_archive::ErrorKind;
use layerlift_store::LayerDir;
use layerlift_store::{Document, Error, Hint, Keyring, LayerTar, OpenOptions, Store, open};

use crate::contract::{image, key};

/// A data root to which images are added.
struct Made(tempfile::TempDir);

fn id(digit: char) -> String {
    digit.to_string().repeat(64)
}

impl Made {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("graph/_tmp")).unwrap();
        Made(dir)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, path: &str, text: &str) -> &Self {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    fn dir(&self, path: &str) -> &Self {
        fs::create_dir_all(self.path().join(path)).unwrap();
        self
    }

    /// Adds an image whose id is 64 times `digit`.
    fn image(&self, digit: char, parent: Option<char>) -> &Self {
        let parent = parent.map_or(String::new(), |p| format!(",\"parent\":\"{}\"", id(p)));
        let json = format!("{{\"id\":\"{}\"{parent},\"created\":\"2015-01-02T03:04:05Z\"}}", id(digit));
        self.write(&format!("graph/{}/json", id(digit)), &json)
    }

    fn names(&self, driver: &str, tags: &[(&str, &str)]) -> &Self {
        let tags: Vec<String> = tags.iter().map(|(tag, id)| format!("{tag:?}:{id:?}")).collect();
        let text = format!("{{\"Repositories\":{{\"x\":{{{}}}}}}}", tags.join(","));
        self.write(&format!("repositories-{driver}"), &text)
    }

    fn open(&self) -> Result<Box<dyn Store>, Error> {
        open(self.path(), &OpenOptions::default())
    }

    fn open_driver(&self, driver: &str) -> Result<Box<dyn Store>, Error> {
        open(self.path(), &OpenOptions::default().with_partition(driver))
    }
}

fn layer(store: &dyn Store, digit: char) -> Result<LayerTar, Error> {
    let image = store.image(&image(&store.resolve(&id(digit))?[0]))?;
    store.layer(&image.layers.last().unwrap().key)
}

/// The directory of a layer without tar-split data and that of its parent, relative to the root.
fn computed(root: &Made, digit: char) -> (String, Option<String>) {
    let LayerTar::Diff(diff) = layer(root.open().unwrap().as_ref(), digit).unwrap() else {
        panic!("not computed")
    };
    assert_eq!(diff.created, 1_420_167_845);
    let below =
        |path: &Path| path.strip_prefix(root.path()).unwrap().display().to_string().replace(&id(digit), "ID");
    let parent = match &diff.holds {
        LayerDir::Full { parent } => {
            parent.as_ref().map_or("none".to_owned(), |dir| below(dir.path())).into()
        }
        LayerDir::Upper => None,
    };
    (below(diff.dir.path()), parent)
}

#[test]
fn where_drivers_keep_a_layer() {
    for (driver, directory, entry, full) in [
        ("vfs", "vfs/dir/ID", "vfs/dir/ID", true),
        ("overlay", "overlay/ID/root", "overlay/ID", true),
        ("btrfs", "btrfs/subvolumes/ID", "btrfs/subvolumes/ID", true),
        ("aufs", "aufs/diff/ID", "aufs/layers/ID", false),
    ] {
        let root = Made::new();
        root.image('a', None).image('b', Some('a')).names(driver, &[("1", &id('b'))]);
        for digit in ['a', 'b'] {
            root.dir(&directory.replace("ID", &id(digit)));
            if driver == "aufs" {
                root.write(&entry.replace("ID", &id(digit)), "");
            }
        }
        let parent = full.then(|| directory.replace("ID", &id('a')));
        assert_eq!(computed(&root, 'b'), (directory.to_owned(), parent));
        assert_eq!(computed(&root, 'a'), (directory.to_owned(), full.then(|| "none".to_owned())));
        // Without the driver's entry the image does not exist, whatever `graph/` says.
        let entry = root.path().join(entry.replace("ID", &id('b')));
        if driver == "aufs" { fs::remove_file(entry) } else { fs::remove_dir_all(entry) }.unwrap();
        let store = root.open().unwrap();
        assert!(matches!(store.resolve("bbbb"), Err(Error::NotFound { .. })), "{driver}");
        assert!(matches!(store.resolve(&id('b')), Err(Error::Missing { what: "layer", .. })), "{driver}");
        let listing = store.images().unwrap();
        assert_eq!((listing.images.len(), listing.broken.len()), (1, 1), "{driver}");
    }
}

/// Nothing but tar-split data says what the bytes of a layer were, and a v1 id stays whatever they are. So
/// damaged data are an error, as for the daemons. A layer can be removed while it is read.
#[test]
fn damaged_tar_split_data() {
    let root = Made::new();
    root.image('a', None).names("vfs", &[("1", &id('a'))]).write(&format!("vfs/dir/{}/file", id('a')), "x");
    let store = root.open().unwrap();
    let bytes = |layer: &LayerTar| {
        let mut bytes = Vec::new();
        layer.write_to(&mut bytes).map(|_| bytes).map_err(|error| error.kind())
    };
    let missing = layer(store.as_ref(), 'a').unwrap();
    assert!(bytes(&missing).is_ok());
    assert_eq!(missing.notice(), None);
    let data = format!("graph/{}/tar-data.json.gz", id('a'));
    for (text, why) in
        [("", "it is empty"), ("\0\0\0", "it is full of zeros"), ("x", "it is damaged: line 1")]
    {
        root.write(&data, text);
        assert_eq!(bytes(&missing), Err(ErrorKind::Environment), "it is there now");
        let error = layer(store.as_ref(), 'a').unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Malformed);
        assert!(error.to_string().contains(&format!("/tar-data.json.gz is malformed: {why}")), "{error}");
    }
    fs::remove_file(root.path().join(&data)).unwrap();
    let layer = layer(store.as_ref(), 'a').unwrap();
    fs::rename(root.path().join(format!("graph/{}", id('a'))), root.path().join("graph/_tmp/0")).unwrap();
    assert_eq!(bytes(&layer), Err(ErrorKind::Environment), "its folder was renamed");
}

/// Without a digest, the recorded size is all that tells of a file that is cut short.
#[test]
fn recorded_sizes() {
    for (recorded, said) in [
        ("9", None),
        // With the target of the link and both names of the file.
        ("21", None),
        ("10", Some("9: one of them may be cut short")),
        // Trees of real engines often have more than was recorded.
        ("8", None),
        ("nonsense", None),
    ] {
        let root = Made::new();
        root.image('a', None).names("vfs", &[("1", &id('a'))]);
        let tree = format!("vfs/dir/{}", id('a'));
        root.write(&format!("{tree}/file"), "123456789")
            .write(&format!("graph/{}/layersize", id('a')), recorded);
        fs::hard_link(root.path().join(&tree).join("file"), root.path().join(&tree).join("same")).unwrap();
        symlink("abc", root.path().join(&tree).join("link")).unwrap();
        let layer = layer(root.open().unwrap().as_ref(), 'a').unwrap();
        assert_eq!(layer.findings().next(), None);
        layer.write_to(&mut std::io::sink()).unwrap();
        let finding = layer.findings().next().map(ToString::to_string).unwrap_or_default();
        assert_eq!(finding.is_empty(), said.is_none(), "{recorded}: {finding}");
        assert!(finding.contains(said.unwrap_or_default()), "{recorded}: {finding}");
    }
}

#[test]
fn overlays_that_are_not_trees() {
    let root = Made::new();
    root.image('a', None).image('b', Some('a')).image('c', Some('b')).names("overlay", &[("1", &id('c'))]);
    root.dir(&format!("overlay/{}/root", id('a')));
    for digit in ['b', 'c'] {
        root.dir(&format!("overlay/{}/upper", id(digit)));
        root.write(&format!("overlay/{}/lower-id", id(digit)), &id('a'));
    }
    assert_eq!(computed(&root, 'b'), ("overlay/ID/upper".to_owned(), None));
    let store = root.open().unwrap();
    assert!(
        matches!(layer(store.as_ref(), 'c'), Err(Error::Unsupported { .. })),
        "with changes of its parent"
    );
    root.write(&format!("overlay/{}/lower-id", id('b')), "../../etc");
    assert!(matches!(layer(store.as_ref(), 'b'), Err(Error::Malformed { .. })));
    fs::remove_file(root.path().join(format!("overlay/{}/lower-id", id('b')))).unwrap();
    assert!(matches!(layer(store.as_ref(), 'b'), Err(Error::Missing { what: "directory", .. })));
}

#[test]
fn drivers_without_directories() {
    for (driver, entry) in
        [("devicemapper", "devicemapper/metadata/ID"), ("zfs", "zfs/graph/none"), ("new", "new/ID")]
    {
        let root = Made::new();
        root.image('a', None).names(driver, &[("1", &id('a'))]).dir(&entry.replace("ID", &id('a')));
        let store = root.open().unwrap();
        assert_eq!(store.images().unwrap().images.len(), 1, "{driver} can be listed");
        let Err(Error::Unsupported { what, hint: Some(_) }) = layer(store.as_ref(), 'a') else {
            panic!("{driver} is supported")
        };
        assert!(what.contains(driver), "{what}");
    }
}

#[test]
fn which_driver() {
    let a = id('a');
    let both = |root: &Made| {
        root.image('a', None).dir(&format!("vfs/dir/{a}")).dir(&format!("overlay/{a}/root"));
    };
    let driver = |root: &Made| match root.open() {
        Ok(store) => key(&*store, &a).partition().to_owned(),
        Err(Error::SeveralStores { candidates, choose: Hint::ChoosePartition, .. }) => {
            candidates.join(" or ")
        }
        Err(error) => panic!("{error}"),
    };
    // The driver whose file names images.
    let root = Made::new();
    both(&root);
    root.names("vfs", &[]).names("overlay", &[("1", &a)]);
    assert_eq!(driver(&root), "overlay");
    assert!(root.open_driver("vfs").unwrap().resolve("x:1").is_err());
    // Both files name images.
    root.names("vfs", &[("1", &a)]);
    assert_eq!(driver(&root), "overlay or vfs");
    assert_eq!(key(&*root.open_driver("vfs").unwrap(), "x:1").partition(), "vfs");
    assert!(matches!(root.open_driver("aufs"), Err(Error::NoPartition { .. })));
    assert!(matches!(root.open_driver("../graph"), Err(Error::NoPartition { .. })));
    // Neither does, so the layers decide. The volumes of Docker 1.6 do not count as layers.
    fs::remove_file(root.path().join("repositories-vfs")).unwrap();
    fs::remove_file(root.path().join("repositories-overlay")).unwrap();
    assert_eq!(driver(&root), "overlay or vfs");
    fs::rename(root.path().join(format!("vfs/dir/{a}")), root.path().join(format!("vfs/dir/{}", id('f'))))
        .unwrap();
    assert_eq!(driver(&root), "overlay");
    // A file that cannot be read may have named images, which can still be found by their ids.
    root.write("repositories-overlay", "{\"Repositories\":{\"x\":");
    let store = root.open().unwrap();
    assert_eq!(key(&*store, "aaaa").id(), a);
    assert!(matches!(store.resolve("x"), Err(Error::Malformed { .. })));
    let listing = store.images().unwrap();
    assert_eq!((listing.images.len(), listing.broken.len()), (1, 0));
    assert!(listing.lost[0].to_string().contains("repositories-overlay is malformed: it is cut"));
}

#[test]
fn pulled_images_find_their_parents() {
    let root = Made::new();
    root.image('a', None).image('b', None).names("vfs", &[("1", &id('e'))]);
    let layer_id = format!("\"layer_id\":\"sha256:{}\"", id('f'));
    let pulled =
        format!("{{\"created\":\"2015-01-02T03:04:05Z\",{layer_id},\"parent_id\":\"sha256:{}\"}}", id('a'));
    root.write(&format!("graph/{}/json", id('c')), &pulled)
        .write(&format!("graph/{}/json", id('d')), &pulled);
    root.write(&format!("graph/{}/parent", id('d')), &id('b'));
    root.write(&format!("graph/{}/v1Compatibility", id('d')), "{}");
    root.write(&format!("graph/{}/json", id('e')), &format!("{{\"parent\":\"ddd\",{layer_id}}}"));
    for digit in ['a', 'b', 'c', 'd', 'e'] {
        root.dir(&format!("vfs/dir/{}", id(digit)));
    }
    let store = root.open().unwrap();
    let chain = |digit| {
        let image = store.image(&key(&*store, &id(digit))).unwrap();
        let Document::V1(documents) = image.document else { panic!("no v1 image") };
        documents.iter().map(|document| document.id.as_str()[..1].to_owned()).collect::<String>()
    };
    assert_eq!([chain('a'), chain('c'), chain('d'), chain('e')], ["a", "ac", "bd", "bde"]);
    let LayerTar::Diff(diff) = layer(store.as_ref(), 'd').unwrap() else { panic!("not computed") };
    let LayerDir::Full { parent: Some(parent) } = diff.holds else { panic!("no parent") };
    assert!(parent.path().ends_with(id('b')));
}

#[test]
fn nothing_leads_out() {
    let root = Made::new();
    let out = tempfile::tempdir().unwrap();
    fs::write(out.path().join("json"), format!("{{\"id\":\"{}\"}}", id('b'))).unwrap();
    let up = format!("../../{}", id('a'));
    root.image('a', None).names("vfs", &[("up", &up), ("dots", ".."), ("root", "/"), ("ok", &id('a'))]);
    root.write(
        &format!("graph/{}/json", id('c')),
        &format!("{{\"id\":\"{}\",\"parent\":\"{up}\"}}", id('c')),
    );
    symlink(out.path(), root.path().join("graph").join(id('b'))).unwrap();
    root.dir("graph/..hidden").image('d', None);
    for digit in ['a', 'b', 'c'] {
        root.dir(&format!("vfs/dir/{}", id(digit)));
    }
    symlink(out.path(), root.path().join("vfs/dir").join(id('d'))).unwrap();
    let store = root.open().unwrap();
    for name in ["x:up", "x:dots", "x:root"] {
        let selected = store.resolve(name).unwrap();
        let error = store.image(&image(&selected[0])).unwrap_err();
        assert!(matches!(error, Error::Malformed { .. }), "{name}: {error}");
        assert!(error.to_string().contains(name), "{error}");
    }
    for digit in ['b', 'c'] {
        assert!(matches!(layer(store.as_ref(), digit), Err(Error::Malformed { .. })), "{digit}");
    }
    assert!(matches!(layer(store.as_ref(), 'd'), Err(Error::Malformed { .. })), "its directory is a link");
    let keys = Keyring::new();
    for id in ["../x", "..", "", "/etc", &up] {
        assert!(store.image(&keys.image("vfs", id)).is_err(), "{id}");
        assert!(store.layer(&keys.layer("vfs", id)).is_err(), "{id}");
    }
    for name in ["../../etc", "..", "/", "x:../../etc", "../graph:1"] {
        assert!(matches!(store.resolve(name), Err(Error::NotFound { .. })), "{name}");
    }
}

#[test]
fn long_chains_and_circles() {
    let root = Made::new();
    let id = |n: usize| format!("{n:064x}");
    let image = |n: usize, parent: usize| {
        let json = format!("{{\"id\":\"{}\",\"parent\":\"{}\"}}", id(n), id(parent));
        root.write(&format!("graph/{}/json", id(n)), &json);
        root.write(&format!("graph/{}/layersize", id(n)), "1").dir(&format!("vfs/dir/{}", id(n)));
    };
    for n in 1..3000 {
        image(n, n - 1);
    }
    root.write(&format!("graph/{}/json", id(0)), &format!("{{\"id\":\"{}\"}}", id(0)))
        .names("vfs", &[])
        .dir(&format!("vfs/dir/{}", id(0)));
    // A cycle that no name leads to, and one image that leads to it.
    for (n, parent) in [(5001, 5002), (5002, 5003), (5003, 5001), (5004, 5003)] {
        image(n, parent);
    }
    let store = root.open().unwrap();
    let listing = store.images().unwrap();
    let [long] = listing.images.as_slice() else { panic!("{:?}", listing.images) };
    assert_eq!((long.layers, long.size), (3000, None), "the base has no layersize");
    let broken: Vec<&str> = listing.broken.iter().map(|broken| broken.what.as_str()).collect();
    assert!(broken.contains(&id(5004).as_str()), "{broken:?}");
    assert!(
        listing.broken.iter().all(|broken| broken.error.to_string().contains("descendant")),
        "{listing:?}"
    );
    let error = store.image(&key(&*store, &id(5002))).unwrap_err();
    assert!(error.to_string().contains("descendant"), "{error}");
}

#[test]
fn roots_that_are_none() {
    let dir = tempfile::tempdir().unwrap();
    let open = |path: &Path| open(path, &OpenOptions::default()).map(drop);
    assert!(matches!(open(dir.path()), Err(Error::NoStore { .. })));
    assert!(matches!(open(&dir.path().join("none")), Err(Error::Io { .. })));
    fs::write(dir.path().join("graph"), "").unwrap();
    assert!(matches!(open(dir.path()), Err(Error::NoStore { .. })), "graph is a file");
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("graph")).unwrap();
    assert!(matches!(open(dir.path()), Err(Error::NoStore { .. })), "nothing but graph");
    // A data root that was upgraded has both stores, and either may be the one to open.
    fs::write(dir.path().join("repositories-vfs"), "{}").unwrap();
    assert!(open(dir.path()).is_ok());
    fs::create_dir_all(dir.path().join("image/overlay/imagedb")).unwrap();
    let Err(error) = open(dir.path()) else { panic!("one was chosen") };
    assert!(error.to_string().ends_with("docker-graph, docker"), "{error}");
    assert_eq!(error.hints(), [Hint::ChooseKind]);
    let overlay = OpenOptions::default().with_partition("overlay");
    assert!(layerlift_store::open(dir.path(), &overlay).is_ok(), "the driver decides");
}

/// Without names every image is listed, parents too; containers still have some.
#[test]
fn names_that_are_lost() {
    let a = id('a');
    for (text, why) in [
        (Some(""), "it is empty: names are lost; 1 name is taken from containers"),
        (Some("\0\0\0"), "nothing but zeros"),
        (Some("{}"), "it lacks \"Repositories\""),
        (Some("{\"Repositories\":{\"x\":{\"1\":\"CC\",\"2\":\"C"), "1 name before that can be read"),
        (None, "repositories-vfs is missing: names are lost; 1 name is taken from containers"),
    ] {
        let root = Made::new();
        root.image('a', None).image('b', Some('a')).image('c', Some('b'));
        for digit in ['a', 'b', 'c'] {
            root.dir(&format!("vfs/dir/{}", id(digit)));
        }
        if let Some(text) = text {
            root.write("repositories-vfs", &text.replace("CC", &id('c')));
        }
        let text = format!(r#"{{"Driver":"vfs","Image":"{a}","Config":{{"Image":"base"}}}}"#);
        root.write(&format!("containers/{}/config.json", id('1')), &text);
        let store = root.open().unwrap();
        let listing = store.images().unwrap();
        assert_eq!((listing.images.len(), listing.intermediate.len(), listing.broken.len()), (3, 0, 0));
        let [lost] = &listing.lost[..] else { panic!("{:?}", listing.lost) };
        assert!(lost.to_string().contains(why), "{lost}");
        assert_eq!(key(&*store, "base:latest").id(), a);

        root.names("vfs", &[("1", &id('c'))]);
        let listing = root.open().unwrap().images().unwrap();
        assert_eq!((listing.images.len(), listing.intermediate.len(), listing.lost.len()), (1, 2, 0));
    }
}

/// A driver whose names are lost is not passed over for one that has some.
#[test]
fn a_driver_whose_names_are_lost() {
    let root = Made::new();
    root.image('a', None).names("overlay", &[("1", &id('a'))]).write("repositories-vfs", "");
    root.dir(&format!("overlay/{}/root", id('a')));
    assert_eq!(key(&*root.open().unwrap(), "x:1").partition(), "overlay", "vfs never had an image");
    root.dir(&format!("vfs/dir/{}", id('a')));
    assert!(matches!(root.open(), Err(Error::SeveralStores { choose: Hint::ChoosePartition, .. })));
    fs::remove_file(root.path().join("repositories-vfs")).unwrap();
    assert!(matches!(root.open(), Err(Error::SeveralStores { .. })));
}

/// An empty document would be an image without parents, which it was not.
#[test]
fn a_document_without_an_id() {
    let root = Made::new();
    root.image('a', None).image('c', Some('b')).names("vfs", &[("1", &id('c')), ("0", &id('a'))]);
    root.write(&format!("graph/{}/json", id('b')), "{}");
    for digit in ['a', 'b', 'c'] {
        root.dir(&format!("vfs/dir/{}", id(digit)));
    }
    let store = root.open().unwrap();
    let listing = store.images().unwrap();
    let names: Vec<_> = listing.images.iter().flat_map(|image| &image.references).collect();
    assert_eq!(names.iter().map(|name| name.to_string()).collect::<Vec<_>>(), ["x:0"]);
    assert_eq!(listing.broken.len(), 1, "{:?}", listing.broken);
    let error = store.image(&key(&*store, "x:1")).unwrap_err();
    assert!(
        error.to_string().contains("json is malformed: it has neither \"id\" nor \"layer_id\""),
        "{error}"
    );
}
