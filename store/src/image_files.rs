//! The root file system of an image: from the directories of its layers, or else from their tars.

use std::path::Path;
use std::sync::Arc;

use layerlift_archive::Compression;

use crate::diff::Form;
use crate::diff::flat::TarLayer;
use crate::diff::tree::RootFs;
use crate::kind::StoreKind;
use crate::layer::{BlobLayer, LayerTar};
use crate::store::Store;
use crate::{Error, ErrorKind, Image, Layer, Notice};

impl RootFs {
    /// The root file system of an image: from the directories of its layers ([`Store::root_fs`]), or from
    /// their tars if no engine has unpacked them, or in a form that only the engine reads.
    ///
    /// Of tars, nothing is read yet. [`RootFs::read`] reads each layer once and compares it with its digests.
    /// Files of layers that are compressed go to a temporary file in `folder`, which has no name and ends
    /// with the [`crate::FileTree`].
    pub fn of_image(store: &dyn Store, image: &Image, folder: &Path) -> Result<Self, Error> {
        match store.root_fs(image) {
            Ok(Some(root_fs)) => Ok(root_fs),
            Ok(None) => of_tars(store, image, folder),
            Err(error) if matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::Missing) => {
                let Ok(root_fs) = of_tars(store, image, folder) else { return Err(error) };
                let mut notices = root_fs.notices().to_vec();
                if let Some(path) = error.path().filter(|_| error.kind() == ErrorKind::Missing) {
                    let why =
                        "it is missing: the files are those of the layers, not what the engine unpacked";
                    notices.push(Notice::new(path, why));
                }
                Ok(root_fs.noticed(notices))
            }
            Err(error) => Err(error),
        }
    }
}

fn of_tars(store: &dyn Store, image: &Image, folder: &Path) -> Result<RootFs, Error> {
    let mut notices = Vec::new();
    let open = |layer: &Layer| {
        let name = store.layer_name(&layer.key);
        let opened = layer.lost.clone().map_or_else(|| store.layer(&layer.key), Err);
        let tar = opened.map_err(|error| error.within(format!("layer {name}")))?;
        notices.extend(tar.notice().cloned());
        Ok(tar_layer(name, tar))
    };
    let layers = image.layers.iter().map(open).collect::<Result<_, Error>>()?;
    let form = match store.kind() {
        StoreKind::OciLayout | StoreKind::Dir | StoreKind::Containerd => Form::Today,
        StoreKind::ContainersStorage => Form::ContainersStorage,
        StoreKind::DockerGraph
        | StoreKind::Docker
        | StoreKind::DockerArchive
        | StoreKind::DockerV1Archive => Form::Docker28,
    };
    Ok(RootFs::of_tars(layers, folder, form).noticed(notices))
}

/// A layer, and what messages call it.
pub(crate) fn tar_layer(name: String, tar: LayerTar) -> TarLayer {
    let in_file = match &tar {
        LayerTar::Blob(BlobLayer { stored, compression: Compression::None, .. }) => Some(stored.clone()),
        _ => None,
    };
    let len = tar.tar_len();
    TarLayer { name, in_file, len, write: Arc::new(move |out| tar.write_to(out).map(drop)) }
}
