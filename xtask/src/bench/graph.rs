//! A data root of Docker 1.8 with the driver vfs, made from that of a current daemon with vfs.
//!
//! Both have the same trees and tar-split data, only in different places:
//!
//! ```text
//! image/vfs/layerdb/sha256/<chain>/tar-split.json.gz    graph/<id>/tar-data.json.gz
//! vfs/dir/<cache id>/                                   vfs/dir/<id>/
//! ```

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::image::{Stores, words};
use crate::Outcome;
use crate::engines::docker::Docker;
use crate::engines::image::sha256;
use crate::engines::process::{program, run, text};
use crate::engines::scratch::Mount;

/// The name of the image.
pub(crate) const NAME: &str = "bench/few:1";
/// How many layers it has. vfs keeps a whole tree for each.
const LAYERS: usize = 3;

/// The data root, twice.
pub(crate) struct Graph {
    pub(crate) with_data: PathBuf,
    /// The same without tar-split data, so that every layer has to be computed from two trees.
    pub(crate) without_data: PathBuf,
    /// The trees, base first, and a list of the files in the tar of each.
    trees: Vec<(PathBuf, PathBuf)>,
    _mount: Mount,
}

impl Graph {
    /// Builds both from the first layers of the image.
    pub(crate) fn make(stores: &Stores, folder: &Path) -> Outcome<Self> {
        let unpacked = folder.join("unpacked");
        let layers = unpack(stores, &unpacked)?;
        let root = folder.join("vfs");
        fs::create_dir_all(&root)?;
        let docker = Docker::start(&folder.join("run-vfs"), &root, "vfs")?;
        let archive = folder.join("few.tar");
        run(program("tar", ["-cf"]).arg(&archive).arg("-C").arg(&unpacked).arg("."))?;
        run(docker.docker(["load", "-q", "-i"]).arg(&archive))?;
        docker.stop()?;
        fs::remove_file(&archive)?;

        let (with_data, without_data) = (folder.join("graph"), folder.join("graph-compared"));
        for place in [&with_data, &without_data] {
            fs::create_dir_all(place.join("graph"))?;
            fs::create_dir_all(place.join("vfs"))?;
        }
        let mut trees = Vec::new();
        let mut parent: Option<String> = None;
        for (number, layer) in layers.iter().enumerate() {
            let entry = chained(&root, parent.as_deref())?;
            let id = entry.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let document = json!({
                "id": id, "parent": parent, "created": "2020-01-01T00:00:00Z", "os": "linux",
                "architecture": "amd64", "docker_version": "1.8.3", "config": {}, "Size": 0
            });
            let size = fs::read(entry.join("size"))?;
            for place in [&with_data, &without_data] {
                let graph = place.join("graph").join(&id);
                fs::create_dir_all(&graph)?;
                fs::write(graph.join("json"), serde_json::to_vec(&document)?)?;
                fs::write(graph.join("layersize"), &size)?;
            }
            fs::copy(
                entry.join("tar-split.json.gz"),
                with_data.join("graph").join(&id).join("tar-data.json.gz"),
            )?;
            let cache = fs::read_to_string(entry.join("cache-id"))?;
            let tree = with_data.join("vfs/dir").join(&id);
            fs::create_dir_all(with_data.join("vfs/dir"))?;
            fs::rename(root.join("vfs/dir").join(cache), &tree)?;
            let list = folder.join(format!("list{number}"));
            fs::write(&list, text(program("tar", ["--quoting-style=literal", "-tf"]).arg(layer))?)?;
            trees.push((tree, list));
            parent = Some(id);
        }
        let (repository, tag) = NAME.split_once(':').unwrap_or((NAME, "latest"));
        let names = json!({"Repositories": {repository: {tag: parent}}});
        for place in [&with_data, &without_data] {
            fs::write(place.join("repositories-vfs"), serde_json::to_vec(&names)?)?;
        }
        run(program("rm", ["-rf", "--"]).arg(&unpacked).arg(&root))?;
        let mount = Mount::new(&["--bind"], &with_data.join("vfs"), &without_data.join("vfs"))?;
        Ok(Graph { with_data, without_data, trees, _mount: mount })
    }

    /// A `tar` command for the files of the layers.
    pub(crate) fn tar(&self, out: &str) -> Vec<String> {
        let mut words = words(["tar", "-cf", out, "--no-recursion", "--verbatim-files-from"]);
        for (tree, list) in &self.trees {
            words.extend([
                "-C".to_owned(),
                tree.display().to_string(),
                "-T".to_owned(),
                list.display().to_string(),
            ]);
        }
        words
    }

    /// A `diff` command for each tree and its parent's.
    pub(crate) fn diff(&self) -> Vec<String> {
        // diff exits with 1 where trees differ, which is not a failure here.
        let script = "while [ $# -gt 1 ]; do diff -rq --no-dereference \"$1\" \"$2\"; shift; done \
                      >/dev/null 2>&1; true";
        words(
            ["sh", "-c", script, "sh"]
                .map(str::to_owned)
                .into_iter()
                .chain(self.trees.iter().map(|(tree, _)| tree.display().to_string())),
        )
    }
}

/// Unpacks an archive of the image's first layers into a folder, and returns the tars of these layers.
fn unpack(stores: &Stores, folder: &Path) -> Outcome<Vec<PathBuf>> {
    fs::create_dir_all(folder)?;
    run(program("tar", ["-xf"]).arg(&stores.archive).arg("-C").arg(folder))?;
    let manifest: Value = serde_json::from_slice(&fs::read(folder.join("manifest.json"))?)?;
    let image = &manifest[0];
    let mut config: Value =
        serde_json::from_slice(&fs::read(folder.join(image["Config"].as_str().unwrap_or_default()))?)?;
    let few =
        |value: &Value| Value::Array(value.as_array().into_iter().flatten().take(LAYERS).cloned().collect());
    config["rootfs"]["diff_ids"] = few(&config["rootfs"]["diff_ids"]);
    config["history"] = json!([]);
    let layers = few(&image["Layers"]);
    let path = folder.join("config.json");
    fs::write(&path, serde_json::to_vec(&config)?)?;
    let name = format!("{}.json", sha256(&path)?);
    fs::rename(&path, folder.join(&name))?;
    let manifest = json!([{"Config": name, "RepoTags": [NAME], "Layers": layers}]);
    fs::write(folder.join("manifest.json"), serde_json::to_vec(&manifest)?)?;
    Ok(layers
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(|layer| folder.join(layer))
        .collect())
}

/// The layer of Docker's store whose parent is this one.
fn chained(root: &Path, parent: Option<&str>) -> Outcome<PathBuf> {
    for entry in fs::read_dir(root.join("image/vfs/layerdb/sha256"))? {
        let path = entry?.path();
        let recorded = fs::read_to_string(path.join("parent")).ok();
        if recorded.as_deref().map(|digest| digest.trim_start_matches("sha256:")) == parent {
            return Ok(path);
        }
    }
    Err("a layer is missing from the store".into())
}
