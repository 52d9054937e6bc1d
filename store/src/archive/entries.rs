//! An index of a tar: where the bytes of each entry are.
//!
//! Of several entries with one name the last counts, as when the tar is unpacked. The number of names and
//! their length are limited, and so is memory.

use std::collections::BTreeMap;
use std::io;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use layerlift_archive::{FileRange, ReadAt, TrailingBytes};

use super::expanded::Expanded;
use super::header::{self, End, Kind};
use super::known;
use super::name::{beside, clean};
use super::whole::Whole;
use super::{LINKS, Place};
use crate::Error;
use crate::kind::OpenOptions;

/// How many entries a tar may have: many times what the largest archive of images needs.
const ENTRIES: usize = 1 << 18;
/// Total length of all names.
const NAMES: usize = 64 << 20;

/// What names the images of an archive.
const DOCUMENTS: [&str; 3] = ["index.json", "manifest.json", "repositories"];

/// An index of a tar.
#[derive(Debug)]
pub(crate) struct Entries {
    path: PathBuf,
    file: Arc<dyn ReadAt>,
    len: u64,
    entries: BTreeMap<String, TarEntry>,
    /// Where the tar is cut off or damaged. All entries before that are complete.
    cut: Option<Cut>,
    /// Where something is not a header, before others that are.
    gap: Option<u64>,
    /// Sparse entries that were needed.
    expanded: Expanded,
    /// Names that lead out of the tar.
    outside: Vec<String>,
    /// What is wrong with the compressed stream.
    stream: Option<String>,
    /// Whether something follows the compressed stream.
    trailing: bool,
    /// Whether the file was compressed.
    unpacked: bool,
}

#[derive(Debug)]
enum TarEntry {
    File {
        offset: u64,
        len: u64,
    },
    /// A link to a name in the tar; `None` if it leads out.
    Link {
        to: Option<String>,
        written: String,
    },
    /// A file without its holes, and where its headers begin.
    Sparse {
        at: u64,
    },
    Dir,
    Other,
    /// A file that is cut off.
    Cut {
        len: u64,
    },
}

#[derive(Debug)]
struct Cut {
    /// Offset at which the file ends, or stops being a tar.
    at: u64,
    how: String,
    /// Whether only the end marker is missing, which some programs do not write.
    only_mark: bool,
}

impl Entries {
    /// Reads all headers.
    pub(super) fn read(whole: Whole, path: &Path, options: &OpenOptions) -> Result<Self, Error> {
        let Whole { file, len, damage: stream, trailing, unpacked } = whole;
        let mut this = Entries {
            path: path.to_owned(),
            file,
            len,
            entries: BTreeMap::new(),
            cut: None,
            gap: None,
            expanded: Expanded::new(options),
            outside: Vec::new(),
            stream,
            trailing,
            unpacked,
        };
        let mut at = 0;
        let mut names = 0;
        let mut count = 0;
        loop {
            let header =
                header::read(&*this.file, this.len, at).map_err(|error| Error::io("read", path, error))?;
            let header = match header {
                Ok(header) => header,
                Err(end) => {
                    let failed = |error| Error::io("read", path, error);
                    let is_lone =
                        end == End::Mark && header::is_lone_zero(&*this.file, len, at).map_err(failed)?;
                    let end = if is_lone { End::NoHeader(at) } else { end };
                    let next = this.resume(&end, at).map_err(failed)?;
                    if let Some(next) = next {
                        at = next;
                        continue;
                    }
                    this.end(end, at)?;
                    return Ok(this);
                }
            };
            count += 1;
            names += header.name.len();
            if count > ENTRIES || names > NAMES {
                let why = format!("it has more than {ENTRIES} entries, or names of more than 64 MiB");
                return Err(Error::malformed(path, why));
            }
            let end = header.offset.checked_add(header.len).filter(|end| *end <= len);
            let name = String::from_utf8_lossy(&header.name).into_owned();
            if this.gap.is_some() && !header::of_images(&name) {
                // Of a file in a layer, perhaps.
                at = header.offset.next_multiple_of(512);
                continue;
            }
            this.add(&name, at, &header, end.is_some());
            let Some(end) = end else {
                this.cut = Some(Cut { at: len, how: format!("in the middle of {name}"), only_mark: false });
                return Ok(this);
            };
            at = end.next_multiple_of(512);
            if at > len {
                // Only the padding of the last entry is missing.
                this.cut = Some(Cut { at: len, how: format!("behind {name}"), only_mark: true });
                return Ok(this);
            }
        }
    }

