//! Where an archive goes.

use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use layerlift_archive::{Existing, Options, Tree, write_dir, write_file, write_stream};
use layerlift_export::Format;

use crate::error::Error;
use crate::signals::Guard;

/// The three outputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Destination {
    /// Standard output.
    Stream,
    /// A tar.
    File(PathBuf),
    /// A directory; its name ended in a slash.
    Dir(PathBuf),
}

impl Destination {
    /// What `-o` means.
    pub(crate) fn parse(output: Option<&Path>) -> Self {
        match output {
            None => Destination::Stream,
            Some(path) if path.as_os_str() == "-" => Destination::Stream,
            Some(path) if path.as_os_str().as_encoded_bytes().ends_with(b"/") => {
                Destination::Dir(path.to_owned())
            }
            Some(path) => Destination::File(path.to_owned()),
        }
    }

    /// Refuses at once what would fail after all the work.
    pub(crate) fn check(&self, format: Format) -> Result<(), Error> {
        match self {
            Destination::Stream if io::stdout().is_terminal() => return Err(Error::Terminal),
            Destination::File(path) if path.is_dir() => return Err(Error::OutputIsDirectory(path.clone())),
            // What is in it is for the format to look at.
            Destination::Dir(_) if format.extends() => {}
            Destination::Dir(path) if path.read_dir().is_ok_and(|mut dir| dir.next().is_some()) => {
                return Err(Error::OutputNotEmpty(path.clone()));
            }
            _ => {}
        }
        let Some(folder) = self.folder() else { return Ok(()) };
        match folder.metadata() {
            Ok(metadata) if metadata.is_dir() => Ok(()),
            Ok(_) => Err(io::ErrorKind::NotADirectory.into()),
            Err(error) => Err(error),
        }
        .map_err(|source| Error::Folder { path: folder, source })
    }

    /// The folder in which the output gets its name; none for a stream, be it standard output, a pipe or a device.
    pub(crate) fn folder(&self) -> Option<PathBuf> {
        let path = match self {
            Destination::Stream => return None,
            // A directory's name without its slash, so that its parent is the folder that it stands in.
            Destination::Dir(path) => path.components().collect(),
            Destination::File(path) => match path.metadata() {
                Ok(metadata) if !metadata.is_file() => return None,
                Ok(_) => path.canonicalize().unwrap_or_else(|_| path.clone()),
                Err(_) => path.clone(),
            },
        };
        Some(match path.parent() {
            Some(parent) if parent.as_os_str().is_empty() => PathBuf::from("."),
            Some(parent) => parent.to_owned(),
            None => path,
        })
    }

    /// Refuses an output that its file system has no room for. One that does not tell how much room it has is believed.
    pub(crate) fn check_space(&self, needed: u64) -> Result<(), Error> {
        let Some(folder) = self.folder() else { return Ok(()) };
        let Ok(stat) = rustix::fs::statvfs(&folder) else { return Ok(()) };
        if stat.f_blocks == 0 {
            return Ok(());
        }
        // What is kept for root is there for root.
        let blocks = if rustix::process::geteuid().is_root() { stat.f_bfree } else { stat.f_bavail };
        let available = blocks.saturating_mul(stat.f_frsize);
        if needed <= available {
            return Ok(());
        }
        let (Destination::File(path) | Destination::Dir(path)) = self else { return Ok(()) };
        Err(Error::Space { path: path.clone(), needed, available })
    }

    /// Bytes that the tree takes here.
    pub(crate) fn len_of(&self, tree: &Tree) -> u64 {
        if matches!(self, Destination::Dir(_)) { tree.content_len() } else { tree.tar_len() }
    }

    /// The directory that may be there already and gets the images besides its own.
    pub(crate) fn extended(&self, format: Format) -> Option<&Path> {
        match self {
            Destination::Dir(path) if format.extends() => Some(path),
            _ => None,
        }
    }

    /// Writes the tree.
    pub(crate) fn write(&self, tree: &Tree, existing: Existing, options: &Options<'_>) -> Result<(), Error> {
        match self {
            Destination::Stream => {
                // The handle itself: that of the standard library looks for line ends in all that it is given.
                let out = io::stdout().as_fd().try_clone_to_owned().map_err(Error::Stdout)?;
                widen(&out);
                write_stream(tree, File::from(out), options)?;
            }
            Destination::File(path) => {
                let _guard = self.folder().map(|_| Guard::new());
                write_file(tree, path, options)?;
            }
            Destination::Dir(path) => {
                let _guard = Guard::new();
                write_dir(tree, path, existing, options)?;
            }
        }
        Ok(())
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
        }
    }
}

/// Asks for the largest pipe that everybody may have: the program and its reader then wait for each other less often. What is
/// no pipe, is larger already, or may not grow, stays as it is.
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
        ] {
            assert_eq!(Destination::parse(output.map(Path::new)), expected);
        }
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
