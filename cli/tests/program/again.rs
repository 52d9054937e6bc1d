//! `containers --run` and `--compose`: containers of real engines, and one with every option that is known.

use std::path::Path;

use serde_json::{Value, json};

use crate::program::{ended, layerlift, output};
use crate::store::Store;

pub(crate) fn printed(root: &Path, arguments: &[&str]) -> String {
    let out = output(layerlift().arg("containers").arg("--root").arg(root).args(arguments));
    let (status, errors) = ended(&out);
    assert_eq!((status, &*errors), (Some(0), ""));
    String::from_utf8(out.stdout).expect("UTF-8")
}

/// The lines that are not comments.
pub(crate) fn commands(text: &str) -> Vec<&str> {
    text.lines().filter(|line| !line.starts_with('#')).collect()
}

#[test]
fn what_the_command_lines_were() {
    for (engine, name, expected) in [
        (
            "docker-28.5",
            "changed",
            "docker run -d --name changed --hostname box --user 0:0 --workdir /opt --env A=3 --env 'B=two \
             words' --label app.version=3 --label who=me --network none --cgroupns host app:2 other args",
        ),
        (
            "docker-20.10",
            "shares",
            "docker run -d --name shares --volume named:/again:ro --volume /tmp --memory 64m --memory-swap \
             128m --cgroupns host --restart always --log-driver none app:2",
        ),
        (
            "podman-4.3",
            "changed",
            "podman --runtime /usr/sbin/runc run -d --ulimit nofile=512:512 --ulimit nproc=512:512 \
             --net=none --name changed -e 'B=two words' -e A=3 --label who=me --hostname box --user 0:0 \
             --workdir /opt localhost/app:2 other args",
        ),
    ] {
        let store = Store::containers(engine);
        let text = printed(&store.root, &[name, "--run"]);
        assert_eq!(commands(&text), [expected], "{engine}");
        assert!(text.contains("was the anonymous volume"), "{text}");
    }
}

/// What a shell makes of the line, with a `podman` that prints its arguments.
#[test]
fn a_shell_takes_each_word_as_it_was() {
    let replaced = |bytes: &[u8]| -> Vec<u8> {
        let (old, new) = (&b"B=two words"[..], &br#"B='\"\n$(a)"#[..]);
        assert_eq!(old.len(), new.len());
        let mut bytes = bytes.to_vec();
        for at in 0..bytes.len() - old.len() {
            if bytes[at..].starts_with(old) {
                bytes[at..][..new.len()].copy_from_slice(new);
            }
        }
        bytes
    };
    for (engine, database) in [("podman-4.3", "libpod/bolt_state.db"), ("podman-5.8", "db.sql")] {
        let store = Store::containers(engine);
        let listed = output(layerlift().args(["containers", "changed", "--json", "--root"]).arg(&store.root));
        let listed: Value = serde_json::from_slice(&listed.stdout).expect("JSON");
        let folder = store.root.join("overlay-containers").join(listed[0]["id"].as_str().expect("an id"));
        for file in [store.root.join(database), folder.join("userdata/config.json")] {
            let bytes = std::fs::read(&file).expect("it is there");
            std::fs::write(&file, replaced(&bytes)).expect("written");
        }
        let programs = store.beside("programs");
        std::fs::create_dir(&programs).expect("a folder");
        let fake = programs.join("podman");
        std::fs::write(&fake, "#!/bin/sh\nprintf '%s\\0' \"$@\"\n").expect("written");
        let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&fake, executable).expect("a mode");
        let given = |text: &str| -> Vec<String> {
            let path = format!("{}:/usr/bin:/bin", programs.display());
            let out = std::process::Command::new("sh").args(["-c", text]).env("PATH", path).output();
            let out = out.expect("sh starts");
            assert!(out.status.success() && out.stderr.is_empty(), "{text}{out:?}");
            String::from_utf8(out.stdout).expect("UTF-8").split('\0').map(str::to_owned).collect()
        };
        let words = given(&printed(&store.root, &["changed", "--run"]));
        assert!(words.contains(&"B='\"\n$(a)".to_owned()), "{engine}: {words:?}");
        assert_eq!(&words[words.len() - 4..], ["localhost/app:2", "other", "args", ""], "{engine}");
        std::fs::remove_file(store.root.join(database)).expect("it was there");
        let out = output(layerlift().args(["containers", "changed", "--run", "--root"]).arg(&store.root));
        let (status, errors) = ended(&out);
        assert!(
            status == Some(1) && errors.contains("does not have how container changed was run"),
            "{errors}"
        );
        let words = given(&String::from_utf8(out.stdout).expect("UTF-8"));
        assert!(words.contains(&"B='\"\n$(a)".to_owned()), "{engine}: {words:?}");
        assert_eq!(&words[words.len() - 4..], ["localhost/app:2", "other", "args", ""], "{engine}");
    }
}

