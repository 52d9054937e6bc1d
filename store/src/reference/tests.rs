//! Tables of names, with all rules side by side.

use proptest::prelude::*;

use super::*;

const ALL: [Rules; 3] = [Rules::Docker18, Rules::Distribution, Rules::Stored];

fn hex(digits: usize) -> String {
    "a".repeat(digits)
}

/// What each of [`ALL`] makes of a name: the reference, or `-`.
fn parsed(name: &str) -> [String; 3] {
    ALL.map(|rules| match Reference::parse(name, rules) {
        Ok(reference) => reference.to_string(),
        Err(Error::BadName { .. }) => "-".to_owned(),
        Err(other) => panic!("{other}"),
    })
}

#[test]
fn all_rules() {
    let digest = format!("sha256:{}", hex(64));
    // The name, and what Docker 1.8, distribution and a layout make of it; "=" is the name itself.
    let rows = [
        ("base:1", ["=", "=", "="]),
        ("base", ["base:latest", "base:latest", "base:latest"]),
        ("team/app:1.0", ["=", "=", "="]),
        ("x/y/z:1", ["=", "=", "="]),
        ("latest", ["latest:latest", "latest:latest", "latest:latest"]),
        ("127.0.0.1:5555/bench/many", ["127.0.0.1:5555/bench/many:latest"; 3]),
        ("1.0", ["1.0:latest", "1.0:latest", "1.0:latest"]),
        ("localhost:5000/x:y", ["=", "=", "="]),
        ("127.0.0.1:5555/bench/many:1", ["=", "=", "="]),
        ("docker.io/bench/many:1.0", ["=", "=", "="]),
        ("REGISTRY.example/x:V1", ["=", "=", "="]),
        ("a.b-c:80/x:1", ["=", "=", "="]),
        ("[::1]:80/x:1", ["=", "=", "="]),
        // Separators.
        ("a.b_c-d:V_1.x", ["=", "=", "="]),
        ("a--b:1", ["-", "=", "="]),
        ("a__b.c_d-e:1", ["-", "=", "="]),
        ("a..b:1", ["-", "-", "="]),
        ("a___b:1", ["-", "-", "="]),
        ("a._b:1", ["-", "-", "="]),
        ("-a:1", ["-", "-", "-"]),
        ("a-:1", ["-", "-", "-"]),
        ("a//b:1", ["-", "-", "-"]),
        ("a/../b:1", ["-", "-", "-"]),
        ("a/:1", ["-", "-", "-"]),
        ("/a:1", ["-", "-", "-"]),
        // Characters.
        ("A:1", ["-", "-", "-"]),
        ("Team/app:1", ["-", "-", "-"]),
        ("1.0-RC1", ["-", "-", "-"]),
        ("ä:1", ["-", "-", "-"]),
        ("a b:1", ["-", "-", "-"]),
        ("", ["-", "-", "-"]),
        (":x", ["-", "-", "-"]),
        ("@", ["-", "-", "-"]),
        ("a:b:c", ["-", "-", "-"]),
        // Registries.
        ("a.b:x/y:1", ["=", "-", "="]),
        ("a_b.c:80/y:1", ["=", "-", "="]),
        ("a..b/y:1", ["=", "-", "="]),
        ("[]:80/x:1", ["=", "-", "="]),
        ("a.b:/x:1", ["=", "-", "="]),
        ("a!b.c/y:1", ["=", "-", "-"]),
        ("-a.b/y:1", ["-", "-", "="]),
        ("http://a.b/y:1", ["-", "-", "-"]),
        // Tags.
        ("a:.1", ["-", "-", "-"]),
        ("a:-1", ["-", "-", "-"]),
        ("a:b c", ["-", "-", "-"]),
        ("a:_1", ["=", "=", "="]),
        ("a:", ["a:latest", "-", "-"]),
        (&format!("a:{}", hex(128)), ["=", "=", "="]),
        (&format!("a:{}", hex(129)), ["-", "-", "-"]),
        // Digests.
        (&format!("a@{digest}"), ["=", "=", "="]),
        (&format!("a:1@{digest}"), ["-", "a:1", "a:1"]),
        ("a:1@sha256:x", ["-", "-", "a:1"]),
        ("a@sha256:x", ["-", "-", "-"]),
        ("a@sha256:abc", ["=", "-", "-"]),
        (&format!("a@sha256:{}", hex(31)), ["=", "-", "-"]),
        (&format!("a@sha256+b64.x:{}", hex(32)), ["=", "=", "="]),
        (&format!("a@2sha:{}", hex(32)), ["=", "-", "-"]),
        (&format!("a@:{}", hex(64)), ["-", "-", "-"]),
        ("a@1.0", ["a:1.0", "-", "-"]),
        ("a@", ["a:latest", "-", "-"]),
        // What looks like an id.
        (&format!("{}:1", hex(64)), ["-", "-", "="]),
        (&format!("library/{}:1", hex(64)), ["=", "-", "="]),
        (&format!("docker.io/{}:1", hex(64)), ["-", "-", "="]),
        (&format!("localhost/{}:1", hex(64)), ["-", "=", "="]),
        (&format!("{}:1", hex(63)), ["=", "=", "="]),
        // Length: the full name has 255 bytes (docker.io/library/ are 18 of them), the path, or the name.
        (&format!("{}:1", hex(237)), ["=", "=", "="]),
        (&format!("{}:1", hex(238)), ["=", "-", "="]),
        (&format!("{}:1", hex(255)), ["=", "-", "="]),
        (&format!("{}:1", hex(256)), ["-", "-", "-"]),
        (&format!("a.b/{}:1", hex(251)), ["=", "=", "="]),
        (&format!("a.b/{}:1", hex(252)), ["=", "-", "-"]),
    ];
    let mut wrong = Vec::new();
    for (name, expected) in rows {
        let expected = expected.map(|answer| if answer == "=" { name } else { answer });
        let found = parsed(name);
        if found != expected {
            wrong.push(format!("{name:?}\n  gives {found:?}\n  not   {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_wrong() {
    let id = hex(64);
    for (name, rules, why) in [
        ("Bad:1", Rules::Distribution, "its repository is not valid today"),
        ("a:-1", Rules::Distribution, "its tag is not valid today"),
        ("Bad:1", Rules::Stored, "its repository is not valid"),
        ("a:-1", Rules::Docker18, "its tag is not valid"),
        ("a@x:1", Rules::Distribution, "what follows @ is not a digest (sha256: and 64 hex digits)"),
        (&id, Rules::Distribution, "it looks like the id of an image"),
    ] {
        let Err(Error::BadName { name: named, why: said }) = Reference::parse(name, rules) else {
            panic!("{name}")
        };
        assert_eq!((named.as_str(), said), (name, why));
    }
}

#[test]
fn forms() {
    for (name, full, familiar) in [
        ("base:latest", "docker.io/library/base:latest", "base:latest"),
        ("library/base:1", "docker.io/library/base:1", "base:1"),
        ("docker.io/base:1", "docker.io/library/base:1", "base:1"),
        ("docker.io/library/a/b:1", "docker.io/library/a/b:1", "library/a/b:1"),
        ("index.docker.io/team/app:1", "docker.io/team/app:1", "team/app:1"),
        ("localhost/app:1", "localhost/app:1", "localhost/app:1"),
        ("localhost:5000/a/b:1", "localhost:5000/a/b:1", "localhost:5000/a/b:1"),
        ("quay.io/a:1", "quay.io/a:1", "quay.io/a:1"),
        ("team/app:1", "docker.io/team/app:1", "team/app:1"),
        ("library:1", "docker.io/library/library:1", "library:1"),
        ("base@sha256:ab", "docker.io/library/base@sha256:ab", "base@sha256:ab"),
        // Without docker.io/ these are repositories of another registry.
        ("docker.io/a.b/c:1", "docker.io/a.b/c:1", "docker.io/a.b/c:1"),
        ("index.docker.io/localhost/c:1", "docker.io/localhost/c:1", "docker.io/localhost/c:1"),
    ] {
        let reference = Reference::stored(name);
        let found = [reference.to_string(), reference.full().to_string(), reference.familiar().to_string()];
        assert_eq!(found, [name, full, familiar]);
    }
}

/// What stores have, valid or not.
#[test]
fn stored_names() {
    for (name, repository, tag_or_digest) in [
        ("localhost/a:1", "localhost/a", "1"),
        ("localhost:5000/a", "localhost:5000/a", "latest"),
        ("a@sha256:ab", "a", "sha256:ab"),
        ("a:1@sha256:ab", "a", "sha256:ab"),
        ("Bad name:", "Bad name", ""),
        ("", "", "latest"),
    ] {
        let reference = Reference::stored(name);
        assert_eq!(
            (reference.repository(), reference.tag_or_digest()),
            (repository, tag_or_digest),
            "{name}"
        );
    }
}

/// Valid by the rules of distribution, most of the time.
fn name() -> impl Strategy<Value = String> {
    let component = "[a-z0-9]{1,3}((\\.|_|__|-{1,3})[a-z0-9]{1,3}){0,2}";
    let registry =
        "((docker\\.io|index\\.docker\\.io|localhost|[A-Za-z0-9-]{1,3}\\.[a-z]{1,2}(:[0-9]{1,3})?)/)?";
    let rest = "(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,3})?(@sha256:[0-9a-f]{64})?";
    let all = format!("{registry}(library/)?{component}(/{component}){{0,2}}{rest}");
    proptest::string::string_regex(&all).unwrap()
}

fn any_name() -> impl Strategy<Value = String> {
    let pieces =
        "(docker\\.io|index|localhost|library|base|[A-Z]|:|@|/|/|\\.|_|-|latest|sha256:|[a-f]{32}){0,8}";
    prop_oneof![name(), pieces, "\\PC*"]
}

proptest! {
    #[test]
    fn what_is_printed_is_parsed_again(name in any_name()) {
        for rules in ALL {
            let Ok(reference) = Reference::parse(&name, rules) else { continue };
            prop_assert_eq!(reference.check(rules), Ok(()));
            prop_assert_eq!(&Reference::parse(&reference.to_string(), rules).unwrap(), &reference);
            prop_assert_eq!(&Reference::stored(&reference.to_string()), &reference);
        }
    }

    #[test]
    fn names_have_one_full_and_one_familiar_form(name in any_name()) {
        let Ok(reference) = Reference::parse(&name, Rules::Distribution) else { return Ok(()) };
        let (full, familiar) = (reference.full(), reference.familiar());
        for form in [&full, &familiar] {
            prop_assert_eq!(form.check(Rules::Distribution), Ok(()), "{}", form);
            prop_assert_eq!(&form.full(), &full);
            prop_assert_eq!(&form.familiar(), &familiar);
            prop_assert_eq!(form.tag_or_digest(), reference.tag_or_digest());
        }
    }

    #[test]
    fn what_engines_take_can_be_stored(name in name()) {
        if let Ok(reference) = Reference::parse(&name, Rules::Distribution) {
            prop_assert_eq!(reference.check(Rules::Stored), Ok(()));
        }
    }

    #[test]
    fn any_text_is_taken_apart(name in any_name(), repository in any_name()) {
        let reference = Reference::stored(&name);
        let _ = (reference.full(), reference.familiar(), ALL.map(|rules| reference.check(rules)));
        prop_assert!(name.contains(local_name(&name)) && name.contains(familiar_name(&name)));
        prop_assert!(name.starts_with(split_1_8(&name).0));
        let _ = split_request(&name);
        if let Some(rest) = within(&name, &repository) {
            prop_assert_eq!(Reference::new(&*repository, rest).to_string(), name);
        }
    }
}
