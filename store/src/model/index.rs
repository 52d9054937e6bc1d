//! What a name leads to: an image, or an index of images for several platforms.

use std::collections::HashSet;

use layerlift_archive::Digest;

use super::{ImageKey, Platform, Platforms};
use crate::{Error, Reference, Store};

/// What a name leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Subject {
    /// One image.
    Image(ImageKey),
    /// Several, of which a platform chooses one.
    Index(Index),
}

/// An OCI image index, a Docker manifest list, or a list that `podman manifest create` made.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Index {
    /// Of its bytes.
    pub digest: Digest,
    /// Its images, in its order. Attestations and other artifacts are left out.
    pub members: Vec<Member>,
}

/// A line of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Member {
    /// The digest of the image's manifest.
    pub manifest: Digest,
    /// From the index, or if that names none, from the image's config.
    pub platform: Option<Platform>,
    /// The image; `None` if it is not in this store.
    pub image: Option<ImageKey>,
}

/// What a name means.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Selected {
    /// What it leads to.
    pub subject: Subject,
    /// The tag to keep for it in an archive; `None` when it was named by its id.
    pub reference: Option<Reference>,
}

impl Index {
    /// An index with these members.
    pub fn new(digest: Digest, members: Vec<Member>) -> Self {
        Index { digest, members }
    }

    /// The member for `wanted`; by default the one for this machine, or the only one. Members that are not in
    /// this store are not a choice. [`Error::NoPlatform`] lists what is here.
    pub fn choose(&self, wanted: Option<&Platform>) -> Result<&Member, Error> {
        let host = Platform::host();
        let meant = wanted.unwrap_or(&host);
        let matching = |member: &&Member| member.platform.as_ref().is_some_and(|found| found.matches(meant));
        let preference = |member: &&Member| {
            member
                .platform
                .as_ref()
                .map(|found| found.preference())
                .map(|(rank, variant)| (rank, variant.to_owned()))
        };
        let here = || self.members.iter().filter(|member| member.image.is_some());
        if let Some(member) = here().filter(matching).min_by_key(preference) {
            return Ok(member);
        }
        let mut all = here();
        match (wanted, all.next(), all.next()) {
            (None, Some(only), None) => Ok(only),
            _ => Err(self.no_platform(wanted)),
        }
    }

    /// The chosen members, the default choice first: the one for this machine if it is among them.
    /// [`Error::NoPlatform`] if a platform that was asked for is not here.
    pub fn choose_all(&self, platforms: &Platforms) -> Result<Vec<&Member>, Error> {
        let mut chosen = match platforms {
            Platforms::All => self.members.iter().filter(|member| member.image.is_some()).collect(),
            Platforms::Only(wanted) if !wanted.is_empty() => {
                wanted.iter().map(|wanted| self.choose(Some(wanted))).collect::<Result<Vec<_>, Error>>()?
            }
            Platforms::Usual | Platforms::Only(_) => vec![self.choose(None)?],
        };
        if chosen.is_empty() {
            return Err(self.no_platform(None));
        }
        let usual = self.choose(Some(&Platform::host())).ok();
        if let Some(at) = chosen.iter().position(|member| Some(*member) == usual) {
            chosen[..=at].rotate_right(1);
        }
        let mut seen = HashSet::new();
        chosen.retain(|member| seen.insert(member.manifest));
        Ok(chosen)
    }

    /// The same where a platform may be missing, as long as another one is here: without a request, the first
    /// if this machine's is not.
    pub fn choose_some(&self, platforms: &Platforms) -> Result<Vec<&Member>, Error> {
        let here = |wanted: &&Platform| self.choose(Some(wanted)).is_ok();
        match platforms {
            Platforms::Only(wanted) if wanted.iter().any(|wanted| here(&wanted)) => {
                self.choose_all(&Platforms::of(wanted.iter().filter(here).cloned()))
            }
            Platforms::Usual if self.choose(None).is_err() => {
                let first = self.members.iter().find(|member| member.image.is_some());
                first.map(|first| vec![first]).ok_or_else(|| self.no_platform(None))
            }
            platforms => self.choose_all(platforms),
        }
    }

    fn no_platform(&self, wanted: Option<&Platform>) -> Error {
        let platforms = |here: bool| {
            let members = self.members.iter().filter(move |member| member.image.is_some() == here);
            members.map(|member| name(member.platform.as_ref())).collect()
        };
        Error::NoPlatform {
            name: format!("index {}", self.digest),
            wanted: wanted.cloned().map(Box::new),
            here: platforms(true),
            missing: platforms(false),
        }
    }
}

impl Member {
    /// A line of an index.
    pub fn new(manifest: Digest, platform: Option<Platform>, image: Option<ImageKey>) -> Self {
        Member { manifest, platform, image }
    }
}

impl Selected {
    /// An image, with the tag that an archive keeps for it.
    pub fn of_image(image: ImageKey, reference: Option<Reference>) -> Self {
        Selected { subject: Subject::Image(image), reference }
    }

    /// An index, with the tag that an archive keeps for the image that is chosen.
    pub fn of_index(index: Index, reference: Option<Reference>) -> Self {
        Selected { subject: Subject::Index(index), reference }
    }

    /// The image for a platform. [`Index::choose`] picks it from an index. An image that is named itself has
    /// to be for `wanted` by its config, or by its v1 documents. They are read only if a platform is
    /// requested.
    pub fn choose(&self, store: &dyn Store, wanted: Option<&Platform>) -> Result<ImageKey, Error> {
        let mut chosen = self.choose_all(store, &Platforms::from(wanted))?;
        // There is always one.
        Ok(chosen.swap_remove(0))
    }

