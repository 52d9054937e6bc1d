//! All images of a layout or archive: what `index.json` and `manifest.json` name, one platform of each, each image once.

use std::collections::{BTreeMap, HashSet};

use layerlift_archive::Digest;

use super::documents::{self, Descriptor, Document};
use super::image::{self, Identity, What};
use super::names::Names;
use super::{INDEX, MANIFEST};
use crate::archive::{Files, clean};
use crate::reference::familiar_name;
use crate::{Error, Index, Keyring, Member, Platform, Reference, json};

/// Indexes below one another, and manifests below all of them, that are followed.
const DEPTH: usize = 4;
const MANIFESTS: usize = 1 << 12;

/// An image, or what should be one.
#[derive(Debug)]
pub(super) struct Found {
    /// The hex digits of its config's digest; where that is unknown, those of the digest it is named by.
    pub(super) id: String,
    /// What leads to it, the preferred way first; for the same image in several manifests.
    pub(super) ways: Vec<What>,
    /// Why there is none: the answer whenever the image is asked for.
    pub(super) trouble: Option<Error>,
    pub(super) names: Names,
    /// Digests of manifests and indexes that it can be named by.
    pub(super) digests: Vec<Digest>,
    /// Whether it is in the listing: not if it is for another platform, or not an image by design (an attestation, say).
    pub(super) listed: bool,
}

/// Images in the making.
pub(super) struct Images<'a> {
    files: &'a Files,
    wanted: Option<&'a Platform>,
    found: Vec<Found>,
    by_id: BTreeMap<String, usize>,
}

impl<'a> Images<'a> {
    pub(super) fn new(files: &'a Files, wanted: Option<&'a Platform>) -> Self {
        Images { files, wanted, found: Vec::new(), by_id: BTreeMap::new() }
    }

    pub(super) fn finish(self) -> Vec<Found> {
        self.found
    }

    /// Adds what `index.json` names.
    pub(super) fn add_index(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let malformed = |why| Error::malformed(self.files.join(INDEX), why);
        let Document::Index(descriptors) = documents::parse(bytes).map_err(malformed)? else {
            return Err(malformed("it has no list of manifests".to_owned()));
        };
        // Several manifests of one name are its platforms, as in an index of their own.
        let mut groups: Vec<(Names, Vec<Descriptor>)> = Vec::new();
        for descriptor in descriptors {
            let descriptor = match descriptor {
                Ok(descriptor) => descriptor,
                Err(why) => {
                    self.add_trouble(Digest::of(why.as_bytes()), Names::default(), malformed(why), true);
                    continue;
                }
            };
            let names = Names::of(&descriptor);
            let same = |(others, _): &&mut (Names, Vec<Descriptor>)| {
                !names.is_empty() && others.references == names.references && others.aliases == names.aliases
            };
            match groups.iter_mut().find(same) {
                Some((_, group)) => group.push(descriptor),
                None => groups.push((names, vec![descriptor])),
            }
        }
        for (names, group) in groups {
            self.add_group(names, group);
        }
        Ok(())
    }

