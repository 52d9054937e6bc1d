//! Docker's `Config` and `HostConfig`, as `docker run` and compose name what is in them.
//!
//! `Config` is that of the image merged with the options of the command line. `HostConfig` has a member for
//! every option that concerns the host. Members that are read nowhere and have a value become comments, so
//! that options of later versions are not lost without a word.

mod limits;
mod mounts;
mod network;

use layerlift_store::Container;
use serde_json::{Value, json};

use super::recipe::{Known, Recipe};
use super::run::quoted;
use super::values::{duration, entries, is_anonymous, is_true, number, short, text, texts};
use super::yaml::Yaml;

/// Members of `HostConfig` that no option sets, that other members repeat, or whose value is chosen by the
/// daemon where none is given.
const NOT_OPTIONS: &[&str] = &["ConsoleSize", "ContainerIDFile", "Isolation", "MaskedPaths", "ReadonlyPaths"];

/// Reads the two documents.
pub(super) fn read(
    recipe: &mut Recipe,
    container: &Container,
    document: &Value,
    host: Option<&Value>,
    known: &Known<'_>,
) {
    let null = Value::Null;
    let config = document.get("Config").unwrap_or(&null);
    let image = known.image;
    // Of a damaged record, the rest is as in the image: that is the best guess.
    let lost = |key: &str| !container.damage.is_empty() && config.get(key).is_none();
    recipe.option("--name", recipe.name.clone());
    identity(recipe, container, config, host);
    let of_image = |key: &str| image.and_then(|image| image.get(key));
    let differs = |key: &str| image.is_none_or(|image| text(image, key) != text(config, key));
    for (key, flag, member) in [
        ("User", "--user", "user"),
        ("WorkingDir", "--workdir", "working_dir"),
        ("StopSignal", "--stop-signal", "stop_signal"),
    ] {
        if let Some(value) = text(config, key).filter(|_| differs(key)) {
            recipe.both(flag, member, value);
        }
    }
    if let Some(seconds) = config.get("StopTimeout").and_then(Value::as_i64) {
        recipe.option("--stop-timeout", seconds.to_string());
        recipe.member("stop_grace_period", format!("{seconds}s"));
    }
    let inherited = texts(of_image("Env"));
    let env = texts(config.get("Env")).into_iter().filter(|env| !inherited.contains(env));
    recipe.list("--env", "environment", env.collect());
    labels(recipe, config, of_image("Labels"));
    if is_true(config, "Tty") {
        recipe.flag("--tty", "tty");
    }
    if is_true(config, "OpenStdin") {
        recipe.flag("--interactive", "stdin_open");
    }
    if config.get("Healthcheck") != of_image("Healthcheck") && !lost("Healthcheck") {
        health(recipe, config.get("Healthcheck"));
    }
    match host {
        Some(host) => {
            let mut read: Vec<&str> = NOT_OPTIONS.to_vec();
            let volumes = (config.get("Volumes"), of_image("Volumes"));
            mounts::read(recipe, container, host, volumes, &mut read);
            network::read(recipe, document, config, host, of_image("ExposedPorts"), known, &mut read);
            if container.damage.is_empty() {
                network::disconnected(recipe, document, host, known);
            }
            limits::read(recipe, host, known, &mut read);
            rest(recipe, host, &read);
        }
        None => {
            recipe.comment("hostconfig.json cannot be read: limits, the restart policy and more are missing");
            let host = instead(container, document);
            let mut read = Vec::new();
            let volumes = (config.get("Volumes"), of_image("Volumes"));
            mounts::read(recipe, container, &host, volumes, &mut read);
            network::read(recipe, document, config, &host, of_image("ExposedPorts"), known, &mut read);
        }
    }
    let words = |config: &Value, key: &str| {
        config.get(key).filter(|value| value.is_array()).map(|value| texts(Some(value)))
    };
    let ours = |key: &str| match image.filter(|_| lost(key)) {
        Some(image) => words(image, key).unwrap_or_default(),
        None => words(config, key).unwrap_or_default(),
    };
    let [entrypoint, command] = ["Entrypoint", "Cmd"]
        .map(|key| image.and_then(|image| words(image, key)).filter(|all| !all.is_empty()));
    let (our_entrypoint, our_command) = (ours("Entrypoint"), ours("Cmd"));
    match image {
        Some(_) => {
            let command = Some(command.unwrap_or_default());
            recipe.command(&our_entrypoint, &our_command, [entrypoint, command]);
        }
        None => recipe.command(&our_entrypoint, &our_command, [None, None]),
    }
}

