//! Networks and volumes in command lines and compose files, from the databases in which Docker keeps how they
//! were made (`network/files/local-kv.db` of Docker 20.10 and 28.5; 28.5 has networks without IPv4).

use std::io::Read;
use std::path::Path;

use serde_json::{Value, json};

use crate::again::{change, commands};
use crate::program::{ended, layerlift, output};
use crate::store::Store;

const SHARES: &str = "shares";

/// A store with a container in these networks, and the database of an engine.
fn in_networks(engine: &str, networks: &Value, mode: &str) -> Store {
    let store = Store::containers("docker-28.5");
    let packed = format!("../store/tests/fixtures/containers/local-kv-{engine}.db.gz");
    let packed = std::fs::File::open(Path::new(env!("CARGO_MANIFEST_DIR")).join(packed)).expect("a fixture");
    let mut database = Vec::new();
    flate2::read::GzDecoder::new(packed).read_to_end(&mut database).expect("gzip");
    std::fs::create_dir_all(store.root.join("network/files")).expect("a folder");
    std::fs::write(database_of(&store), database).expect("written");
    let folder = std::fs::read_dir(store.root.join("containers")).expect("a folder").find_map(|entry| {
        let folder = entry.expect("an entry").path();
        let config = read(&folder.join("config.v2.json"));
        (config["Name"] == format!("/{SHARES}")).then_some(folder)
    });
    let folder = folder.expect("it is there");
    let mut config = read(&folder.join("config.v2.json"));
    config["NetworkSettings"]["Networks"] = networks.clone();
    std::fs::write(folder.join("config.v2.json"), config.to_string()).expect("written");
    let mut host = read(&folder.join("hostconfig.json"));
    host["NetworkMode"] = mode.into();
    std::fs::write(folder.join("hostconfig.json"), host.to_string()).expect("written");
    store
}

fn read(file: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(file).expect("a file")).expect("JSON")
}

fn database_of(store: &Store) -> std::path::PathBuf {
    store.root.join("network/files/local-kv.db")
}

fn printed(store: &Store, form: &str) -> (Option<i32>, String, String) {
    let got = output(layerlift().args(["containers", SHARES, form, "--root"]).arg(&store.root));
    let (status, errors) = ended(&got);
    (status, String::from_utf8(got.stdout).expect("UTF-8"), errors)
}

/// The networks and the volumes at the end of a compose file.
fn needed(text: &str) -> (&str, &str) {
    let (_, needed) = text.split_once("\nnetworks:\n").expect("networks");
    needed.split_once("volumes:\n").expect("volumes")
}

