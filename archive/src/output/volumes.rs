//! A tar in several files of one size, which `cat` puts together again. No format of its own:
//!
//! ```text
//! x.tar.001  x.tar.002  …   as many digits as the last number needs, at least three
//! x.tar.sums                what `sha256sum -c` checks, written last
//! ```

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::finished::Finished;
use super::stream::write_stream;
use super::temporary::{Draft, clear, folder, sync_folder};
use crate::{Digest, Error, Hasher, Options, Tree};

/// How a tar is divided.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Volumes {
    /// The name of the whole: those of the volumes begin with it.
    pub path: PathBuf,
    /// Bytes of each volume but the last.
    pub size: u64,
    /// Bytes of the whole.
    pub len: u64,
}

/// What [`write_volumes`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct WrittenVolumes {
    /// The digest of the whole.
    pub digest: Digest,
    /// The digests of the volumes.
    pub digests: Vec<Digest>,
    /// Number of volumes that were there and complete.
    pub kept: usize,
}

impl Volumes {
    /// The most volumes of an archive that are read as one: each takes an open file.
    pub const MOST: u64 = 10_000;

    /// `len` bytes, divided into volumes of `size`, which is at least 1.
    pub fn new(path: impl Into<PathBuf>, size: u64, len: u64) -> Self {
        Volumes { path: path.into(), size: size.max(1), len }
    }

    /// Number of volumes.
    pub fn count(&self) -> u64 {
        self.len.div_ceil(self.size).max(1)
    }

    /// The name of a volume; the first is 1.
    pub fn name(&self, number: u64) -> PathBuf {
        let digits = self.count().to_string().len().max(3);
        beside(&self.path, &format!(".{number:0digits$}"))
    }

    /// Bytes of a volume.
    pub fn len_of(&self, number: u64) -> u64 {
        let before = number.saturating_sub(1).saturating_mul(self.size);
        self.len.saturating_sub(before).min(self.size)
    }

    /// The name of the file with the digests.
    pub fn sums(&self) -> PathBuf {
        beside(&self.path, ".sums")
    }

    /// Files that look like volumes of another set: `cat` would take them for volumes of this one.
    pub fn strangers(&self) -> io::Result<Vec<PathBuf>> {
        let is_own = |path: &PathBuf| {
            let number = Volumes::parse(path).map(|(_, number)| number);
            number.is_some_and(|number| {
                (1..=self.count()).contains(&number) && self.name(number).file_name() == path.file_name()
            })
        };
        let mut strangers = Volumes::there(&self.path)?;
        strangers.retain(|path| !is_own(path) && *path != self.sums());
        Ok(strangers)
    }

    /// Whatever has the name of a volume of this archive, or of the list of their digests.
    pub fn there(whole: &Path) -> io::Result<Vec<PathBuf>> {
        let folder = folder(whole);
        let mut there = Vec::new();
        for entry in fs::read_dir(&folder)? {
            let name = entry?.file_name();
            let path = whole.with_file_name(&name);
            there.extend(Volumes::has(whole, &path).then_some(path));
        }
        there.sort();
        Ok(there)
    }

    /// Whether a path is that of a volume of this archive, whatever its number, or of the list of their
    /// digests. The folders are compared as they are written.
    pub fn has(whole: &Path, path: &Path) -> bool {
        let own = whole.file_name().unwrap_or_default().as_encoded_bytes();
        let name = path.file_name().unwrap_or_default().as_encoded_bytes();
        let more = name.strip_prefix(own).and_then(|more| more.strip_prefix(b"."));
        let is_number = |more: &[u8]| more.len() >= 3 && more.iter().all(u8::is_ascii_digit);
        folder(whole) == folder(path) && more.is_some_and(|more| more == b"sums" || is_number(more))
    }

    /// The name of the whole and the number, if a path may be that of a volume.
    pub fn parse(path: &Path) -> Option<(PathBuf, u64)> {
        let digits = path.extension()?.to_str()?;
        let is_number = digits.len() >= 3 && digits.bytes().all(|byte| byte.is_ascii_digit());
        let number = digits.parse().ok().filter(|number| is_number && *number > 0)?;
        Some((path.with_extension(""), number))
    }

    /// Fails if there is something else than a file where a volume or the list will be: nobody waits for a
    /// pipe, or replaces a device.
    fn are_files(&self) -> Result<(), Error> {
        let there = Volumes::there(&self.path).map_err(Error::output("read", &folder(&self.path)))?;
        let is_other = |path: &&PathBuf| path.metadata().is_ok_and(|metadata| !metadata.is_file());
        match there.iter().find(is_other) {
            Some(path) => Err(Error::output("replace", path)(io::Error::other("it is not a file"))),
            None => Ok(()),
        }
    }
}

/// Writes the tree as a tar in several files, each of which appears under its name when it is complete, and
/// the file with their digests last. After a failure, complete volumes stay, so that the next run can resume.
///
/// Fails if there is anything but a file under the name of a volume. If `resume` is set, the bytes of volumes
/// that are there are compared with those that are to be written; a volume that is complete stays as it is.
/// Fails before it replaces a volume if the list of digests is that of another archive, and any volume that
/// is there has the digest that the list says: that set is finished.
///
/// `options.compression` is ignored: the length of the whole is known.
pub fn write_volumes(
    tree: &Tree,
    volumes: &Volumes,
    resume: bool,
    options: &Options<'_>,
) -> Result<WrittenVolumes, Error> {
    volumes.are_files()?;
    clear(&folder(&volumes.path));
    let sums = volumes.sums();
    let finished = if resume { Finished::read(&sums) } else { None };
    if finished.is_none() {
        remove(&sums)?;
    }
    let mut writer = Writer {
        volumes,
        resume,
        finished,
        number: 0,
        at: 0,
        now: None,
        hasher: Hasher::default(),
        whole: Hasher::default(),
        digests: Vec::new(),
        written: HashSet::new(),
        kept: 0,
        failed: None,
    };
    let written = write_stream(tree, &mut writer, &options.with_compression(None));
    if let Some(error) = writer.failed.take() {
        return Err(error);
    }
    written?;
    let Writer { digests, kept, whole, .. } = writer;
    let mut lines = String::new();
    for (number, digest) in (1..).zip(&digests) {
        let name = volumes.name(number);
        let name = name.file_name().unwrap_or_default().to_string_lossy();
        lines.push_str(&format!("{}  {name}\n", digest.hex()));
    }
    write_text(&sums, lines.as_bytes())?;
    sync_folder(&volumes.path);
    Ok(WrittenVolumes { digest: whole.finish(), digests, kept })
}

