//! Where an archive goes.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use layerlift_archive::{
    Compression, CompressionLevel, Options, Spools, Tree, final_path, is_empty_dir, write_dir, write_file,
    write_file_hashed, write_file_or_keep, write_stream, write_stream_hashed,
};
use layerlift_export::{Bundle, Format, Layout, Prepared, push, tree};

use crate::args::ArchiveCompression;
use crate::delivery::Delivered;
use crate::error::Error;
use crate::output::stdout_was_closed;
use crate::signals::Guard;

/// What stands before a place in a registry.
pub(crate) const REGISTRY: &str = "docker://";

/// Bytes of layers of unknown length that are kept in memory.
const IN_MEMORY: u64 = 64 << 20;

/// The outputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Destination {
    /// Standard output.
    Stream,
    /// A tar.
    File(PathBuf),
    /// A directory; its name ended in a slash.
    Dir(PathBuf),
    /// A place in a registry.
    Registry(String),
}

impl Destination {
    /// What `-o` means.
    pub(crate) fn parse(output: Option<&Path>) -> Self {
        if let Some(place) = output.and_then(Path::to_str).and_then(|text| text.strip_prefix(REGISTRY)) {
            return Destination::Registry(place.to_owned());
        }
        match output {
            None => Destination::Stream,
            Some(path) if path.as_os_str() == "-" => Destination::Stream,
            Some(path) if path.as_os_str().as_encoded_bytes().ends_with(b"/") => {
                Destination::Dir(path.to_owned())
            }
            Some(path) => Destination::File(path.to_owned()),
        }
    }

    /// How to compress the archive as a whole: as requested, else as the name of the file says.
    pub(crate) fn compression(
        &self,
        requested: Option<ArchiveCompression>,
    ) -> Result<Option<CompressionLevel>, Error> {
        match (self, requested) {
            (Destination::Dir(_), Some(ArchiveCompression(Some(_)))) => Err(Error::CompressedDirectory),
            (_, Some(ArchiveCompression(compression))) => Ok(compression),
            (Destination::File(path), None) => by_suffix(path),
            _ => Ok(None),
        }
    }

    /// Refuses now what would fail after all the work.
    pub(crate) fn check(&self, format: Format) -> Result<(), Error> {
        match self {
            Destination::Stream if stdout_was_closed() => return Err(Error::ClosedStdout),
            Destination::Stream if io::stdout().is_terminal() => return Err(Error::Terminal),
            Destination::File(path) if path.is_dir() => return Err(Error::OutputIsDirectory(path.clone())),
            // What is in it, the format looks at.
            Destination::Dir(_) if format.extends() => {}
            Destination::Dir(path) if is_empty_dir(path).is_ok_and(|empty| !empty) => {
                return Err(Error::OutputNotEmpty(path.clone()));
            }
            _ => {}
        }
        self.check_folder()
    }

    /// The same for a tar that is not an archive of images.
    pub(crate) fn check_tar(&self) -> Result<(), Error> {
        match self {
            Destination::Registry(_) => Err(Error::ImagesOnly(self.name())),
            _ => self.check(Format::DockerArchive),
        }
    }

    /// Whether the folder of the output is there.
    fn check_folder(&self) -> Result<(), Error> {
        let Some(folder) = self.folder() else { return Ok(()) };
        match folder.metadata() {
            Ok(metadata) if metadata.is_dir() => Ok(()),
            Ok(_) => Err(io::ErrorKind::NotADirectory.into()),
            Err(error) => Err(error),
        }
        .map_err(|source| Error::Folder { path: folder, source })
    }

    /// The folder in which the output gets its name; none for a stream, be it standard output, a pipe or a
    /// device.
    pub(crate) fn folder(&self) -> Option<PathBuf> {
        let path = match self {
            Destination::Stream | Destination::Registry(_) => return None,
            // A directory's name without its slash, so that its parent is the folder that it stands in.
            Destination::Dir(path) => {
                let path: PathBuf = path.components().collect();
                final_path(&path).unwrap_or(path)
            }
            Destination::File(path) => match path.metadata() {
                Ok(metadata) if !metadata.is_file() => return None,
                _ => final_path(path).unwrap_or_else(|_| path.clone()),
            },
        };
        Some(match path.parent() {
            Some(parent) if parent.as_os_str().is_empty() => PathBuf::from("."),
            Some(parent) => parent.to_owned(),
            None => path,
        })
    }