    /// The chosen images, the default choice first ([`Index::choose_all`]). An image that is named directly
    /// has to be for one of the platforms.
    pub fn choose_all(&self, store: &dyn Store, platforms: &Platforms) -> Result<Vec<ImageKey>, Error> {
        let chosen = match &self.subject {
            Subject::Image(key) => check(store, key, platforms).map(|()| vec![key.clone()]),
            Subject::Index(index) => index
                .choose_all(platforms)
                .map(|members| members.iter().filter_map(|member| member.image.clone()).collect()),
        };
        chosen.map_err(|error| match &self.reference {
            Some(reference) => error.of_name(reference),
            None => error,
        })
    }
}

/// Compares an image with the platforms that are requested.
pub(super) fn check(store: &dyn Store, key: &ImageKey, platforms: &Platforms) -> Result<(), Error> {
    let [wanted, ..] = platforms.wanted() else { return Ok(()) };
    let found = store.image(key)?.platform();
    if found.as_ref().is_some_and(|found| platforms.wanted().iter().any(|wanted| found.matches(wanted))) {
        return Ok(());
    }
    Err(Error::NoPlatform {
        name: format!("image {}", key.id()),
        wanted: Some(Box::new(wanted.clone())),
        here: vec![name(found.as_ref())],
        missing: Vec::new(),
    })
}

fn name(platform: Option<&Platform>) -> String {
    platform.map_or_else(|| "an unnamed platform".to_owned(), Platform::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Keyring;

    /// An index whose members are here, but for those that begin with `-`.
    fn index(platforms: &[&str]) -> Index {
        let keys = Keyring::new();
        let member = |text: &&str| {
            let platform = text.trim_start_matches('-');
            let image = (!text.starts_with('-')).then(|| keys.image("", platform));
            Member::new(Digest::of(platform.as_bytes()), platform.parse().ok(), image)
        };
        Index::new(Digest::of(b"index"), platforms.iter().map(member).collect())
    }

    #[test]
    fn choice() {
        let host = Platform::host().to_string();
        let absent = format!("-{host}");
        for (offered, wanted, expected) in [
            (&["linux/s390x", host.as_str()][..], None, Ok(1)),
            (&["plan9/mips"], None, Ok(0)),
            (
                &["plan9/mips", "plan9/amd64"],
                None,
                Err("is here for plan9/mips, plan9/amd64; this machine is"),
            ),
            (&["plan9/mips"], Some("linux/mips"), Err("is here for plan9/mips, not for linux/mips")),
            (&["linux/arm/v6", "linux/arm/v7", "linux/arm/v8"], Some("linux/arm"), Ok(1)),
            (&["linux/arm/v6", "linux/arm/v5"], Some("linux/arm/v6"), Ok(0)),
            (&["linux/arm64/v8"], Some("linux/arm64"), Ok(0)),
            (&["linux/arm64"], Some("linux/arm64/v8"), Ok(0)),
            (&["linux/amd64/v3", "linux/amd64"], Some("linux/amd64"), Ok(1)),
            (&["linux/amd64/v3"], Some("linux/amd64/v2"), Err("not for linux/amd64/v2")),
            (&[&absent, "plan9/mips"], None, Ok(1)),
            (
                &["-plan9/arm", "plan9/mips"],
                Some("plan9/arm"),
                Err("not for plan9/arm; the image that it names is missing"),
            ),
            (
                &["-plan9/arm", "-plan9/mips"],
                None,
                Err("is not here: its images for plan9/arm, plan9/mips are missing"),
            ),
            (&[], None, Err("is an index without images")),
            (&["unnamed"], None, Ok(0)),
            (&["unnamed"], Some("linux/amd64"), Err("is here for an unnamed platform, not for linux/amd64")),
        ] {
            let wanted = wanted.map(|text| text.parse().unwrap());
            let index = index(offered);
            let found = index
                .choose(wanted.as_ref())
                .map(|found| index.members.iter().position(|member| member == found).expect("one of them"));
            match (found, expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{offered:?} {wanted:?}"),
                (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error}"),
                (found, _) => panic!("{offered:?} {wanted:?}: {found:?}"),
            }
        }
    }

    #[test]
    fn several() {
        let host = Platform::host().to_string();
        let offered = ["plan9/mips", "-plan9/arm", &host, "plan9/386"];
        let index = index(&offered);
        let of = |wanted: &[&str]| Platforms::of(wanted.iter().map(|text| text.parse().unwrap()));
        let places = |found: Result<Vec<&Member>, Error>| {
            let place = |member: &Member| index.members.iter().position(|other| other == member);
            found.map(|found| found.into_iter().filter_map(place).collect::<Vec<_>>())
        };
        for (platforms, all, some) in [
            (Platforms::Usual, Some(vec![2]), Some(vec![2])),
            (Platforms::All, Some(vec![2, 0, 3]), Some(vec![2, 0, 3])),
            (of(&["plan9/386", "plan9/mips"]), Some(vec![3, 0]), Some(vec![3, 0])),
            (of(&["plan9/386", &host, "plan9/386"]), Some(vec![2, 3]), Some(vec![2, 3])),
            (of(&["plan9/arm", "plan9/mips"]), None, Some(vec![0])),
            (of(&["plan9/arm"]), None, None),
        ] {
            assert_eq!(places(index.choose_all(&platforms)).ok(), all, "{platforms:?}");
            assert_eq!(places(index.choose_some(&platforms)).ok(), some, "{platforms:?}");
        }
        let none = Index::new(Digest::of(b""), Vec::new());
        assert!(none.choose_all(&Platforms::All).is_err());
    }
}
