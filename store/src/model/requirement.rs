//! What a partial archive leaves out: the layers that its reader must have from elsewhere. They are listed in
//! `requires.json`, so that nobody takes them for lost (`docs/formats/partial.md`):
//!
//! ```text
//! {"version":1,"layers":[{"diff_id":"sha256:…","digest":"sha256:…","size":2048,
//!   "media_type":"application/vnd.oci.image.layer.v1.tar","of":["base:1"]}]}
//! ```

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap};
use std::fmt;

use layerlift_archive::Digest;
use serde::{Deserialize, Serialize};

use crate::{DiffId, V1Id, json};

/// The only version so far.
const VERSION: u64 = 1;

/// The most layers that an archive may require.
const LAYERS: usize = 1 << 16;

/// How many images a sentence names.
const NAMED: usize = 5;

/// A layer that an archive needs and leaves out.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Requirement {
    /// The digest of its uncompressed tar; `None` if nothing recorded it, as in docker-v1.
    pub diff_id: Option<DiffId>,
    /// The digest of the blob that the image's manifest names; `None` in docker-v1.
    pub digest: Option<Digest>,
    /// In docker-v1, the id of its image.
    pub id: Option<V1Id>,
    /// Bytes of the blob, if they are known.
    pub size: Option<u64>,
    /// The media type of the blob; `None` in docker-v1.
    pub media_type: Option<String>,
    /// The images that had it, by their names, when it was left out. May be empty.
    pub of: Vec<String>,
}

/// All layers that an archive needs and leaves out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Requirements {
    /// In the order of their first use.
    pub layers: Vec<Requirement>,
}

/// What an image needs, in words: "2 layers of base:1".
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Needs {
    /// Number of layers.
    pub layers: usize,
    /// As few images as possible that had all of them. Layers of which no image is known are not covered.
    pub of: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct Document {
    version: u64,
    layers: Vec<Line>,
}

#[derive(Serialize, Deserialize)]
struct Line {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    diff_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    media_type: Option<String>,
    #[serde(default)]
    of: Vec<String>,
}

impl Requirement {
    /// A blob that is left out.
    pub fn of_blob(digest: Digest, diff_id: DiffId) -> Self {
        let (id, size, media_type) = (None, None, None);
        Requirement { diff_id: Some(diff_id), digest: Some(digest), id, size, media_type, of: Vec::new() }
    }

    /// A layer of which no more is known than the digest of its tar.
    pub fn of_tar(diff_id: DiffId) -> Self {
        let (id, size, media_type) = (None, None, None);
        Requirement { diff_id: Some(diff_id), digest: None, id, size, media_type, of: Vec::new() }
    }

    /// The layer of a v1 image that is left out.
    pub fn of_v1(id: V1Id, diff_id: Option<DiffId>) -> Self {
        let (digest, size, media_type) = (None, None, None);
        Requirement { diff_id, digest, id: Some(id), size, media_type, of: Vec::new() }
    }

    /// The same with its number of bytes.
    pub fn with_size(self, size: Option<u64>) -> Self {
        Requirement { size, ..self }
    }

    /// The same with the media type of its blob.
    pub fn with_media_type(self, media_type: impl Into<String>) -> Self {
        Requirement { media_type: Some(media_type.into()), ..self }
    }

    /// The same with the images that had it.
    pub fn with_images(self, of: Vec<String>) -> Self {
        Requirement { of, ..self }
    }

    /// What messages call it: its diff id, else its blob or its v1 id.
    pub fn name(&self) -> String {
        let digest = self.diff_id.map(|id| id.0).or(self.digest);
        let id = || self.id.as_ref().map_or_else(String::new, ToString::to_string);
        digest.map_or_else(id, |digest| digest.to_string())
    }

    /// The name of its file in the archive.
    pub(crate) fn file(&self) -> String {
        match (&self.id, self.digest) {
            (Some(id), _) => format!("{id}/layer.tar"),
            (None, Some(digest)) => format!("blobs/sha256/{}", digest.hex()),
            (None, None) => String::new(),
        }
    }
}

impl Requirements {
    /// The document's name in an archive.
    pub const FILE: &str = "requires.json";

    /// These layers.
    pub fn new(layers: Vec<Requirement>) -> Self {
        Requirements { layers }
    }

    /// Whether nothing is left out.
    pub fn is_empty(&self) -> bool {
        self.layers.is_empty()
    }

    /// Reads the document; the error says what is wrong with it.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let document: Document = json::object(bytes)?;
        if document.version != VERSION {
            return Err(format!("its version is {}, known is {VERSION}", document.version));
        }
        if document.layers.len() > LAYERS {
            return Err(format!("it lists {} layers, more than {LAYERS}", document.layers.len()));
        }
        let mut layers = Vec::with_capacity(document.layers.len());
        for (place, line) in document.layers.into_iter().enumerate() {
            layers.push(line.parsed().map_err(|why| format!("in layer {}, {why}", place + 1))?);
        }
        Ok(Requirements { layers })
    }

    /// The document.
    pub fn to_json(&self) -> Vec<u8> {
        let line = |layer: &Requirement| Line {
            diff_id: layer.diff_id.map(|id| id.to_string()),
            digest: layer.digest.map(|digest| digest.to_string()),
            id: layer.id.as_ref().map(ToString::to_string),
            size: layer.size,
            media_type: layer.media_type.clone(),
            of: layer.of.clone(),
        };
        let document = Document { version: VERSION, layers: self.layers.iter().map(line).collect() };
        let mut bytes = serde_json::to_vec(&document).expect("strings and numbers become JSON");
        bytes.push(b'\n');
        bytes
    }
}

