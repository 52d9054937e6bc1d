//! A damaged layer in the best form that can be had.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;

use layerlift_archive::{
    Check, Compression, CompressionLevel, Compressor, Content, Digest, Error as ArchiveError, FileRange,
    Hasher, Options, Spool,
};
use layerlift_store::{BlobLayer, DiffId, Found, LayerKey, LayerTar, Part, RecordedFile, SplitLayer};

use super::damage::{self, Damages, Fix};
use super::header;
use super::reach::Reach;
use super::report::{self, Salvaged, SalvagedLayer};
use crate::layers::{self, Measured, State, computed};
use crate::{Error, ErrorKind};

/// A damaged layer, and all that is needed to mend it.
pub(super) struct Patient<'a> {
    pub(super) key: &'a LayerKey,
    /// What messages call it.
    pub(super) called: &'a str,
    /// Where its tar comes from, if it could be opened.
    pub(super) tar: Option<&'a LayerTar>,
    pub(super) diff_id: Option<DiffId>,
    pub(super) error: &'a Error,
}

/// How layers are mended.
pub(super) struct Surgery<'a> {
    pub(super) reach: &'a Reach<'a>,
    pub(super) chosen: &'a crate::Options,
    pub(super) options: &'a Options<'a>,
    pub(super) folder: &'a Path,
}

