//! The manifest in the guide for Kubernetes and the unit in that for pushing: their structure, and what their
//! arguments do.

use std::collections::BTreeMap;
use std::path::Path;

use crate::program::{ended, layerlift, output};
#[cfg(feature = "registry")]
use crate::program::{is_root, skipped};
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

/// The blocks of a language in a guide.
fn blocks(guide: &str, language: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/guides").join(guide);
    let guide = std::fs::read_to_string(path).unwrap();
    let start = format!("```{language}\n");
    let begun = guide.split(&start).skip(1);
    begun.map(|block| block.split_once("```\n").unwrap().0.to_owned()).collect()
}

/// The documents in the first block of YAML.
fn manifest() -> Vec<Yaml> {
    let block = &blocks("kubernetes.md", "yaml")[0];
    assert!(!block.contains('\t') && !block.starts_with('\n'));
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

/// Runs the program as root with this capability alone, as the guides have it; as this user where that is not
/// root.
#[cfg(feature = "registry")]
fn confined(what: &str, args: &[String]) -> (Option<i32>, String) {
    let mut command = layerlift();
    if is_root(what, "to give up capabilities") {
        let only = "-all,+dac_read_search";
        let program = command.get_program().to_owned();
        let variables: Vec<_> =
            command.get_envs().map(|(k, v)| (k.to_owned(), v.map(ToOwned::to_owned))).collect();
        command = std::process::Command::new("setpriv");
        command.args(["--bounding-set", only, "--inh-caps", only, "--no-new-privs"]).arg(program);
        for (name, value) in variables {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
    }
    ended(&output(command.args(args)))
}

/// The part of the guide that pushes: its fields take the place of those of the manifest, and its arguments
/// push a node with what the security context leaves of root.
#[test]
#[cfg(feature = "registry")]
fn its_arguments_push_a_node() {
    let parts = blocks("kubernetes.md", "yaml");
    let [_, container, pod] = &parts[..] else { panic!("{} blocks", parts.len()) };
    let (container, pod) = (Yaml::parse(container), Yaml::parse(pod));
    let documents = manifest();
    let save = documents[2].at("spec/template/spec/initContainers/0");
    assert_eq!(save.texts("securityContext/capabilities/add"), ["DAC_READ_SEARCH"], "as below");
    let (volumes, mounts) = (pod.items("volumes"), container.items("volumeMounts"));
    let names = |items: &[Yaml]| items.iter().map(|item| item.text("name").to_owned()).collect::<Vec<_>>();
    assert_eq!(names(volumes), names(mounts));
    assert!(mounts.iter().all(|mount| mount.text("readOnly") == "true"));
    assert_eq!(container.at("env/0"), save.at("env/0"));
    let file = container.text("env/1/value");
    assert!(file.starts_with(&format!("{}/", mounts[1].text("mountPath"))), "{file}");

    let store = Store::containerd("containerd-2.1");
    let server = crate::server::Server::start(|_| None);
    let args = container.texts("args").into_iter().map(|arg| {
        let arg = arg.replace("=/containerd", &format!("={}", store.root.display()));
        arg.replace("registry.example", &server.address.to_string()).replace("$(NODE_NAME)", "node-1")
    });
    let (status, said) = confined("its_arguments_push_a_node", &args.collect::<Vec<_>>());
    assert_eq!(status, Some(0), "{said}");
    assert!(server.tag("nodes/node-1/bench/multi", "1.0").is_some(), "{:?}", server.asked());
}

/// The unit of the guide: systemd takes it, and its command pushes a host with the capability that it has.
#[test]
#[cfg(feature = "registry")]
fn the_unit_pushes_a_host() {
    let store = Store::containers("docker-28.5");
    let server = crate::server::Server::start(|_| None);
    let program = layerlift().get_program().to_string_lossy().into_owned();
    let units = store.beside("units");
    std::fs::create_dir(&units).unwrap();
    let mut verify = std::process::Command::new("systemd-analyze");
    verify.arg("verify");
    let mut service = String::new();
    for unit in blocks("push.md", "ini") {
        let name = unit.lines().next().unwrap().rsplit('/').next().unwrap();
        let unit = unit.replace("/usr/local/bin/layerlift", &program);
        let path = units.join(name);
        std::fs::write(&path, &unit).unwrap();
        verify.arg(path);
        if name.ends_with(".service") {
            service = unit;
        }
    }
    match verify.output() {
        Ok(verified) => {
            let said = String::from_utf8_lossy(&verified.stderr).into_owned();
            // It also reads units of this machine that these need, and what it says of them is theirs.
            let of_ours: Vec<_> = said.lines().filter(|line| line.contains("layerlift-push")).collect();
            assert!(of_ours.is_empty(), "{said}");
        }
        Err(error) => skipped("the_unit_pushes_a_host: systemd-analyze verify", &error.to_string()),
    }
    assert!(service.contains("\nCapabilityBoundingSet=CAP_DAC_READ_SEARCH\n"), "as below");
    let (_, command) = service.split_once("ExecStart=").unwrap();
    let command = command.replace("\\\n", " ");
    let words = command.lines().next().unwrap().split_whitespace().skip(1);
    let args = words.map(|word| {
        let word = word.replace("/var/lib/docker", &store.root.display().to_string());
        word.replace("registry.example", &server.address.to_string()).replace("%H", "host-1")
    });
    let (status, said) = confined("the_unit_pushes_a_host", &args.collect::<Vec<_>>());
    assert_eq!(status, Some(0), "{said}");
    assert!(server.tag("host-1/app", "2").is_some(), "{:?}", server.asked());
}