/// Writes a small file, which appears when it is complete. A device or a pipe is written to as it is.
pub fn write_text(path: &Path, text: &[u8]) -> Result<(), Error> {
    if path.metadata().is_ok_and(|metadata| !metadata.is_file() && !metadata.is_dir()) {
        return fs::write(path, text).map_err(Error::output("write", path));
    }
    let target = super::temporary::final_path(path).map_err(Error::output("resolve", path))?;
    let draft = Draft::beside(&target)?;
    draft.as_file().write_all(text).map_err(Error::output("write", &target))?;
    draft.persist(&target)
}

/// `path` with more at the end of its name.
fn beside(path: &Path, more: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(more);
    name.into()
}

fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::output("remove", path)(error)),
        _ => Ok(()),
    }
}

struct Writer<'v> {
    volumes: &'v Volumes,
    resume: bool,
    /// The list of an earlier run that came to its end.
    finished: Option<Finished>,
    /// Of the volume that is written; 0 before the first.
    number: u64,
    /// Bytes of it that are done.
    at: u64,
    now: Option<Volume>,
    hasher: Hasher,
    whole: Hasher,
    digests: Vec<Digest>,
    /// Volumes that were not there before, or not so.
    written: HashSet<PathBuf>,
    kept: usize,
    failed: Option<Error>,
}

enum Volume {
    /// It is there, and as far as it was compared, it is right.
    There(File),
    New(Draft),
}

impl Writer<'_> {
    /// Bytes of the volume that is written.
    fn len(&self) -> u64 {
        self.volumes.len_of(self.number)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        let path = match self.now {
            Some(_) => self.volumes.name(self.number),
            None => {
                self.number += 1;
                self.at = 0;
                let path = self.volumes.name(self.number);
                self.now = Some(self.open(&path)?);
                path
            }
        };
        let left = usize::try_from(self.len() - self.at).unwrap_or(usize::MAX);
        let bytes = &bytes[..bytes.len().min(left)];
        let write = Error::output("write", &path);
        match &self.now {
            Some(Volume::There(file)) if !continues(file, bytes) => {
                // What was compared is right, and is copied.
                let read = Error::output("read", &path);
                let file = File::open(&path).map_err(&read)?;
                let draft = Draft::beside(&path)?;
                io::copy(&mut file.take(self.at), &mut draft.as_file()).map_err(&write)?;
                draft.as_file().write_all(bytes).map_err(&write)?;
                self.now = Some(Volume::New(draft));
            }
            Some(Volume::There(_)) => {}
            Some(Volume::New(draft)) => draft.as_file().write_all(bytes).map_err(&write)?,
            None => {}
        }
        self.hasher.update(bytes);
        self.whole.update(bytes);
        self.at += bytes.len() as u64;
        if self.at == self.len() {
            let digest = std::mem::take(&mut self.hasher).finish();
            match self.now.take() {
                Some(Volume::New(draft)) => {
                    self.spare_others(&path, digest)?;
                    draft.persist(&path)?;
                    self.written.insert(path.clone());
                }
                _ => self.kept += 1,
            }
            self.digests.push(digest);
        }
        Ok(bytes.len())
    }

    /// Fails if a volume with another digest than the list says would replace one of a set that is finished.
    fn spare_others(&mut self, path: &Path, digest: Digest) -> Result<(), Error> {
        let Some(finished) = self.finished.take_if(|finished| !finished.has(path, digest)) else {
            return Ok(());
        };
        let sums = self.volumes.sums();
        let whole = &self.volumes.path;
        match finished.first_right(whole, |path| Volumes::has(whole, path) && !self.written.contains(path)) {
            Some(right) => {
                let why = format!(
                    "{} belongs to another archive, whose volumes are complete according to {}; remove them, \
                     or write to another name",
                    right.display(),
                    sums.display()
                );
                Err(Error::output("write", path)(io::Error::other(why)))
            }
            // It fits nothing that is there.
            None => remove(&sums),
        }
    }

    /// A volume that is there with the right length, or a new one.
    fn open(&self, path: &Path) -> Result<Volume, Error> {
        let is_there = |found: fs::Metadata| found.is_file() && found.len() == self.len();
        if self.resume
            && path.metadata().is_ok_and(is_there)
            && let Ok(file) = File::open(path)
        {
            return Ok(Volume::There(file));
        }
        Draft::beside(path).map(Volume::New)
    }
}

/// Whether a file goes on with these bytes.
fn continues(mut file: &File, bytes: &[u8]) -> bool {
    let mut there = vec![0; bytes.len()];
    file.read_exact(&mut there).is_ok() && there == bytes
}

impl Write for Writer<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        self.put(bytes).map_err(|error| {
            self.failed = Some(error);
            io::ErrorKind::Other.into()
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