    /// Where layers go whose lengths are not known in advance: into the output, if that is possible, else to
    /// memory, as far as they fit, and to temporary files.
    pub(crate) fn spools(
        &self,
        layout: bool,
        is_written_at_once: bool,
        temp_dir: &Path,
    ) -> Result<Spools, Error> {
        match (self, self.folder()) {
            (Destination::File(path), Some(_)) if is_written_at_once => Ok(Spools::in_tar(path, temp_dir)?),
            // The files of a layout get their names in it.
            (Destination::Dir(path), Some(_)) if layout => Ok(Spools::in_files(path)),
            (Destination::Dir(_), Some(folder)) => Ok(Spools::in_files(folder)),
            _ => Ok(Spools::in_memory(IN_MEMORY, temp_dir)),
        }
    }

    /// The free space for an output in bytes, if its file system reports it.
    fn available(&self) -> Option<u64> {
        let stat = rustix::fs::statvfs(self.folder()?).ok().filter(|stat| stat.f_blocks > 0)?;
        // Root may also use the reserved blocks.
        let blocks = if rustix::process::geteuid().is_root() { stat.f_bfree } else { stat.f_bavail };
        Some(blocks.saturating_mul(stat.f_frsize))
    }

    /// Whether there is room for an output twice.
    pub(crate) fn has_room_for_two(&self, len: u64) -> bool {
        self.available().is_none_or(|available| len.saturating_mul(2) <= available)
    }

    /// Whether what fails on the way can still be left out: not of what has left through a pipe, nor of what
    /// is compressed as a whole.
    pub(crate) fn can_leave_out(&self, compression: Option<CompressionLevel>) -> bool {
        matches!(self, Destination::File(_)) && self.folder().is_some() && compression.is_none()
    }

    /// Refuses an output for which its file system has too little room. A file system that does not say how
    /// much it has is trusted.
    pub(crate) fn check_space(&self, needed: u64) -> Result<(), Error> {
        let Some(available) = self.available().filter(|available| *available < needed) else { return Ok(()) };
        let (Destination::File(path) | Destination::Dir(path)) = self else { return Ok(()) };
        Err(Error::Space { path: path.clone(), needed, available })
    }

    /// The layout that gets more images, if there is one.
    pub(crate) fn layout(&self, format: Format) -> Result<Option<Layout>, Error> {
        match self {
            Destination::Dir(path) if format.extends() => Ok(Layout::try_open(path)?),
            _ => Ok(None),
        }
    }

    /// The folder for a report of a salvage, if the format's tree does not have it.
    pub(crate) fn report_beside(&self, format: Format) -> Option<PathBuf> {
        match self {
            Destination::Dir(path) if format.extends() => Some(path.clone()),
            _ => None,
        }
    }

    /// What is to be written here.
    pub(crate) fn output<'p>(&'p self, prepared: &'p Prepared, layout: Option<Layout>) -> Output<'p> {
        match (layout, prepared.bundle()) {
            (Some(layout), Some(bundle)) => Output::Layout(layout, bundle),
            _ => Output::Tree(self, tree(prepared)),
        }
    }

    /// Length of the file that was written, which compression decides.
    pub(crate) fn written(&self) -> Option<u64> {
        let Destination::File(path) = self else { return None };
        path.metadata().ok().filter(|metadata| metadata.is_file()).map(|metadata| metadata.len())
    }

    /// As messages name it.
    pub(crate) fn name(&self) -> String {
        match self {
            Destination::Stream => "standard output".to_owned(),
            Destination::File(path) | Destination::Dir(path) => path.display().to_string(),
            Destination::Registry(place) => format!("{REGISTRY}{place}"),
        }
    }
}

/// As `tar --auto-compress` does. A compression that can be read but not written is an error, not a file that
/// is not what its name says.
fn by_suffix(path: &Path) -> Result<Option<CompressionLevel>, Error> {
    let unwritten = |compression| Err(Error::Suffix { path: path.to_owned(), compression });
    match path.extension().and_then(OsStr::to_str).map(str::to_ascii_lowercase).as_deref() {
        Some("gz" | "tgz") => Ok(Some(CompressionLevel::GZIP)),
        Some("zst" | "zstd" | "tzst") => Ok(Some(CompressionLevel::ZSTD)),
        Some("xz" | "txz") => unwritten(Compression::Xz),
        Some("bz2" | "tbz" | "tbz2") => unwritten(Compression::Bzip2),
        _ => Ok(None),
    }
}

