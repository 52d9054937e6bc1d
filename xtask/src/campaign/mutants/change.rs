//! One change to a store, and the way back: what is changed is moved out of the store, and moved in again.

use std::ffi::OsStr;
use std::fs::{self, File, FileTimes};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use super::{Places, json};
use crate::Outcome;
use crate::campaign::random::Random;
use crate::engines::process::{self, program, run};

/// What is done to a file or a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// As after a power loss: the name is there, the bytes are not.
    Empty,
    Zeros,
    /// Only the end is zeros: a page that was not written.
    ZerosAtTheEnd,
    Cut,
    /// A few bytes are missing at the end.
    CutShort,
    Removed,
    Flipped,
    /// A value of a document, also of one in gzip.
    Json,
    /// A newline or zeros follow.
    Longer,
    /// Random bytes of the same length.
    Noise,
    /// A folder of the same name.
    Folder,
    /// A pipe, which nobody writes into.
    Pipe,
    /// A link to itself.
    LinkToItself,
    /// A link to a file outside of the root.
    LinkOutside,
    /// A link to where the file is now.
    Moved,
}

const OF_FILES: [Manner; 17] = [
    Manner::Empty,
    Manner::Zeros,
    Manner::ZerosAtTheEnd,
    Manner::Cut,
    Manner::CutShort,
    Manner::Removed,
    Manner::Flipped,
    Manner::Flipped,
    Manner::Json,
    Manner::Json,
    Manner::Longer,
    Manner::Noise,
    Manner::Folder,
    Manner::Pipe,
    Manner::LinkToItself,
    Manner::LinkOutside,
    Manner::Moved,
];

const OF_FOLDERS: [Manner; 6] = [
    Manner::Empty,
    Manner::Removed,
    Manner::Folder,
    Manner::LinkToItself,
    Manner::LinkOutside,
    Manner::Moved,
];

/// A change that was made.
pub(crate) struct Change {
    path: PathBuf,
    held: PathBuf,
    manner: Manner,
    detail: String,
    /// The folder that the path is in, and its times before.
    folder: (PathBuf, FileTimes),
}

impl Change {
    /// Makes a change. `None` if the random manner leaves the file as it is.
    pub(crate) fn apply(
        path: &Path,
        root: &Path,
        places: &Places,
        random: &mut Random,
    ) -> Outcome<Option<Self>> {
        let meta = fs::symlink_metadata(path)?;
        let manner = *if meta.is_file() { random.one_of(&OF_FILES) } else { random.one_of(&OF_FOLDERS) };
        // A root that is a pipe is read when somebody writes to it.
        if matches!(manner, Manner::Removed | Manner::Pipe) && path == root {
            return Ok(None);
        }
        let (bytes, detail) = match changed(path, &meta, manner, random)? {
            Some((bytes, detail)) => (Some(bytes), detail),
            None if meta.is_file() && manner.keeps_a_file() => return Ok(None),
            None => (None, String::new()),
        };
        let parent = path.parent().unwrap_or(root).to_owned();
        let parents = fs::metadata(&parent)?;
        let times = FileTimes::new().set_modified(parents.modified()?).set_accessed(parents.accessed()?);
        let held = places.held.join("it");
        fs::rename(path, &held)?;
        let change = Change { path: path.to_owned(), held, manner, detail, folder: (parent, times) };
        let put = change.put(bytes, &meta, places);
        if let Err(error) = put {
            change.undo()?;
            return Err(error);
        }
        Ok(Some(change))
    }

    /// Puts something in the place of what was taken.
    fn put(&self, bytes: Option<Vec<u8>>, meta: &fs::Metadata, places: &Places) -> Outcome {
        let path = &self.path;
        match (self.manner, bytes) {
            (_, Some(bytes)) => {
                fs::write(path, bytes)?;
                fs::set_permissions(path, fs::Permissions::from_mode(meta.mode() & 0o7777))?;
                // Fails for an ordinary user, whose files are all the user's own.
                let _ = chown(path, Some(meta.uid()), Some(meta.gid()));
                File::options().write(true).open(path)?.set_modified(meta.modified()?)?;
            }
            (Manner::Folder | Manner::Empty, None) => fs::create_dir(path)?,
            (Manner::Pipe, None) => run(program("mkfifo", ["--"]).arg(path))?,
            (Manner::LinkToItself, None) => symlink(path.file_name().unwrap_or(OsStr::new("x")), path)?,
            (Manner::LinkOutside, None) if meta.is_dir() => {
                symlink(places.secret.parent().unwrap_or(Path::new("/")), path)?;
            }
            (Manner::LinkOutside, None) => symlink(&places.secret, path)?,
            (Manner::Moved, None) => symlink(&self.held, path)?,
            (_, None) => {}
        }
        let (folder, times) = &self.folder;
        Ok(File::open(folder)?.set_times(*times)?)
    }

    /// Mends the store.
    pub(crate) fn undo(self) -> Outcome {
        match fs::symlink_metadata(&self.path) {
            Ok(meta) if meta.is_dir() => fs::remove_dir_all(&self.path)?,
            Ok(_) => fs::remove_file(&self.path)?,
            Err(_) => {}
        }
        fs::rename(&self.held, &self.path)?;
        let (folder, times) = &self.folder;
        Ok(File::open(folder)?.set_times(*times)?)
    }

    /// The manner, for a person.
    pub(crate) fn name(&self) -> String {
        format!("{:?}", self.manner).to_lowercase()
    }

