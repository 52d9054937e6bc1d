//! An error in words: what went wrong and why, from the outside in, and what can be done about it.
//!
//! The libraries do not know the command line. Their hints are values, which get their words here.

use std::error::Error as StdError;
use std::io;
use std::path::Path;

use layerlift_export::Hint as ExportHint;
use layerlift_store::Hint as StoreHint;

use crate::about::About;
use crate::chain::{Link, as_type, chain};
use crate::error::Error;

/// An error in words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Message {
    /// What went wrong and why.
    pub(crate) text: String,
    /// What the user can do.
    pub(crate) hints: Vec<String>,
    /// What it is about, for machines.
    pub(crate) about: About,
}

impl Message {
    pub(crate) fn of_text(text: &str) -> Self {
        Message { text: text.to_owned(), ..Message::default() }
    }

    /// The error and its causes. A cause that its error repeats is said once.
    pub(crate) fn of(error: &(dyn StdError + 'static)) -> Self {
        let mut text = String::new();
        for part in chain(error).map(words) {
            if !text.ends_with(&part) {
                if !text.is_empty() {
                    text.push_str(": ");
                }
                text.push_str(&part);
            }
        }
        let mut hints = chain(error).map(hints).find(|hints| !hints.is_empty()).unwrap_or_default();
        if hints.is_empty() {
            hints.extend(remedy(error).map(str::to_owned));
        }
        Message { text, hints, about: About::of(error) }
    }
}

/// The message of an error; of an I/O error without its number and its capital: "no space left on device".
fn words(error: Link<'_>) -> String {
    let text = error.to_string();
    let is_io = as_type::<io::Error>(error).is_some_and(|error| error.raw_os_error().is_some());
    if !is_io {
        return text;
    }
    let text = text.rsplit_once(" (os error").map_or(text.as_str(), |(text, _)| text);
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}

/// The hints of one link of a chain.
fn hints(error: Link<'_>) -> Vec<String> {
    if let Some(error) = as_type::<Error>(error) {
        error.hint().into_iter().map(str::to_owned).collect()
    } else if let Some(error) = as_type::<layerlift_export::Error>(error) {
        error.hints().iter().map(of_export).collect()
    } else if let Some(error) = as_type::<layerlift_store::Error>(error) {
        error.hints().iter().map(of_store).collect()
    } else {
        of_registry(error)
    }
}

#[cfg(not(feature = "registry"))]
fn of_registry(_: Link<'_>) -> Vec<String> {
    Vec::new()
}

#[cfg(feature = "registry")]
fn of_registry(error: Link<'_>) -> Vec<String> {
    use layerlift_export::RegistryHint;
    let Some(error) = as_type::<layerlift_export::RegistryError>(error) else { return Vec::new() };
    let words = |hint: RegistryHint| match hint {
        RegistryHint::LogIn => "docker login and podman login store credentials; --creds-stdin reads them",
        RegistryHint::TrustAuthority => "--ca FILE trusts another authority",
        RegistryHint::AllowPlain => "--insecure allows plain HTTP for the registry itself",
        RegistryHint::TryAgain => "the same command goes on where this one stopped",
        _ => "",
    };
    error.hints().into_iter().map(|hint| words(hint).to_owned()).collect()
}

fn of_export(hint: &ExportHint) -> String {
    match hint {
        ExportHint::Store(hint) => of_store(hint),
        ExportHint::ChooseFormat => "choose another format with --format".to_owned(),
        ExportHint::OtherName => "--container NAME=REPOSITORY:TAG gives its image another name".to_owned(),
        ExportHint::NameById => "name the image by its id, or choose oci-archive with --format".to_owned(),
        ExportHint::CompressWhole => "compress the archive as a whole with --archive-compress".to_owned(),
        ExportHint::ChooseDirectory => "name a directory that is new, empty or an OCI layout".to_owned(),
        _ => String::new(),
    }
}

fn of_store(hint: &StoreHint) -> String {
    match hint {
        StoreHint::ChooseKind => "choose one with --store".to_owned(),
        StoreHint::ChoosePartition => "choose the images of one driver with --driver".to_owned(),
        StoreHint::ChooseNamespace(names) => {
            let options: Vec<String> =
                names.iter().map(|name| format!("--namespace {}", typed(Path::new(name)))).collect();
            format!("choose one: {}", options.join(", "))
        }
        StoreHint::ChooseRoot => "choose one with --root".to_owned(),
        StoreHint::NameRoot(roots) => match &**roots {
            [root] => format!("the store is in a folder below: --root {}", typed(root)),
            roots => {
                let lines: Vec<String> =
                    roots.iter().map(|root| format!("\n  --root {}", typed(root))).collect();
                format!("there are stores in folders below:{}", lines.concat())
            }
        },
        StoreHint::UserNamespace => {
            "the user's subordinate ids own this: try podman unshare layerlift …".to_owned()
        }
        StoreHint::ChoosePlatform => "choose one with --platform".to_owned(),
        StoreHint::Similar(names) => format!("similar names are {}", names.join(", ")),
        StoreHint::FollowLink(link) => {
            format!("if you trust where it leads: --follow {}", typed(link))
        }
        StoreHint::MountInPlace(moved, link) => format!(
            "if both are on one mounted disk, name its root with --root; or make a directory in place of the \
             link and `mount --bind {} {}`",
            typed(moved),
            typed(link)
        ),
        StoreHint::NameContents { how, below } => {
            format!("{how}; then --root {}", typed(&Path::new("DIR").join(below)).trim_end_matches('/'))
        }
        StoreHint::RootFs => {
            "layerlift rootfs ID writes all of its files as a tar, of which docker import makes an image"
                .to_owned()
        }
        StoreHint::Orphans => {
            "layerlift stores --orphans lists layers that nobody names; rootfs and save --container take one \
             as orphan:ID"
                .to_owned()
        }
        StoreHint::NameOtherHalf => {
            "this archive is partial: name what has the rest as well, another archive or a store with \
             --root; layerlift check lists what is missing"
                .to_owned()
        }
        StoreHint::Other(words) => words.clone().into_owned(),
        _ => String::new(),
    }
}

/// A path, quoted for a shell where needed.
pub(crate) fn typed(path: &Path) -> String {
    let path = path.display().to_string();
    let plain = |c: char| c.is_alphanumeric() || "/._-+:@%,=".contains(c);
    if path.chars().all(plain) { path } else { format!("'{}'", path.replace('\'', r"'\''")) }
}

/// A hint for an error of the system, about which the libraries know nothing more.
fn remedy(error: Link<'_>) -> Option<&'static str> {
    // The user can correct a root. A missing file of a store is not the user's to correct.
    if let Some(Error::Open(layerlift_store::Error::Io { source, .. })) = as_type(error)
        && source.kind() == io::ErrorKind::NotFound
    {
        return Some("name the data root of an engine, such as /var/lib/docker");
    }
    chain(error).find_map(|error| {
        use layerlift_archive::Error as Archive;
        use layerlift_store::Error as Store;
        let (source, of_store): (&io::Error, bool) = match (as_type(error), as_type(error)) {
            (Some(Store::Io { source, .. }), _) => (source, true),
            (_, Some(Archive::Output { source, .. } | Archive::Stream(source))) => (source, false),
            _ => return None,
        };
        let code = source.raw_os_error().map(rustix::io::Errno::from_raw_os_error);
        match source.kind() {
            io::ErrorKind::PermissionDenied if of_store => {
                Some("reading an engine's store usually takes root: try sudo")
            }
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Some("make room, or name another place with -o, or with --temp-dir for computed layers")
            }
            _ if matches!(code, Some(rustix::io::Errno::MFILE | rustix::io::Errno::NFILE)) => {
                Some("a layer takes two open files: raise the limit with `ulimit -Hn`, or save fewer images")
            }
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use layerlift_store::Error as Store;

    use super::*;

    #[test]
    fn chains_in_words() {
        let io = |code| Arc::new(io::Error::from_raw_os_error(code));
        let refused = Store::Io { action: "open", path: "/d/etc/shadow".into(), source: io(13) };
        let near = Store::NotFound { name: "bsae".to_owned(), suggestions: vec!["base".to_owned()] };
        let in_reader = layerlift_archive::Error::Content {
            entry: "4f/layer.tar".to_owned(),
            source: Store::Damaged { path: "/d/x".into(), why: "it is empty".to_owned() }.into_io().into(),
        };
        let full = layerlift_archive::Error::Output { action: "write", path: "a.tar".into(), source: io(28) };
        for (error, text, hints) in [
            (
                Error::Store(refused.within("layer 4f")),
                "cannot read layer 4f: cannot open /d/etc/shadow: permission denied",
                vec!["reading an engine's store usually takes root: try sudo"],
            ),
            (Error::Export(near.into()), "no such image: bsae", vec!["similar names are base"]),
            (in_reader.into(), "cannot read 4f/layer.tar: /d/x is damaged: it is empty", vec![]),
            (
                full.into(),
                "cannot write a.tar: no space left on device",
                vec!["make room, or name another place with -o, or with --temp-dir for computed layers"],
            ),
            (
                Error::Open(Store::Io { action: "open", path: "/none".into(), source: io(2) }),
                "cannot open /none: no such file or directory",
                vec!["name the data root of an engine, such as /var/lib/docker"],
            ),
            (
                Error::Store(Store::Io { action: "open", path: "/d/json".into(), source: io(2) }),
                "cannot open /d/json: no such file or directory",
                vec![],
            ),
            (
                Error::Store(Store::Io { action: "open", path: "/d/json".into(), source: io(24) }),
                "cannot open /d/json: too many open files",
                vec!["a layer takes two open files: raise the limit with `ulimit -Hn`, or save fewer images"],
            ),
        ] {
            let Message { text: said, hints: given, .. } = Message::of(&error);
            assert_eq!((&*said, given.iter().map(String::as_str).collect()), (text, hints));
        }
    }
}
