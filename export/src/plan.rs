//! What will be written, and what it takes to know its bytes.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use layerlift_archive::{Compression, CompressionLevel, Tree};
use layerlift_store::{Document, ErrorKind, Image, ImageId, ImageKey, LayerTar, Reference, Store};
use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use crate::format::{Blob, Built, Failed, Layout, Source};
use crate::layers::{self, Distinct, Planned, State};
use crate::select::{self, Selection, TagPolicy, Wanted};
use crate::{Error, Format};

/// What can be chosen.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The output format.
    pub format: Format,
    /// Which tags are kept.
    pub tags: TagPolicy,
    /// Leave out what is damaged instead of failing; [`Plan::left_out`] tells.
    pub keep_going: bool,
    /// How layers are compressed.
    pub layers: LayerCompression,
    /// A directory of this format that may be there already, and gets the images besides its own
    /// ([`Format::extends`]).
    pub extend: Option<PathBuf>,
    /// Where layers that have no length beforehand are spooled. Empty: where the system keeps temporary files.
    pub temp_dir: PathBuf,
}

/// How layers are compressed in an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LayerCompression {
    /// As the store has them, where the format allows that; so the digests of blobs and manifests survive.
    #[default]
    AsStored,
    /// Not at all.
    Plain,
    /// Like this. What is compressed in this way already, at whatever level, stays as it is.
    With(CompressionLevel),
}

impl LayerCompression {
    /// Whether a layer that is compressed like this can stay so.
    pub(crate) fn keeps(self, compression: Compression) -> bool {
        match self {
            LayerCompression::AsStored => true,
            LayerCompression::Plain => compression == Compression::None,
            LayerCompression::With(to) => compression == to.compression(),
        }
    }

    /// What a layer that is produced anew is compressed with.
    pub(crate) fn target(self) -> Option<CompressionLevel> {
        match self {
            LayerCompression::AsStored | LayerCompression::Plain => None,
            LayerCompression::With(compression) => Some(compression),
        }
    }
}

/// An image that will be in the archive.
#[derive(Debug, Clone)]
pub struct PlannedImage {
    /// Which one.
    pub key: ImageKey,
    /// Its names in the archive.
    pub references: Vec<Reference>,
    /// The id that engines show once they have loaded the archive. `None` while it depends on layers that have not been
    /// hashed yet, and where the format leaves it to the engine that loads it.
    pub image_id: Option<ImageId>,
}

/// What will be written: made from metadata alone, nothing written yet.
///
/// Its `Display` is the report of a dry run.
pub struct Plan {
    /// The images, in the order of the archive.
    pub images: Vec<PlannedImage>,
    /// Things to know beforehand, a sentence each: a digest that cannot be kept, a name that has no place.
    pub warnings: Vec<String>,
    /// With [`Options::keep_going`]: what cannot be exported, and why.
    pub left_out: Vec<Error>,
    pub(crate) options: Options,
    /// Of each of `images`.
    pub(crate) sources: Vec<Sourced>,
    pub(crate) layers: Vec<Planned>,
    /// What the output has already.
    pub(crate) existing: Layout,
    /// Made as soon as nothing has to come first.
    pub(crate) tree: Option<Tree>,
}

/// An image's documents, and where its layers are in [`Plan::layers`], base first.
pub(crate) struct Sourced {
    pub(crate) name: String,
    pub(crate) image: Image,
    pub(crate) layers: Vec<usize>,
}