impl Line {
    fn parsed(self) -> Result<Requirement, String> {
        let digest = |text: Option<String>| text.map(|text| text.parse::<Digest>()).transpose();
        let wrong = |name: &'static str| move |error| format!("{name} is wrong: {error}");
        let diff_id = digest(self.diff_id).map_err(wrong("diff_id"))?.map(DiffId);
        let blob = digest(self.digest).map_err(wrong("digest"))?;
        let id = match self.id {
            Some(id) => Some(V1Id::parse(&id).ok_or_else(|| format!("id is {id:?}, not 64 hex digits"))?),
            None => None,
        };
        if blob.is_none() && id.is_none() {
            return Err("there is neither a digest nor an id".to_owned());
        }
        let (size, media_type, of) = (self.size, self.media_type, self.of);
        Ok(Requirement { diff_id, digest: blob, id, size, media_type, of })
    }
}

impl Needs {
    /// What these layers come to.
    pub fn of<'r>(layers: impl IntoIterator<Item = &'r Requirement>) -> Self {
        let layers: Vec<&Requirement> = layers.into_iter().collect();
        let mut places: HashMap<&str, Vec<usize>> = HashMap::new();
        for (place, layer) in layers.iter().enumerate() {
            for name in layer.of.iter().collect::<BTreeSet<_>>() {
                places.entry(name).or_default().push(place);
            }
        }
        let mut counts: HashMap<&str, usize> = places.iter().map(|(name, all)| (*name, all.len())).collect();
        // Of several with as many layers, the one that comes first.
        let rank = |name, count, first| (count, Reverse(first), Reverse(name));
        let mut best: BinaryHeap<_> =
            places.iter().map(|(name, all)| rank(*name, all.len(), all[0])).collect();
        let mut covered = vec![false; layers.len()];
        let mut of = Vec::new();
        while let Some((count, first, Reverse(name))) = best.pop() {
            // What was chosen meanwhile counts no longer.
            let all = &places[name];
            let Some(left) = all.iter().find(|&&place| !covered[place]) else { continue };
            if (counts[name], Reverse(*left)) != (count, first) {
                best.push(rank(name, counts[name], *left));
                continue;
            }
            for &place in all.iter().filter(|&&place| !covered[place]).collect::<Vec<_>>() {
                covered[place] = true;
                for other in layers[place].of.iter().collect::<BTreeSet<_>>() {
                    counts.entry(other).and_modify(|count| *count -= 1);
                }
            }
            of.push(name.to_owned());
        }
        Needs { layers: layers.len(), of }
    }

    /// Whether nothing is needed.
    pub fn is_empty(&self) -> bool {
        self.layers == 0
    }
}