#[test]
fn as_they_were_made() {
    let networks = json!({
        "mynet": {"IPAMConfig": {"IPv4Address": "10.77.5.3"}},
        "six": {"IPAMConfig": {"IPv4Address": "10.78.0.7"}},
        // By its id, until the container is started.
        "7a24039a2b4b": {},
        "removed": {},
    });
    let store = in_networks("28.5", &networks, "mynet");
    let (status, text, errors) = printed(&store, "--run");
    assert_eq!((status, &*errors), (Some(0), ""));
    for line in [
        "# docker network create --subnet 10.77.0.0/16 --ip-range 10.77.5.0/24 --gateway 10.77.0.1 \
         --aux-address host1=10.77.5.9 --label who=me --internal --attachable mynet",
        "# docker network create --opt com.docker.network.driver.mtu=1400 --subnet 10.78.0.0/24 --subnet \
         fd00:77::/64 --ipv6 six",
        "# docker network create --ipv4=false --ipv6 onlysix",
        "# docker network create removed",
        "docker network connect --ip 10.78.0.7 six shares",
        "docker network connect onlysix shares",
        "# shares: how network removed was made is not on record",
        "# docker volume create --label backup=yes named",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    let (status, text, errors) = printed(&store, "--compose");
    assert_eq!((status, &*errors), (Some(0), ""));
    let (needed, volumes) = needed(&text);
    assert_eq!(volumes, "  named:\n    name: named\n    labels:\n      backup: \"yes\"\n");
    insta::assert_snapshot!(needed, @r#"
    mynet:
      name: mynet
      ipam:
        config:
          - subnet: "10.77.0.0/16"
            ip_range: "10.77.5.0/24"
            gateway: "10.77.0.1"
            aux_addresses:
              host1: "10.77.5.9"
      internal: true
      attachable: true
      labels:
        who: me
    onlysix:
      name: onlysix
      enable_ipv4: false
      enable_ipv6: true
    removed:
      name: removed
    six:
      name: six
      driver_opts:
        com.docker.network.driver.mtu: "1400"
      ipam:
        config:
          - subnet: "10.78.0.0/24"
          - subnet: "fd00:77::/64"
      enable_ipv6: true
    "#);
}

/// Compose sets its labels itself.
#[test]
fn of_an_older_engine_and_of_compose() {
    let store = in_networks("20.10", &json!({"mynet": {}}), "mynet");
    let (status, text, errors) = printed(&store, "--compose");
    assert_eq!((status, &*errors), (Some(0), ""));
    let (needed, _) = needed(&text);
    insta::assert_snapshot!(needed, @r#"
    mynet:
      name: mynet
      driver_opts:
        com.docker.network.bridge.name: brheld
      ipam:
        config:
          - subnet: "10.77.0.0/16"
            ip_range: "10.77.5.0/24"
            gateway: "10.77.0.1"
            aux_addresses:
              host1: "10.77.5.9"
      internal: true
      attachable: true
      labels:
        who: me
    "#);
    let (_, text, _) = printed(&store, "--run");
    assert!(text.contains(" --label com.docker.compose.network=mynet "), "{text}");
}

/// The containers are as they were; only the networks are not known.
#[test]
fn a_database_that_is_damaged() {
    let networks = json!({"mynet": {"IPAMConfig": {"IPv4Address": "10.77.5.3"}}});
    let store = in_networks("28.5", &networks, "mynet");
    let whole = std::fs::read(database_of(&store)).expect("a file");
    for (bytes, is_damaged) in
        [(None, false), (Some(&whole[..whole.len() / 3]), true), (Some(b""), true), (Some(&[0; 65536]), true)]
    {
        match bytes {
            Some(bytes) => std::fs::write(database_of(&store), bytes).expect("written"),
            None => std::fs::remove_file(database_of(&store)).expect("it was there"),
        }
        for form in ["--run", "--compose"] {
            let (status, text, errors) = printed(&store, form);
            let named = errors.contains("local-kv.db") && text.contains("local-kv.db");
            assert_eq!((status, named), (Some(i32::from(is_damaged)), is_damaged), "{errors}\n{text}");
            assert!(text.contains("how network mynet was made is not on record"), "{text}");
            assert!(text.contains("10.77.5.3"), "{text}");
        }
        let (status, _, errors) = printed(&store, "--json");
        assert_eq!((status, &*errors), (Some(0), ""));
        // A container that needs no network of its own does not lack it.
        let got = output(layerlift().args(["containers", "changed", "--run", "--root"]).arg(&store.root));
        assert_eq!(ended(&got), (Some(0), String::new()));
    }
}

/// What a daemon records otherwise, or an option repeats.
#[test]
fn options_that_change_nothing_by_themselves() {
    let store = Store::containers("docker-28.5");
    let networks = |networks: Value| json!({"NetworkSettings": {"Networks": networks}});
    change(&store, networks(Value::Null), json!({}));
    let back = json!({"back": {"Aliases": ["never-started", "db"], "NetworkID": "cd"}});
    let host = json!({"NetworkMode": "front", "Init": false, "VolumeDriver": "local"});
    change(&store, networks(back), host);
    let text = crate::again::printed(&store.root, &["never-started", "--run"]);
    let [line, joined, left] = commands(&text)[..] else { panic!("{text}") };
    for option in [" --init=false ", " --volume-driver local ", " --network front "] {
        assert!(line.contains(option), "{text}");
    }
    assert_eq!(joined, "docker network connect --alias never-started --alias db back never-started");
    assert_eq!(left, "docker network disconnect front never-started");
    let text = crate::again::printed(&store.root, &["never-started", "--compose"]);
    assert!(text.contains("# never-started: it was disconnected from the network front\n"), "{text}");
    assert!(text.contains("    init: false\n") && !text.contains("- never-started\n"), "{text}");
    change(&store, networks(Value::Null), json!({}));
    change(&store, networks(json!({})), json!({"NetworkMode": "default"}));
    let text = crate::again::printed(&store.root, &["never-started", "--run"]);
    assert!(text.ends_with("docker network disconnect bridge never-started\n"), "{text}");

    // Docker 28.
    let both = json!({
        "front": {"GwPriority": 5, "NetworkID": "ab"}, "back": {"GwPriority": -1, "NetworkID": "cd"}
    });
    change(&store, networks(both), json!({"NetworkMode": "front"}));
    let text = crate::again::printed(&store.root, &["never-started", "--run"]);
    assert!(text.contains(" --network name=front,gw-priority=5 "), "{text}");
    assert!(text.ends_with("docker network connect --gw-priority -1 back never-started\n"), "{text}");
    let text = crate::again::printed(&store.root, &["never-started", "--compose"]);
    assert!(text.contains("gw_priority: 5\n") && text.contains("gw_priority: -1\n"), "{text}");
}
