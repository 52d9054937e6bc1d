//! The manifest in the guide for Kubernetes: its structure, and what its arguments do.

use std::collections::BTreeMap;
use std::path::Path;

use crate::program::{ended, layerlift, output};
use crate::store::Store;

/// The part of YAML that the manifest uses.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Yaml {
    Text(String),
    List(Vec<Yaml>),
    Map(BTreeMap<String, Yaml>),
}

/// A line: how far it is indented, and the rest.
type Line<'a> = (usize, &'a str);

impl Yaml {
    fn parse(text: &str) -> Yaml {
        let lines: Vec<Line<'_>> =
            text.lines().map(|line| (line.len() - line.trim_start().len(), line.trim())).collect();
        let mut rest = &lines[..];
        let value = Yaml::block(&mut rest);
        assert!(rest.is_empty(), "not indented as what precedes it: {rest:?}");
        value
    }

    fn block(rest: &mut &[Line<'_>]) -> Yaml {
        let (indent, first) = rest[0];
        if first.starts_with("- ") { Yaml::list(rest, indent) } else { Yaml::map(rest, indent) }
    }

    fn list(rest: &mut &[Line<'_>], indent: usize) -> Yaml {
        let mut items = Vec::new();
        while let Some((_, item)) = rest.first().filter(|(at, line)| *at == indent && line.starts_with("- "))
        {
            let item = &item[2..];
            if item.starts_with(|first: char| first.is_ascii_lowercase()) && split(item).is_some() {
                // A map whose first line is on the same line as the dash.
                let mut lines = vec![(indent + 2, item)];
                let more = rest[1..].iter().take_while(|(at, _)| *at > indent).copied();
                lines.extend(more);
                *rest = &rest[lines.len()..];
                let mut own = &lines[..];
                items.push(Yaml::map(&mut own, indent + 2));
                assert!(own.is_empty(), "{own:?}");
            } else {
                items.push(Yaml::Text(item.to_owned()));
                *rest = &rest[1..];
            }
        }
        Yaml::List(items)
    }

    fn map(rest: &mut &[Line<'_>], indent: usize) -> Yaml {
        let mut fields = BTreeMap::new();
        while let Some((_, line)) = rest.first().filter(|(at, _)| *at == indent) {
            let (key, value) = split(line).unwrap_or_else(|| panic!("not a field: {line}"));
            *rest = &rest[1..];
            let value = match value.strip_prefix('[').and_then(|list| list.strip_suffix(']')) {
                Some(list) => Yaml::List(list.split(", ").map(|item| Yaml::Text(item.to_owned())).collect()),
                None if value.is_empty() => {
                    assert!(rest[0].0 > indent, "{key} has nothing");
                    Yaml::block(rest)
                }
                None => Yaml::Text(value.to_owned()),
            };
            assert!(fields.insert(key.to_owned(), value).is_none(), "{key} is there twice");
        }
        Yaml::Map(fields)
    }

    fn at(&self, path: &str) -> &Yaml {
        path.split('/').fold(self, |value, key| match value {
            Yaml::Map(fields) => fields.get(key).unwrap_or_else(|| panic!("{path}: no {key} in {value:?}")),
            Yaml::List(items) => &items[key.parse::<usize>().unwrap()],
            Yaml::Text(_) => panic!("{path}: {value:?} has no {key}"),
        })
    }

    fn text(&self, path: &str) -> &str {
        let Yaml::Text(text) = self.at(path) else { panic!("{path} is not a text") };
        text
    }

    fn texts(&self, path: &str) -> Vec<&str> {
        fn text(item: &Yaml) -> &str {
            let Yaml::Text(text) = item else { panic!("not a text: {item:?}") };
            text
        }
        self.items(path).iter().map(text).collect()
    }

    fn items(&self, path: &str) -> &[Yaml] {
        let Yaml::List(items) = self.at(path) else { panic!("{path} is not a list") };
        items
    }

    /// Checks that a map has just these fields.
    fn has(&self, path: &str, expected: &[&str]) {
        let Yaml::Map(fields) = self.at(path) else { panic!("{path} is not a map") };
        let mut expected = expected.to_vec();
        expected.sort_unstable();
        assert_eq!(fields.keys().collect::<Vec<_>>(), expected, "{path}");
    }
}

fn split(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.split_once(':')?;
    (value.is_empty() || value.starts_with(' ')).then(|| (key, value.trim()))
}

/// The documents in the only block of YAML.
fn manifest() -> Vec<Yaml> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/guides/kubernetes.md");
    let guide = std::fs::read_to_string(path).unwrap();
    let (_, block) = guide.split_once("```yaml\n").unwrap();
    let (block, _) = block.split_once("```\n").unwrap();
    assert!(!block.contains('\t') && !guide.contains("```yaml\n\n"));
    block.split("---\n").map(Yaml::parse).collect()
}

/// Fields and their places are those of the API of Kubernetes 1.32 (`kubectl set image --local` keeps them
/// all). The pod may read the store, and no more than that.
#[test]
fn the_manifest_is_sound() {
    let documents = manifest();
    let [namespace, claim, set] = &documents[..] else { panic!("{} documents", documents.len()) };
    let kinds = |document: &Yaml| (document.text("apiVersion").to_owned(), document.text("kind").to_owned());
    let expected = [("v1", "Namespace"), ("v1", "PersistentVolumeClaim"), ("apps/v1", "DaemonSet")];
    for (document, (version, kind)) in documents.iter().zip(expected) {
        assert_eq!(kinds(document), (version.to_owned(), kind.to_owned()));
    }
    namespace.has("metadata/labels", &["pod-security.kubernetes.io/enforce"]);
    for document in [claim, set] {
        document.has("metadata", &["name", "namespace"]);
        assert_eq!(document.text("metadata/namespace"), namespace.text("metadata/name"));
    }
    assert_eq!(claim.texts("spec/accessModes"), ["ReadWriteMany"], "all nodes write to it");
    set.has("spec", &["selector", "template"]);
    assert_eq!(set.at("spec/selector/matchLabels"), set.at("spec/template/metadata/labels"));

    let pod = set.at("spec/template/spec");
    pod.has(
        "containers/0/securityContext",
        &["allowPrivilegeEscalation", "capabilities", "readOnlyRootFilesystem", "runAsUser"],
    );
    let save = pod.at("initContainers/0");
    assert_eq!((pod.items("initContainers").len(), pod.items("containers").len()), (1, 1));
    let Yaml::Map(fields) = save else { panic!() };
    assert_eq!(
        fields.keys().collect::<Vec<_>>(),
        ["args", "env", "image", "name", "securityContext", "volumeMounts"]
    );
    save.has("securityContext/capabilities", &["add", "drop"]);
    assert_eq!(save.texts("securityContext/capabilities/drop"), ["ALL"]);
    assert_eq!(save.texts("securityContext/capabilities/add"), ["DAC_READ_SEARCH"]);
    for (field, value) in [
        ("privileged", "false"),
        ("allowPrivilegeEscalation", "false"),
        ("readOnlyRootFilesystem", "true"),
        ("runAsUser", "0"),
        ("seccompProfile/type", "RuntimeDefault"),
    ] {
        assert_eq!(save.text(&format!("securityContext/{field}")), value, "{field}");
    }
    let volumes = pod.items("volumes");
    let mounts = save.items("volumeMounts");
    let names = |items: &[Yaml]| items.iter().map(|item| item.text("name").to_owned()).collect::<Vec<_>>();
    assert_eq!(names(volumes), names(mounts));
    let Yaml::Map(of_host) = &mounts[0] else { panic!() };
    assert_eq!(of_host["readOnly"], Yaml::Text("true".to_owned()), "the store is mounted read-only");
    assert_eq!(volumes[0].text("hostPath/path"), "/var/lib/containerd");
    assert_eq!(volumes[1].text("persistentVolumeClaim/claimName"), claim.text("metadata/name"));
    let args = save.texts("args");
    assert_eq!(mounts[0].text("mountPath"), args[1].strip_prefix("--root=").unwrap());
    assert_eq!(save.text("env/0/name"), "NODE_NAME");
    assert_eq!(save.text("env/0/valueFrom/fieldRef/fieldPath"), "spec.nodeName");
}

/// The program takes the arguments, and saves all images of a node.
#[test]
fn its_arguments_save_a_node() {
    let documents = manifest();
    let save = documents[2].at("spec/template/spec/initContainers/0");
    let store = Store::containerd("containerd-2.1");
    let images = store.beside("images");
    std::fs::create_dir(&images).unwrap();
    let mut command = layerlift();
    for arg in save.texts("args") {
        let arg = arg.replace("=/containerd", &format!("={}", store.root.display()));
        let arg = arg.replace("=/images", &format!("={}", images.display()));
        command.arg(arg.replace("$(NODE_NAME)", "node-1"));
    }
    let (status, said) = ended(&output(&mut command));
    assert_eq!(status, Some(0), "{said}");
    let archive = images.join("node-1.tar");
    let listed = output(layerlift().args(["images", "--root"]).arg(archive));
    assert!(String::from_utf8_lossy(&listed.stdout).contains("127.0.0.1:5777/bench/multi"), "{said}");
}
