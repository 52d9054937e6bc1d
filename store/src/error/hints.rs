//! What can be done about an error.

use std::io;

use super::Error;
use crate::Hint;
use crate::containers::owner::is_in_store_of;

impl Error {
    /// What can be done about it.
    pub fn hints(&self) -> Vec<Hint> {
        match self {
            Error::NoStore { hint, .. } | Error::Unsupported { hint, .. } => hint.iter().cloned().collect(),
            Error::NoPartition { .. } | Error::Ambiguous { drivers: true, .. } => vec![Hint::ChoosePartition],
            Error::SeveralStores { choose, .. } => vec![choose.clone()],
            Error::NoNamespace { present, .. } if !present.is_empty() => {
                vec![Hint::ChooseNamespace(present.clone())]
            }
            Error::SeveralNamespaces { present, .. } => {
                vec![Hint::ChooseNamespace(present.iter().map(|(name, _)| name.clone()).collect())]
            }
            Error::Link { path, target, .. } => {
                let moved = path.parent().map_or_else(|| target.clone(), |folder| folder.join(target));
                vec![Hint::FollowLink(path.clone()), Hint::MountInPlace(moved, path.clone())]
            }
            Error::NotFound { suggestions, .. }
            | Error::NoContainer { suggestions, .. }
            | Error::Neither { suggestions, .. }
            | Error::NoVolume { suggestions, .. }
                if !suggestions.is_empty() =>
            {
                vec![Hint::Similar(suggestions.clone())]
            }
            // With one platform there is nothing to choose, and the message names it.
            Error::NoPlatform { here, .. } if here.len() > 1 => vec![Hint::ChoosePlatform],
            Error::Within { source, .. } => source.hints(),
            Error::Io { path, source, .. }
                if source.kind() == io::ErrorKind::PermissionDenied
                    && is_in_store_of(path, rustix::process::geteuid().as_raw()) =>
            {
                vec![Hint::UserNamespace]
            }
            Error::LeftOut { .. } => vec![Hint::NameOtherHalf],
            // Settings and image of a container.
            Error::NotThere { path, .. } | Error::Malformed { path, .. }
                if path.ends_with("config.v2.json") =>
            {
                vec![Hint::RootFs]
            }
            // Which layer is a container's.
            Error::NotThere { path, .. } | Error::Malformed { path, .. } if path.ends_with("mount-id") => {
                vec![Hint::Orphans]
            }
            // Only containers-storage spreads images over several stores.
            Error::Missing { path, .. } if path.ends_with("layers.json") => {
                let hint = "it may be in another image store: name the graph root whose storage.conf names \
                            both (imagestore, additionalimagestores)";
                vec![Hint::Other(hint.into())]
            }
            Error::Changed { .. } => {
                let hint = "an engine at work has removed or replaced it: try again, or stop the engine";
                vec![Hint::Other(hint.into())]
            }
            _ => Vec::new(),
        }
    }
}