/// Plans an export from metadata alone. Nothing is written, no layer read.
pub fn plan(store: &dyn Store, selection: Selection, options: &Options) -> Result<Plan, Error> {
    if let Some(compression) = options.layers.target().filter(|&to| !options.format.takes(to.compression())) {
        return Err(Error::Compression { format: options.format, compression });
    }
    let existing = match &options.extend {
        Some(dir) if options.format.extends() => Layout::read(dir)?,
        _ => Layout::default(),
    };
    let mut plan = Plan {
        images: Vec::new(),
        warnings: Vec::new(),
        left_out: Vec::new(),
        options: options.clone(),
        sources: Vec::new(),
        layers: Vec::new(),
        existing,
        tree: None,
    };
    for broken in selection.broken {
        let name = broken.references.first().map_or(broken.what, ToString::to_string);
        plan.leave_out(Error::from(broken.error).of_image(&name))?;
    }
    let wanted = select::wanted(store, selection.images, options.tags)?;
    let images: Vec<_> = wanted.par_iter().map(|wanted| store.image(&wanted.key)).collect();
    let mut readable = Vec::new();
    for (wanted, image) in wanted.into_iter().zip(images) {
        let name = select::name(&wanted.key, &wanted.references);
        match image {
            Ok(image) => readable.push((wanted, name, image)),
            Err(error) => plan.leave_out(Error::from(error).of_image(&name))?,
        }
    }
    plan.add(store, readable)?;
    plan.settle_names();
    plan.warn_of_other_digests();
    plan.try_tree()?;
    Ok(plan)
}

impl Plan {
    /// Bytes that [`Plan::build`] reads in a first pass, for progress: 0 if there is none, `None` if it has to produce layers
    /// whose length nobody knows.
    pub fn first_pass_len(&self) -> Option<u64> {
        self.first_pass().map(Planned::len).sum()
    }

    /// Length in bytes of the tar, if it is known before a first pass. With [`Options::keep_going`] that is the length if
    /// nothing turns out to be damaged.
    pub fn tar_len(&self) -> Option<u64> {
        self.tree.as_ref().map(Tree::tar_len)
    }

    /// Number of distinct layers.
    pub fn layer_count(&self) -> usize {
        self.layers.len()
    }

    /// Layers that are read before the archive is written.
    pub(crate) fn first_pass(&self) -> impl Iterator<Item = &Planned> {
        let all = self.options.keep_going;
        self.layers.iter().filter(move |layer| all || layer.ready().is_none())
    }

    /// With `keep_going` the error is remembered, otherwise it is the answer.
    pub(crate) fn leave_out(&mut self, error: Error) -> Result<(), Error> {
        if !self.options.keep_going || error.ends_all() {
            return Err(error);
        }
        self.left_out.push(error);
        Ok(())
    }

    /// Takes the images whose layers can be opened.
    fn add(&mut self, store: &dyn Store, images: Vec<(Wanted, String, Image)>) -> Result<(), Error> {
        let mut distinct = Distinct::default();
        for (Wanted { key, references }, name, image) in images {
            let layers = distinct.add(&image);
            self.images.push(PlannedImage { key, references, image_id: None });
            self.sources.push(Sourced { name, image, layers });
        }
        let mut damaged = BTreeMap::new();
        let options = &self.options;
        let opened = layers::open(store, &distinct.keys);
        for (index, (key, tar)) in distinct.keys.into_iter().zip(opened).enumerate() {
            let state = match tar {
                Ok(tar) => layers::state(tar, distinct.recorded[index], options.format, options.layers),
                Err(error) => {
                    damaged.insert(index, error);
                    State::Damaged
                }
            };
            self.layers.push(Planned { key, uses: 0, needs_digest: false, state });
        }
        for Sourced { image, layers, .. } in &self.sources {
            if self.options.format.needs_digests(&image.document) {
                layers.iter().for_each(|&index| self.layers[index].needs_digest = true);
            }
        }
        self.without(damaged)
    }

    /// Leaves out the images that have one of the damaged layers, and the layers that no other has.
    pub(crate) fn without(&mut self, mut damaged: BTreeMap<usize, Error>) -> Result<(), Error> {
        let mut told: HashMap<usize, (String, ErrorKind)> = HashMap::new();
        let images = std::mem::take(&mut self.images);
        let sources = std::mem::take(&mut self.sources);
        for (image, source) in images.into_iter().zip(sources) {
            let bad = |index: &&usize| damaged.contains_key(index) || told.contains_key(index);
            let Some(&index) = source.layers.iter().find(bad) else {
                self.images.push(image);
                self.sources.push(source);
                continue;
            };
            // The cause is told once; the next images that need the layer refer to it.
            let layer = self.layers[index].key.id.clone();
            let error = match damaged.remove(&index) {
                Some(error) => error,
                None => {
                    let (image, kind) = told[&index].clone();
                    Error::Shared { layer, image, kind }
                }
            };
            told.entry(index).or_insert_with(|| (source.name.clone(), error.kind()));
            self.leave_out(error.of_image(&source.name))?;
        }
        self.prune();
        Ok(())
    }

