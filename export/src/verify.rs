//! Checking images without writing anything.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use layerlift_archive::{Check, Compression, Content, Digest, Error as ArchiveError, Options, check_each};
use layerlift_store::{DiffId, ImageKey, Layer, LayerKey, LayerTar, Needs, Notice, Reference, Store};
use rayon::iter::{IntoParallelIterator, ParallelIterator};

use crate::first_pass::in_parallel;
use crate::layers::{self, Distinct, computed};
use crate::{Error, ErrorKind};

/// Layers that are open at the same time: each takes file descriptors.
const OPEN: usize = 128;

/// What [`verify`] found.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Report {
    /// A report for each image, in the order asked.
    pub images: Vec<ImageReport>,
    /// A report for each distinct layer.
    pub layers: Vec<LayerReport>,
}

/// The state of an image.
#[derive(Debug)]
#[non_exhaustive]
pub struct ImageReport {
    /// Which one; its id also where it could not be read.
    pub key: ImageKey,
    /// Its names.
    pub references: Vec<Reference>,
    /// Its layers, base first: indices into [`Report::layers`].
    pub layers: Vec<usize>,
    /// Layers of it that the archive leaves out on purpose, and that are not among the others.
    pub needs: Needs,
    /// What is odd about its documents, which are sound nevertheless.
    pub notices: Vec<Notice>,
    /// What is wrong with the image itself (documents, chain); layers have their own.
    pub error: Option<Error>,
}

/// The state of a layer.
#[derive(Debug)]
#[non_exhaustive]
pub struct LayerReport {
    /// Which one.
    pub key: LayerKey,
    /// The digest that its bytes are compared with. `None` where the store has none, and where the tar is
    /// computed from directories and so cannot have the recorded one.
    pub expected: Option<DiffId>,
    /// Whether the store has anything to compare its bytes with: a digest, or checksums of its files. If not,
    /// a layer without an error can be read, and no more is known of it.
    pub recorded: bool,
    /// Whether its tar can only be computed from directories, although the store has a digest of it or had
    /// tar-split data: its image cannot be saved as it was.
    pub computed: bool,
    /// What is odd about its record, or about its files.
    pub notices: Vec<Notice>,
    /// Bytes of its tar, where that was read.
    pub len: u64,
    /// What is wrong with it.
    pub error: Option<Error>,
}

impl Report {
    /// Whether an image and all its layers are sound.
    pub fn is_sound(&self, image: &ImageReport) -> bool {
        self.kind(image).is_none()
    }

    /// What is wrong with an image: the worst that is wrong with itself and its layers, changed bytes above
    /// all. `None` if it is sound.
    pub fn kind(&self, image: &ImageReport) -> Option<ErrorKind> {
        let layers = image.layers.iter().filter_map(|&layer| self.layers[layer].kind());
        let own = image.error.as_ref().map(Error::kind);
        layers.chain(own).min_by_key(|kind| WORST_FIRST.iter().position(|worse| worse == kind))
    }
}

/// Kinds by how much of an image they leave: least first.
const WORST_FIRST: [ErrorKind; 7] = [
    ErrorKind::Damaged,
    ErrorKind::Malformed,
    ErrorKind::Missing,
    ErrorKind::NotFound,
    ErrorKind::Unsupported,
    ErrorKind::Request,
    ErrorKind::Environment,
];

/// Reads and checks every layer of the images once, in parallel. What is wrong with one hides nothing of the
/// others.
///
/// A layer must hash to its recorded digest, and a compressed blob to its own as well. A layer without a
/// recorded digest (Docker until 1.9) is checked file by file, if its tar-split data have checksums; if not,
/// it can be read, and no more is known.
pub fn verify(store: &dyn Store, images: &[(ImageKey, Vec<Reference>)], options: &Options<'_>) -> Report {
    verify_each(store, images, options, &|_, _| ())
}

/// As [`verify`]. `each` is called once for each image, with its place, when all of its layers are read: in
/// any order, on any thread, with what the report has by then. The observer gets the number of bytes of all
/// layers ([`layerlift_archive::Observer::total`]), if it is known.
pub fn verify_each(
    store: &dyn Store,
    images: &[(ImageKey, Vec<Reference>)],
    options: &Options<'_>,
    each: &(dyn Fn(&Report, usize) + Sync),
) -> Report {
    let mut report = Report::default();
    let mut distinct = Distinct::default();
    for (key, references) in images {
        let (layers, needs, notices, error) = match store.image(key) {
            Ok(mut image) => {
                let needs = image.needs();
                image.layers.retain(|layer| layer.left_out.is_none());
                (distinct.add(&image, false), needs, image.notices, None)
            }
            Err(error) => (Vec::new(), Needs::default(), Vec::new(), Some(error.into())),
        };
        let (key, references) = (key.clone(), references.clone());
        report.images.push(ImageReport { key, references, layers, needs, notices, error });
    }
    report.layers = distinct.layers.iter().map(LayerReport::new).collect();
    let following = Following::new(report, each);
    if let [some] = &distinct.layers.chunks(OPEN).collect::<Vec<_>>()[..] {
        let tars = layers::open(store, some);
        total(&tars).into_iter().for_each(|total| options.observer.total(total));
        check_some(store, some, tars, 0, &following, options);
        return following.into_report();
    }
    let totals = || distinct.layers.chunks(OPEN).map(|some| total(&layers::open(store, some)));
    totals().sum::<Option<u64>>().into_iter().for_each(|total| options.observer.total(total));
    for (part, some) in distinct.layers.chunks(OPEN).enumerate() {
        check_some(store, some, layers::open(store, some), part * OPEN, &following, options);
    }
    following.into_report()
}

