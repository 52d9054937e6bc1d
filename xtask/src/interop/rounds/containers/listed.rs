//! Lists of containers and volumes, against those of the engine.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::made::NAMES;
use super::values::difference;
use super::{Engine, Lab, Said};
use crate::Outcome;
use crate::engines::image::hex;
use crate::engines::process::{output, text};

/// Asks the engine.
pub(super) fn ask(engine: &impl Engine) -> Outcome<Said> {
    let mut containers = BTreeMap::new();
    for name in NAMES {
        containers.insert(name, engine.inspect(name)?);
    }
    let names = text(engine.client(&["volume", "ls", "--quiet"]))?;
    let names: Vec<&str> = names.lines().collect();
    let volumes = text(engine.client(&[&["volume", "inspect"], &*names].concat()))?;
    let mut users = BTreeMap::new();
    for name in names {
        let filter = format!("volume={name}");
        let ps = ["ps", "--all", "--format", "{{.Names}}", "--filter", &filter];
        let mut of_one: Vec<String> = text(engine.client(&ps))?.lines().map(str::to_owned).collect();
        of_one.sort();
        users.insert(name.to_owned(), of_one);
    }
    let format = "{{.Names}}\t{{.Size}}\t{{.Status}}";
    let ps = text(engine.client(&["ps", "--all", "--size", "--format", format]))?;
    let columns = ps.lines().filter_map(|row| {
        let mut cells = row.split('\t').map(str::to_owned);
        Some((cells.next()?, (cells.next()?, cells.next()?)))
    });
    let columns = columns.map(|(name, (size, status))| (name, (upto(&size, " ("), upto(&status, ") "))));
    Ok(Said { columns: columns.collect(), containers, volumes: serde_json::from_str(&volumes)?, users })
}

/// The beginning of a text, before what ends it.
fn upto(text: &str, end: &str) -> String {
    text.split(end).next().unwrap_or_default().to_owned()
}

/// The columns of the table that depend on more than the record of the container.
pub(super) fn table(lab: &Lab<'_>, said: &Said) -> Outcome {
    let table = text(lab.layerlift(&["containers"]))?;
    let head = table.lines().next().unwrap_or_default();
    let cell = |row: &str, column: &str| -> String {
        let begin = head.find(column).unwrap_or_default();
        let row: String = row.chars().skip(begin).collect();
        upto(&row, "  ").trim_end().to_owned()
    };
    for row in table.lines().skip(1) {
        let (name, size, status) = (cell(row, "NAMES"), cell(row, "SIZE"), upto(&cell(row, "STATUS"), ") "));
        let theirs = said.columns.get(&name).ok_or_else(|| format!("{name}: the engine does not list it"))?;
        // What was running could still write, and did so until it was killed.
        let same = match theirs.1.starts_with("Up ") {
            true => status.starts_with("Was running, started "),
            false => status == theirs.1 && (size == theirs.0 || lab.counts_more),
        };
        if !same {
            return Err(format!("{name}: {size}, {status} is {theirs:?} for the engine").into());
        }
    }
    Ok(())
}

/// Every container that the engine inspects, and no other.
pub(super) fn containers(lab: &Lab<'_>, said: &Said) -> Outcome {
    let listed: Vec<Value> = serde_json::from_str(&text(lab.layerlift(&["containers", "--json"]))?)?;
    let names: BTreeSet<&str> = listed.iter().filter_map(|one| one["names"][0].as_str()).collect();
    if listed.len() != NAMES.len() || names != BTreeSet::from(NAMES) {
        return Err(format!("{} containers are listed: {names:?}", listed.len()).into());
    }
    for one in &listed {
        let name = one["names"][0].as_str().unwrap_or_default();
        let theirs = expected(&said.containers[name]);
        let keys = theirs.as_object().into_iter().flatten().map(|(key, _)| key);
        let mut ours: serde_json::Map<String, Value> =
            keys.map(|key| (key.clone(), one[key].clone())).collect();
        if let Some(id) = ours.get_mut("image_id") {
            *id = json!(hex(id.as_str().unwrap_or_default()));
        }
        let published = |port: &Value| {
            let host = port["host_port"].as_u64().map(|host| host.to_string()).unwrap_or_default();
            let text = format!("{}/{} {host}", port["container_port"], text_of(&port["protocol"]));
            (port["published"] == true).then(|| json!(text))
        };
        let mut ports: Vec<Value> =
            one["ports"].as_array().into_iter().flatten().filter_map(published).collect();
        ports.sort_by_key(Value::to_string);
        ours.insert("ports".to_owned(), Value::Array(ports));
        let mount = |mount: &Value| mounted(mount, ["type", "name", "destination", "rw"]);
        ours.insert("mounts".to_owned(), sorted(&one["mounts"], mount));
        if let Some(what) = difference(&Value::Object(ours), &theirs) {
            return Err(format!("{name}: {what}").into());
        }
    }
    Ok(())
}

