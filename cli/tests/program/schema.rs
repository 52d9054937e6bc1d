//! What the program prints as JSON, against `docs/schema/v1.json`: all that tests read with
//! [`crate::program::output`].

use std::process::{Command, Output};
use std::sync::LazyLock;

use jsonschema::Validator;
use serde_json::{Map, Value, json};

use crate::program::{ended, layerlift, output, save};
use crate::store::Store;

const SCHEMA: &str = include_str!("../../../docs/schema/v1.json");

/// The definitions, without fields that they do not name: those would be missing from the documentation.
static DEFINITIONS: LazyLock<Value> = LazyLock::new(|| {
    let mut schema: Value = serde_json::from_str(SCHEMA).expect("JSON");
    close(&mut schema["$defs"]);
    schema["$defs"].take()
});

fn close(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            if object.get("properties").is_some_and(Value::is_object)
                && !object.contains_key("additionalProperties")
            {
                object.insert("additionalProperties".to_owned(), false.into());
            }
            object.values_mut().for_each(close);
        }
        Value::Array(all) => all.iter_mut().for_each(close),
        _ => {}
    }
}

/// What is wrong with an output of this kind.
fn faults(kind: &str, value: &Value) -> Vec<String> {
    let schema = json!({ "$defs": &*DEFINITIONS, "$ref": format!("#/$defs/{kind}") });
    let validator: Validator = jsonschema::draft202012::new(&schema).expect("a schema");
    validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

/// The definition that describes the standard output of a command, if it is JSON.
fn kind<'a>(arguments: &[&'a str]) -> Option<&'a str> {
    let command = arguments.iter().find(|word| KINDS.contains(word))?;
    let json = arguments.contains(&"--json");
    match *command {
        _ if arguments.contains(&"--help") => None,
        _ if ["__complete", "man"].contains(&arguments[0]) => None,
        "inspect" => (!arguments.contains(&"--tree")).then_some("inspect"),
        "stores" if json && arguments.contains(&"--orphans") => Some("orphans"),
        kind => json.then_some(kind),
    }
}

const KINDS: [&str; 7] = ["images", "inspect", "containers", "volumes", "verify", "stores", "check"];

/// Compares what a command of the program has printed.
#[track_caller]
pub(crate) fn compare(command: &Command, output: &Output) {
    let arguments: Vec<&str> = command.get_args().filter_map(|word| word.to_str()).collect();
    if let Some(kind) = kind(&arguments).filter(|_| !output.stdout.is_empty()) {
        let value = serde_json::from_slice::<Value>(&output.stdout);
        let value = value.unwrap_or_else(|error| panic!("{arguments:?} prints no JSON: {error}"));
        let faults = faults(kind, &value);
        assert!(faults.is_empty(), "{arguments:?}: docs/schema/v1.json differs: {}", faults.join("\n"));
    }
    if arguments.windows(2).any(|pair| pair == ["--progress", "json"]) {
        for line in String::from_utf8_lossy(&output.stderr).lines() {
            let event = serde_json::from_str::<Value>(line);
            let event = event.unwrap_or_else(|error| panic!("{line} is not an event: {error}"));
            let faults = faults("event", &event);
            assert!(faults.is_empty(), "docs/schema/v1.json differs from {line}: {}", faults.join("\n"));
        }
    }
}

/// Each command with JSON is run at least here, with one `save` for events. `orphans` has its own tests.
#[test]
fn every_kind_is_described() {
    let store = Store::containers("docker-28.5");
    let archive = store.beside("app.tar");
    let written = output(save(&store.root).args(["app:2", "--progress", "json", "-o"]).arg(&archive));
    assert!(ended(&written).1.lines().count() >= 2, "{}", ended(&written).1);
    for arguments in [
        &["images", "--json"][..],
        &["inspect", "app:2", "changed"],
        &["containers", "--json"],
        &["volumes", "--json"],
        &["verify", "--json"],
        &["stores", "--json"],
        &["check", "--json", archive.to_str().expect("UTF-8")],
    ] {
        let mut command = layerlift();
        let got = output(command.args(arguments).arg("--root").arg(&store.root));
        let value: Value = serde_json::from_slice(&got.stdout).expect("JSON");
        assert_ne!(value, json!([]), "{arguments:?}");
        assert_eq!(kind(arguments), Some(arguments[0]));
    }
}

/// A field that is not described is noticed, and so is one that is missing.
#[test]
fn differences_are_noticed() {
    let orphan = json!({
        "driver": "overlay2", "id": "4f", "path": "/x", "modified": null, "size": 1, "below": [null],
        "buildkit": false,
    });
    assert_eq!(faults("orphans", &json!([orphan])), Vec::<String>::new());
    for (key, value) in [("size", None), ("size", Some(json!("1"))), ("new", Some(json!(1)))] {
        let mut changed: Map<String, Value> = orphan.as_object().expect("an object").clone();
        match value {
            Some(value) => changed.insert(key.to_owned(), value),
            None => changed.remove(key),
        };
        assert_eq!(faults("orphans", &json!([changed])).len(), 1, "{key}");
    }
}

/// `verify` and the events use one word for one thing; whatever else cannot be read is `unreadable` in the
/// former.
#[test]
fn one_word_for_one_fault() {
    let schema: Value = serde_json::from_str(include_str!("../../../docs/schema/v1.json")).expect("JSON");
    let words = |kind: &Value| -> Vec<Value> { kind["enum"].as_array().cloned().unwrap_or_default() };
    let defined = &schema["$defs"];
    let image = &defined["verify"]["properties"]["images"]["items"]["properties"]["kind"];
    let of_events: Vec<Value> = defined["event"]["anyOf"]
        .as_array()
        .expect("events")
        .iter()
        .flat_map(|event| words(&event["properties"]["kind"]))
        .collect();
    let own = |word: &Value| word.as_str().is_some_and(|word| word != "unreadable");
    let of_verify: Vec<Value> = words(image).into_iter().filter(own).collect();
    assert!(!of_verify.is_empty() && of_verify.iter().all(|word| of_events.contains(word)), "{of_verify:?}");
}
