//! The images of the checks, made from nothing: what engines do to directories, owners and names, in as few bytes as will do.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::Outcome;
use crate::engines::image::{Image, sha256};
use crate::engines::process::{program, run};
use crate::engines::tarball::{
    BLOCK, CHARACTER, DIRECTORY, Dialect, Entry, FIFO, FILE, HARD_LINK, SYMLINK, Tarball,
};

/// A tar that `docker load` and `podman load` take, and what is in it.
pub(crate) struct Archive {
    pub(crate) path: PathBuf,
    pub(crate) images: Vec<Image>,
}

/// Which images.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Set {
    /// What only root may unpack is among them: devices, owners beyond 65535.
    All,
    /// What an ordinary user's engine can unpack.
    Ordinary,
}

/// A capability as the kernel keeps it: version 2, effective; `CAP_NET_RAW` permitted.
const CAP_NET_RAW: &[u8] = &[1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// Makes the archive in a folder.
pub(crate) fn make(folder: &Path, set: Set) -> Outcome<Archive> {
    let work = folder.join("images");
    fs::create_dir_all(&work)?;
    let (base, second) = (base(set), changes());
    let empty = Tarball::new(Dialect::Gnu).finish(1024);
    let mut specs = vec![
        (
            vec!["interop/shapes:1.0", "interop/shapes:latest", "localhost:5000/team/shapes:x"],
            vec![&base, &second],
        ),
        (vec!["interop/repeated:r1"], vec![&base, &empty, &second, &empty, &second]),
        // Untagged.
        (vec![], vec![&base]),
    ];
    let small: Vec<Vec<u8>> = (0..12).map(one_file).collect();
    specs.push((vec!["many:layers"], small.iter().collect()));
    let names = names(set);
    specs.push((vec!["interop/names:n1"], vec![&names]));

    let mut images = Vec::new();
    let mut manifest = Vec::new();
    for (index, (tags, layers)) in specs.into_iter().enumerate() {
        let mut diff_ids = Vec::new();
        let mut paths = Vec::new();
        for (layer, bytes) in layers.into_iter().enumerate() {
            let path = format!("{index}-{layer}.tar");
            fs::write(work.join(&path), bytes)?;
            diff_ids.push(sha256(&work.join(&path))?);
            paths.push(path);
        }
        let config = config(index, &diff_ids);
        let path = work.join(format!("{index}.json"));
        fs::write(&path, &config)?;
        let id = sha256(&path)?;
        fs::rename(&path, work.join(format!("{id}.json")))?;
        // `null` as Docker writes it.
        let written = if tags.is_empty() { Value::Null } else { json!(tags) };
        manifest.push(json!({"Config": format!("{id}.json"), "RepoTags": written, "Layers": paths}));
        images.push(Image { id, tags: tags.into_iter().map(str::to_owned).collect(), diff_ids });
    }
    fs::write(work.join("manifest.json"), serde_json::to_vec(&manifest)?)?;
    let path = folder.join("images.tar");
    run(program("tar", ["--sort=name", "-cf"]).arg(&path).arg("-C").arg(&work).arg("."))?;
    fs::remove_dir_all(&work)?;
    Ok(Archive { path, images })
}

/// A config with bytes that no program would write again: spaces, the order of keys, an escaped slash, an unknown key.
fn config(index: usize, diff_ids: &[String]) -> String {
    let diff_ids = diff_ids.iter().map(|id| format!("\"sha256:{id}\"")).collect::<Vec<_>>();
    let history =
        vec![r#"{"created": "2019-05-04T03:02:01.000000009Z", "created_by": "by hand"}"#; diff_ids.len()];
    format!(
        r#"{{ "unknown\/key": {{"b": 1, "a": "\u003c"}}, "rootfs": {{"type": "layers", "diff_ids": [{}]}}, "os": "linux",
  "history": [{}], "created": "2019-05-04T03:02:01.{:09}Z", "architecture": "{}",
  "config": {{"Env": ["PATH=/bin", "INDEX={index}"], "Labels": {{"of": "interop"}}, "Cmd": ["/bin/a"]}} }}
"#,
        diff_ids.join(", "),
        history.join(", "),
        index + 1,
        architecture(),
    )
}

