//! Stores of containerd from which something was removed: what `verify` says, and what `save` makes of them.

use std::fs;

use crate::program::{ended, is_root, layerlift, output};
use crate::store::Store;

const SNAPSHOTS: &str = "io.containerd.snapshotter.v1.overlayfs/snapshots";
const BLOBS: &str = "containerd/daemon/io.containerd.content.v1.content/blobs/sha256";
/// A layer of the image in gzip, which the store lacks.
const IN_GZIP: (&str, &str) = (
    "1c6613342f8a4d9813572cc9bcbda9ae3fed9075eb547a65047590f00df86ee2",
    "1f8b0800000000000203edd54b0ec220148561c6aea2c60558f002ebe9c3a4263e92b64e5cbd8421831a07a069ff2f21\
     10260c4eeea1bddc8f2ab33af0d6c63d48f778d6628d785f4bbc77d67a555955c0739a9b313ca9b6a90df94fc36ff33f\
     99347fafb551554dfed91df6cdad7752bda6b95fc352f8ca79eefeb2ff9da1ff4be5df8cdd903b7f27b290bf4bfb5fb4\
     a3ff4b88edbfa307b7dcff8f6bde6ff3f3fc4b3aff267c17cc7f01217ba61f00000000000000006045de3d97931b0028\
     0000",
);

/// Puts that blob into a store, without a record of it.
fn add_in_gzip(store: &Store) {
    let (digest, hex) = IN_GZIP;
    let bytes: Vec<u8> =
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
    fs::write(store.root.join(BLOBS).join(digest), bytes).unwrap();
}

/// A node that has discarded the blobs of its layers: each is named, and so is a snapshot that was removed.
#[test]
fn a_node_that_discards_layers() {
    if !is_root("a_node_that_discards_layers", "to read snapshots") {
        return;
    }
    let store = Store::containerd("containerd-2.1-discarded");
    let verify = || {
        let mut verify = layerlift();
        verify.args(["verify", "--namespace", "k8s.io", "--root"]).arg(&store.root);
        output(&mut verify)
    };
    let found = verify();
    let (status, said) = ended(&found);
    assert_eq!(status, Some(1), "{said}");
    let table = String::from_utf8_lossy(&found.stdout);
    assert_eq!(table.matches("can only be computed").count(), 5, "{table}");
    assert_eq!(said.matches("it is missing; layer sha256:").count(), 11, "{said}");
    assert_eq!(said.matches("takes its place").count(), 1, "a blob of another namespace: {said}");
    assert_eq!(said.matches("namespace k8s.io has no record of it").count(), 1, "another has: {said}");
    assert!(!said.contains("error:"), "what was never pulled is not missing: {said}");

    let save = |args: &[&str]| {
        let archive = store.beside("archive.tar");
        let mut save = layerlift();
        save.args(["save", "--namespace", "k8s.io", "127.0.0.1:5777/bench/zstd:1.0", "--root"]);
        save.arg(&store.root).args(args).arg("-o").arg(&archive);
        let (status, said) = ended(&output(&mut save));
        (status, said, fs::remove_file(archive).is_ok())
    };
    let (status, said, written) = save(&[]);
    assert_eq!((status, written), (Some(0), true), "{said}");
    assert!(said.contains("1 other have no blob and are rebuilt from their snapshots"), "{said}");
    let (status, said, written) = save(&["--no-rebuild"]);
    assert_eq!((status, written), (Some(1), false), "{said}");

    let snapshot = store.root.join(SNAPSHOTS).join("6");
    assert!(snapshot.exists());
    fs::remove_dir_all(snapshot).unwrap();
    let found = verify();
    let (status, said) = ended(&found);
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("error: namespace k8s.io needs snapshot sha256:"), "{said}");
    assert!(String::from_utf8_lossy(&found.stdout).contains("INCOMPLETE"), "{said}");
    let (status, said, written) = save(&[]);
    assert_eq!((status, written), (Some(1), false), "{said}");
}

