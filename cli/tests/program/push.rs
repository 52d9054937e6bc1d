//! `push`, and `save -o docker://…`, to a registry of the tests' own.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use layerlift_archive::Digest;
use serde_json::Value;

use crate::program::{ended, layerlift, output, save};
use crate::server::{Reply, Server, answer, with_body};
use crate::store::Store;

/// The annotation in which containerd keeps an image's whole name.
const CONTAINERD: &str = "io.containerd.image.name";

fn push(store: &Store, args: &[&str]) -> Output {
    let mut command = layerlift();
    command.arg("push").args(args).arg("--root").arg(&store.root);
    output(&mut command)
}

/// The manifests of an OCI archive with the same layers, by the digest in the file's index.
fn archived(store: &Store, names: &[&str], compress: &str) -> Vec<String> {
    let dir = store.beside(&format!("layout-{}", names.join("-").replace([':', '/'], "-")));
    let mut command = save(&store.root);
    command.args(names).args(["--format", "oci-archive", "--compress", compress, "-o"]);
    command.arg(format!("{}/", dir.display()));
    assert_eq!(ended(&output(&mut command)).0, Some(0));
    let index: Value = serde_json::from_slice(&std::fs::read(dir.join("index.json")).unwrap()).unwrap();
    let entries = index["manifests"].as_array().unwrap();
    entries.iter().map(|entry| entry["digest"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn tags_and_repositories() {
    let store = Store::example();
    let server = Server::start(|_| None);
    let to = |place: &str| format!("docker://{}/{place}", server.address);
    let digest =
        |repository: &str, tag: &str| server.tag(repository, tag).map(|bytes| Digest::of(&bytes).to_string());

    let got = push(&store, &["base:latest", &to("team/app:2")]);
    assert_eq!(ended(&got).0, Some(0), "{}", ended(&got).1);
    let expected = archived(&store, &["base:latest"], "gzip");
    assert_eq!(digest("team/app", "2"), Some(expected[0].clone()), "the manifest of an archive");
    assert_eq!(digest("team/app", "latest"), None);

    // All tags of a repository, and a name of its own below a prefix.
    for (args, repository) in
        [(vec!["base".to_owned(), to("all")], "all"), (vec!["--all".to_owned(), to("node/")], "node/base")]
    {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let got = push(&store, &args);
        assert_eq!(ended(&got).0, Some(0), "{}", ended(&got).1);
        assert_eq!(digest(repository, "latest"), Some(expected[0].clone()));
        assert!(digest(repository, "child").is_some());
    }

    // `save` is the same, and layers can stay as they are.
    let got = output(save(&store.root).args(["base:child", "--compress", "none", "-o", &to("plain:1")]));
    assert_eq!(ended(&got).0, Some(0), "{}", ended(&got).1);
    assert_eq!(digest("plain", "1"), Some(archived(&store, &["base:child"], "none")[0].clone()));

    // Nothing is sent twice.
    let got = push(&store, &["base", &to("all"), "--progress", "json"]);
    let (status, events) = ended(&got);
    assert_eq!(status, Some(0), "{events}");
    assert!(!events.contains("\"pushed\",") && events.contains("\"outcome\":\"exists\""), "{events}");
    let done: Value = serde_json::from_str(events.lines().last().unwrap()).unwrap();
    assert_eq!((&done["event"], &done["pushed"], &done["bytes"]), (&"done".into(), &0.into(), &0.into()));
    assert_eq!(done["images"], 2);
}

#[test]
fn dry_runs_send_nothing() {
    let store = Store::example();
    let server = Server::start(|_| None);
    let to = format!("docker://{}/app", server.address);
    let listed = |args: &[&str]| {
        let got = push(&store, args);
        assert_eq!(ended(&got).0, Some(0), "{}", ended(&got).1);
        String::from_utf8(got.stdout).unwrap()
    };
    let before = listed(&["--dry-run", "base", &to]);
    let tags = before.lines().next().unwrap();
    assert!(tags.contains("/app: ") && tags.contains("latest") && tags.contains("child"), "{before}");
    assert!(before.contains("  push    sha256:") && !before.contains("  exists"), "{before}");
    assert!(server.asked().iter().all(|line| line.starts_with("HEAD") || line.starts_with("GET")));
    listed(&["base:latest", &to]);
    let after = listed(&["--dry-run", "base", &to]);
    assert!(after.contains("  exists  sha256:") && after.contains("  push    sha256:"), "{after}");
}

#[test]
fn requests_that_cannot_be_met() {
    let store = Store::example();
    let server = Server::start(|_| None);
    let to = |place: &str| format!("docker://{}/{place}", server.address);
    for (args, expected) in [
        (vec!["base:latest".to_owned(), "base:child".to_owned(), to("app:1")], "2 names and one tag"),
        (vec!["base".to_owned(), to("app:1")], "2 images would get the tag 1"),
        (vec!["base:latest".to_owned(), "out.tar".to_owned()], "is not a place to push to"),
        (vec![to("app")], "are not named"),
        (vec!["base".to_owned(), "--all".to_owned(), to("app/")], "--all takes every image"),
        (vec!["base".to_owned(), "docker://app".to_owned()], "HOST/REPOSITORY is expected"),
        (vec!["base".to_owned(), to("App")], "does not name a repository"),
        (vec!["nosuch".to_owned(), to("app")], "nosuch"),
        (
            vec!["base".to_owned(), to("app"), "--ca".to_owned(), "/nonexistent.pem".to_owned()],
            "nonexistent.pem",
        ),
        (vec!["base".to_owned(), to("app"), "--creds-stdin".to_owned()], "has no USER:PASSWORD"),
        (
            ["--creds-stdin", "--from-file", "-", &to("app")].map(str::to_owned).to_vec(),
            "cannot both be read from standard input",
        ),
        (vec!["base".to_owned(), "docker://localhost:99999/app".to_owned()], "its port is not a number"),
        (vec!["base".to_owned(), "oci:".to_owned()], "is not a place to push to"),
        (vec!["base:latest".to_owned(), "oci:/nonexistent-dir:".to_owned()], "is not a place to push to"),
    ] {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let (status, errors) = ended(&push(&store, &args));
        assert_eq!(status, Some(2), "{args:?}: {errors}");
        assert!(errors.contains(expected), "{args:?}: {errors}");
    }
    assert!(server.asked().iter().all(|line| !line.starts_with("PUT")), "{:?}", server.asked());
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (status, errors) = ended(&push(&store, &["base:latest", &format!("docker://{free}/app")]));
    assert_eq!(status, Some(2), "{errors}");
    assert!(errors.contains("connection refused"), "{errors}");
    let (_, events) = ended(&push(&store, &["base", &format!("docker://{free}/app"), "--progress", "json"]));
    assert!(!events.contains("prepare"), "nothing is compressed for nobody: {events}");
    let format = output(save(&store.root).args(["base", "--format", "docker-archive", "-o", &to("app")]));
    assert_eq!(ended(&format).0, Some(2), "{}", ended(&format).1);
    assert!(ended(&format).1.contains("--format"), "{}", ended(&format).1);
    let volumes = output(save(&store.root).args(["base", "--volume-size", "1M", "-o", &to("app")]));
    assert_eq!(ended(&volumes).0, Some(2), "{}", ended(&volumes).1);
}

/// One repository fails: the status is 1, and what is missing is named.
#[test]
fn what_is_missing_is_named() {
    let store = Store::example();
    let denied = br#"{"errors":[{"code":"DENIED","message":"not here"}]}"#;
    let server = Server::start(move |request| {
        (request.method == "POST" && request.path.contains("/base/")).then(|| with_body(403, &[], denied))
    });
    let to = format!("docker://{}/x/", server.address);
    let (status, errors) = ended(&push(&store, &["base", &to]));
    assert_eq!(status, Some(1), "{errors}");
    assert!(errors.contains("answered 403") && errors.contains("DENIED: not here"), "{errors}");
    assert!(errors.contains("not pushed: ") && errors.contains("/x/base:child"), "{errors}");
    assert!(!errors.contains("verify"), "nothing is wrong with the store: {errors}");
    assert!(server.tag("x/base", "latest").is_none());
}

/// What the registry has taken before a login fails is not nothing.
#[test]
fn a_part_is_pushed() {
    let store = Store::containers("docker-28.5");
    let server = Server::start(|request| {
        let closed = request.path.starts_with("/v2/p/base/");
        closed.then(|| answer(401, &[("WWW-Authenticate", "Basic realm=x")]))
    });
    let to = format!("docker://{}/p/", server.address);
    let (status, errors) = ended(&push(&store, &["app:2", "base:1", &to]));
    assert_eq!(status, Some(1), "{errors}");
    assert!(server.tag("p/app", "2").is_some());
    assert!(errors.contains("wants a login") && errors.contains("not pushed: "), "{errors}");
    let (status, errors) = ended(&push(&store, &["base:1", &to]));
    assert_eq!(status, Some(2), "nothing is: {errors}");
}

/// A layer that was pulled has a compressed blob on record. If the registry has it, the layer is not
/// compressed again; what is not there, or not what was asked for, is.
#[test]
fn blobs_that_a_registry_had() {
    let store = Store::containers("docker-28.5");
    let server = Server::start(|_| None);
    let dir = store.beside("layout");
    let mut command = save(&store.root);
    command.args(["app:2", "--format", "oci-archive", "--compress", "gzip:1", "-o"]);
    assert_eq!(ended(&output(command.arg(format!("{}/", dir.display())))).0, Some(0));
    let read = |digest: &str| {
        std::fs::read(dir.join("blobs").join(digest.replace(':', "/"))).expect("the layout has it")
    };
    let json = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap();
    let index = json(&std::fs::read(dir.join("index.json")).unwrap());
    let manifest = json(&read(index["manifests"][0]["digest"].as_str().unwrap()));
    let config = json(&read(manifest["config"]["digest"].as_str().unwrap()));
    let layers: Vec<&str> = manifest["layers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|layer| layer["digest"].as_str().unwrap())
        .collect();
    let diff_id = |at: usize| config["rootfs"]["diff_ids"][at].as_str().unwrap().to_owned();

    // Docker's records: of the base a blob of another registry, and the one that was pulled last; of the
    // other layer a blob that the registry has lost.
    let records = store.root.join("image/overlay2/distribution/v2metadata-by-diffid/sha256");
    std::fs::create_dir_all(&records).unwrap();
    let record = |at: usize, blobs: &[(&str, &str)]| {
        let entries: Vec<Value> = blobs
            .iter()
            .map(|(digest, from)| serde_json::json!({"Digest": digest, "SourceRepository": from, "HMAC": ""}))
            .collect();
        let file = records.join(diff_id(at).replace("sha256:", ""));
        std::fs::write(file, serde_json::to_string(&entries).unwrap()).unwrap();
    };
    let host = server.address.to_string();
    let lost = Digest::of(b"lost").to_string();
    record(0, &[(&lost, "docker.io/library/base"), (layers[0], &format!("{host}/team/base"))]);
    record(1, &[(&lost, &format!("{host}/team/base"))]);
    let has = |repository: &str, digest: &str| {
        server.kept.lock().unwrap().blobs.contains_key(&(repository.to_owned(), digest.to_owned()))
    };
    let key = ("team/base".to_owned(), layers[0].to_owned());
    server.kept.lock().unwrap().blobs.insert(key, read(layers[0]));

    let to = format!("docker://{host}/new:1");
    let (status, events) = ended(&push(&store, &["app:2", &to, "--progress", "json"]));
    assert_eq!(status, Some(0), "{events}");
    let event = events.lines().map(|line| json(line.as_bytes())).find(|event| event["digest"] == layers[0]);
    let event = event.expect("the blob is reported");
    assert_eq!((&event["outcome"], &event["from"]), (&"mounted".into(), &"team/base".into()));
    let of_base = server.asked().into_iter().filter(|line| line.ends_with(layers[0])).collect::<Vec<_>>();
    assert_eq!(of_base.len(), 2, "before it is mounted, and after that: {of_base:?}");
    let pushed = json(&server.tag("new", "1").expect("it has the tag"));
    assert_eq!(pushed["layers"][0]["digest"], layers[0], "the blob that was there");
    assert_eq!(pushed["layers"][0]["size"], read(layers[0]).len());
    assert_ne!(pushed["layers"][1]["digest"], layers[1], "compressed as usual");
    for layer in pushed["layers"].as_array().unwrap() {
        assert!(layer["mediaType"].as_str().unwrap().ends_with("tar+gzip"), "{layer}");
        assert!(has("new", layer["digest"].as_str().unwrap()));
    }

    // Another compression than that of the blob.
    let to = format!("docker://{host}/new:2");
    let (status, events) = ended(&push(&store, &["app:2", &to, "--compress", "zstd"]));
    assert_eq!(status, Some(0), "{events}");
    let zstd = json(&server.tag("new", "2").unwrap());
    assert!(zstd["layers"][0]["mediaType"].as_str().unwrap().ends_with("tar+zstd"), "{zstd}");
}

/// A registry that gives no blobs to who may only push gets them in the usual way.
#[test]
fn blobs_that_a_registry_does_not_give() {
    let store = Store::containers("docker-28.5");
    let listing = output(layerlift().args(["inspect", "base:1", "--root"]).arg(&store.root));
    let image: Value = serde_json::from_slice(&listing.stdout).unwrap();
    let diff_id = image[0]["layers"][0]["diff_id"].as_str().unwrap().replace("sha256:", "");
    let records = store.root.join("image/overlay2/distribution/v2metadata-by-diffid/sha256");
    std::fs::create_dir_all(&records).unwrap();
    let digest = Digest::of(b"lost");
    let record = format!(r#"[{{"Digest":"{digest}","SourceRepository":"localhost/base"}}]"#);
    std::fs::write(records.join(diff_id), record).unwrap();
    let refused = move |request: &crate::server::Request| {
        (request.method == "GET" && request.path.contains("/blobs/sha256")).then(|| answer(403, &[]))
    };
    let server = Server::start(refused);
    let to = format!("docker://{}/new:1", server.address);
    let (status, events) = ended(&push(&store, &["base:1", &to]));
    assert_eq!(status, Some(0), "{events}");
    assert!(server.asked().iter().any(|line| line == &format!("GET /v2/new/blobs/{digest}")));
    assert!(server.tag("new", "1").is_some());
}

/// One repository that lets nobody in does not end the others, whatever was asked there first; nor does a
/// record of Docker that names no repository.
#[test]
fn the_other_repositories_get_theirs() {
    let store = Store::containers("docker-28.5");
    let tokens = Server::start(|request| {
        let denied = request.query.contains("repository:p/app:");
        Some(if denied { answer(403, &[]) } else { with_body(200, &[], br#"{"token":"t"}"#) })
    });
    let realm = tokens.address;
    let server = Server::start(move |request| {
        let holds = request.headers.get("authorization").is_some_and(|value| value == "Bearer t");
        let challenge = format!("Bearer realm=\"http://{realm}/t\"");
        (!holds).then(|| answer(401, &[("WWW-Authenticate", &challenge)]))
    });
    let records = store.root.join("image/overlay2/distribution/v2metadata-by-diffid/sha256");
    std::fs::create_dir_all(&records).unwrap();
    let (host, lost) = (server.address, Digest::of(b"lost"));
    for name in ["app:2", "base:1"] {
        let listing = output(layerlift().args(["inspect", name, "--root"]).arg(&store.root));
        let image: Value = serde_json::from_slice(&listing.stdout).unwrap();
        for layer in image[0]["layers"].as_array().unwrap() {
            let diff_id = layer["diff_id"].as_str().unwrap().replace("sha256:", "");
            let record = format!(r#"[{{"Digest":"{lost}","SourceRepository":"{host}/a b&from=other"}}]"#);
            std::fs::write(records.join(diff_id), record).unwrap();
        }
    }
    let got = push(&store, &["--all", "--keep-going", &format!("docker://{host}/p/")]);
    let (status, errors) = ended(&got);
    assert_eq!(status, Some(1), "{errors}");
    assert!(errors.contains("not pushed: ") && errors.contains("/p/app:2"), "{errors}");
    assert!(server.tag("p/base", "1").is_some(), "{errors}");
    assert!(!server.heard().contains("from=other"), "{}", server.heard());
}

/// Credential helpers know registries, and may fail for anything else.
#[test]
fn a_helper_that_knows_the_registry() {
    let store = Store::example();
    let server = Server::start(|request| {
        let given = request.headers.get("authorization").is_some_and(|value| value == "Basic dTpw");
        (!given).then(|| answer(401, &[("WWW-Authenticate", "Basic realm=x")]))
    });
    let folder = store.beside("docker");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("config.json"), r#"{"credsStore":"strict"}"#).unwrap();
    let host = server.address;
    let script = format!(
        "#!/bin/sh\nread key\n[ \"$key\" = {host} ] || exit 1\n\
         echo '{{\"ServerURL\":\"{host}\",\"Username\":\"u\",\"Secret\":\"p\"}}'\n"
    );
    let helper = folder.join("docker-credential-strict");
    std::fs::write(&helper, script).unwrap();
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&helper, executable).unwrap();
    let path = format!("{}:/usr/bin:/bin", folder.display());
    let mut command = layerlift();
    command.args(["push", "base:latest", &format!("docker://{host}/team/app"), "--root"]).arg(&store.root);
    command.env("PATH", path).env("DOCKER_CONFIG", &folder).env("HOME", &folder);
    let (status, errors) = ended(&output(command.env_remove("XDG_RUNTIME_DIR")));
    assert_eq!(status, Some(0), "{errors}");
    assert!(server.tag("team/app", "latest").is_some());
}

/// No output has a password or a token, whatever the registry answers.
#[test]
fn secrets_are_in_no_output() {
    let store = Store::example();
    const BASIC: &str = "dXNlcjpodW50ZXIyLXNlY3JldA==";
    let echo = format!(r#"{{"errors":[{{"code":"X","message":"{BASIC} hunter2-secret"}}]}}"#);
    for accepts in [true, false] {
        let echo = echo.clone();
        let server = Server::start(move |request| -> Option<Reply> {
            let given = request.headers.get("authorization").map(String::as_str);
            if given != Some(&format!("Basic {BASIC}")) {
                return Some(answer(401, &[("WWW-Authenticate", "Basic realm=\"x\"")]));
            }
            (!accepts).then(|| with_body(403, &[], echo.as_bytes()))
        });
        for more in [&["--progress", "json"][..], &["--progress", "plain"], &["--dry-run"]] {
            let mut command: Command = layerlift();
            command.args(["push", "base", "--creds-stdin"]).args(more).arg("--root").arg(&store.root);
            command.arg(format!("docker://{}/app", server.address)).stdin(Stdio::piped());
            let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            child.stdin.take().unwrap().write_all(b"user:hunter2-secret\n").unwrap();
            let got = child.wait_with_output().unwrap();
            let text = format!("{}{}", String::from_utf8_lossy(&got.stdout), ended(&got).1);
            assert_eq!(got.status.success(), accepts, "{text}");
            assert!(!text.contains("hunter2") && !text.contains(BASIC), "{text}");
        }
    }
}

#[test]
fn layouts_get_tags() {
    let store = Store::example();
    let layout = store.beside("made");
    let to = |tag: &str| format!("oci:{}{tag}", layout.display());
    for (name, tag) in [("base:latest", ":2"), ("base:child", "")] {
        let got = push(&store, &[name, &to(tag)]);
        assert_eq!(ended(&got).0, Some(0), "{}", ended(&got).1);
    }
    let index =
        || -> Value { serde_json::from_slice(&std::fs::read(layout.join("index.json")).unwrap()).unwrap() };
    let names = || -> Vec<(Option<String>, Option<String>)> {
        let index = index();
        let entries = index["manifests"].as_array().unwrap().iter();
        let name = |entry: &Value, key: &str| entry["annotations"][key].as_str().map(str::to_owned);
        let names = |entry| (name(entry, "org.opencontainers.image.ref.name"), name(entry, CONTAINERD));
        entries.map(names).collect()
    };
    let full = |name: &str| Some(format!("docker.io/library/{name}"));
    let base_2 = (Some("2".to_owned()), full("base:2"));
    assert_eq!(names(), [base_2.clone(), (Some("base:child".to_owned()), full("base:child"))]);
    // Layers are compressed as for a registry.
    let digest = index()["manifests"][0]["digest"].as_str().unwrap().to_owned();
    assert_eq!(digest, archived(&store, &["base:latest"], "gzip")[0]);

    let (status, errors) = ended(&push(&store, &["base", &to(":3")]));
    assert_eq!(status, Some(2), "{errors}");
    // A whole name, and an image that has none.
    let got = push(&store, &["base:child", &to(":registry.example/team/app:1")]);
    assert_eq!(ended(&got).0, Some(0), "{}", ended(&got).1);
    let listing = output(layerlift().args(["inspect", "base:latest", "--root"]).arg(&store.root));
    let image: Value = serde_json::from_slice(&listing.stdout).unwrap();
    let got = push(&store, &[image[0]["id"].as_str().unwrap(), &to(":by-id")]);
    assert_eq!(ended(&got).0, Some(0), "{}", ended(&got).1);
    let app = Some("registry.example/team/app:1".to_owned());
    assert_eq!(names()[2..], [(app.clone(), app), (Some("by-id".to_owned()), None)]);
    // The same name again replaces what it led to.
    let got = push(&store, &["base:child", &to(":by-id")]);
    assert_eq!(ended(&got).0, Some(0), "{}", ended(&got).1);
    assert_eq!(names().iter().filter(|(name, _)| name.as_deref() == Some("by-id")).count(), 1);
    assert!(names().contains(&base_2));
    // Also if that was another repository's, which keeps its name for containerd.
    let got = push(&store, &["base:child=other/app:1", &to(":2")]);
    assert_eq!(ended(&got).0, Some(0), "{}", ended(&got).1);
    assert!(
        names().contains(&(Some("2".to_owned()), Some("docker.io/other/app:2".to_owned()))),
        "{:?}",
        names()
    );
    assert!(names().contains(&(None, full("base:2"))), "{:?}", names());
    assert_eq!(names().iter().filter(|(name, _)| name.as_deref() == Some("2")).count(), 1);
}
