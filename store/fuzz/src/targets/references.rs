//! Names of images: a name that was read and written is read as the same name.

use layerlift_store::{Reference, Rules};

/// Each line is a name.
pub(super) fn run(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.lines().take(64).map(one).collect::<Vec<_>>().join("\n")
}

fn one(name: &str) -> String {
    let mut answers = Vec::new();
    for rules in [Rules::Docker18, Rules::Distribution, Rules::Stored] {
        match Reference::parse(name, rules) {
            Ok(reference) => {
                let written = reference.to_string();
                if reference.check(rules).is_ok() {
                    let again = Reference::parse(&written, rules);
                    assert_eq!(again.as_ref().ok(), Some(&reference), "{written:?} by {rules:?}");
                }
                answers.push(format!("{rules:?}: {:?}", reference.check(Rules::Distribution).err()));
            }
            Err(error) => answers.push(format!("{rules:?}: {error}").replace(name, "NAME")),
        }
    }
    let stored = Reference::stored(name);
    if stored.check(Rules::Distribution).is_ok() {
        let familiar = stored.familiar();
        assert_eq!(familiar.familiar(), familiar, "{name:?}: familiar twice");
        assert_eq!(stored.full().familiar(), familiar, "{name:?}: familiar of the full name");
        assert_eq!(stored.full().full(), stored.full(), "{name:?}: full twice");
    }
    answers.join(", ")
}

pub(super) fn corpus() -> Vec<Vec<u8>> {
    let digest = format!("sha256:{}", "0f".repeat(32));
    [
        "base\nbase:1.0\ndocker.io/library/base:latest\nlocalhost:5000/team/app:v1\n".to_owned(),
        format!("base@{digest}\nteam/app:1@{digest}\n{digest}\n"),
        "index.docker.io/team/x\na..b/c__d-e:1.0-RC1\n[::1]:80/x:1\nA/B:c\nlocalhost/x\n".to_owned(),
    ]
    .map(String::into_bytes)
    .to_vec()
}