/// A store with several namespaces repairs one that has discarded its layers: the image keeps its id, and
/// nothing is rebuilt.
#[test]
fn the_blobs_of_another_host() {
    if !is_root("the_blobs_of_another_host", "to unpack snapshots") {
        return;
    }
    let (store, other) = (Store::containerd("containerd-2.1-discarded"), Store::containerd("containerd-2.1"));
    let mut save = layerlift();
    save.args(["save", "--namespace", "k8s.io", "127.0.0.1:5777/bench/zstd:1.0", "--salvage", "--root"]);
    save.arg(&store.root).arg("--repair-from").arg(&other.root);
    let (status, said) = ended(&output(save.arg("-o").arg(store.beside("archive.tar"))));
    assert_eq!(status, Some(0), "{said}");
    assert!(said.contains(" is missing; its bytes are taken from layer sha256:"), "{said}");
    assert!(said.contains(" of namespace default in "), "{said}");
    assert!(!said.contains("is not what was recorded") && !said.contains("@sha256:"), "{said}");
    assert!(!said.contains("the image id is") && !said.contains("rebuilt"), "{said}");
}

/// What belongs to an index beside the image that is chosen: another platform, attestations.
#[test]
fn the_rest_of_an_index() {
    const ARM64: &str = "a17494b3f89878bd0ade10b00f9980c0ddb725b4508b4f4988ed98026ee5be21";
    const ATTESTATION: &str = "5f620563a6d2a8e7955303e9fc8235d40c13eb9b0f7ba70e7824a76f73d8ad67";
    const STATEMENT: &str = "496483d7ba670b53573906a9f1a883ced8634ccc8cd09770b18fe338c9f6277e";
    let store = Store::containerd("docker-28");
    let archive = store.beside("archive.tar");
    let run = |command: &str, args: &[&str]| {
        let mut program = layerlift();
        program.args([command, "bench/multi:1.0", "--root"]).arg(&store.root).args(args);
        if command == "save" {
            program.arg("-o").arg(&archive);
        }
        let found = output(&mut program);
        let (status, said) = ended(&found);
        let table = String::from_utf8_lossy(&found.stdout).into_owned();
        (status, said, table, fs::remove_file(&archive).is_ok())
    };
    let (status, said, table, _) = run("verify", &[]);
    assert_eq!(status, Some(0), "{said}");
    for platform in ["linux/amd64", "linux/arm64/v8", "linux/arm/v7"] {
        assert!(table.contains(&format!("{platform}   ")), "{table}");
    }
    assert_eq!(run("verify", &["--platform", "linux/amd64"]).2.matches("   ok").count(), 1);

    let blobs = store.root.join(BLOBS);
    for (blob, is_chosen, of_it) in [
        (ARM64, false, &format!("layer {ARM64}")),
        (ATTESTATION, true, &format!("artifact sha256:{ATTESTATION}")),
        (STATEMENT, true, &format!("artifact sha256:{ATTESTATION}")),
    ] {
        let path = blobs.join(blob);
        let sound = fs::read(&path).unwrap();
        for zeroed in [true, false] {
            match zeroed {
                true => fs::write(&path, vec![0; sound.len()]).unwrap(),
                false => fs::remove_file(&path).unwrap(),
            }
            let (status, said, ..) = run("verify", &[]);
            assert_eq!(status, Some(1), "{blob} {zeroed}: {said}");
            let word = if zeroed { "damaged" } else { "missing" };
            assert!(said.contains(word) || blob == ARM64, "{blob}: {said}");
            let (status, said, ..) = run("verify", &["--platform", "linux/amd64"]);
            assert_eq!(status, Some(i32::from(is_chosen)), "{blob}: {said}");
            // The image for this machine is sound.
            let lost = Some(i32::from(is_chosen));
            for (args, expected, written) in
                [(&[][..], lost, !is_chosen), (&["--keep-going"], lost, true), (&["--salvage"], lost, true)]
            {
                let (status, said, _, found) = run("save", args);
                assert_eq!((status, found), (expected, written), "{blob} {zeroed} {args:?}: {said}");
                assert!(!written || !is_chosen || said.contains(of_it), "{blob} {args:?}: {said}");
            }
        }
        fs::write(&path, sound).unwrap();
    }
    assert_eq!(run("verify", &[]).0, Some(0));
}