/// The pod is made first.
#[test]
fn a_container_in_a_pod() {
    for engine in ["podman-4.3", "podman-5.8"] {
        let store = Store::containers(engine);
        let text = printed(&store.root, &["in-pod", "--run"]);
        let made = "podman --runtime /usr/sbin/runc pod create --name pod1 --infra=false\n";
        assert!(text.contains(&format!("# in-pod: its pod pod1 must exist: {made}")), "{engine}: {text}");
        assert!(commands(&text)[0].contains(" --pod pod1 "), "{text}");
    }
}

#[test]
fn an_image_that_was_removed() {
    let store = Store::containers("docker-28.5");
    let image = "31ba1f917197618253d27f85280777986df7c491247cd619df201ac485b7f8d7";
    let config = store.root.join("image/overlay2/imagedb/content/sha256").join(image);
    std::fs::remove_file(config).expect("it was there");
    let text = printed(&store.root, &["volumes", "--run"]);
    assert!(text.contains(&format!("# volumes: its image was removed from the store: {image}\n")), "{text}");
    // Nothing says which settings were the image's.
    assert!(text.contains(" --env PATH=/bin:/opt ") && text.contains(" --entrypoint /bin/pause "), "{text}");
    assert!(text.ends_with(" app:2 serve --all\n"), "{text}");
}

