//! Volumes, folders of the host, and tmpfs.
//!
//! ```text
//! Binds        -v, as typed: ["named:/var/lib/db","/srv:/host:ro"]
//! Mounts       --mount: [{"Type":"volume","Source":"second","Target":"/second","ReadOnly":true}]
//! Tmpfs        --tmpfs: {"/scratch":"rw,size=1m"}
//! VolumesFrom  --volumes-from, as typed
//! ```
//!
//! `-v /data` is recorded only as a volume of `Config` and as a mount point with a random name.

use std::collections::BTreeSet;

use layerlift_store::Container;
use serde_json::Value;

use super::super::recipe::Recipe;
use super::super::values::{entries, is_anonymous, is_true, number, text, texts};
use super::super::yaml::Yaml;

pub(super) fn read(
    recipe: &mut Recipe,
    container: &Container,
    host: &Value,
    (own, of_image): (Option<&Value>, Option<&Value>),
    read: &mut Vec<&str>,
) {
    read.extend(["Binds", "Mounts", "Tmpfs", "VolumesFrom", "VolumeDriver"]);
    let mut given: BTreeSet<String> = BTreeSet::new();
    let binds = texts(host.get("Binds"));
    for bind in &binds {
        let mut parts = bind.split(':');
        let (source, target) = (parts.next().unwrap_or_default(), parts.next());
        given.insert(target.unwrap_or(source).to_owned());
        if target.is_some() && !source.starts_with('/') {
            recipe.volume(source);
        }
    }
    recipe.list("--volume", "volumes", binds);
    for mount in host.get("Mounts").and_then(Value::as_array).into_iter().flatten() {
        given.extend(text(mount, "Target").map(str::to_owned));
        mount_option(recipe, mount);
    }
    let tmpfs = entries(host.get("Tmpfs")).into_iter().map(|(path, options)| match &*options {
        "" => path,
        options => format!("{path}:{options}"),
    });
    recipe.list("--tmpfs", "tmpfs", tmpfs.collect());
    anonymous(recipe, container, host, (own, of_image), &given);
    let from = texts(host.get("VolumesFrom"));
    if !from.is_empty() {
        from.iter().for_each(|other| recipe.option("--volumes-from", other.clone()));
        for other in from.iter().filter(|other| other.ends_with(":ro")) {
            recipe.not_in_compose.push(format!("Compose makes the volumes from {other} writable"));
        }
        let members = from.into_iter().map(|other| format!("container:{other}"));
        recipe.member("volumes_from", Yaml::list(members.collect()));
    }
    if let Some(driver) = text(host, "VolumeDriver") {
        recipe.option("--volume-driver", driver);
        if driver != "local" {
            recipe.not_in_compose.push(format!("its volumes use the driver {driver}"));
        }
    }
}