/// What layerlift should list.
fn expected(inspected: &Value) -> Value {
    let policy = &inspected["HostConfig"]["RestartPolicy"];
    let retries = policy["MaximumRetryCount"].as_u64().unwrap_or(0);
    let policy = match text_of(&policy["Name"]) {
        "" => "no".to_owned(),
        name if retries > 0 => format!("{name}:{retries}"),
        name => name.to_owned(),
    };
    let command: Vec<&Value> = std::iter::once(&inspected["Path"])
        .chain(inspected["Args"].as_array().into_iter().flatten())
        .collect();
    let bindings = inspected["HostConfig"]["PortBindings"].as_object().into_iter().flatten();
    let published = bindings.flat_map(|(port, hosts)| {
        let hosts = hosts.as_array().into_iter().flatten();
        hosts.map(move |host| json!(format!("{port} {}", text_of(&host["HostPort"]))))
    });
    let mut published: Vec<Value> = published.collect();
    published.sort_by_key(Value::to_string);
    // Podman says the image's id in `Image` and its name in `ImageName`.
    let image = inspected.get("ImageName").unwrap_or(&inspected["Config"]["Image"]);
    json!({
        "id": inspected["Id"],
        "image": image,
        "image_id": hex(text_of(&inspected["Image"])),
        "image_present": true,
        "state": inspected["State"]["Status"],
        "exit_code": inspected["State"]["ExitCode"],
        "command": command,
        "labels": inspected["Config"]["Labels"],
        "restart_policy": policy,
        "ports": published,
        "mounts": sorted(&inspected["Mounts"], |mount| mounted(mount, ["Type", "Name", "Destination", "RW"])),
    })
}

/// Some members of a mount, under the same names for both sides.
fn mounted(mount: &Value, keys: [&str; 4]) -> Value {
    let values = keys.map(|key| mount[key].clone());
    let [kind, mut name, destination, rw] = values;
    if name == "" {
        name = Value::Null;
    }
    json!({"destination": destination, "type": kind, "name": name, "rw": rw})
}

fn sorted(all: &Value, one: impl Fn(&Value) -> Value) -> Value {
    // Podman's inspect has no tmpfs, and Docker's only that of --mount.
    let all = all.as_array().into_iter().flatten().map(one).filter(|mount| mount["type"] != "tmpfs");
    let mut all: Vec<Value> = all.collect();
    all.sort_by_key(|mount| mount["destination"].to_string());
    Value::Array(all)
}

/// Every volume, with its labels, its device and the containers that use it.
pub(super) fn volumes(lab: &Lab<'_>, said: &Said) -> Outcome {
    let listed: Vec<Value> = serde_json::from_str(&text(lab.layerlift(&["volumes", "--json"]))?)?;
    if listed.len() != said.volumes.len() {
        return Err(format!("{} volumes instead of {}", listed.len(), said.volumes.len()).into());
    }
    for theirs in &said.volumes {
        let name = text_of(&theirs["Name"]);
        let one = listed.iter().find(|one| one["name"] == theirs["Name"]);
        let one = one.ok_or_else(|| format!("{name} is not listed"))?;
        // Docker writes the options of a volume after it has made the folders, maybe in the next second.
        let same = match (second(&one["created"]), second(&theirs["CreatedAt"])) {
            // Docker 20.10 takes the time of the data's folder, which changes with its entries.
            (Some(ours), Some(theirs)) if lab.form.headers => ours <= theirs + 1,
            (Some(ours), Some(theirs)) => (theirs..=theirs + 1).contains(&ours),
            _ => false,
        };
        if !same {
            return Err(format!("{name}: made at {} and {}", one["created"], theirs["CreatedAt"]).into());
        }
        let mut users: Vec<&str> =
            one["used_by"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        users.sort_unstable();
        let ours = json!({
            "driver": one["driver"], "labels": one["labels"], "device": one["device"], "used_by": users,
        });
        // An anonymous volume of a newer Docker has a label that says so.
        let theirs = json!({
            "driver": theirs["Driver"], "labels": theirs["Labels"], "device": theirs["Options"]["device"],
            "used_by": said.users[name],
        });
        if let Some(what) = difference(&ours, &theirs) {
            return Err(format!("{name}: {what}").into());
        }
    }
    Ok(())
}

/// The second of a time in RFC 3339; engines write it in the zone of their daemon.
fn second(time: &Value) -> Option<i64> {
    time.as_str()?.parse::<Timestamp>().ok().map(Timestamp::as_second)
}

/// A volume that is a folder of the host is refused, and the message names the folder.
pub(super) fn elsewhere(lab: &Lab<'_>) -> Outcome {
    let file = lab.file("elsewhere", "volume");
    let ran = output(lab.layerlift(&["volume", "elsewhere", "--output"]).arg(&file))?;
    let place = lab.home.join("elsewhere").display().to_string();
    let message = String::from_utf8_lossy(&ran.stderr);
    if ran.status.success() || file.exists() || !message.contains(&place) {
        return Err(format!("{}, an output: {}: {message}", ran.status, file.exists()).into());
    }
    Ok(())
}

fn text_of(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