/// What is written, and where to.
pub(crate) enum Output<'p> {
    Tree(&'p Destination, Tree),
    Layout(Layout, &'p Bundle),
}

impl Output<'_> {
    /// Bytes that it takes.
    pub(crate) fn len(&self) -> u64 {
        match self {
            Output::Tree(Destination::Dir(_), tree) => tree.content_len(),
            Output::Tree(_, tree) => tree.tar_len(),
            Output::Layout(_, bundle) => bundle.len(),
        }
    }

    /// Writes it. Where something in it failed and `keep` says so, what was read of the rest is given back.
    /// With `hashed`, a single file or stream is written front to back, and hashed on the way.
    pub(crate) fn write(&self, keep: bool, hashed: bool, options: &Options<'_>) -> Result<Delivered, Error> {
        let mut delivered = Delivered::default();
        match self {
            Output::Tree(Destination::Stream, tree) => {
                // The handle itself: that of the standard library looks for line ends in all that it is
                // given.
                let out = io::stdout().as_fd().try_clone_to_owned().map_err(Error::Stdout)?;
                widen(&out);
                match hashed {
                    true => delivered.digest = Some(write_stream_hashed(tree, File::from(out), options)?),
                    false => write_stream(tree, File::from(out), options)?,
                }
            }
            Output::Tree(destination @ Destination::File(path), tree) => {
                let _guard = destination.folder().map(|_| Guard::new());
                match (hashed, keep) {
                    (true, _) => delivered.digest = Some(write_file_hashed(tree, path, options)?),
                    (false, true) => delivered.unfinished = write_file_or_keep(tree, path, options)?,
                    (false, false) => write_file(tree, path, options)?,
                }
            }
            Output::Tree(Destination::Dir(path), tree) => {
                let _guard = Guard::new();
                write_dir(tree, path, options)?;
            }
            // `registry::push` does that.
            Output::Tree(Destination::Registry(_), _) => {}
            Output::Layout(layout, bundle) => {
                let _guard = Guard::new();
                push(bundle, layout, options)?;
            }
        }
        Ok(delivered)
    }
}

/// Asks for the largest pipe that every user may have: the program and its reader then wait for each other
/// less often. Anything but a pipe, and a pipe that is larger already or may not grow, stays as it is.
fn widen(out: impl AsFd) {
    const LARGEST: usize = 1 << 20;
    if rustix::pipe::fcntl_getpipe_size(&out).is_ok_and(|size| size < LARGEST) {
        let _ = rustix::pipe::fcntl_setpipe_size(&out, LARGEST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs() {
        for (output, expected) in [
            (None, Destination::Stream),
            (Some("-"), Destination::Stream),
            (Some("a/b.tar"), Destination::File("a/b.tar".into())),
            (Some("a/b/"), Destination::Dir("a/b/".into())),
            (Some("./-"), Destination::File("./-".into())),
            (Some("docker://r.example/a/b/"), Destination::Registry("r.example/a/b/".to_owned())),
            (Some("./docker://r/"), Destination::Dir("./docker://r/".into())),
        ] {
            assert_eq!(Destination::parse(output.map(Path::new)), expected);
        }
    }

    #[test]
    fn compression_by_name() {
        let level = |text: &str| Some(text.parse::<CompressionLevel>().unwrap());
        for (output, requested, expected) in [
            ("a.tar", None, None),
            ("a.tar.gz", None, level("gzip")),
            ("a.tgz", None, level("gzip")),
            ("A.TAR.GZ", None, level("gzip")),
            ("a.tar.zstd", None, level("zstd")),
            ("a.tar.zst", None, level("zstd")),
            ("a.tar.gz", Some("none"), None),
            ("a.tar.gz", Some("zstd:9"), level("zstd:9")),
            ("a.tar", Some("gzip:1"), level("gzip:1")),
            ("gz", None, None),
            ("a.gz/", None, None),
            ("a.gz/", Some("none"), None),
        ] {
            let destination = Destination::parse(Some(Path::new(output)));
            let requested = requested.map(|text| text.parse().unwrap());
            assert_eq!(destination.compression(requested).unwrap(), expected, "{output}");
        }
        let refused = |output| Destination::parse(Some(Path::new(output))).compression(None).is_err();
        assert!(refused("a.tar.xz") && refused("a.tbz2"));
    }

    #[test]
    fn folders() {
        for (output, expected) in [
            ("a/b.tar", Some("a")),
            ("b.tar", Some(".")),
            ("a/b/", Some("a")),
            ("b/", Some(".")),
            ("/", Some("/")),
            ("/dev/null", None),
            ("-", None),
        ] {
            let destination = Destination::parse(Some(Path::new(output)));
            assert_eq!(destination.folder(), expected.map(PathBuf::from), "{output}");
        }
    }
}
