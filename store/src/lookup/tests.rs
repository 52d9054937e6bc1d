//! Tables of requests and what they mean. The answers in `names_of_1_8` are those of daemons of that version.

use proptest::prelude::*;

use super::*;
use crate::Keyring;

const BASE: &str = "5646c3006f06021f4fe4987166355fc616fb7c8888cc198d162f9932be5966a6";
const CHILD: &str = "c90a635a919b2a2d855077596482ebcdc4df6c053809ce6245b0443ad7ebdaec";
const APP: &str = "37594723cb28803c661edb9d9e29bcf0f856d82b46f405ffcba64efc7f2b2d9f";
const AMB1: &str = "abcdef01234512efe3b448c98a47b5374e2fb641c5fd8b03b541362c5cc5fb35";
const AMB2: &str = "abcdef0123ff9a038c77f9a050c9451f7ac8de6b7d65fe84143638f04d8d3ad8";
const GHOST: &str = "5000000000000000000000000000000000000000000000000000000000000000";
const FIVES: &str = "sha256:5555555555555555555555555555555555555555555555555555555555555555";
const SIXES: &str = "sha256:6666666666666666666666666666666666666666666666666666666666666666";

struct Fake {
    keys: Keyring,
    repositories: BTreeMap<String, BTreeMap<String, Vec<ImageKey>>>,
    ids: Vec<ImageKey>,
}

/// `partition/id`, or an id alone.
fn key(keys: &Keyring, id: &str) -> ImageKey {
    let (partition, id) = id.split_once('/').unwrap_or(("", id));
    keys.image(partition, id)
}

fn fake(names: &[(&str, &str, &[&str])], others: &[&str]) -> Fake {
    let keyring = Keyring::new();
    let ids = others.iter().map(|id| key(&keyring, id)).collect();
    let mut fake = Fake { keys: keyring, repositories: BTreeMap::new(), ids };
    for (repository, tag, ids) in names {
        let keys: Vec<ImageKey> = ids.iter().map(|id| key(&fake.keys, id)).collect();
        fake.ids.extend(keys.clone());
        let tags = fake.repositories.entry((*repository).to_owned()).or_default();
        if !tag.is_empty() {
            tags.insert((*tag).to_owned(), keys);
        }
    }
    fake.ids.sort_by(|a, b| a.id().cmp(b.id()));
    fake.ids.dedup();
    fake
}

impl Catalog for Fake {
    fn tags(&self, repository: &str) -> Result<Option<BTreeMap<String, Vec<ImageKey>>>, Error> {
        Ok(self.repositories.get(repository).cloned())
    }

    fn repositories(&self) -> Result<Vec<String>, Error> {
        Ok(self.repositories.keys().cloned().collect())
    }

    fn ids(&self, prefix: &str) -> Result<Vec<ImageKey>, Error> {
        Ok(self.ids.iter().filter(|key| key.id().starts_with(prefix)).cloned().collect())
    }
}

/// One word for each image: the first six digits of its id, and its reference.
fn answer(result: Result<Vec<Match>, Error>) -> String {
    match result {
        Ok(selected) => {
            let word = |s: &Match| match &s.reference {
                Some(reference) => {
                    format!("{}={}", &s.key.id()[..6], reference.to_string().replace(FIVES, "FIVES"))
                }
                None => s.key.id()[..6].to_owned(),
            };
            selected.iter().map(word).collect::<Vec<_>>().join(" ")
        }
        Err(Error::NotFound { suggestions, .. }) => {
            format!("none {}", suggestions.join(" ")).trim().to_owned()
        }
        Err(Error::Ambiguous { candidates, .. }) => format!("any of {}", candidates.join(" | ")),
        Err(Error::BadName { why, .. }) => format!("bad: {why}"),
        Err(other) => panic!("{other}"),
    }
}