/// What `config.v2.json` repeats of a `hostconfig.json` that is lost.
fn instead(container: &Container, document: &Value) -> Value {
    let binds = container.mounts.iter().filter_map(|mount| {
        let source = match &*mount.kind {
            "volume" => mount.name.as_ref().filter(|name| !is_anonymous(name)),
            _ => mount.source.as_ref(),
        };
        let read_only = if mount.writable { "" } else { ":ro" };
        Some(format!("{}:{}{read_only}", source?, mount.destination))
    });
    let settings = document.get("NetworkSettings").unwrap_or(&Value::Null);
    let networks = settings.get("Networks").and_then(Value::as_object);
    let mode = networks.and_then(|networks| networks.keys().next().cloned());
    // Of a container that was running.
    let ports = settings.get("Ports").cloned().unwrap_or_default();
    json!({"Binds": binds.collect::<Vec<_>>(), "NetworkMode": mode, "PortBindings": ports})
}

/// The names by which the container knows itself.
fn identity(recipe: &mut Recipe, container: &Container, config: &Value, host: Option<&Value>) {
    let of_host = |key: &str| host.and_then(|host| text(host, key));
    let own = of_host("NetworkMode") != Some("host") && of_host("UTSMode") != Some("host");
    // Without the option, it is the beginning of the id.
    let hostname = text(config, "Hostname").filter(|name| own && *name != short(container.key.id()));
    if let Some(hostname) = hostname {
        recipe.both("--hostname", "hostname", hostname);
    }
    if let Some(domain) = text(config, "Domainname") {
        recipe.both("--domainname", "domainname", domain);
    }
}

/// Compose sets its own labels again.
fn labels(recipe: &mut Recipe, config: &Value, of_image: Option<&Value>) {
    let inherited = entries(of_image);
    let mut members = Vec::new();
    for (key, value) in entries(config.get("Labels")) {
        if inherited.iter().any(|(known, same)| *known == key && *same == value) {
            continue;
        }
        recipe.option("--label", format!("{key}={value}"));
        if !key.starts_with("com.docker.compose.") {
            members.push((key, Yaml::Text(value)));
        }
    }
    if !members.is_empty() {
        recipe.member("labels", Yaml::Map(members));
    }
}

pub(super) fn health(recipe: &mut Recipe, check: Option<&Value>) {
    let test = texts(check.and_then(|check| check.get("Test")));
    let null = Value::Null;
    let check = check.unwrap_or(&null);
    let mut members = Vec::new();
    match test.split_first() {
        Some((kind, _)) if kind == "NONE" => {
            recipe.options.push(vec!["--no-healthcheck".to_owned()]);
            recipe.member("healthcheck", Yaml::map([("disable", Some(Yaml::Plain("true".to_owned())))]));
            return;
        }
        Some((kind, words)) => {
            let words = match kind.as_str() {
                "CMD-SHELL" => words.join(" "),
                _ => {
                    let why = "its health check is run without a shell, and on a command line with one";
                    recipe.approximates(why);
                    words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
                }
            };
            recipe.option("--health-cmd", words);
            members.push(("test".to_owned(), Yaml::list(test.clone())));
        }
        None => {}
    }
    for (key, flag, member) in [
        ("Interval", "--health-interval", "interval"),
        ("Timeout", "--health-timeout", "timeout"),
        ("StartPeriod", "--health-start-period", "start_period"),
        ("StartInterval", "--health-start-interval", "start_interval"),
    ] {
        if let Some(nanos) = number(check, key) {
            recipe.option(flag, duration(nanos));
            members.push((member.to_owned(), Yaml::Text(duration(nanos))));
        }
    }
    if let Some(retries) = number(check, "Retries") {
        recipe.option("--health-retries", retries.to_string());
        members.push(("retries".to_owned(), Yaml::Plain(retries.to_string())));
    }
    if !members.is_empty() {
        recipe.member("healthcheck", Yaml::Map(members));
    }
}

/// Members that were not read and say something.
fn rest(recipe: &mut Recipe, host: &Value, read: &[&str]) {
    for (key, value) in host.as_object().into_iter().flatten() {
        let says_nothing = match value {
            Value::Null | Value::Bool(false) => true,
            Value::Number(number) => number.as_f64() == Some(0.0),
            Value::String(text) => text.is_empty(),
            Value::Array(list) => list.is_empty(),
            Value::Object(map) => map.is_empty(),
            Value::Bool(true) => false,
        };
        if !says_nothing && !read.contains(&key.as_str()) {
            recipe.comment(format!("not expressed: HostConfig.{key} is {value}"));
        }
    }
}
