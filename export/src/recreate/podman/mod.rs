//! The config in Podman's database.
//!
//! `CreateCommand` has the command line word by word. For containers that were made through Podman's API,
//! which have none, and for a compose file, the options are put together from the other members.

mod isolation;
mod limits;
mod mounts;
mod network;
mod recorded;

use layerlift_store::{Container, Pod};
use serde_json::Value;

use super::docker;
use super::recipe::{Known, Recipe};
use super::run::quoted;
use super::values::{duration, entries, is_true, number, short, text, texts};

/// The words of `podman` after which its general options end.
const COMMANDS: &[&str] = &["run", "create", "container", "pod", "play", "kube"];

/// Variables that Podman sets itself.
const ENV: &[&str] = &["container=podman", "TERM=xterm", "HOME=/root"];

/// The variable that it sets if the image does not.
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// General options that say how a container is run. The others say where its store is.
const KEPT: &[&str] = &["--runtime", "--runtime-flag", "--hooks-dir"];

/// The runtime that Podman prefers.
const RUNTIME: &str = "crun";

/// What Podman records if the options are not given.
const STOP_TIMEOUT: i64 = 10;
const SIGTERM: i64 = 15;

pub(super) fn read(
    recipe: &mut Recipe,
    container: &Container,
    config: &Value,
    networks: &[String],
    known: &Known<'_>,
) {
    recipe.program = "podman";
    recipe.recorded = command_line(config);
    let null = Value::Null;
    let spec = config.get("spec").unwrap_or(&null);
    let process = spec.get("process").unwrap_or(&null);
    let of_image = |key: &str| known.image.and_then(|image| image.get(key));
    let differs = |key: &str, value: &str| of_image(key).and_then(Value::as_str).unwrap_or_default() != value;
    recipe.option("--name", recipe.name.clone());
    if let Some(pod) = &container.pod {
        let name = pod.name.clone().unwrap_or_else(|| pod.id.clone());
        recipe.option("--pod", name.clone());
        let made = match pod_command(pod) {
            Some(words) => words.join(" "),
            None => format!("podman pod create {}", quoted(&name)),
        };
        recipe.not_in_run.push(format!("its pod {name} must exist: {made}"));
        recipe.not_in_compose.push(format!("it is in the pod {name}"));
    }
    let annotation = |what: &str| {
        spec.get("annotations").and_then(|all| text(all, &format!("io.podman.annotations.{what}")))
    };
    let env = texts(process.get("env"));
    // In the network of the host, it is that of the host, unless the variable says that it was asked for.
    let asked = |name: &str| {
        let own = network::is_own(config, spec) || env.contains(&format!("HOSTNAME={name}"));
        own && name != short(container.key.id())
    };
    if let Some(hostname) = text(spec, "hostname").filter(|name| asked(name)) {
        recipe.both("--hostname", "hostname", hostname);
    }
    if let Some(user) = text(config, "user").filter(|user| differs("User", user)) {
        recipe.both("--user", "user", user);
    }
    let root = |dir: &&str| !(*dir == "/" && of_image("WorkingDir").is_none());
    if let Some(dir) = text(process, "cwd").filter(|dir| differs("WorkingDir", dir)).filter(root) {
        recipe.both("--workdir", "working_dir", dir);
        if is_true(config, "createWorkingDir") {
            let why = "Podman created its working directory if it was missing, which --workdir does not do";
            recipe.approximates(why);
        }
    }
    let inherited = texts(of_image("Env"));
    let no_path = known.image.is_some() && !inherited.iter().any(|env| env.starts_with("PATH="));
    let own = |env: &String| {
        let of_podman = ENV.contains(&env.as_str()) || no_path && env == PATH;
        !inherited.contains(env) && !of_podman && !env.starts_with("HOSTNAME=")
    };
    recipe.list("--env", "environment", env.into_iter().filter(own).collect());
    let of_image_labels = entries(of_image("Labels"));
    let labels = entries(config.get("labels")).into_iter();
    recipe.map("--label", "labels", labels.filter(|label| !of_image_labels.contains(label)).collect());
    if is_true(process, "terminal") {
        recipe.flag("--tty", "tty");
    }
    if is_true(config, "stdin") {
        recipe.flag("--interactive", "stdin_open");
    }
    // Podman leaves zeros out.
    let seconds = config.get("stopTimeout").and_then(Value::as_i64).unwrap_or(0);
    if seconds != STOP_TIMEOUT {
        recipe.option("--stop-timeout", seconds.to_string());
        recipe.member("stop_grace_period", duration(seconds.saturating_mul(1_000_000_000)));
    }
    if let Some(signal) = number(config, "stopSignal").filter(|signal| *signal != SIGTERM) {
        recipe.both("--stop-signal", "stop_signal", signal.to_string());
    }
    recipe.list("--group-add", "group_add", texts(config.get("groups")));
    let check = config.get("healthcheck").filter(|check| check.is_object());
    if check != of_image("Healthcheck") {
        docker::health(recipe, check);
    }
    mounts::read(recipe, container, config, spec, of_image("Volumes"));
    let publishes_all = annotation("publish-all") == Some("TRUE");
    network::ports(recipe, container, of_image("ExposedPorts"), publishes_all);
    network::join(recipe, container, config, spec, networks, known);
    if let Some(policy) = container.restart_policy.as_deref().filter(|policy| *policy != "no") {
        recipe.both("--restart", "restart", policy);
    }
    if is_true(config, "privileged") || annotation("privileged") == Some("TRUE") {
        recipe.flag("--privileged", "privileged");
    }
    if is_true(config, "init") {
        recipe.flag("--init", "init");
    }
    if is_true(spec.get("root").unwrap_or(&null), "readonly") {
        recipe.flag("--read-only", "read_only");
    }
    if annotation("autoremove") == Some("TRUE") {
        recipe.options.push(vec!["--rm".to_owned()]);
        recipe.not_in_compose.push("it was to be removed when it ended (--rm)".to_owned());
    }
    limits::read(recipe, config, spec);
    isolation::read(recipe, container, config, spec, known);
    let words =
        |value: Option<&Value>| value.filter(|value| value.is_array()).map(|value| texts(Some(value)));
    let all = [words(of_image("Entrypoint")), words(of_image("Cmd"))];
    recipe.command(&texts(config.get("entrypoint")), &texts(config.get("command")), all);
    runtime(recipe, config);
    recorded::settle(recipe, container);
}