#[track_caller]
fn table(fake: &Fake, spelling: Spelling, rows: &[(&str, &str)]) {
    let mut wrong = Vec::new();
    for (name, expected) in rows {
        let name =
            name.replace("FIVES", FIVES).replace("SIXES", SIXES).replace("BASE", BASE).replace("APP", APP);
        let answer = answer(resolve(fake, spelling, &name));
        if answer != *expected {
            wrong.push(format!("{name:?}\n  gives {answer}\n  not   {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{spelling:?}\n{}", wrong.join("\n"));
}

fn graph() -> Fake {
    let names: &[(&str, &str, &[&str])] = &[
        ("abcdef012345", "latest", &[BASE]),
        ("abcdef012345", "x", &[APP]),
        ("base", "1.0", &[BASE]),
        ("base", "child", &[CHILD]),
        ("base", "latest", &[BASE]),
        ("app", "latest", &[APP]),
        ("dig", FIVES, &[APP]),
        ("dig", "tagged", &[BASE]),
        ("localhost:5000/team/app", "1.0", &[APP]),
        ("localhost:5000/team/app", "latest", &[APP]),
        ("dockerio/tagged", "1", &[BASE]),
        ("team/onlytag", "only", &[APP]),
        ("library/deep", "latest", &[APP]),
        ("empty", "", &[]),
    ];
    fake(names, &[AMB1, AMB2, GHOST])
}

#[test]
fn names_of_1_8() {
    let rows = [
        ("base", "5646c3=base:1.0 c90a63=base:child 5646c3=base:latest"),
        ("base:1.0", "5646c3=base:1.0"),
        ("base:", "5646c3"),
        ("base:5646c3006f06", "5646c3=base:5646c3006f06"),
        ("base:BASE", "5646c3=base:5646c3006f06021f4fe4987166355fc616fb7c8888cc198d162f9932be5966a6"),
        ("base:5646c3006f0", &format!("none {BASE} base:latest base:child base:1.0")),
        ("base:5646", "none base:1.0 base:child base:latest"),
        ("base:37594723cb28", &format!("none {APP} base:latest base:child base:1.0")),
        ("base:5", "none base:1.0 base:child base:latest"),
        // A repository name wins over an id.
        ("abcdef012345", "5646c3=abcdef012345:latest 375947=abcdef012345:x"),
        ("abcdef012345:x", "375947=abcdef012345:x"),
        ("abcdef0123ff", "abcdef"),
        ("abcdef0123451", "abcdef"),
        (
            "abcdef0123",
            "any of abcdef01234512efe3b448c98a47b5374e2fb641c5fd8b03b541362c5cc5fb35  (no tag) | \
             abcdef0123ff9a038c77f9a050c9451f7ac8de6b7d65fe84143638f04d8d3ad8  (no tag)",
        ),
        (
            "5",
            "any of 5000000000000000000000000000000000000000000000000000000000000000  (no tag) | \
             5646c3006f06021f4fe4987166355fc616fb7c8888cc198d162f9932be5966a6  \
             abcdef012345:latest, base:1.0, base:latest, dig:tagged, dockerio/tagged:1",
        ),
        ("BASE", "5646c3"),
        ("5646", "5646c3"),
        ("BASE0", &format!("none {BASE}")),
        ("5646C3006F06", &format!("none {BASE}")),
        ("sha256:BASE", &format!("none {BASE}")),
        ("5646c3006f06:latest", &format!("none {BASE}")),
        ("library/base", "5646c3=base:1.0 c90a63=base:child 5646c3=base:latest"),
        ("docker.io/base", "5646c3=base:1.0 c90a63=base:child 5646c3=base:latest"),
        ("index.docker.io/library/base", "5646c3=base:1.0 c90a63=base:child 5646c3=base:latest"),
        // The reference is spelled as the request, and normalized twice while it is looked up.
        ("library/base:1.0", "5646c3=library/base:1.0"),
        ("docker.io/base:latest", "5646c3=docker.io/base:latest"),
        ("docker.io/docker.io/base", "5646c3"),
        ("library/library/base", "5646c3"),
        ("docker.io/library/library/deep", "375947=library/deep:latest"),
        ("docker.io/dockerio/tagged:1", "5646c3=docker.io/dockerio/tagged:1"),
        ("docker.io/team/onlytag", "375947=team/onlytag:only"),
        ("registry-1.docker.io/base", "none base"),
        ("docker.io/5646c3006f06", "5646c3"),
        ("library/5646c3006f06", "5646c3"),
        ("docker.io/BASE", &format!("none {BASE}")),
        ("docker.io/localhost:5000/team/app", "none localhost:5000/team/app app"),
        ("localhost:5000/base", "none base"),
        ("localhost:5000", "none"),
        ("localhost:5000/team/app:1.0", "375947=localhost:5000/team/app:1.0"),
        ("dig@FIVES", "375947=dig@FIVES"),
        ("docker.io/dig@FIVES", "375947=docker.io/dig@FIVES"),
        ("dig", "375947=dig@FIVES 5646c3=dig:tagged"),
        ("dig@SIXES", "none dig:tagged"),
        ("dig@", "none dig"),
        ("dig@37594723cb28", "375947=dig:37594723cb28"),
        ("dig:FIVES", "none dig"),
        ("dig@FIVES@more", "375947=dig@FIVES"),
        ("app@APP", &format!("375947=app:{APP}")),
        ("team/onlytag", "375947=team/onlytag:only"),
        ("team/onlytag:latest", "none team/onlytag:only"),
        ("nosuch", "none"),
        ("BASE:latest", &format!("none {BASE}")),
        ("Base:latest", "none base:latest"),
        ("base:latest:x", "none base"),
        ("ba*", "none"),
        ("bsae", "none base"),
        ("team/ap:1.0", "none app localhost:5000/team/app:1.0"),
        ("empty", "none empty"),
        ("-", "none"),
        ("../../base", "none base"),
    ];
    table(&graph(), Spelling::Graph, &rows);
}

#[test]
fn familiar_names() {
    let names: &[(&str, &str, &[&str])] = &[
        ("alpine", "3.20", &[BASE]),
        ("alpine", "latest", &[APP]),
        ("alpine", FIVES, &[BASE]),
        ("pinned", FIVES, &[CHILD]),
        ("team/app", "1", &[APP]),
        ("library/a/b", "1", &[APP]),
        ("localhost:5000/x", "1", &[CHILD]),
        ("abcdef0123", "1", &[BASE]),
        ("moved", "1", &[&format!("overlay2/{APP}"), &format!("vfs/{BASE}")]),
        ("both", "1", &[&format!("overlay2/{APP}"), &format!("vfs/{APP}")]),
    ];
    let rows = [
        ("alpine", "5646c3=alpine:3.20 375947=alpine:latest"),
        ("library/alpine", "5646c3=alpine:3.20 375947=alpine:latest"),
        ("docker.io/alpine:3.20", "5646c3=alpine:3.20"),
        ("docker.io/library/alpine:3.20", "5646c3=alpine:3.20"),
        ("index.docker.io/library/alpine:3.20", "5646c3=alpine:3.20"),
        ("alpine@FIVES", "5646c3"),
        ("alpine:3.20@FIVES", "5646c3=alpine:3.20"),
        ("alpine:latest@FIVES", "5646c3"),
        ("alpine@SIXES", "none alpine:latest alpine:3.20"),
        ("pinned", "c90a63"),
        ("docker.io/team/app", "375947=team/app:1"),
        ("library/a/b", "375947=library/a/b:1"),
        ("localhost:5000/x", "c90a63=localhost:5000/x:1"),
        ("BASE", "5646c3"),
        ("5646c3", "5646c3"),
        ("sha256:BASE", "5646c3"),
        ("sha256:5646c3", "5646c3"),
        ("abcdef0123", "5646c3=abcdef0123:1"),
        ("abcdef01234", "abcdef"),
        ("sha256:abcdef01234", "abcdef"),
        ("sha256:abcdef", &format!("any of {AMB1}  (no tag) | {AMB2}  (no tag)")),
        ("moved", &format!("any of {APP}  both:1, moved:1  (overlay2) | {BASE}  moved:1  (vfs)")),
        ("both:1", "375947=both:1"),
        ("alpine:", "bad: its tag is empty"),
        ("alpine@", "bad: what follows @ is not a digest (sha256: and 64 hex digits)"),
        (":1", "bad: its repository is empty"),
        ("alpin", "none alpine"),
        ("alpine:3.2", "none alpine:3.20 alpine:latest"),
        ("quay.io/team/app:1", "none team/app:1"),
        ("Alpine", "none alpine"),
    ];
    table(&fake(names, &[AMB1, AMB2]), Spelling::Familiar, &rows);
}

#[test]
fn qualified_names() {
    let names: &[(&str, &str, &[&str])] = &[
        ("docker.io/library/alpine", "3.20", &[BASE]),
        ("docker.io/library/alpine", "latest", &[APP]),
        ("docker.io/library/alpine", FIVES, &[BASE]),
        ("localhost/alpine", "mine", &[CHILD]),
        ("docker.io/team/app", "1", &[APP]),
        ("quay.io/team/tool", "1", &[BASE]),
        ("ghcr.io/other/tool", "1", &[APP]),
        ("ghcr.io/other/tool", "2", &[CHILD]),
        ("a.example/same", "1", &[BASE]),
        ("b.example/same", "1", &[BASE]),
        ("plain", "1", &[CHILD]),
    ];
    let hub = "5646c3=docker.io/library/alpine:3.20";
    let rows = [
        ("docker.io/library/alpine:3.20", hub),
        ("docker.io/alpine:3.20", hub),
        ("library/alpine:3.20", hub),
        ("index.docker.io/alpine:3.20", hub),
        ("alpine:3.20", hub),
        ("alpine", "c90a63=localhost/alpine:mine"),
        ("alpine:mine", "c90a63=localhost/alpine:mine"),
        ("alpine@FIVES", "5646c3"),
        ("localhost/alpine", "c90a63=localhost/alpine:mine"),
        ("team/app", "375947=docker.io/team/app:1"),
        ("app:1", "375947=docker.io/team/app:1"),
        ("team/tool", "5646c3=quay.io/team/tool:1"),
        (
            "tool:1",
            &format!(
                "any of {APP}  docker.io/library/alpine:latest, docker.io/team/app:1, ghcr.io/other/tool:1 | \
                 {BASE}  a.example/same:1, b.example/same:1, docker.io/library/alpine:3.20, \
                 docker.io/library/alpine@{FIVES}, quay.io/team/tool:1"
            ),
        ),
        ("tool:2", "c90a63=ghcr.io/other/tool:2"),
        ("same", "5646c3=a.example/same:1"),
        ("plain:1", "c90a63=plain:1"),
        ("ool:1", "none ghcr.io/other/tool:1 quay.io/team/tool:1"),
        ("quay.io/alpine:3.20", "none docker.io/library/alpine:3.20 localhost/alpine"),
        ("sha256:BASE", "5646c3"),
        ("c90a", "c90a63"),
    ];
    table(&fake(names, &[]), Spelling::Qualified, &rows);
}

#[test]
fn what_cannot_be_a_name() {
    let long = "a".repeat(1025);
    let rows = [
        ("", "bad: it is empty"),
        ("a b", "bad: it contains white space"),
        ("a\u{a0}b", "bad: it contains white space"),
        ("a\nb", "bad: it contains control characters"),
        ("a\0", "bad: it contains control characters"),
        (&long, "bad: it is longer than any name can be (1024 bytes)"),
    ];
    for spelling in [Spelling::Graph, Spelling::Familiar, Spelling::Qualified] {
        table(&graph(), spelling, &rows);
    }
}

#[test]
fn many_candidates_are_not_all_listed() {
    let ids: Vec<String> = (0..30).map(|n| format!("{n:064x}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let Err(Error::Ambiguous { candidates, .. }) = resolve(&fake(&[], &ids), Spelling::Graph, "00") else {
        panic!("not ambiguous")
    };
    assert_eq!((candidates.len(), candidates[20].as_str()), (21, "and 10 more"));
}

proptest! {
    #[test]
    fn any_request_has_an_answer(
        name in "[a-f0-9./:@_-]{0,40}|(docker.io|library|base|:|@|/|latest|sha256:){0,6}|\\PC*"
    ) {
        for spelling in [Spelling::Graph, Spelling::Familiar, Spelling::Qualified] {
            if let Ok(selected) = resolve(&graph(), spelling, &name) {
                prop_assert!(!selected.is_empty());
            }
        }
    }
}
