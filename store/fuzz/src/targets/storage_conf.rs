//! `storage.conf` of a disk and of one of its users.

use std::fs;

use layerlift_store::discover::{Place, below};

use super::walk::walk;

pub(super) fn run(bytes: &[u8]) -> String {
    let disk = tempfile::tempdir().expect("a folder for temporary files");
    for (folder, file, content) in [
        ("etc/containers", "storage.conf", bytes),
        ("home/ada/.config/containers", "storage.conf", bytes),
        ("srv/storage/overlay-images", "images.json", b"[]"),
        ("srv/storage/overlay-layers", "layers.json", b"[]"),
        ("srv/images/overlay-images", "images.json", b"[]"),
        ("srv/images/overlay-layers", "layers.json", b"[]"),
    ] {
        let folder = disk.path().join(folder);
        fs::create_dir_all(&folder)
            .and_then(|()| fs::write(folder.join(file), content))
            .expect("a file is written");
    }
    let real = disk.path().canonicalize().expect("the folder is there");
    for Place { path, .. } in below(disk.path()) {
        let place = path.canonicalize().unwrap_or_else(|_| path.clone());
        assert!(place.starts_with(&real), "{} leads out of the disk", path.display());
    }
    [walk(disk.path()), walk(&disk.path().join("srv/storage"))].join("\n")
}

pub(super) fn corpus() -> Vec<Vec<u8>> {
    let texts = [
        "[storage]\ndriver = \"overlay\"\nrunroot = \"/run/containers/storage\"\n\
         graphroot = \"/srv/storage\"\nimagestore = \"/srv/images\"\n\
         rootless_storage_path = \"$HOME/own/${UID}/$USER\"\n\
         [storage.options]\nadditionalimagestores = [\"/srv/images\", \"/srv/none\"]\n\
         [storage.options.overlay]\nmountopt = \"nodev,metacopy=on\"\nforce_mask = \"private\"\n",
        "# comment\nstorage.graphroot = '/srv/storage'\nstorage.options = { additionalimagestores = [] }\n",
        "[storage]\ngraphroot = \"\"\"/srv/\\\n   storage\"\"\"\n",
    ];
    texts.map(|text| text.as_bytes().to_vec()).to_vec()
}