/// The exact blob from elsewhere is better than one that only has the same tar: the manifest stays.
#[test]
fn the_blob_itself_before_one_that_takes_its_place() {
    const NAME: &str = "127.0.0.1:5777/bench/zstd-as-gzip:1.0";
    const MANIFEST: &str = "201fc1b7cca3e79f084a5e23b1a6cec016458bdfd6e5391152c8128c20c3d8b9";
    let store = Store::containerd("docker-28");
    let other = Store::containerd("docker-28");
    let save = |args: &[&str]| {
        let archive = store.beside("archive");
        let _ = fs::remove_dir_all(&archive);
        let mut save = layerlift();
        save.args(["save", NAME, "--root"]).arg(&store.root).args(args).arg("-o").arg(archive.join(""));
        let (status, said) = ended(&output(&mut save));
        assert_eq!(status, Some(0), "{said}");
        (archive.join("blobs/sha256").join(MANIFEST).exists(), said)
    };
    let (same, said) = save(&[]);
    assert!(!same && said.contains("takes its place"), "{said}");
    let repair = ["--salvage", "--repair-from", other.root.to_str().unwrap()];
    assert!(!save(&repair).0, "the other one lacks it, too");
    add_in_gzip(&other);
    let (same, said) = save(&repair);
    assert!(same && said.contains("its bytes are taken from"), "{said}");
    assert!(!said.contains("takes its place") && !said.contains("the manifest is"), "{said}");
}

/// A blob that nothing but its bytes leads to: the image keeps its id.
#[test]
fn a_blob_that_is_found_by_its_tar() {
    const CONFIG: &str = "00e3826985ad256d4c7d1ff5170783aef94114010705c3d1f64279ba2640116a";
    let store = Store::containerd("docker-28");
    let lost = "43ee6b5bda77fb5dec20abcca8d2f125ecdfc786ae67bd136ef1f18eb4208d7d";
    fs::remove_file(store.root.join(BLOBS).join(lost)).unwrap();
    add_in_gzip(&store);
    let save = |args: &[&str]| {
        let archive = store.beside("archive");
        let _ = fs::remove_dir_all(&archive);
        let mut save = layerlift();
        save.args(["save", "bench/zstd:1.0", "--root"]).arg(&store.root).args(args);
        let (status, said) = ended(&output(save.arg("-o").arg(archive.join(""))));
        (status, archive.join("blobs/sha256").join(CONFIG).exists(), said)
    };
    let (status, same, said) = save(&["--find-blobs"]);
    assert_eq!((status, same), (Some(0), true), "{said}");
    assert!(said.contains(&format!("blob sha256:{} has the same layer", IN_GZIP.0)), "{said}");
    let (status, _, said) = save(&["--no-rebuild"]);
    assert_eq!(status, Some(1), "{said}");
    let verify = |args: &[&str]| {
        let mut verify = layerlift();
        verify.args(["verify", "bench/zstd:1.0", "--root"]).arg(&store.root).args(args);
        ended(&output(&mut verify)).0
    };
    assert_eq!((verify(&[]), verify(&["--find-blobs"])), (Some(1), Some(0)));
}

/// The labels of blobs name the repositories that they were pulled from (containerd puts no port there).
/// Another repository of that registry takes them from there.
#[test]
#[cfg(feature = "registry")]
fn blobs_that_were_pulled_are_mounted() {
    use crate::server::Server;

    let store = Store::containerd("containerd-2.1");
    let blobs = store.root.join("io.containerd.content.v1.content/blobs/sha256");
    let server = Server::start(|_| None);
    // The registry still has all of it, whatever it is.
    for blob in fs::read_dir(&blobs).unwrap() {
        let blob = blob.unwrap();
        let key = ("bench/mlist".to_owned(), format!("sha256:{}", blob.file_name().to_string_lossy()));
        server.kept.lock().unwrap().blobs.insert(key, fs::read(blob.path()).unwrap());
    }
    let push = |name: &str, to: &str| {
        let mut command = layerlift();
        command.args(["push", name, "--namespace", "default", "--platform", "linux/s390x"]);
        command.args(["--progress", "json", "--root"]).arg(&store.root);
        let (status, said) = ended(&output(command.arg(format!("docker://{}/{to}", server.address))));
        assert_eq!(status, Some(0), "{said}");
        let with = |outcome: &str| said.matches(&format!("\"outcome\":\"{outcome}\"")).count();
        (with("mounted"), with("pushed"))
    };
    // Two layers and a config; the manifest is sent.
    assert_eq!(push("127.0.0.1:5777/bench/mlist:1.0", "other:1"), (3, 1));
    assert!(server.heard().contains("from=bench/mlist"), "{}", server.heard());
    assert_eq!(push("127.0.0.1:5777/bench/mlist:1.0", "other:2"), (0, 0), "all of it is there");
}
