//! The words of the image specification (1.1) that documents are written with.

/// The version of every document.
pub(crate) const SCHEMA_VERSION: u32 = 2;

/// An index, `index.json` itself included.
pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// A manifest.
pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// The config of an image.
pub(crate) const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// A layer: a plain tar.
pub(crate) const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
/// A layer.
pub(crate) const LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
/// A layer.
pub(crate) const LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";

/// The annotation in which OCI tools keep the name of an image in a layout.
pub(crate) const REF_NAME: &str = "org.opencontainers.image.ref.name";

#[cfg(test)]
mod tests {
    use oci_spec::image::{self, MediaType};

    use super::*;

    #[test]
    fn are_those_of_the_specification() {
        for (ours, theirs) in [
            (INDEX, MediaType::ImageIndex),
            (MANIFEST, MediaType::ImageManifest),
            (CONFIG, MediaType::ImageConfig),
            (LAYER, MediaType::ImageLayer),
            (LAYER_GZIP, MediaType::ImageLayerGzip),
            (LAYER_ZSTD, MediaType::ImageLayerZstd),
        ] {
            assert_eq!(ours, theirs.to_string());
        }
        assert_eq!((SCHEMA_VERSION, REF_NAME), (image::SCHEMA_VERSION, image::ANNOTATION_REF_NAME));
    }
}