impl fmt::Display for Needs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let noun = if self.layers == 1 { "layer" } else { "layers" };
        write!(f, "{} {noun}", self.layers)?;
        let (named, more) = self.of.split_at(self.of.len().min(NAMED));
        if !named.is_empty() {
            write!(f, " of {}", named.join(", "))?;
        }
        match more.len() {
            0 => Ok(()),
            1 => write!(f, " and 1 more image"),
            n => write!(f, " and {n} more images"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(text: &str, of: &[&str]) -> Requirement {
        let digest = Digest::of(text.as_bytes());
        let of = of.iter().map(|&name| name.to_owned()).collect();
        Requirement::of_blob(digest, DiffId(digest)).with_size(Some(text.len() as u64)).with_images(of)
    }

    #[test]
    fn document_is_read_as_written() {
        let v1 = Requirement::of_v1(V1Id::parse(&"ab".repeat(32)).unwrap(), None);
        let all = Requirements::new(vec![layer("a", &["base:1", "app:1"]), v1]);
        let bytes = all.to_json();
        assert_eq!(Requirements::parse(&bytes).as_ref(), Ok(&all), "{}", String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn bad_documents() {
        for (text, why) in [
            ("[]", "not a JSON object"),
            (r#"{"version":2,"layers":[]}"#, "its version is 2"),
            (r#"{"version":1}"#, "it has no layers"),
            (r#"{"version":1,"layers":[{"digest":"sha256:../x"}]}"#, "in layer 1, digest is wrong"),
            (r#"{"version":1,"layers":[{"id":"../x"}]}"#, "not 64 hex digits"),
            (r#"{"version":1,"layers":[{"of":["x"]}]}"#, "neither a digest nor an id"),
        ] {
            let error = Requirements::parse(text.as_bytes()).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn in_words() {
        let needs = |layers: &[Requirement]| Needs::of(layers).to_string();
        assert_eq!(needs(&[layer("a", &["base:1"])]), "1 layer of base:1");
        assert_eq!(
            needs(&[layer("a", &["x", "base:1"]), layer("b", &["base:1"]), layer("c", &["other"])]),
            "3 layers of base:1, other"
        );
        assert_eq!(needs(&[layer("a", &[]), layer("b", &[])]), "2 layers");
        // As few as possible, and of as many layers the first.
        assert_eq!(
            needs(&[layer("a", &["y", "x"]), layer("b", &["z", "y"]), layer("c", &["z", "z"])]),
            "3 layers of y, z"
        );
        let names: Vec<String> = (0..7).map(|n| format!("base:{n}")).collect();
        let all: Vec<Requirement> = names.iter().map(|name| layer(name, &[name])).collect();
        assert_eq!(needs(&all[..6]), "6 layers of base:0, base:1, base:2, base:3, base:4 and 1 more image");
        assert!(needs(&all).ends_with("base:4 and 2 more images"));
    }

    /// In no more steps than there are names.
    #[test]
    fn many() {
        let all: Vec<Requirement> = (0..20_000)
            .map(|n| layer(&n.to_string(), &[&format!("a:{n}"), &format!("b:{}", n / 2)]))
            .collect();
        let begin = std::time::Instant::now();
        let needs = Needs::of(&all);
        assert_eq!((needs.layers, needs.of.len()), (20_000, 10_000));
        assert!(begin.elapsed().as_secs() < 20, "{:?}", begin.elapsed());
    }
}