    /// Where the tar goes on after a damaged header. Once there was one, no end can be trusted: a layer whose
    /// header is damaged has an end of its own.
    fn resume(&mut self, end: &End, at: u64) -> io::Result<Option<u64>> {
        let is_damage = match end {
            // An archive without these has not come to its end.
            End::Mark if !DOCUMENTS.iter().any(|name| self.entries.contains_key(*name)) => true,
            End::Mark => self.gap.is_some(),
            End::NoHeader(_) if self.entries.is_empty() => {
                let mut block = [0; 512];
                self.file.read_exact_at(&mut block, at)?;
                header::is_ustar(&block) || block == [0; 512]
            }
            End::NoHeader(_) => true,
            End::InHeader | End::NoMark => false,
        };
        if !is_damage {
            return Ok(None);
        }
        let next = header::search(&*self.file, self.len, at + 512)?;
        if next.is_some() {
            self.gap.get_or_insert(at);
        }
        Ok(next)
    }

    fn add(&mut self, name: &str, at: u64, header: &header::Header, whole: bool) {
        let Some(clean_name) = clean(name) else {
            // `./` is the packed directory itself.
            if !matches!((name.trim_matches('/'), &header.kind), ("." | "", Kind::Dir)) {
                self.outside.push(name.to_owned());
            }
            return;
        };
        let written = |target: &[u8]| String::from_utf8_lossy(target).into_owned();
        let entry = match &header.kind {
            Kind::File | Kind::Sparse(_) if !whole => TarEntry::Cut { len: header.len },
            Kind::File => TarEntry::File { offset: header.offset, len: header.len },
            Kind::Symbolic(target) => {
                let written = written(target);
                TarEntry::Link { to: beside(&clean_name, &written), written }
            }
            Kind::Hard(target) => {
                let written = written(target);
                TarEntry::Link { to: clean(&written), written }
            }
            Kind::Sparse(_) => TarEntry::Sparse { at },
            Kind::Dir => TarEntry::Dir,
            Kind::Other => TarEntry::Other,
        };
        self.entries.insert(clean_name, entry);
    }

    /// Records why there are no more headers. If there was none at all, the file is not a tar.
    fn end(&mut self, end: End, at: u64) -> Result<(), Error> {
        let last = if at == 0 { "at its beginning" } else { "between two entries" };
        self.cut = match end {
            End::Mark => None,
            End::NoHeader(_) | End::InHeader if self.entries.is_empty() && self.stream.is_none() => {
                if let Some(known) = known::by_bytes(&*self.file, self.unpacked) {
                    return Err(known.error(&self.path));
                }
                let why = "it is neither a tar nor one compressed with gzip, zstd, xz or bzip2";
                return Err(Error::no_store(&self.path, why));
            }
            End::NoMark => Some(Cut { at, how: last.to_owned(), only_mark: true }),
            End::InHeader => {
                Some(Cut { at: self.len, how: "in the middle of a header".to_owned(), only_mark: false })
            }
            End::NoHeader(at) => Some(Cut {
                at,
                how: "with something that is not an entry of a tar".to_owned(),
                only_mark: false,
            }),
        };
        Ok(())
    }

    pub(super) fn try_find(&self, name: &str) -> Result<Option<Place>, Error> {
        let mut at = name;
        for _ in 0..LINKS {
            let Some(entry) = self.entries.get(at) else {
                let dangling = || self.malformed(name, format!("it is a link to {at}, which is not there"));
                return if at == name { Ok(None) } else { Err(dangling()) };
            };
            match entry {
                &TarEntry::File { offset, len } => {
                    let range = FileRange { file: Arc::clone(&self.file), offset, len, digest: None };
                    return Ok(Some(Place { name: at.to_owned(), range }));
                }
                &TarEntry::Sparse { at: header } => {
                    let range =
                        self.expanded.range(&*self.file, self.len, header, || self.path.join(name))?;
                    return Ok(Some(Place { name: at.to_owned(), range }));
                }
                TarEntry::Link { to: Some(to), .. } => at = to,
                TarEntry::Link { to: None, written } => {
                    let why = format!("it is a link to {written:?}, out of the archive");
                    return Err(self.malformed(name, why));
                }
                TarEntry::Dir | TarEntry::Other => {
                    return Err(self.malformed(name, "it is not a regular file".to_owned()));
                }
                TarEntry::Cut { len } => {
                    let why =
                        format!("it has {len} bytes, but the archive ends before, at byte {}", self.len);
                    return Err(Error::damaged(self.path.join(name), why));
                }
            }
        }
        Err(self.malformed(name, "it is a link that leads to itself, or through too many others".to_owned()))
    }

