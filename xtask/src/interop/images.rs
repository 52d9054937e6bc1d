//! The synthetic images of the checks. They hold what engines do to directories, owners and names, in few
//! bytes.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::Outcome;
use crate::engines::image::{Image, sha256};
use crate::engines::process::{program, run};
use crate::engines::tarball::{
    BLOCK, CHARACTER, DIRECTORY, Dialect, FIFO, FILE, HARD_LINK, Member, SYMLINK, Tarball,
};

/// A tar for `docker load` and `podman load`, and the images in it.
pub(crate) struct Archive {
    pub(crate) path: PathBuf,
    pub(crate) images: Vec<Image>,
}

/// Which images.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Set {
    /// All images, including what only root can unpack: devices, owners beyond 65535.
    All,
    /// Only what an ordinary user's engine can unpack.
    Ordinary,
}

/// `security.capability` as the kernel stores it: version 2, effective, with `CAP_NET_RAW` permitted.
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
        // Docker writes `null` for an image without tags.
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

/// A config that no program would write like this: odd spaces, an odd order of keys, an escaped slash, an
/// unknown key. Its digest only survives where its bytes are copied.
fn config(index: usize, diff_ids: &[String]) -> String {
    let diff_ids = diff_ids.iter().map(|id| format!("\"sha256:{id}\"")).collect::<Vec<_>>();
    let history =
        vec![r#"{"created": "2019-05-04T03:02:01.000000009Z", "created_by": "by hand"}"#; diff_ids.len()];
    format!(
        r#"{{ "unknown\/key": {{"b": 1, "a": "\u003c"}}, "rootfs": {{"type": "layers", "diff_ids": [{}]}},
  "os": "linux", "history": [{}], "created": "2019-05-04T03:02:01.{:09}Z", "architecture": "{}",
  "config": {{"Env": ["PATH=/bin", "INDEX={index}"], "Labels": {{"of": "interop"}}, "Cmd": ["/bin/a"]}} }}
"#,
        diff_ids.join(", "),
        history.join(", "),
        index + 1,
        architecture(),
    )
}

/// This machine's architecture, so that programs which unpack images accept these.
pub(crate) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// A base layer: every type of entry, and contents of several sizes.
fn base(set: Set) -> Vec<u8> {
    let mut tar = Tarball::new(Dialect::Pax);
    for folder in [
        "bin",
        "dev",
        "etc",
        "etc/deep",
        "etc/deep/er",
        "removed",
        "opaque",
        "opaque/inner",
        "usr",
        "usr/lib",
    ] {
        tar.directory(folder);
    }
    tar.add(&Member { mode: 0o1777, ..Member::new(DIRECTORY, "tmp") });
    let noise: Vec<u8> = (0..300_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    tar.add(&Member {
        data: &noise,
        mode: 0o4755,
        mtime: (1_400_000_000, 123_456_789),
        ..Member::new(FILE, "bin/a")
    });
    tar.add(&Member { link: b"bin/a", ..Member::new(HARD_LINK, "bin/b") });
    tar.add(&Member { link: b"a", mode: 0o777, ..Member::new(SYMLINK, "bin/c") });
    tar.add(&Member { link: b"usr/lib", mode: 0o777, ..Member::new(SYMLINK, "lib") });
    tar.add(&Member { link: b"/nowhere/../..", mode: 0o777, ..Member::new(SYMLINK, "broken") });
    let capable = [("security.capability", CAP_NET_RAW)];
    tar.add(&Member { data: b"ping", mode: 0o755, xattrs: &capable, ..Member::new(FILE, "bin/ping") });
    tar.add(&Member { mode: 0o600, ..Member::new(FIFO, "dev/fifo") });
    if set == Set::All {
        tar.add(&Member { mode: 0o666, device: (1, 3), ..Member::new(CHARACTER, "dev/null") });
        tar.add(&Member { mode: 0o660, device: (8, 1), ..Member::new(BLOCK, "dev/sda1") });
        tar.add(&Member {
            uid: 4_000_000_000,
            gid: 3_000_000,
            data: b"x",
            ..Member::new(FILE, "etc/far-owner")
        });
    }
    tar.add(&Member { uid: 1000, gid: 65_533, data: b"x", mode: 0o400, ..Member::new(FILE, "etc/owned") });
    tar.add(&Member { data: b"now", mtime: (-86_400, 0), ..Member::new(FILE, "etc/before-1970") });
    tar.add(&Member { data: b"then", mtime: (9_000_000_000, 0), ..Member::new(FILE, "etc/after-2242") });
    tar.file("etc/empty", b"").file("etc/deep/er/x", b"deep").file("removed/a", b"a").file("removed/b", b"b");
    tar.file("opaque/old", b"old")
        .file("opaque/inner/old", b"old")
        .file("usr/lib/x", b"a library")
        .file("etc/kept", b"1");
    tar.add(&Member { data: &vec![0; 3 << 20], ..Member::new(FILE, "zeros") });
    tar.finish(10_240)
}

/// A second layer: additions, replacements, deletions, an opaque directory.
fn changes() -> Vec<u8> {
    let mut tar = Tarball::new(Dialect::Gnu);
    tar.directory("./etc").file("./etc/kept", b"2").file("./.wh.removed", b"").file("./etc/.wh.empty", b"");
    tar.directory("./opaque").file("./opaque/.wh..wh..opq", b"").file("./opaque/new", b"new");
    // A file replaces a directory, and the other way round.
    tar.file("./etc/deep", b"now a file").directory("./broken").file("./broken/x", b"now a directory");
    tar.file("./lib/through-a-link", b"ends up in usr/lib");
    tar.add(&Member { link: b"./etc/kept", ..Member::new(HARD_LINK, "./etc/kept-too") });
    tar.file("./never/./there/.wh.before", b"");
    tar.finish(512)
}

/// Names that are too long for a header, or not ASCII.
pub(crate) fn names(set: Set) -> Vec<u8> {
    let mut tar = Tarball::new(Dialect::Gnu);
    let long = format!("long/{}/{}", "d".repeat(120), "f".repeat(200));
    tar.file(&long, b"long");
    tar.add(&Member { link: long.as_bytes(), ..Member::new(HARD_LINK, "long/linked") });
    tar.add(&Member { link: long.as_bytes(), mode: 0o777, ..Member::new(SYMLINK, "long/symlink") });
    tar.add(&Member { data: b"latin", ..Member::new(FILE, b"latin-\xe9\xff") });
    tar.file("größe-日本", b"utf-8").file("a b\tc\nd", b"blanks").file("back\\slash\"quote'", b"quotes");
    tar.file(&"n".repeat(100), b"exactly what a header holds");
    if set == Set::All {
        let far = Member {
            uid: 2_097_152,
            gid: 4_294_967_290,
            mtime: (-1, 0),
            data: b"x",
            ..Member::new(FILE, "far")
        };
        tar.add(&far);
    }
    tar.finish(65_536)
}

/// One of many small layers.
fn one_file(index: usize) -> Vec<u8> {
    let mut tar = Tarball::new(Dialect::Pax);
    tar.file(&format!("file-{index}"), index.to_string().as_bytes())
        .file("same", index.to_string().as_bytes());
    tar.finish(1024)
}
