//! From a config to v1 documents and ids, as `docker save` of Docker 1.10 to 24 writes them; 20.10 is the
//! model. Each layer has a document, and only the top one describes the image.
//!
//! Sources: `image/tarexport/save.go` (`saveImage`, `saveLayer`), `image/v1/imagev1.go` (`CreateID`) of
//! v20.10. Docker dates the lower documents 1970 in the time zone of its host, which changes the ids; here
//! the zone is UTC.

use std::collections::BTreeMap;

use layerlift_archive::Digest;
use layerlift_store::{ChainId, DiffId, V1Id};

use super::go_json::{Record, Time, Value, object, quote};
use super::v1_image::V1_IMAGE;
use crate::Error;

/// The v1 image of one layer.
#[derive(Debug, Clone)]
pub(crate) struct LegacyImage {
    pub(crate) id: V1Id,
    pub(crate) json: Vec<u8>,
    /// When the image was made. Docker gives this time to the folders of all its layers, whatever their
    /// documents say.
    pub(crate) created: Time,
}

/// The v1 images of the layers, base first. `what` names the config in errors.
pub(crate) fn legacy_images(
    config: &[u8],
    diff_ids: &[DiffId],
    what: &str,
) -> Result<Vec<LegacyImage>, Error> {
    let error = |why| Error::Document { what: what.to_owned(), why };
    let config = Record::decode(V1_IMAGE, Value::first(config).map_err(error)?).map_err(error)?;
    let created = config.time("created");
    let mut images: Vec<LegacyImage> = Vec::with_capacity(diff_ids.len());
    let mut chain = None;
    for (index, diff_id) in diff_ids.iter().enumerate() {
        let this = ChainId::new(chain, *diff_id);
        chain = Some(this);
        let mut image = if index + 1 == diff_ids.len() {
            let mut top = config.clone();
            // A config's `parent` is an image id, not a v1 id.
            top.set_text("id", "");
            top.set_text("parent", "");
            top
        } else {
            let mut lower = Record::zero(V1_IMAGE);
            lower.set_time("created", Time::epoch());
            lower
        };
        let parent = images.last().map(|below| below.id.as_str());
        let id = create_id(&image, this, parent);
        image.set_text("id", id.as_str());
        image.set_text("parent", parent.unwrap_or_default());
        image.set_text("os", config.text("os"));
        images.push(LegacyImage { id, json: image.encode(), created: created.clone() });
    }
    Ok(images)
}

fn create_id(image: &Record, chain: ChainId, parent: Option<&str>) -> V1Id {
    let mut fields: BTreeMap<&str, Vec<u8>> = image.encoded().into_iter().collect();
    let quoted = |text: String| {
        let mut out = Vec::new();
        quote(&text, &mut out);
        out
    };
    fields.insert("layer_id", quoted(chain.to_string()));
    if let Some(parent) = parent {
        fields.insert("parent", quoted(format!("sha256:{parent}")));
    }
    let digest = Digest::of(&object(fields));
    V1Id::parse(&digest.hex()).expect("a digest has 64 lower-case hex digits")
}
