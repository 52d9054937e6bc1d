//! How a container was run, from what its runtime was given: for containers that Podman's database has lost.
//!
//! The specification has the same members as `spec` in that database, plus what Podman adds when it starts a
//! container: `HOME`, `HOSTNAME`, the mounts that every container has. Entrypoint and command are one list
//! there, users are numbers, and labels, ports, networks, health check and restart policy are missing.

use serde_json::{Value, json};

/// Puts together what Podman's database would say, with `image`, the `config` of the container's image.
pub(crate) fn as_config(runtime: &[u8], image: Option<&Value>, id: &str) -> Value {
    let mut spec: Value = serde_json::from_slice(runtime).unwrap_or_default();
    let null = Value::Null;
    let of_image = |key: &str| image.and_then(|image| image.get(key)).unwrap_or(&null);
    if let Some(env) = spec.pointer_mut("/process/env").and_then(Value::as_array_mut) {
        let hostname = format!("HOSTNAME={}", id.get(..12).unwrap_or(id));
        env.retain(|variable| variable.as_str() != Some(&hostname));
    }
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let process = spec.get("process").unwrap_or(&null);
    let mut words = list(process.get("args").unwrap_or(&null));
    let first = words.first().and_then(Value::as_str).unwrap_or_default();
    let init =
        words.len() > 2 && words[1] == "--" && (first.ends_with("/podman-init") || first == "/dev/init");
    if init {
        words.drain(..2);
    }
    let entrypoint = list(of_image("Entrypoint"));
    let (entrypoint, command) = match words.strip_prefix(&*entrypoint) {
        Some(command) if !entrypoint.is_empty() => (entrypoint.clone(), command.to_vec()),
        _ => (Vec::new(), words),
    };
    let user = user(process.get("user").unwrap_or(&null), of_image("User").as_str().unwrap_or_default());
    let namespaces = spec.pointer("/linux/namespaces").and_then(Value::as_array);
    let network = namespaces.into_iter().flatten().any(|namespace| namespace["type"] == "network");
    json!({
        "entrypoint": entrypoint,
        "command": command,
        "user": user,
        "labels": of_image("Labels"),
        "createNetNS": network,
        "stopTimeout": 10,
        "init": init,
        "spec": spec,
    })
}

/// The user as an option has it; that of the image, where it is the same.
fn user(user: &Value, of_image: &str) -> String {
    let number = |key: &str| user.get(key).and_then(Value::as_u64).unwrap_or_default();
    let (uid, gid) = (number("uid"), number("gid"));
    let both = format!("{uid}:{gid}");
    let root = (uid, gid) == (0, 0) && matches!(of_image, "" | "root" | "0");
    if root || of_image == both || gid == 0 && of_image == uid.to_string() {
        of_image.to_owned()
    } else {
        both
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_users() {
        let runtime = br#"{"process":{"args":["/run/podman-init","--","/bin/run","a"],
            "env":["HOSTNAME=0123456789ab","HOSTNAME=x","A=1"],"user":{"uid":5,"gid":0}}}"#;
        let image = json!({"Entrypoint": ["/bin/run"], "User": "5"});
        let config = as_config(runtime, Some(&image), &"0123456789abcdef".repeat(4));
        assert_eq!((&config["entrypoint"], &config["command"]), (&json!(["/bin/run"]), &json!(["a"])));
        assert_eq!((&config["user"], &config["init"]), (&json!("5"), &json!(true)));
        assert_eq!(config["spec"]["process"]["env"], json!(["HOSTNAME=x", "A=1"]));
        let other = as_config(runtime, Some(&json!({"Entrypoint": ["/x"], "User": "app"})), "");
        assert_eq!((&other["entrypoint"], &other["user"]), (&json!([]), &json!("5:0")));
        assert_eq!(other["command"], json!(["/bin/run", "a"]));
        for (of_image, uid, gid, expected) in [
            ("", 0, 0, ""),
            ("root", 0, 0, "root"),
            ("app", 0, 0, "0:0"),
            ("1:2", 1, 2, "1:2"),
            ("1", 1, 2, "1:2"),
        ] {
            assert_eq!(user(&json!({"uid": uid, "gid": gid}), of_image), expected);
        }
        assert_eq!(as_config(b"", None, "")["command"], json!([]));
    }
}
