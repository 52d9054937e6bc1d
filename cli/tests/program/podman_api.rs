//! Containers that were made through Podman's API. Their record has no command line.

use crate::again::printed;
use crate::store::Store;

/// The options between the name and the image, and the comments.
fn options(store: &Store, name: &str) -> (String, Vec<String>) {
    let text = printed(&store.root, &[name, "--run"]);
    let (comments, lines): (Vec<&str>, Vec<&str>) = text.lines().partition(|line| line.starts_with('#'));
    assert_eq!(lines.len(), 1, "{text}");
    let options = lines[0].strip_prefix(&format!("podman run -d --name {name} "));
    let options = options.and_then(|line| line.strip_suffix(" localhost/base:1"));
    let options = options.unwrap_or_else(|| panic!("{text}"));
    (options.to_owned(), comments.into_iter().map(str::to_owned).collect())
}

/// What `podman run` says of them is what it says of the containers of the store.
#[test]
fn the_options_follow_from_the_record() {
    let store = Store::containers("podman-5.8-api");
    for (name, expected) in [
        ("plain", "--hosts-file none --pids-limit 0 --cgroupns host"),
        (
            "guarded",
            "--hostname box.example --hosts-file none --pids-limit 0 --pid host --ipc private --cgroupns \
             private --cap-add NET_ADMIN --cap-add SYS_TIME --cap-drop CHOWN --device /dev/null:/dev/n:r \
             --device /dev/zero:/dev/zero:rwm --device-cgroup-rule 'c 1:3 mr' --security-opt \
             no-new-privileges --security-opt label=disable --security-opt apparmor=unconfined \
             --security-opt seccomp=unconfined --sysctl net.core.somaxconn=1024 --annotation who=me \
             --cgroup-parent /own",
        ),
        (
            "privileged",
            "--network host --hosts-file none --privileged --pids-limit 0 --uts host --cgroupns host \
             --userns host",
        ),
        (
            "limited",
            "--workdir /new --stop-timeout 0 --hosts-file none --rm --memory 64m --memory-reservation 32m \
             --memory-swap 128m --cpu-quota 150000 --cpu-period 100000 --cpu-shares 512 --cpuset-cpus 0 \
             --pids-limit 50 --oom-score-adj 5 --shm-size 1m --ulimit nofile=10:20 --log-driver json-file \
             --log-opt max-size=10000000 --log-opt tag=x --cgroupns host",
        ),
        (
            "joined",
            "--network container:plain --hosts-file none --pids-limit 0 --pid container:plain --ipc \
             container:plain --cgroupns host",
        ),
        (
            "mounted",
            "--volume /anonymous --volume /srv:/b:rslave,bind --volume named:/n:nocopy --volume /srv:/r:ro \
             --tmpfs /t:rw,size=64k --publish 127.0.0.1:8080-8081:80-81/tcp --publish 41479:99/sctp \
             --publish-all --hosts-file none --pids-limit 0 --cgroupns host",
        ),
        (
            "named",
            "--network podman:ip=10.88.0.99,mac=02:42:ac:11:00:99 --dns 1.1.1.1 --dns-search x.y \
             --dns-option ndots:2 --add-host a:1.2.3.4 --hosts-file none --pids-limit 0 --cgroupns host",
        ),
        (
            "dropped",
            "--stop-signal 37 --secret key,target=/run/x,uid=1,gid=2,mode=0400 --secret \
             word,type=env,target=V --memory-swappiness 0 --cpuset-mems 0 --pids-limit -1 --ulimit \
             nofile=-1:-1 --umask 0027 --tz UTC --timeout 5 --systemd always --cgroupns host --cgroups \
             disabled --cap-add AUDIT_WRITE --cap-add KILL --cap-drop ALL --security-opt mask=/etc/x \
             --security-opt unmask=/proc/acpi:/proc/sys --security-opt proc-opts=hidepid=2",
        ),
        // Podman itself lacked SYS_RESOURCE there.
        (
            "mapped",
            "--volume /srv:/o:O --mount type=image,source=localhost/base:1,target=/i,rw=false --cgroupns \
             host --uidmap 0:100000:65536 --gidmap 0:200000:65536 --cap-add ALL --cap-drop \
             SYS_RESOURCE --security-opt unmask=ALL",
        ),
    ] {
        assert_eq!(options(&store, name).0, expected, "{name}");
    }
}

/// What no option says is a comment.
#[test]
fn comments() {
    let store = Store::containers("podman-5.8-api");
    for name in ["plain", "guarded", "privileged", "joined", "named", "mapped"] {
        assert_eq!(options(&store, name).1, [""; 0], "{name}");
    }
    let secrets =
        ["key", "word"].map(|name| format!("# dropped: its secret {name} must exist (podman secret create)"));
    assert_eq!(options(&store, "dropped").1, secrets);
    let folder =
        "# limited: Podman created its working directory if it was missing, which --workdir does not do";
    assert_eq!(options(&store, "limited").1, [folder]);
}

#[test]
fn in_a_compose_file() {
    let store = Store::containers("podman-5.8-api");
    // Compose takes 0 for no limit of its own.
    let plain = printed(&store.root, &["plain", "--compose"]);
    assert!(plain.contains("    pids_limit: -1\n"), "{plain}");
    let text = printed(&store.root, &["guarded", "dropped", "--compose"]);
    for lines in [
        "    pid: host\n    ipc: private\n    cgroup: private\n",
        "    cap_add:\n      - NET_ADMIN\n      - SYS_TIME\n    cap_drop:\n      - CHOWN\n",
        "    devices:\n      - \"/dev/null:/dev/n:r\"\n      - \"/dev/zero:/dev/zero:rwm\"\n",
        "    device_cgroup_rules:\n      - \"c 1:3 mr\"\n",
        "    security_opt:\n      - no-new-privileges\n      - \"label=disable\"\n",
        "    sysctls:\n      net.core.somaxconn: \"1024\"\n",
        "    annotations:\n      who: me\n",
        "    cgroup_parent: /own\n",
        "    ulimits:\n      nofile:\n        soft: -1\n        hard: -1\n",
        "    mem_swappiness: 0\n",
        // Else Compose makes a network of the project.
        "    network_mode: bridge\n",
        "# dropped: --cpuset-mems 0\n",
        "# dropped: --umask 0027\n",
        "# dropped: how secret key is given to the container (--secret)\n",
    ] {
        assert!(text.contains(lines), "no {lines:?} in {text}");
    }
}
