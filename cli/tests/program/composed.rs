//! Compose files of several containers.

use serde_json::json;

use crate::again::{APP, change, printed, words_of};
use crate::store::Store;

/// Services of one file refer to each other, and a network has the range in which a container was.
#[test]
fn services_of_one_file() {
    let store = Store::containers("docker-28.5");
    let labels = |labels: &str| {
        json!({"Config": {"Labels": {
            "com.docker.compose.project": "shop", "com.docker.compose.service": "side",
            "com.docker.compose.depends_on": labels
        }}, "NetworkSettings": {"Networks": {
            "bridge": null, "back": {"IPAddress": "10.77.3.9", "IPPrefixLen": 20}
        }}})
    };
    let host = |mode: &str| {
        let from = ["changed:ro", "other"];
        json!({"NetworkMode": mode, "VolumesFrom": from, "IpcMode": "container:lost"})
    };
    change(&store, labels("changed:service_healthy:true,cache:service_started:false"), host("back"));
    let text = printed(&store.root, &["never-started", "changed", "--compose"]);
    for expected in [
        "# never-started: it depends on the service cache (service_started), which is not here\n",
        "# never-started: container lost is not in the store: --ipc has to name another\n",
        "    volumes_from:\n      - \"changed:ro\"\n      - \"container:other\"\n",
        "    ipc: \"container:lost\"\n",
        "    depends_on:\n      changed:\n        condition: service_healthy\n        restart: true\n",
        "  back:\n    name: back\n    ipam:\n      config:\n        - subnet: \"10.77.0.0/20\"\n",
        "    container_name: never-started\n",
    ] {
        assert!(text.contains(expected), "no {expected:?} in {text}");
    }
    let line = printed(&store.root, &["never-started", "--run"]);
    assert!(line.contains("# docker network create --subnet 10.77.0.0/20 back\n"), "{line}");
    change(&store, json!({"Name": "/shop-side-1"}), host(&format!("container:{APP}")));
    let text = printed(&store.root, &["shop-side-1", "changed", "--compose"]);
    assert!(text.contains("    network_mode: \"service:changed\"\n"), "{text}");
    assert!(!text.contains("container_name: shop"), "{text}");
    let alone = printed(&store.root, &["shop-side-1", "--compose"]);
    assert!(alone.contains("    network_mode: \"container:changed\"\n"), "{alone}");
    change(&store, json!({}), host("default"));
    let text = printed(&store.root, &["shop-side-1", "--compose"]);
    assert!(text.contains("# shop-side-1: it was connected to the network bridge, too\n"), "{text}");
}

/// Beside the volumes of another container, a container may have volumes of its own without a name.
#[test]
fn own_volumes_beside_those_of_another() {
    let store = Store::containers("docker-28.5");
    let mounted = |path: &str, name: char| {
        let name = name.to_string().repeat(64);
        json!({"Type": "volume", "Destination": path, "Name": name, "Driver": "local", "RW": true})
    };
    let points = json!({"/anon": mounted("/anon", 'a'), "/other": mounted("/other", 'b')});
    let id = change(
        &store,
        json!({"Config": {"Volumes": {"/anon": {}}}, "MountPoints": points}),
        json!({"VolumesFrom": ["changed:ro"]}),
    );
    let (words, comments) = words_of(&printed(&store.root, &[&id, "--run"]));
    let words = words.join(" ");
    assert!(words.contains("--volume /anon ") && !words.contains("--volume /other"), "{words}");
    assert!(comments.contains("/anon was the anonymous volume aaaa"), "{comments}");
    let compose = printed(&store.root, &[&id, "--compose"]);
    assert!(compose.contains("Compose makes the volumes from changed:ro writable"), "{compose}");
}