impl Surgery<'_> {
    /// The layer in the best form that can be had, and what was done. `None` if nothing can be.
    pub(super) fn mend(&self, patient: &Patient<'_>) -> Result<Option<(Measured, SalvagedLayer)>, Error> {
        if let Some((measured, from)) = self.sound_elsewhere(patient.key, patient.diff_id)? {
            let from = Some(from);
            return Ok(Some((measured, self.record(patient, Salvaged::Repaired, from, None, None))));
        }
        let layer = match patient.tar {
            Some(LayerTar::Split(layer)) => layer,
            Some(LayerTar::Blob(blob)) => return self.packed_otherwise(patient, blob),
            _ => return Ok(None),
        };
        let damages = damage::find(layer, patient.key, self.reach)?;
        let exact = damages.values().all(damage::Damage::is_repaired);
        let (measured, found) = self.write(layer, &damages)?;
        let recorded = patient.diff_id.is_none_or(|expected| expected == found);
        let result = if exact && recorded { Salvaged::Repaired } else { Salvaged::Declared };
        Ok(Some((measured, self.record(patient, result, None, Some(&damages), Some(found)))))
    }

    /// The layer as a tar of the files that an engine has unpacked of it.
    pub(super) fn rebuild(
        &self,
        patient: &Patient<'_>,
        unpacked: impl FnOnce() -> Option<LayerTar>,
    ) -> Result<Option<(Measured, SalvagedLayer)>, Error> {
        let Some(tar) = unpacked() else { return Ok(None) };
        let (name, compression) = (patient.key.id(), self.chosen.layers.target());
        let measured = match self.spool(name, &tar, compression) {
            Ok(measured) => measured,
            Err(error) => return keep(error).map(|_| None),
        };
        let exact = measured.diff_id == patient.diff_id;
        let result = if exact { Salvaged::Repaired } else { Salvaged::Declared };
        let from = Some("the files that were unpacked of it".to_owned());
        let record = self.record(patient, result, from, None, measured.diff_id);
        Ok(Some((measured, record)))
    }

    /// A blob that is not what its digest says, but has the layer's tar.
    fn packed_otherwise(
        &self,
        patient: &Patient<'_>,
        blob: &BlobLayer,
    ) -> Result<Option<(Measured, SalvagedLayer)>, Error> {
        if patient.diff_id.is_none() {
            return Ok(None);
        }
        let stored = FileRange { digest: None, ..blob.stored.clone() };
        let tar = LayerTar::Blob(BlobLayer::new(stored, blob.compression, blob.diff_id));
        let state = State::of(tar, patient.diff_id, self.chosen);
        let measured = self.accept(state, patient.key.id(), patient.diff_id)?;
        let from = "the blob itself, which has the layer's tar in another compressed form";
        let record = |measured| {
            (measured, self.record(patient, Salvaged::Repaired, Some(from.to_owned()), None, None))
        };
        Ok(measured.map(record))
    }

    /// A layer with the same digest that is sound, and what messages call it.
    pub(super) fn sound_elsewhere(
        &self,
        key: &LayerKey,
        diff_id: Option<DiffId>,
    ) -> Result<Option<(Measured, String)>, Error> {
        for other in self.reach.same(key, diff_id) {
            let Some(tar) = other.open() else { continue };
            let state = State::of(tar, diff_id, self.chosen);
            if let Some(measured) = self.accept(state, &other.name, diff_id)? {
                return Ok(Some((measured, other.name.clone())));
            }
        }
        Ok(None)
    }

    /// The blob of this digest from elsewhere, if it is sound, and what messages call it.
    pub(super) fn same_blob(
        &self,
        key: &LayerKey,
        diff_id: Option<DiffId>,
        blob: Digest,
    ) -> Result<Option<(Measured, String)>, Error> {
        for other in self.reach.same(key, diff_id) {
            let Some(tar @ LayerTar::Blob(_)) = other.open() else { continue };
            let is_it = matches!(&tar, LayerTar::Blob(layer) if layer.stored.digest == Some(blob));
            if !is_it {
                continue;
            }
            let state = layers::as_stored(tar, diff_id, self.chosen);
            if let Some(measured) = self.accept(state, &other.name, diff_id)? {
                return Ok(Some((measured, other.name.clone())));
            }
        }
        Ok(None)
    }

    /// The layer, if all its bytes are the recorded ones.
    fn accept(&self, state: State, name: &str, diff_id: Option<DiffId>) -> Result<Option<Measured>, Error> {
        let (measured, failed) = match state {
            State::Unmeasured(LayerTar::Diff(_)) | State::Unreadable => return Ok(None),
            State::Unmeasured(tar) => {
                let compression = self.chosen.layers.target();
                match self.spool(name, &tar, compression) {
                    Ok(measured) => (measured, None),
                    Err(error) => return keep(error),
                }
            }
            State::Measured(measured) => {
                let Some(content) = &measured.content else { return Ok(None) };
                let checks = [Check { name, content: &**content }];
                match layerlift_archive::check(&checks, self.options).pop() {
                    Some(Ok(digest)) => (measured.hashed(digest), None),
                    Some(Err(error)) => (measured, Some(error)),
                    None => return Ok(None),
                }
            }
        };
        match failed {
            Some(error) => keep(error),
            None if diff_id.is_some() && measured.diff_id != diff_id => Ok(None),
            None => Ok(Some(measured)),
        }
    }

    /// Writes the tar with what stands for its damaged files into a temporary file.
    fn write(&self, layer: &SplitLayer, damages: &Damages) -> Result<(Measured, DiffId), Error> {
        let compression = self.chosen.layers.target();
        let spool = Spool::new(self.folder, compression.is_some())?;
        let failed = |source| self.failed(source);
        let (spool, found) = match compression {
            None => {
                let mut out = self.plain(io::BufWriter::with_capacity(256 << 10, spool));
                write(layer, damages, &mut out, &failed)?;
                (out.to.into_inner().map_err(|error| failed(error.into_error()))?, out.hasher.finish())
            }
            Some(level) => {
                let mut out = self.plain(Compressor::new(spool, level, self.options.threads));
                write(layer, damages, &mut out, &failed)?;
                (out.to.finish().map_err(failed)?, out.hasher.finish())
            }
        };
        let spooled = spool.finish();
        let digest = Some(spooled.sha256().unwrap_or(found));
        let len = spooled.len();
        let compression = compression.map_or(Compression::None, |level| level.compression());
        let content: Option<Arc<dyn Content>> = Some(Arc::new(spooled));
        let diff_id = DiffId(found);
        Ok((Measured { content, len, compression, digest, diff_id: Some(diff_id), unpadded: None }, diff_id))
    }

    /// Produces a layer into a temporary file.
    fn spool(
        &self,
        name: &str,
        tar: &LayerTar,
        compression: Option<CompressionLevel>,
    ) -> Result<Measured, ArchiveError> {
        let begin = |hash| Spool::new(self.folder, hash);
        computed::spool(name, tar, begin, compression, true, self.options).map(|(measured, _)| measured)
    }

    fn plain<W>(&self, to: W) -> Plain<'_, W> {
        Plain { to, hasher: Hasher::default(), options: self.options }
    }

    /// What a failure to write to the spool means.
    fn failed(&self, source: io::Error) -> Error {
        if self.options.observer.cancelled() {
            return ArchiveError::Cancelled.into();
        }
        let (action, path) = ("write a temporary file in", self.folder.to_owned());
        ArchiveError::Output { action, path, source: Arc::new(source) }.into()
    }

    fn record(
        &self,
        patient: &Patient<'_>,
        result: Salvaged,
        from: Option<String>,
        damages: Option<&Damages>,
        found: Option<DiffId>,
    ) -> SalvagedLayer {
        let files = damages.into_iter().flat_map(Damages::values).map(damage::Damage::report).collect();
        let why = report::one_line(patient.error);
        let new_diff_id = found.or(patient.diff_id).map(|id| id.to_string());
        let diff_id = patient.diff_id.map(|id| id.to_string());
        let is_missing = patient.tar.is_none() && patient.error.kind() == ErrorKind::Missing;
        let lacks = is_missing.then(|| "it is missing".to_owned());
        let (layer, called) = (patient.key.id().to_owned(), patient.called.to_owned());
        SalvagedLayer { layer, called, lacks, diff_id, new_diff_id, result, why, from, files }
    }
}