    fn add_group(&mut self, names: Names, group: Vec<Descriptor>) {
        let mut leaves = Vec::new();
        let mut walk = Walk { files: self.files, seen: HashSet::new(), digests: Vec::new(), unread: None };
        for descriptor in group {
            walk.descend(descriptor, 0, &mut leaves);
        }
        let Walk { digests, unread, .. } = walk;
        let (present, absent): (Vec<_>, Vec<_>) = leaves
            .into_iter()
            .partition(|(leaf, _)| !matches!(self.files.try_find(&image::blob(leaf.digest)), Ok(None)));
        // An index may name more platforms than are there; those that are not are no choice, unless one is asked for.
        let mut offered = present;
        if offered.is_empty() || self.wanted.is_some() {
            offered.extend(absent);
        }
        let key = digests.first().copied().unwrap_or_else(|| Digest::of(b""));
        if offered.is_empty() {
            // Attestations alone, or an index that cannot be read.
            let listed = unread.is_some();
            let what = || format!("{key} is not an image and names none");
            let artifact = || Error::unsupported(what(), "it may be an attestation or a signature");
            return self.add_trouble(key, names, unread.unwrap_or_else(artifact), listed);
        }
        let platforms: Vec<_> = if offered.len() == 1 && self.wanted.is_none() {
            vec![None]
        } else {
            offered
                .iter()
                .map(|(leaf, platform)| platform.clone().or_else(|| self.platform_of(leaf)))
                .collect()
        };
        let same_platform = platforms.windows(2).all(|pair| pair[0] == pair[1]) && platforms.len() > 1;
        let keys = Keyring::new();
        let members = offered.iter().zip(&platforms).map(|((leaf, _), platform)| {
            Member::new(leaf.digest, platform.clone(), Some(keys.image("", leaf.digest.hex())))
        });
        let index = Index::new(key, members.collect());
        let chosen = index
            .choose(self.wanted)
            .map(|chosen| index.members.iter().position(|member| member == chosen).unwrap_or_default());
        match chosen {
            // Nothing tells them apart: the name is ambiguous, and lookup says so.
            _ if same_platform => {
                for (leaf, _) in offered {
                    self.add(What::Manifest(leaf), names.clone(), digests.clone(), true);
                }
            }
            Ok(chosen) => {
                for (i, (leaf, _)) in offered.into_iter().enumerate() {
                    let (names, digests) = match i == chosen {
                        true => (names.clone(), digests.clone()),
                        false => (Names::default(), Vec::new()),
                    };
                    self.add(What::Manifest(leaf), names, digests, i == chosen);
                }
            }
            Err(error) => {
                let error = match names.references.first() {
                    Some(name) => error.of_name(name),
                    None => error,
                };
                self.add_trouble(key, names, error, true);
                for (leaf, _) in offered {
                    self.add(What::Manifest(leaf), Names::default(), Vec::new(), false);
                }
            }
        }
    }

    /// What the config says, where the index does not.
    fn platform_of(&self, leaf: &Descriptor) -> Option<Platform> {
        let Ok(Identity::Image { id }) = image::identify(self.files, &What::Manifest(leaf.clone())) else {
            return None;
        };
        let bytes = self.files.try_read(&image::blob(id), json::LIMIT).ok()??;
        Platform::from_json(&bytes).ok().filter(|platform| !platform.os.is_empty())
    }

    /// Adds what `manifest.json` names. Where an index names the same, its manifests and names stay.
    pub(super) fn add_entries(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let malformed = |why| Error::malformed(self.files.join(MANIFEST), why);
        for entry in documents::parse_entries(bytes).map_err(malformed)? {
            let entry = match entry {
                Ok(entry) => entry,
                Err(why) => {
                    self.add_trouble(Digest::of(why.as_bytes()), Names::default(), malformed(why), true);
                    continue;
                }
            };
            let mut names = Names::default();
            for tag in entry.tags.iter().filter(|tag| !self.has_name(tag)) {
                names.add(tag);
            }
            self.add(What::Files { config: entry.config, layers: entry.layers }, names, Vec::new(), true);
        }
        Ok(())
    }

    /// Whether an image of the index has this name, perhaps spelled out.
    fn has_name(&self, name: &str) -> bool {
        let familiar = familiar_name(name);
        let same = |reference: &Reference| familiar_name(&reference.to_string()) == familiar;
        self.found.iter().any(|image| {
            image.ways.iter().any(|way| matches!(way, What::Manifest(_)))
                && image.names.references.iter().any(same)
        })
    }

    /// Adds an image that was found without a name.
    pub(super) fn add_unnamed(&mut self, what: What) {
        if let Ok(Identity::Image { id }) = image::identify(self.files, &what)
            && !self.by_id.contains_key(&id.hex())
        {
            self.add(what, Names::default(), Vec::new(), true);
        }
    }