/// This machine's, so that what unpacks images for it takes these.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// A first layer: every type of entry, and contents of several sizes.
fn base(set: Set) -> Vec<u8> {
    let mut tar = Tarball::new(Dialect::Pax);
    for folder in
        ["bin", "dev", "etc", "etc/deep", "etc/deep/er", "gone", "opaque", "opaque/inner", "usr", "usr/lib"]
    {
        tar.directory(folder);
    }
    tar.add(&Entry { mode: 0o1777, ..Entry::new(DIRECTORY, "tmp") });
    let noise: Vec<u8> = (0..300_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    tar.add(&Entry {
        data: &noise,
        mode: 0o4755,
        mtime: (1_400_000_000, 123_456_789),
        ..Entry::new(FILE, "bin/a")
    });
    tar.add(&Entry { link: b"bin/a", ..Entry::new(HARD_LINK, "bin/b") });
    tar.add(&Entry { link: b"a", mode: 0o777, ..Entry::new(SYMLINK, "bin/c") });
    tar.add(&Entry { link: b"usr/lib", mode: 0o777, ..Entry::new(SYMLINK, "lib") });
    tar.add(&Entry { link: b"/nowhere/../..", mode: 0o777, ..Entry::new(SYMLINK, "broken") });
    let capable = [("security.capability", CAP_NET_RAW)];
    tar.add(&Entry { data: b"ping", mode: 0o755, xattrs: &capable, ..Entry::new(FILE, "bin/ping") });
    tar.add(&Entry { mode: 0o600, ..Entry::new(FIFO, "dev/fifo") });
    if set == Set::All {
        tar.add(&Entry { mode: 0o666, device: (1, 3), ..Entry::new(CHARACTER, "dev/null") });
        tar.add(&Entry { mode: 0o660, device: (8, 1), ..Entry::new(BLOCK, "dev/sda1") });
        tar.add(&Entry {
            uid: 4_000_000_000,
            gid: 3_000_000,
            data: b"x",
            ..Entry::new(FILE, "etc/far-owner")
        });
    }
    tar.add(&Entry { uid: 1000, gid: 65_533, data: b"x", mode: 0o400, ..Entry::new(FILE, "etc/owned") });
    tar.add(&Entry { data: b"now", mtime: (-86_400, 0), ..Entry::new(FILE, "etc/before-1970") });
    tar.add(&Entry { data: b"then", mtime: (9_000_000_000, 0), ..Entry::new(FILE, "etc/after-2242") });
    tar.file("etc/empty", b"").file("etc/deep/er/x", b"deep").file("gone/a", b"a").file("gone/b", b"b");
    tar.file("opaque/old", b"old")
        .file("opaque/inner/old", b"old")
        .file("usr/lib/x", b"a library")
        .file("etc/kept", b"1");
    tar.add(&Entry { data: &vec![0; 3 << 20], ..Entry::new(FILE, "zeros") });
    tar.finish(10_240)
}

/// A second layer: additions, replacements, deletions, a directory that hides what was below it.
fn changes() -> Vec<u8> {
    let mut tar = Tarball::new(Dialect::Gnu);
    tar.directory("./etc").file("./etc/kept", b"2").file("./.wh.gone", b"").file("./etc/.wh.empty", b"");
    tar.directory("./opaque").file("./opaque/.wh..wh..opq", b"").file("./opaque/new", b"new");
    // A file where a directory was, and the other way round.
    tar.file("./etc/deep", b"now a file").directory("./broken").file("./broken/x", b"now a directory");
    tar.file("./lib/through-a-link", b"ends up in usr/lib");
    tar.add(&Entry { link: b"./etc/kept", ..Entry::new(HARD_LINK, "./etc/kept-too") });
    tar.file("./never/./there/.wh.before", b"");
    tar.finish(512)
}

/// Names that a header has no room for, or no letters.
pub(crate) fn names(set: Set) -> Vec<u8> {
    let mut tar = Tarball::new(Dialect::Gnu);
    let long = format!("long/{}/{}", "d".repeat(120), "f".repeat(200));
    tar.file(&long, b"long");
    tar.add(&Entry { link: long.as_bytes(), ..Entry::new(HARD_LINK, "long/linked") });
    tar.add(&Entry { link: long.as_bytes(), mode: 0o777, ..Entry::new(SYMLINK, "long/symlink") });
    tar.add(&Entry { data: b"latin", ..Entry::new(FILE, b"latin-\xe9\xff") });
    tar.file("größe-日本", b"utf-8").file("a b\tc\nd", b"blanks").file("back\\slash\"quote'", b"quotes");
    tar.file(&"n".repeat(100), b"exactly what a header holds");
    if set == Set::All {
        let far = Entry {
            uid: 2_097_152,
            gid: 4_294_967_290,
            mtime: (-1, 0),
            data: b"x",
            ..Entry::new(FILE, "far")
        };
        tar.add(&far);
    }
    tar.finish(65_536)
}

/// One of many layers.
fn one_file(index: usize) -> Vec<u8> {
    let mut tar = Tarball::new(Dialect::Pax);
    tar.file(&format!("file-{index}"), index.to_string().as_bytes())
        .file("same", index.to_string().as_bytes());
    tar.finish(1024)
}