/// A candidate that turned out bad, unless the reason has nothing to do with it.
fn keep(error: ArchiveError) -> Result<Option<Measured>, Error> {
    let error = Error::from(error);
    if error.ends_all() { Err(error) } else { Ok(None) }
}

/// The plain tar on its way to a spool: hashed, and stopped when asked to.
struct Plain<'a, W> {
    to: W,
    hasher: Hasher,
    options: &'a Options<'a>,
}

impl<W: Write> Write for Plain<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.options.observer.cancelled() {
            return Err(io::Error::other("interrupted"));
        }
        let n = self.to.write(bytes)?;
        self.hasher.update(&bytes[..n]);
        self.options.observer.advance(n as u64);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

fn write(
    layer: &SplitLayer,
    damages: &Damages,
    out: &mut dyn Write,
    failed: &dyn Fn(io::Error) -> Error,
) -> Result<(), Error> {
    // The padding behind contents of another size than the recorded one.
    let mut other_padding = None;
    for (place, part) in layer.parts().enumerate() {
        let (padding, rest, file) = match part? {
            Part::Member { padding, headers, file } => (padding, headers, Some(file)),
            Part::End { padding, blocks } => (padding, blocks, None),
            _ => continue,
        };
        out.write_all(&other_padding.take().unwrap_or(padding)).map_err(failed)?;
        let Some(file) = file else {
            out.write_all(&rest).map_err(failed)?;
            continue;
        };
        let (headers, contents, size) = match damages.get(&place).map(|damage| &damage.fix) {
            None if file.size == 0 => (rest, None, 0),
            None => (rest, Some(layer.open_raw(&file)?), file.size),
            Some(Fix::From { tree, file: there, .. }) => {
                (rest, Some(there.find_in(tree).ok_or_else(|| changed(&file))?), file.size)
            }
            Some(Fix::Kept(size)) => {
                other_padding = Some(vec![0; (size.wrapping_neg() % 512) as usize]);
                let headers = header::with_size(&rest, *size).ok_or_else(|| changed(&file))?;
                match layer.look(&file) {
                    Found::Other(other) if other.size == *size => (headers, Some(other.file), *size),
                    _ => return Err(changed(&file)),
                }
            }
            Some(Fix::LeftOut) => {
                other_padding = Some(Vec::new());
                continue;
            }
        };
        out.write_all(&headers).map_err(failed)?;
        if let Some(contents) = contents {
            copy(contents, &file, size, out, failed)?;
        }
    }
    Ok(())
}

/// Copies so many bytes of a file: no fewer, since its header says so.
fn copy(
    from: File,
    file: &RecordedFile,
    size: u64,
    out: &mut dyn Write,
    failed: &dyn Fn(io::Error) -> Error,
) -> Result<(), Error> {
    let mut reader = FileRange { file: Arc::new(from), offset: 0, len: size, digest: None }.into_raw_reader();
    let mut buffer = vec![0; usize::try_from(size.min(256 << 10)).unwrap_or_default()];
    let mut left = size;
    while left > 0 {
        match reader.read(&mut buffer) {
            Ok(0) => return Err(changed(file)),
            Ok(n) => {
                out.write_all(&buffer[..n]).map_err(failed)?;
                left -= n as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                let (entry, source) = (file.display(), Arc::new(error));
                return Err(ArchiveError::Content { entry, source }.into());
            }
        }
    }
    Ok(())
}

fn changed(file: &RecordedFile) -> Error {
    let why = "it has changed while it was salvaged".to_owned();
    layerlift_store::Error::Damaged { path: file.display().into(), why }.into()
}