fn mount_option(recipe: &mut Recipe, mount: &Value) {
    let kind = text(mount, "Type").unwrap_or("volume");
    let (source, target) = (text(mount, "Source"), text(mount, "Target").unwrap_or_default());
    let read_only = is_true(mount, "ReadOnly");
    let bind = mount.get("BindOptions");
    let volume = mount.get("VolumeOptions");
    let tmpfs = mount.get("TmpfsOptions");
    let propagation = bind.and_then(|bind| text(bind, "Propagation"));
    let no_copy = volume.is_some_and(|volume| is_true(volume, "NoCopy"));
    let subpath = volume.and_then(|volume| text(volume, "Subpath"));
    let plugin = volume.and_then(|volume| volume.get("DriverConfig"));
    let driver = plugin.and_then(|driver| text(driver, "Name"));
    let options = entries(plugin.and_then(|driver| driver.get("Options")));
    let mut labels = entries(volume.and_then(|volume| volume.get("Labels")));
    // The daemon sets it by itself.
    labels.retain(|(key, _)| key != "com.docker.volume.anonymous");
    let of_image = mount.get("ImageOptions").and_then(|image| text(image, "Subpath"));
    let recursive = bind.and_then(|bind| {
        let kinds = [
            ("NonRecursive", "disabled"),
            ("ReadOnlyNonRecursive", "writable"),
            ("ReadOnlyForceRecursive", "readonly"),
        ];
        kinds.into_iter().find(|(key, _)| is_true(bind, key)).map(|(_, word)| word)
    });
    let size = tmpfs.and_then(|tmpfs| number(tmpfs, "SizeBytes")).map(|size| size.to_string());
    let mode = tmpfs.and_then(|tmpfs| number(tmpfs, "Mode")).map(|mode| format!("{mode:o}"));
    let mut words = vec![format!("type={kind}")];
    words.extend(source.map(|source| format!("source={source}")));
    words.push(format!("target={target}"));
    words.extend(read_only.then(|| "readonly".to_owned()));
    words.extend(text(mount, "Consistency").map(|consistency| format!("consistency={consistency}")));
    words.extend(propagation.map(|propagation| format!("bind-propagation={propagation}")));
    words.extend(recursive.map(|word| format!("bind-recursive={word}")));
    words.extend(no_copy.then(|| "volume-nocopy".to_owned()));
    words.extend(subpath.map(|path| format!("volume-subpath={path}")));
    words.extend(driver.map(|driver| format!("volume-driver={driver}")));
    words.extend(options.iter().map(|(key, value)| format!("volume-opt={key}={value}")));
    words.extend(labels.iter().map(|(key, value)| format!("volume-label={key}={value}")));
    words.extend(of_image.map(|path| format!("image-subpath={path}")));
    words.extend(size.as_ref().map(|size| format!("tmpfs-size={size}")));
    words.extend(mode.as_ref().map(|mode| format!("tmpfs-mode={mode}")));
    // The option is a line of CSV.
    let words = words.into_iter().map(|word| match word.contains([',', '"', '\n']) {
        true => format!("\"{}\"", word.replace('"', "\"\"")),
        false => word,
    });
    recipe.option("--mount", words.collect::<Vec<_>>().join(","));
    if let (Some(source), "volume") = (source, kind) {
        recipe.volume(source);
    }
    let truth = |yes: bool| yes.then(|| Yaml::Plain("true".to_owned()));
    let of_bind = (propagation.is_some() || recursive.is_some()).then(|| {
        let [propagation, recursive] = [propagation, recursive].map(|text| text.map(Yaml::from));
        Yaml::map([("propagation", propagation), ("recursive", recursive)])
    });
    if let (Some(driver), true) = (driver, source.is_some()) {
        let text =
            format!("the volume at {target} uses the driver {driver} and has options (docker volume create)");
        recipe.not_in_compose.push(text);
    }
    // Compose before 2.35 refuses them.
    for (key, value) in labels {
        recipe.not_in_compose.push(format!("the volume at {target} had the label {key}={value}"));
    }
    let of_volume = (no_copy || subpath.is_some())
        .then(|| Yaml::map([("nocopy", truth(no_copy)), ("subpath", subpath.map(Yaml::from))]));
    let of_tmpfs = (size.is_some() || mode.is_some()).then(|| {
        let mode = mode.map(|mode| Yaml::Plain(format!("0{mode}")));
        Yaml::map([("size", size.map(Yaml::Plain)), ("mode", mode)])
    });
    let member = Yaml::map([
        ("type", Some(kind.into())),
        ("source", source.map(Yaml::from)),
        ("target", Some(target.into())),
        ("read_only", truth(read_only)),
        ("bind", of_bind),
        ("volume", of_volume),
        ("tmpfs", of_tmpfs),
        ("image", of_image.map(|path| Yaml::map([("subpath", Some(path.into()))]))),
        ("consistency", text(mount, "Consistency").map(Yaml::from)),
    ]);
    recipe.member("volumes", Yaml::List(vec![member]));
    // `CreateMountpoint` is only for programs, and for them the default of `--volume`.
    let known: [(&str, &[&str]); 4] = [
        ("BindOptions", &["Propagation", "NonRecursive", "ReadOnlyNonRecursive", "ReadOnlyForceRecursive"]),
        ("VolumeOptions", &["NoCopy", "Labels", "Subpath", "DriverConfig"]),
        ("TmpfsOptions", &["SizeBytes", "Mode"]),
        ("ImageOptions", &["Subpath"]),
    ];
    for (what, known) in known {
        let options = mount.get(what).and_then(Value::as_object).into_iter().flatten();
        for (key, value) in options.filter(|(key, _)| !known.contains(&key.as_str())) {
            if !value.is_null() && value != &Value::Bool(false) {
                recipe.comment(format!("not expressed: {what}.{key} of the mount at {target} is {value}"));
            }
        }
    }
}

/// Volumes without a name. Those that the image declares are made without an option.
fn anonymous(
    recipe: &mut Recipe,
    container: &Container,
    host: &Value,
    (own, of_image): (Option<&Value>, Option<&Value>),
    given: &BTreeSet<String>,
) {
    let declared = of_image.and_then(Value::as_object);
    for mount in container.mounts.iter().filter(|mount| mount.kind == "volume") {
        let (Some(name), path) = (&mount.name, &mount.destination) else { continue };
        if given.contains(path) {
            continue;
        }
        if !is_anonymous(name) {
            // Of another container, by --volumes-from.
            continue;
        }
        // What comes from another container is a volume of that one's config.
        let others = host.get("VolumesFrom").and_then(Value::as_array).is_some_and(|all| !all.is_empty());
        let is_own = own.and_then(Value::as_object).is_some_and(|own| own.contains_key(path));
        if (!others || is_own) && !declared.is_some_and(|declared| declared.contains_key(path)) {
            recipe.option("--volume", path.clone());
            recipe.member("volumes", Yaml::list(vec![path.clone()]));
        }
        recipe.comment(format!(
            "{path} was the anonymous volume {name}; to use it again: --volume {name}:{path}"
        ));
    }
}