    fn add(&mut self, what: What, names: Names, mut digests: Vec<Digest>, listed: bool) {
        if let What::Manifest(descriptor) = &what
            && !digests.contains(&descriptor.digest)
        {
            digests.push(descriptor.digest);
        }
        let (id, listed, trouble) = match image::identify(self.files, &what) {
            Ok(Identity::Image { id }) => (id.hex(), listed, None),
            Ok(Identity::Artifact(kind)) => {
                let what = format!("{} is not an image but an artifact ({kind})", digests[0]);
                let error = Error::unsupported(what, "tools that know its kind can read it");
                (digests[0].hex(), false, Some(error))
            }
            // The same error comes again when the image is asked for.
            Err(_) => match &what {
                What::Manifest(descriptor) => (descriptor.digest.hex(), listed, None),
                What::Files { config, .. } => (id_in_name(config), listed, None),
            },
        };
        if let Some(&at) = self.by_id.get(&id) {
            let image = &mut self.found[at];
            image.names.append(names);
            image.digests.extend(digests);
            image.listed |= listed;
            image.ways.push(what);
            return;
        }
        self.by_id.insert(id.clone(), self.found.len());
        self.found.push(Found { id, ways: vec![what], trouble, names, digests, listed });
    }

    /// Adds what is not an image, under an id that stands for it.
    fn add_trouble(&mut self, id: Digest, names: Names, trouble: Error, listed: bool) {
        let (id, ways, digests) = (id.hex(), Vec::new(), Vec::new());
        self.found.push(Found { id, ways, trouble: Some(trouble), names, digests, listed });
    }
}

/// An id for an image whose config is not there.
fn id_in_name(config: &str) -> String {
    let name = clean(config).unwrap_or_else(|| config.to_owned());
    let stem = name.strip_suffix(".json").unwrap_or(&name);
    let last = stem.rsplit('/').next().unwrap_or_default();
    Digest::from_hex(last).unwrap_or_else(|| Digest::of(config.as_bytes())).hex()
}

/// The manifests below a descriptor.
struct Walk<'a> {
    files: &'a Files,
    seen: HashSet<Digest>,
    /// Of the descriptors at the top, and of indexes.
    digests: Vec<Digest>,
    /// The first index that cannot be read.
    unread: Option<Error>,
}

impl Walk<'_> {
    fn descend(
        &mut self,
        descriptor: Descriptor,
        depth: usize,
        leaves: &mut Vec<(Descriptor, Option<Platform>)>,
    ) {
        if !self.seen.insert(descriptor.digest) || leaves.len() >= MANIFESTS {
            return;
        }
        if depth == 0 {
            self.digests.push(descriptor.digest);
        }
        let index = match self.index(&descriptor) {
            Ok(index) if depth < DEPTH => index,
            Ok(_) => None,
            Err(error) => {
                self.unread.get_or_insert(error);
                return;
            }
        };
        let digest = descriptor.digest;
        let Some(children) = index else {
            let platform = descriptor.platform.clone();
            if platform.as_ref().is_none_or(Platform::is_known) {
                leaves.push((descriptor, platform));
            }
            return;
        };
        if depth > 0 {
            self.digests.push(descriptor.digest);
        }
        for child in children {
            match child {
                Ok(child) => self.descend(child, depth + 1, leaves),
                Err(why) => {
                    let error = || Error::malformed(self.files.join(&image::blob(digest)), why);
                    self.unread.get_or_insert_with(error);
                }
            }
        }
    }

    /// What an index names; `None` for what is none. Whether it is one, its type says, or where that is unknown its shape.
    fn index(&self, descriptor: &Descriptor) -> Result<Option<Vec<Result<Descriptor, String>>>, Error> {
        let known = match descriptor.media_type.as_str() {
            "application/vnd.oci.image.index.v1+json"
            | "application/vnd.docker.distribution.manifest.list.v2+json" => true,
            "application/vnd.oci.image.manifest.v1+json"
            | "application/vnd.docker.distribution.manifest.v2+json" => return Ok(None),
            _ => false,
        };
        let bytes = match image::document(self.files, descriptor, INDEX) {
            Ok(bytes) => bytes,
            Err(error) if known => return Err(error),
            Err(_) => return Ok(None),
        };
        match documents::parse(&bytes) {
            Ok(Document::Index(children)) => Ok(Some(children)),
            Ok(_) => Ok(None),
            Err(why) if known => Err(Error::malformed(self.files.join(&image::blob(descriptor.digest)), why)),
            Err(_) => Ok(None),
        }
    }
}