/// The sum of the lengths of the tars that can be read, if all of these are known.
fn total(tars: &[Result<LayerTar, Error>]) -> Option<u64> {
    tars.iter().flatten().map(LayerTar::tar_len).sum()
}

/// A report in the making.
struct Following<'a> {
    state: Mutex<State>,
    /// The images that have a layer, for each layer.
    images: Vec<Vec<usize>>,
    each: &'a (dyn Fn(&Report, usize) + Sync),
}

struct State {
    report: Report,
    /// Number of layers of each image that are not read yet.
    unread: Vec<usize>,
}

impl<'a> Following<'a> {
    fn new(report: Report, each: &'a (dyn Fn(&Report, usize) + Sync)) -> Self {
        let mut images = vec![Vec::new(); report.layers.len()];
        let mut unread = Vec::new();
        for (place, image) in report.images.iter().enumerate() {
            let layers: BTreeSet<usize> = image.layers.iter().copied().collect();
            layers.iter().for_each(|&layer| images[layer].push(place));
            unread.push(layers.len());
        }
        for place in (0..unread.len()).filter(|&place| unread[place] == 0) {
            each(&report, place);
        }
        Following { state: Mutex::new(State { report, unread }), images, each }
    }

    /// Notes something about a layer.
    fn note(&self, layer: usize, change: impl FnOnce(&mut LayerReport)) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut state.report.layers[layer]);
    }

    /// A layer is read, or cannot be.
    fn end(&self, layer: usize, change: impl FnOnce(&mut LayerReport)) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut state.report.layers[layer]);
        for &image in &self.images[layer] {
            state.unread[image] -= 1;
            if state.unread[image] == 0 {
                (self.each)(&state.report, image);
            }
        }
    }

    fn into_report(self) -> Report {
        self.state.into_inner().unwrap_or_else(PoisonError::into_inner).report
    }
}

/// Reads layers that are open. The first of them is the one at `first` in the report.
fn check_some(
    store: &dyn Store,
    some: &[Layer],
    tars: Vec<Result<LayerTar, Error>>,
    first: usize,
    following: &Following<'_>,
    options: &Options<'_>,
) {
    let mut exact = Vec::new();
    let mut streamed = Vec::new();
    for (index, tar) in tars.into_iter().enumerate() {
        match tar {
            Ok(tar) => {
                following.note(first + index, |report| report.opened(&tar));
                match tar {
                    LayerTar::Split(layer) => exact.push((index, Box::new(layer) as Box<dyn Content>)),
                    LayerTar::Blob(layer) if layer.compression == Compression::None => {
                        exact.push((index, Box::new(layer.stored)));
                    }
                    other => streamed.push((index, other)),
                }
            }
            Err(error) => following.end(first + index, |report| report.error = Some(error)),
        }
    }
    let names: Vec<String> =
        some.iter().map(|layer| format!("layer {}", store.layer_name(&layer.key))).collect();
    let checks: Vec<_> =
        exact.iter().map(|(index, content)| Check { name: &names[*index], content: &**content }).collect();
    let ended = |place: usize, found: Result<Digest, ArchiveError>| {
        let (index, content) = &exact[place];
        let found = found.map(|digest| (content.len(), DiffId(digest)));
        following.end(first + index, |report| report.settle(found, &names[*index]));
    };
    check_each(&checks, options, &ended);
    in_parallel(options, || {
        streamed.into_par_iter().for_each(|(index, tar)| {
            let found = computed::digest(&names[index], &tar, options.observer);
            following.end(first + index, |report| {
                report.settle(found, &names[index]);
                report.notices.extend(tar.findings().cloned());
            });
        });
    });
}

impl LayerReport {
    fn new(layer: &Layer) -> Self {
        LayerReport {
            key: layer.key.clone(),
            expected: layer.diff_id,
            recorded: true,
            computed: false,
            notices: Vec::new(),
            len: 0,
            error: None,
        }
    }

    fn opened(&mut self, tar: &LayerTar) {
        self.notices.extend(tar.notice().cloned());
        let had_record = self.expected.is_some() || !self.notices.is_empty();
        self.computed = had_record && matches!(tar, LayerTar::Diff(_));
        self.expected = match tar {
            LayerTar::Diff(_) => None,
            _ => tar.diff_id().or(self.expected),
        };
        self.recorded = self.expected.is_some() || matches!(tar, LayerTar::Split(_));
    }

    /// What is wrong with the layer; `None` if it is sound.
    pub fn kind(&self) -> Option<ErrorKind> {
        self.error.as_ref().map(Error::kind)
    }

    fn settle(&mut self, found: Result<(u64, DiffId), ArchiveError>, name: &str) {
        match found {
            Ok((len, found)) => {
                self.len = len;
                if let Some(expected) = self.expected.filter(|expected| *expected != found) {
                    let (expected, found) = (expected.0, found.0);
                    let entry = name.to_owned();
                    self.error = Some(ArchiveError::Mismatch { entry, expected, found, source: None }.into());
                }
            }
            Err(error) => self.error = Some(error.into()),
        }
    }
}