/// The runtime, unless it is the one that Podman prefers. It is an option of `podman`, not of `run`.
fn runtime(recipe: &mut Recipe, config: &Value) {
    let runtime = match &recipe.recorded {
        Some(words) => {
            let value = |index: usize| words.get(index + 1).cloned();
            let at = words.iter().take_while(|word| !COMMANDS.contains(&word.as_str()));
            at.enumerate().find_map(|(index, word)| match word.strip_prefix("--runtime") {
                Some("") => value(index),
                Some(rest) => rest.strip_prefix('=').map(str::to_owned),
                None => None,
            })
        }
        None => {
            let runtime = text(config, "runtime").filter(|runtime| *runtime != RUNTIME);
            let runtime = runtime.map(str::to_owned);
            recipe.general.extend(runtime.iter().flat_map(|name| ["--runtime".to_owned(), name.clone()]));
            runtime
        }
    };
    if let Some(runtime) = runtime {
        recipe.member("runtime", runtime);
    }
}

/// The command line that made a pod, quoted for a shell.
fn pod_command(pod: &Pod) -> Option<Vec<String>> {
    let words = without_place(pod.create_command.clone())?;
    Some(words.iter().map(|word| quoted(word)).collect())
}

/// The recorded command line, without the options that say where Podman keeps its store.
fn command_line(config: &Value) -> Option<Vec<String>> {
    without_place(texts(config.get("CreateCommand").or_else(|| config.get("createCommand"))))
}

fn without_place(words: Vec<String>) -> Option<Vec<String>> {
    let at = words.iter().position(|word| COMMANDS.contains(&word.as_str()))?;
    let (general, command) = words.split_at(at);
    let mut line = vec!["podman".to_owned()];
    let mut takes = false;
    for word in general {
        let option = KEPT.iter().find(|option| {
            word.strip_prefix(**option).is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
        });
        if takes || option.is_some() {
            line.push(word.clone());
        }
        takes = option.is_some_and(|option| word == option);
    }
    line.extend_from_slice(command);
    Some(line)
}