    /// Names in a folder, which ends with a slash; at the top if it is empty. Sorted.
    pub(super) fn top(&self, folder: &str) -> Vec<String> {
        let mut top: Vec<&str> = Vec::new();
        for name in self.below(folder) {
            let first = name.split('/').next().unwrap_or_default();
            // `a-b` lies between `a` and `a/b`.
            if top.last() != Some(&first) {
                top.push(first);
            }
        }
        top.sort_unstable();
        top.dedup();
        top.into_iter().map(str::to_owned).collect()
    }

    /// The folder in `folder` in which everything lies that is there. A file beside it that only a Macintosh
    /// writes does not count.
    pub(super) fn only(&self, folder: &str) -> Option<String> {
        let top = self.top(folder);
        let mut top = top.iter().filter(|name| !name.starts_with("._"));
        let (name, None) = (top.next()?, top.next()) else { return None };
        let name = format!("{folder}{name}");
        let is_file = matches!(
            self.entries.get(&*name),
            Some(
                TarEntry::File { .. }
                    | TarEntry::Sparse { .. }
                    | TarEntry::Link { .. }
                    | TarEntry::Cut { .. }
            )
        );
        (!is_file).then_some(name)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.entries.contains_key(name)
    }

    /// The error for a tar in which there is no image.
    pub(super) fn no_image(&self, why: &'static str) -> Error {
        let names = self.entries.keys().map(|name| &**name);
        let known = match self.entries.is_empty() {
            true => known::by_bytes(&*self.file, self.unpacked),
            false => known::by_names(names),
        };
        known.map_or_else(|| Error::no_store(&self.path, why), |known| known.error(&self.path))
    }

    /// Names below a folder, without it.
    fn below(&self, folder: &str) -> impl Iterator<Item = &str> {
        let below = self.entries.range::<str, _>((Bound::Included(folder), Bound::Unbounded));
        below.map_while(move |(name, _)| name.strip_prefix(folder)).filter(|name| !name.is_empty())
    }

    pub(super) fn list(&self, dir: &str) -> Vec<String> {
        self.below(&format!("{dir}/")).filter(|name| !name.contains('/')).map(str::to_owned).collect()
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn is_cut(&self) -> bool {
        self.cut.is_some() || self.gap.is_some() || self.stream.is_some()
    }

    /// Whether all that is missing is the end mark.
    pub(super) fn lacks_mark_only(&self) -> bool {
        let only_mark = self.cut.as_ref().is_some_and(|cut| cut.only_mark);
        only_mark && self.gap.is_none() && self.stream.is_none()
    }

    pub(super) fn damage(&self) -> Vec<Error> {
        let mut errors = Vec::new();
        if self.is_cut() && !self.lacks_mark_only() {
            errors.push(self.cut_off(""));
        }
        if self.trailing {
            errors.push(Error::malformed(&self.path, TrailingBytes.to_string()));
        }
        if !self.outside.is_empty() {
            let names = self.outside.iter().take(5).map(|name| format!("{name:?}")).collect::<Vec<_>>();
            let more = self.outside.len().saturating_sub(5);
            let more = if more == 0 { String::new() } else { format!(" and {more} more") };
            let why = format!("entries lead out of it and are not used: {}{more}", names.join(", "));
            errors.push(Error::malformed(&self.path, why));
        }
        errors
    }

    /// The error that says where the tar is cut off, and what follows from that.
    pub(super) fn cut_off(&self, consequence: &str) -> Error {
        let mut why = Vec::new();
        if let Some(stream) = &self.stream {
            why.push(format!("its compressed data end too early or are damaged ({stream})"));
        }
        if let Some(at) = self.gap {
            why.push(format!("what it has at byte {at} is not the header of an entry"));
        }
        if let Some(cut) = &self.cut {
            why.push(format!("the tar ends at byte {}, {}", cut.at, cut.how));
        }
        if !consequence.is_empty() {
            why.push(consequence.to_owned());
        }
        Error::damaged(&self.path, why.join("; "))
    }

    fn malformed(&self, name: &str, why: String) -> Error {
        Error::malformed(self.path.join(name), why)
    }
}