/// What `config.v2.json` repeats.
#[test]
fn settings_of_the_host_that_are_lost() {
    let store = Store::containers("docker-28.5");
    let ports = json!({"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}]});
    let id = change(&store, json!({"NetworkSettings": {"Ports": ports}}), json!({}));
    let of_volumes = "65e856b23efff8e6dac1ca6ff318a61e87bfc495185e8b612661e4950691f447";
    for id in [&*id, of_volumes] {
        std::fs::write(store.root.join("containers").join(id).join("hostconfig.json"), "").expect("written");
    }
    for (name, expected) in [
        ("never-started", "docker run -d --name never-started --publish 0.0.0.0:8080:80/tcp base:1"),
        ("volumes", " --volume second:/second:ro --volume named:/var/lib/db --network none app:2"),
    ] {
        let out = output(layerlift().args(["containers", name, "--run", "--root"]).arg(&store.root));
        let (status, errors) = ended(&out);
        assert!(
            status == Some(1) && errors.contains("hostconfig.json is malformed: it is empty"),
            "{errors}"
        );
        let text = String::from_utf8(out.stdout).expect("UTF-8");
        assert!(text.contains("# ") && commands(&text)[0].ends_with(expected), "{text}");
    }
}

/// Changes the records of the container `never-started`.
pub(crate) fn change(store: &Store, config: Value, host: Value) -> String {
    let id = "781706050addfe6abca3ef2fc334a0236efe3319cc45dc0c89fca88799e90843";
    for (file, changes) in [("config.v2.json", config), ("hostconfig.json", host)] {
        let path = store.root.join("containers").join(id).join(file);
        let text = std::fs::read_to_string(&path).expect("it is there");
        let mut document: Value = serde_json::from_str(&text).expect("JSON");
        merge(&mut document, changes);
        std::fs::write(path, document.to_string()).expect("written");
    }
    id.to_owned()
}

fn merge(into: &mut Value, changes: Value) {
    match (into, changes) {
        (Value::Object(into), Value::Object(changes)) => {
            for (key, value) in changes {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, value) => *into = value,
    }
}

fn everything(store: &Store) {
    let config = json!({"Config": {
        "Hostname": "box", "Domainname": "example.org", "Tty": true, "OpenStdin": true,
        "StopSignal": "SIGINT",
        "StopTimeout": 5, "Entrypoint": ["/bin/pause", "-x"], "Cmd": ["it's", "$HOME"],
        "ExposedPorts": {"9000/udp": {}, "80/tcp": {}},
        "Labels": {"com.docker.compose.project": "shop", "com.docker.compose.service": "web"},
        "Healthcheck": {
            "Test": ["CMD-SHELL", "curl -f $URL || exit 1"], "Interval": 30_000_000_000_i64, "Retries": 3
        }
    }, "NetworkSettings": {"Networks": {
        "front": {
            "IPAMConfig": {"IPv4Address": "10.1.0.5"}, "Aliases": ["www", "781706050add"], "NetworkID": "ab"
        },
        "back": {"IPAMConfig": null, "Aliases": null, "NetworkID": "cd"}
    }}});
    let host = json!({
        "NetworkMode": "front", "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3},
        "PortBindings": {
            "80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}, {"HostIp": "", "HostPort": ""}]
        },
        "CapAdd": ["NET_ADMIN"], "CapDrop": ["ALL"], "Privileged": false, "ReadonlyRootfs": true,
        "Init": true,
        "Devices": [
            {"PathOnHost": "/dev/fuse", "PathInContainer": "/dev/fuse", "CgroupPermissions": "rwm"}
        ],
        "DeviceRequests": [
            {"Driver": "", "Count": -1, "DeviceIDs": null, "Capabilities": [["gpu"]], "Options": {}}
        ],
        "Ulimits": [{"Name": "nofile", "Soft": 1024, "Hard": 2048}], "NanoCpus": 1_500_000_000_i64,
        "Memory": 1_073_741_824_i64, "PidsLimit": 100, "ShmSize": 134_217_728, "Dns": ["1.1.1.1"],
        "ExtraHosts": ["db:10.0.0.1"], "LogConfig": {"Type": "json-file", "Config": {"max-size": "10m"}},
        "Sysctls": {"net.core.somaxconn": "1024"}, "SecurityOpt": ["no-new-privileges"], "IpcMode": "host",
        "PidMode": "container:92cfa8448f9b093d4a7001d6e3d7c2ea2821253fdca4679f4b0c05de55c8a9d7",
        "BlkioDeviceReadBps": [{"Path": "/dev/sda", "Rate": 1024}], "Binds": ["data:/data", "/srv:/srv:ro"]
    });
    change(store, config, host);
}

#[test]
fn every_option() {
    let store = Store::containers("docker-28.5");
    everything(&store);
    insta::assert_snapshot!(printed(&store.root, &["never-started", "--run"]));
    insta::assert_snapshot!(printed(&store.root, &["never-started", "changed", "--compose"]));
}

/// Docker 28.5 records them so.
#[test]
fn every_mount() {
    let store = Store::containers("docker-28.5");
    let host = json!({"Mounts": [
        {"Type": "volume", "Target": "/a", "VolumeOptions": {
            "Labels": {"com.docker.volume.anonymous": "", "q": "r, \"s\""},
            "DriverConfig": {"Options": {"device": "tmpfs", "type": "tmpfs"}}
        }},
        {"Type": "image", "Source": "base:1", "Target": "/b", "ImageOptions": {"Subpath": "etc"}},
        {"Type": "bind", "Source": "/srv", "Target": "/c", "BindOptions": {
            "Propagation": "rslave", "NonRecursive": true, "CreateMountpoint": true
        }, "Consistency": "cached"},
        {"Type": "tmpfs", "Target": "/d", "TmpfsOptions": {"Mode": 1023, "Options": [["noexec"]]}}
    ]});
    change(&store, json!({}), host);
    let text = printed(&store.root, &["never-started", "--run"]);
    for expected in [
        " --mount 'type=volume,target=/a,volume-opt=device=tmpfs,volume-opt=type=tmpfs,\"volume-label=q=r, \
         \"\"s\"\"\"' ",
        " --mount type=image,source=base:1,target=/b,image-subpath=etc ",
        " --mount type=bind,source=/srv,target=/c,consistency=cached,bind-propagation=rslave,\
         bind-recursive=disabled ",
        " --mount type=tmpfs,target=/d,tmpfs-mode=1777 ",
        "# never-started: not expressed: BindOptions.CreateMountpoint of the mount at /c is true\n",
        "# never-started: not expressed: TmpfsOptions.Options of the mount at /d is [[\"noexec\"]]\n",
    ] {
        assert!(text.contains(expected), "no {expected:?} in {text}");
    }
}

/// `--entrypoint` without a command: the command of the image does not come back.
#[test]
fn a_command_that_was_taken_away() {
    let store = Store::containers("docker-28.5");
    change(
        &store,
        json!({"Config": {"Entrypoint": ["/bin/pause"], "Cmd": null, "Image": "app:2"}}),
        json!({}),
    );
    let app = std::fs::read_to_string(store.root.join("containers").join(APP).join("config.v2.json"));
    let app: Value = serde_json::from_str(&app.expect("it is there")).expect("JSON");
    change(&store, json!({"Image": app["Image"]}), json!({}));
    let text = printed(&store.root, &["never-started", "--run"]);
    assert!(commands(&text)[0].ends_with(" --entrypoint /bin/pause app:2"), "{text}");
    let text = printed(&store.root, &["never-started", "--compose"]);
    assert!(text.contains("    entrypoint:\n      - /bin/pause\n") && !text.contains("command:"), "{text}");
}

/// The id of the container `changed`, of `app:2`.
pub(crate) const APP: &str = "92cfa8448f9b093d4a7001d6e3d7c2ea2821253fdca4679f4b0c05de55c8a9d7";

/// A name with a line end, a quote or a `#` stays a word, and a comment stays a comment.
#[test]
fn nothing_is_injected() {
    let store = Store::containers("docker-28.5");
    let evil = "x\nrm -rf /; '\"$(id)#";
    let config = json!({"Name": format!("/{evil}"), "Config": {"Image": evil, "Env": [evil]}});
    let host = json!({"Binds": [format!("{evil}:/x")], "Unknown": evil});
    let id = change(&store, config, host);
    let text = printed(&store.root, &[&id, "--run"]);
    let script = format!("docker() {{ for word; do printf '%s|' \"$word\"; done; }}\n{text}");
    let out = std::process::Command::new("sh").arg("-c").arg(&script).output().expect("sh starts");
    let words = String::from_utf8(out.stdout).expect("UTF-8");
    let expected = format!("run|-d|--name|{evil}|--env|{evil}|--volume|{evil}:/x|--cgroupns|host|{evil}|");
    assert_eq!(words, expected);
    assert!(out.stderr.is_empty(), "{script}");
    let compose = printed(&store.root, &[&id, "--compose"]);
    assert!(compose.contains("container_name: \"x\\nrm -rf /; '\\\"$$(id)#\""), "{compose}");
    assert!(compose.lines().all(|line| !line.starts_with("rm")), "{compose}");
}

/// The words that a shell gives to `docker`, and the comments.
pub(crate) fn words_of(text: &str) -> (Vec<String>, String) {
    let script = format!("docker() {{ for word; do printf '%s\\0' \"$word\"; done; }}\n{text}");
    let out = std::process::Command::new("sh").arg("-c").arg(&script).output().expect("sh starts");
    assert!(out.status.success() && out.stderr.is_empty(), "{script}: {out:?}");
    let words = String::from_utf8(out.stdout).expect("UTF-8");
    let comments: Vec<&str> = text.lines().filter(|line| line.starts_with('#')).collect();
    (words.trim_end_matches('\0').split('\0').map(str::to_owned).collect(), comments.join("\n"))
}

/// Each option with the words that it becomes, or with what a comment says.
#[test]
fn options_one_by_one() {
    let gone = "f".repeat(64);
    let changed = "92cfa8448f9b093d4a7001d6e3d7c2ea2821253fdca4679f4b0c05de55c8a9d7";
    let mount = |options: Value| {
        let mut mount = json!({"Type": "volume", "Source": "v", "Target": "/v"});
        merge(&mut mount, options);
        json!({"Mounts": [mount]})
    };
    let gpu = |more: Value| {
        let mut request = json!({"Count": 0, "DeviceIDs": null, "Capabilities": [["gpu"]], "Options": {}});
        merge(&mut request, more);
        json!({"DeviceRequests": [request]})
    };
    let rate = json!([{"Path": "/dev/sda", "Rate": 1024}]);
    for (host, words, comment) in [
        (json!({"NetworkMode": format!("container:{changed}")}), "--network container:changed", ""),
        (json!({"NetworkMode": format!("container:{gone}")}), "", "is not in the store: --network has to"),
        (json!({"IpcMode": format!("container:{gone}")}), "", "is not in the store: --ipc has to"),
        (json!({"SecurityOpt": ["seccomp={\"a\":1}", "apparmor=x"]}), "--security-opt apparmor=x", "seccomp"),
        (json!({"SecurityOpt": ["seccomp=unconfined"]}), "--security-opt seccomp=unconfined", ""),
        (json!({"Links": ["/db:/never-started/alias"]}), "--link db:alias", ""),
        (json!({"VolumesFrom": ["changed:ro"]}), "--volumes-from changed:ro", ""),
        (json!({"PidMode": "host", "UsernsMode": "host"}), "--pid host --userns host", ""),
        (json!({"IpcMode": "shareable", "ShmSize": 1 << 20}), "--shm-size 1m --ipc shareable", ""),
        (json!({"CgroupnsMode": "host"}), "--cgroupns host", ""),
        (json!({"CgroupnsMode": "private"}), "--cgroupns private", ""),
        (json!({"CgroupnsMode": "host", "Privileged": true}), "--cgroupns host --privileged", ""),
        (json!({"Tmpfs": {"/run": "size=1m", "/x": ""}}), "--tmpfs /run:size=1m --tmpfs /x", ""),
        (json!({"Sysctls": {"net.ipv4.ip_forward": "1"}}), "--sysctl net.ipv4.ip_forward=1", ""),
        (json!({"Ulimits": [{"Name": "core", "Soft": -1, "Hard": -1}]}), "--ulimit core=-1:-1", ""),
        (json!({"LogConfig": {"Type": "syslog", "Config": {}}}), "--log-driver syslog", ""),
        (json!({"BlkioDeviceWriteBps": rate}), "--device-write-bps /dev/sda:1024", ""),
        (
            json!({"PortBindings": {"80/tcp": [{"HostIp": "::1", "HostPort": "8000-8010"}], "53/udp": null}}),
            "--publish [::1]:8000-8010:80/tcp",
            "",
        ),
        (
            json!({"Dns": ["::1"], "ExtraHosts": ["db:host-gateway"]}),
            "--dns ::1 --add-host db:host-gateway",
            "",
        ),
        (
            mount(json!({"ReadOnly": true, "VolumeOptions": {"NoCopy": true, "Labels": {"a": "b,c"},
                "DriverConfig": {"Name": "local", "Options": {"o": "addr=h,rw"}}}})),
            "--mount type=volume,source=v,target=/v,readonly,volume-nocopy,volume-driver=local,\
             \"volume-opt=o=addr=h,rw\",\"volume-label=a=b,c\"",
            "",
        ),
        (
            mount(json!({"Type": "bind", "Source": "/a \"b\"",
                "BindOptions": {"Propagation": "rslave", "NonRecursive": true}})),
            "--mount type=bind,\"source=/a \"\"b\"\"\",target=/v,bind-propagation=rslave,\
             bind-recursive=disabled",
            "",
        ),
        (
            mount(json!({"Type": "tmpfs", "Source": "", "TmpfsOptions":
                {"SizeBytes": 1024, "Mode": 0o1777, "Options": [["noexec"]]}})),
            "--mount type=tmpfs,target=/v,tmpfs-size=1024,tmpfs-mode=1777",
            "TmpfsOptions.Options of the mount at /v is [[\"noexec\"]]",
        ),
        (gpu(json!({"Count": 2})), "--gpus 2", ""),
        (gpu(json!({"DeviceIDs": ["0", "1"]})), "--gpus \"device=0,1\"", ""),
        (
            gpu(json!({"Count": -1, "Driver": "nvidia", "Capabilities": [["gpu", "compute", "utility"]]})),
            "--gpus count=all,driver=nvidia,\"capabilities=compute,utility\"",
            "",
        ),
    ] {
        let store = Store::containers("docker-28.5");
        let id = change(&store, json!({}), host.clone());
        let (got, comments) = words_of(&printed(&store.root, &[&id, "--run"]));
        assert!(got.join(" ").contains(words), "{host}: {got:?}");
        assert!(comments.contains(comment), "{host}: {comments}");
        assert!(!comment.is_empty() || !comments.contains("not expressed"), "{host}: {comments}");
    }
}

/// Values that a shell would change, in every place.
#[test]
fn values_survive_a_shell() {
    let store = Store::containers("docker-28.5");
    let odd = "a'b\"c\\d$(e)`f`\n\t*?[x]~{a,b}!#;&|<>\u{e9}\u{fffd} ";
    let id = change(
        &store,
        json!({"Config": {"Env": [format!("A={odd}")], "Cmd": [odd, "", "-x"], "User": odd,
            "Labels": {odd: odd}, "WorkingDir": odd,
            "Healthcheck": {"Test": ["CMD", "/bin/check", odd]}}}),
        json!({"Binds": [format!("/src{odd}:/x")], "Sysctls": {"a": odd}, "Tmpfs": {odd: ""},
            "LogConfig": {"Type": "json-file", "Config": {"tag": odd}}}),
    );
    let (words, comments) = words_of(&printed(&store.root, &[&id, "--run"]));
    let after = |flag: &str| {
        let at = words.iter().position(|word| word == flag).unwrap_or_else(|| panic!("no {flag}: {words:?}"));
        words[at + 1].clone()
    };
    assert_eq!(after("--env"), format!("A={odd}"));
    assert_eq!((after("--user"), after("--workdir")), (odd.to_owned(), odd.to_owned()));
    assert_eq!(after("--label"), format!("{odd}={odd}"));
    assert_eq!(after("--volume"), format!("/src{odd}:/x"));
    assert_eq!(after("--tmpfs"), odd);
    assert_eq!(after("--log-opt"), format!("tag={odd}"));
    assert_eq!(words[words.len() - 3..], [odd, "", "-x"]);
    assert!(comments.contains("U+FFFD"), "{comments}");
    // The health check is run by a shell, too.
    let script = format!("/bin/check() {{ printf %s \"$1\"; }}\n{}", after("--health-cmd"));
    let out =
        std::process::Command::new("bash").arg("-c").arg(script.replace("/bin/check", "check")).output();
    assert_eq!(String::from_utf8_lossy(&out.expect("bash starts").stdout), odd);
}

/// Compose refuses a file in which a key is there twice.
#[test]
fn containers_of_one_name() {
    let store = Store::containers("docker-28.5");
    let folder = std::fs::read_dir(store.root.join("containers")).expect("a folder");
    for entry in folder {
        let file = entry.expect("an entry").path().join("config.v2.json");
        let text = std::fs::read_to_string(&file).expect("text");
        std::fs::write(&file, text.replace("\"/changed\"", "\"/orphan-1\"")).expect("written");
    }
    let text = printed(&store.root, &["--compose"]);
    let keys: Vec<&str> = text.lines().filter(|line| line.starts_with("  orphan-1")).collect();
    assert_eq!(keys, ["  orphan-1:", "  orphan-1-2:"], "{text}");
    assert_eq!(text.matches("container_name: orphan-1\n").count(), 1, "{text}");
    let comment = "# orphan-1: another container has this name; this one is service orphan-1-2, without a \
                   container_name\n";
    assert!(text.contains(comment), "{text}");
}

/// What a compose file has of a container of Podman beside its command line.
#[test]
fn ports_that_podman_exposes() {
    let store = Store::containers("podman-5.8-options");
    let text = printed(&store.root, &["options", "--compose"]);
    assert!(text.contains("    expose:\n      - \"7/tcp\"\n"), "{text}");
}