    /// Forgets layers that no image has any more, and counts how often the others are used.
    fn prune(&mut self) {
        self.layers.iter_mut().for_each(|layer| layer.uses = 0);
        for source in &self.sources {
            source.layers.iter().for_each(|&index| self.layers[index].uses += 1);
        }
        let mut kept = 0;
        let places = self.layers.iter().map(|layer| {
            let place = kept;
            kept += usize::from(layer.uses > 0);
            place
        });
        let places: Vec<usize> = places.collect();
        self.layers.retain(|layer| layer.uses > 0);
        for source in &mut self.sources {
            source.layers.iter_mut().for_each(|index| *index = places[*index]);
        }
    }

    /// Spells the names as the format has them, each once in the archive.
    fn settle_names(&mut self) {
        let mut taken: HashMap<Reference, String> = HashMap::new();
        for (image, source) in self.images.iter_mut().zip(&self.sources) {
            let mut names: Vec<Reference> = Vec::new();
            for reference in image.references.drain(..) {
                let name = match self.options.format.spell(&source.image.document, &reference) {
                    Ok(Some(name)) => name,
                    Ok(None) => continue,
                    Err(why) => {
                        self.warnings.push(format!("the name {reference} is left out: {why}"));
                        continue;
                    }
                };
                match taken.get(&name) {
                    Some(id) if *id == image.key.id => {}
                    Some(other) => self.warnings.push(format!(
                        "the name {name} is given to image {other} only, though image {} has it too",
                        image.key.id
                    )),
                    None => {
                        taken.insert(name.clone(), image.key.id.clone());
                        names.push(name);
                    }
                }
            }
            image.references = names;
        }
    }

    fn warn_of_other_digests(&mut self) {
        for source in &self.sources {
            if !matches!(source.image.document, Document::Config { .. }) {
                continue;
            }
            let layers = source.layers.iter().map(|&index| &self.layers[index]);
            let mut computed =
                layers.filter(|layer| matches!(layer.state, State::Unmeasured(LayerTar::Diff(_))));
            let Some(first) = computed.next() else { continue };
            let others = match computed.count() {
                0 => String::new(),
                1 => " and 1 other".to_owned(),
                n => format!(" and {n} others"),
            };
            self.warnings.push(format!(
                "{}: layer {}{others}: no tar-split data; the tar is computed from the layer's directory, and its digest cannot be \
                 kept: the image will have another id than {}, known when the layer has been computed",
                source.name, first.key.id, source.image.key.id
            ));
        }
    }

    /// Makes the tree if nothing has to come first.
    pub(crate) fn try_tree(&mut self) -> Result<(), Error> {
        self.tree = None;
        loop {
            let Some(layers) = self.layers.iter().map(|layer| layer.ready().cloned()).collect() else {
                return Ok(());
            };
            let layers: Vec<Blob> = layers;
            let source = |(planned, sourced)| {
                let PlannedImage { references, .. }: &PlannedImage = planned;
                let Sourced { image, layers, .. }: &Sourced = sourced;
                Source { image, references, layers }
            };
            let sources: Vec<_> = self.images.iter().zip(&self.sources).map(source).collect();
            match self.options.format.build(&sources, &layers, &self.existing) {
                Ok(Built { tree, ids }) => {
                    self.images.iter_mut().zip(ids).for_each(|(image, id)| image.image_id = id);
                    self.tree = Some(tree);
                    return Ok(());
                }
                Err(Failed { image, error }) => {
                    self.images.remove(image);
                    let name = self.sources.remove(image).name;
                    self.leave_out(error.of_image(&name))?;
                    self.prune();
                }
            }
        }
    }
}