    /// What was done to which file.
    pub(crate) fn shown(&self, root: &Path) -> String {
        let path = self.path.strip_prefix(root).unwrap_or(&self.path);
        format!("{} {} {}", path.display(), self.name(), self.detail).trim_end().to_owned()
    }

    /// Whether what is left is as its engine could have written it: a layout, unpacked or as a tar, without
    /// the second of its two documents, since blobs that no document names are ordinary there; or a sound
    /// file of names with fewer names, since an image that others were built on is then one that was
    /// untagged; or an empty folder of notes on builds, as it is where all images were loaded.
    pub(crate) fn leaves_no_trace(&self, root: &Path) -> bool {
        let path = self.path.strip_prefix(root).unwrap_or(&self.path);
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        match self.manner {
            Manner::Removed => path == Path::new("manifest.json") && root.join("index.json").is_file(),
            // A tar may end with as many zeros as it likes.
            Manner::ZerosAtTheEnd => {
                let [was, is] = [&self.held, &self.path].map(|tar| names(tar));
                was.iter().filter(|name| !is.contains(name)).eq(["manifest.json"])
                    && is.iter().any(|name| name == "index.json")
            }
            Manner::Json => name.starts_with("repositories"),
            Manner::Folder | Manner::Empty => path.ends_with("imagedb/metadata/sha256"),
            _ => false,
        }
    }

    /// The class of the file.
    pub(crate) fn class(&self, root: &Path) -> String {
        class(&self.path, root)
    }
}

impl Manner {
    /// Whether a file with other bytes takes the place.
    fn keeps_a_file(self) -> bool {
        use Manner::{Cut, CutShort, Empty, Flipped, Json, Longer, Noise, Zeros, ZerosAtTheEnd};
        matches!(self, Empty | Zeros | ZerosAtTheEnd | Cut | CutShort | Flipped | Json | Longer | Noise)
    }
}

/// The names in a tar; none if it is not one.
fn names(tar: &Path) -> Vec<String> {
    process::text(program("tar", ["-tf"]).arg(tar)).unwrap_or_default().lines().map(str::to_owned).collect()
}

/// The bytes of the file after the change, and where it is. `None` if the manner leaves no file, or the same
/// bytes.
fn changed(
    path: &Path,
    meta: &fs::Metadata,
    manner: Manner,
    random: &mut Random,
) -> Outcome<Option<(Vec<u8>, String)>> {
    if !meta.is_file() || !manner.keeps_a_file() {
        return Ok(None);
    }
    let was = fs::read(path)?;
    let mut bytes = was.clone();
    let len = bytes.len();
    let detail = match manner {
        Manner::Empty => {
            bytes.clear();
            String::new()
        }
        Manner::Zeros => {
            bytes.fill(0);
            String::new()
        }
        Manner::ZerosAtTheEnd => {
            let at = random.below(len);
            bytes[at..].fill(0);
            format!("from byte {at}")
        }
        Manner::Cut => {
            bytes.truncate(random.below(len));
            format!("to {} bytes", bytes.len())
        }
        Manner::CutShort => {
            bytes.truncate(len.saturating_sub(1 + random.below(9)));
            format!("to {} of {len} bytes", bytes.len())
        }
        Manner::Flipped if len > 0 => {
            let at = random.below(len);
            let bit = random.below(8);
            bytes[at] ^= 1 << bit;
            format!("bit {bit} of byte {at}")
        }
        Manner::Json => match edited(path, &was, random)? {
            Some(new) => {
                let at = new.iter().zip(&was).take_while(|(new, was)| new == was).count();
                bytes = new;
                format!("from byte {at}")
            }
            None => return Ok(None),
        },
        Manner::Longer => {
            let more = *random.one_of::<&[u8]>(&[b"\n", &[0; 512], b"{}"]);
            bytes.extend_from_slice(more);
            format!("by {} bytes", more.len())
        }
        Manner::Noise => {
            bytes.fill_with(|| random.next() as u8);
            String::new()
        }
        _ => return Ok(None),
    };
    Ok((bytes != was).then_some((bytes, detail)))
}

/// A document with one value changed, also within gzip.
fn edited(path: &Path, bytes: &[u8], random: &mut Random) -> Outcome<Option<Vec<u8>>> {
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return Ok(json::edit(bytes, random));
    }
    let input = File::open(path)?;
    let Ok(plain) = process::bytes(program("gzip", ["-dc"]).stdin(input)) else { return Ok(None) };
    let Some(plain) = json::edit(&plain, random) else { return Ok(None) };
    let file = std::env::temp_dir().join(format!("layerlift-campaign-{}", std::process::id()));
    fs::write(&file, plain)?;
    let packed = process::bytes(program("gzip", ["-nc"]).stdin(File::open(&file)?));
    fs::remove_file(&file)?;
    packed.map(Some)
}

/// A path without what is different for each image or layer, so that files of one sort have one class.
pub(crate) fn class(path: &Path, root: &Path) -> String {
    let mut class = Vec::new();
    for part in path.strip_prefix(root).unwrap_or(path).components() {
        let part = part.as_os_str().to_string_lossy();
        let long = part.len() >= 26 && part.chars().filter(char::is_ascii_alphanumeric).count() >= 24;
        class.push(if long { "*".to_owned() } else { part.clone().into_owned() });
        let content = matches!(&*part, "diff" | "dir" | "subvolumes" | "root") && class.len() > 2;
        let content = content || (class.len() > 2 && class[class.len() - 2] == "dir");
        if content {
            class.push("...".to_owned());
            break;
        }
    }
    class.join("/")
}
