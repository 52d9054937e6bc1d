//! Files that say which names lead to which images: of Docker until 1.9, and since.

use std::fs;

use super::walk::walk;
use crate::corpus;

/// One image without layers, under the name that both kinds of store give it.
const CONFIG: &[u8] = br#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}"#;
const V1_ID: &str = "5646c3006f06021f4fe4987166355fc616fb7c8888cc198d162f9932be5966a6";

pub(super) fn run(bytes: &[u8]) -> String {
    let dir = tempfile::tempdir().expect("a folder for temporary files");
    let id = layerlift_archive::Digest::of(CONFIG).hex();
    let graph = format!("graph/{V1_ID}");
    for (folder, file, content) in [
        ("docker/image/vfs", "repositories.json", bytes),
        ("docker/image/vfs/imagedb/content/sha256", id.as_str(), CONFIG),
        ("graph", "repositories-vfs", bytes),
        (&format!("graph/{graph}"), "json", format!(r#"{{"id":"{V1_ID}"}}"#).as_bytes()),
    ] {
        let folder = dir.path().join(folder);
        fs::create_dir_all(&folder)
            .and_then(|()| fs::write(folder.join(file), content))
            .expect("a file is written");
    }
    [walk(&dir.path().join("docker")), walk(&dir.path().join("graph"))].join("\n")
}

pub(super) fn corpus() -> Vec<Vec<u8>> {
    let files = corpus::graphs(|path| path.starts_with("repositories-")).into_iter();
    let docker = ["docker-20.10-vfs", "docker-20.10-overlay2"].into_iter().flat_map(|store| {
        corpus::files(&format!("{store}.tar.xz"), |path| path.ends_with("repositories.json"))
    });
    let id = layerlift_archive::Digest::of(CONFIG).hex();
    let own = [
        format!(r#"{{"Repositories":{{"base":{{"base:1":"sha256:{id}"}}}}}}"#),
        format!(r#"{{"Repositories":{{"base":{{"1":"{V1_ID}"}}}}}}"#),
    ];
    files.chain(docker).map(|(_, bytes)| bytes).chain(own.map(String::into_bytes)).collect()
}
