//! The command line that Podman has recorded, where it is no longer how the container is run.
//!
//! ```text
//! podman create --name web --env-file app.env -e HOME_OF -v ./srv:/srv -m 100m --restart no app:2
//! ```
//!
//! The line may read files and variables of its host, and name folders relative to where it was typed.
//! `podman rename` and `podman update` change the record and not the line. What is recorded takes the place
//! of such options; all others stay as they were typed.

use std::collections::{BTreeMap, BTreeSet};

use layerlift_store::Container;

use super::super::recipe::Recipe;
use super::super::run::quoted;

/// Options without a value. Others take the next word if they have no `=`.
const BARE: &[&str] = &[
    "--detach",
    "--disable-content-trust",
    "--env-host",
    "--help",
    "--http-proxy",
    "--init",
    "--interactive",
    "--no-healthcheck",
    "--no-hostname",
    "--no-hosts",
    "--oom-kill-disable",
    "--passwd",
    "--privileged",
    "--publish-all",
    "--quiet",
    "--read-only",
    "--read-only-tmpfs",
    "--replace",
    "--rm",
    "--rmi",
    "--rootfs",
    "--sig-proxy",
    "--tls-verify",
    "--tty",
    "--unsetenv-all",
];

/// The options of one letter, by their long names.
const LETTERS: &[(char, &str)] = &[
    ('P', "--publish-all"),
    ('a', "--attach"),
    ('c', "--cpu-shares"),
    ('d', "--detach"),
    ('e', "--env"),
    ('h', "--hostname"),
    ('i', "--interactive"),
    ('l', "--label"),
    ('m', "--memory"),
    ('p', "--publish"),
    ('q', "--quiet"),
    ('t', "--tty"),
    ('u', "--user"),
    ('v', "--volume"),
    ('w', "--workdir"),
];

/// What `podman update` changes. `--cpus` is a quota and a period.
const LIMITS: &[&str] = &[
    "--blkio-weight",
    "--cpu-period",
    "--cpu-quota",
    "--cpu-rt-period",
    "--cpu-rt-runtime",
    "--cpu-shares",
    "--cpus",
    "--cpuset-cpus",
    "--cpuset-mems",
    "--memory",
    "--memory-reservation",
    "--memory-swap",
    "--memory-swappiness",
    "--pids-limit",
];

/// Variables that Podman sets.
const SET: &[&str] = &["HOME", "HOSTNAME", "PATH", "TERM", "container"];

/// Limits of processes that mean the default.
const NO_PIDS: &[&str] = &["2048", "0", "-1"];

/// The period of `--cpus`, in microseconds.
const PERIOD: f64 = 100_000.0;

/// An option as it was typed.
#[derive(Debug, Clone, PartialEq)]
struct Typed {
    /// Its long name.
    flag: String,
    value: Option<String>,
}

impl Typed {
    fn new(flag: &str, value: impl Into<String>) -> Self {
        Typed { flag: flag.to_owned(), value: Some(value.into()) }
    }

    fn value(&self) -> &str {
        self.value.as_deref().unwrap_or_default()
    }

    fn words(self) -> Vec<String> {
        let is_bare = BARE.contains(&&*self.flag);
        match self.value {
            None => vec![self.flag],
            Some(value) if is_bare => vec![format!("{}={value}", self.flag)],
            Some(value) => vec![self.flag, value],
        }
    }
}

/// What is recorded of a container beside the options.
struct Recorded<'a> {
    name: &'a str,
    /// The restart policy.
    policy: &'a str,
    /// The folder of the host that is mounted at a path.
    source_of: &'a dyn Fn(&str) -> Option<String>,
}

/// Puts what is recorded in the place of options that no longer hold.
pub(super) fn settle(recipe: &mut Recipe, container: &Container) {
    let Some(words) = recipe.recorded.clone() else { return };
    let source_of = |target: &str| {
        let target = target.trim_end_matches('/');
        let mut binds = container.mounts.iter().filter(|mount| mount.kind == "bind");
        binds.find(|mount| mount.destination.trim_end_matches('/') == target)?.source.clone()
    };
    let policy = container.restart_policy.as_deref().filter(|policy| !policy.is_empty()).unwrap_or("no");
    let recorded = Recorded { name: &recipe.name, policy, source_of: &source_of };
    let Some((line, is_other)) = settled(&words, &recipe.options, &recorded) else { return };
    recipe.recorded = Some(line);
    if !is_other {
        return;
    }
    let typed: Vec<String> = words.iter().map(|word| quoted(word)).collect();
    recipe.not_in_run.push(format!(
        "it was made with: {}; some of that came from its host, or has changed since, and is below as it was \
         recorded last",
        typed.join(" ")
    ));
}

/// The line that holds, and whether it differs by more than a name that nobody gave. `None` if it is the one
/// that was typed. `of_record` are options that follow from the record.
fn settled(
    words: &[String],
    of_record: &[Vec<String>],
    recorded: &Recorded<'_>,
) -> Option<(Vec<String>, bool)> {
    let (begin, mut options, end) = parse(words)?;
    let typed = options.clone();
    if last(&options, "--name").is_none() {
        options.push(Typed::new("--name", recorded.name));
    }
    let named = options.clone();
    let of_record = |flags: &[&str]| -> Vec<Typed> {
        let found = of_record.iter().filter(|words| words.len() == 2 && flags.contains(&&*words[0]));
        found.map(|words| Typed::new(&words[0], words[1].clone())).collect()
    };
    if last(&options, "--name") != Some(recorded.name) {
        replace(&mut options, &["--name"], vec![Typed::new("--name", recorded.name)]);
    }
    if last(&options, "--restart").unwrap_or("no") != recorded.policy {
        let policy = (recorded.policy != "no").then(|| Typed::new("--restart", recorded.policy));
        replace(&mut options, &["--restart"], policy.into_iter().collect());
    }
    let env = of_record(&["--env"]);
    let is_of_host = |one: &Typed| match &*one.flag {
        "--env-file" | "--env-host" => true,
        "--env" => !one.value().contains('='),
        _ => false,
    };
    // What Podman sets by itself follows from other options.
    let is_own = |one: &&Typed| !SET.contains(&one.value().split('=').next().unwrap_or_default());
    if options.iter().any(is_of_host) || env.iter().filter(is_own).any(|one| !options.contains(one)) {
        replace(&mut options, &["--env", "--env-file", "--env-host"], env);
    }
    if options.iter().any(|one| one.flag == "--label-file") {
        replace(&mut options, &["--label", "--label-file"], of_record(&["--label"]));
    }
    options.iter_mut().for_each(|option| absolute(option, recorded.source_of));
    let limits = of_record(LIMITS);
    if measured(&options) != measured(&limits) {
        replace(&mut options, LIMITS, limits);
    }
    if options == typed {
        return None;
    }
    let is_other = options != named;
    let options = options.into_iter().flat_map(Typed::words);
    Some((begin.iter().cloned().chain(options).chain(end.iter().cloned()).collect(), is_other))
}

/// What precedes the options, the options, and what follows them: the image and its command. `None` if it is
/// not a line that makes one container.
fn parse(words: &[String]) -> Option<(&[String], Vec<Typed>, &[String])> {
    let command = words.iter().position(|word| ["run", "create"].contains(&&**word))?;
    let (begin, mut rest) = words.split_at(command + 1);
    if begin.iter().any(|word| word == "pod") {
        return None;
    }
    let mut options = Vec::new();
    while let Some((word, after)) = rest.split_first() {
        if word == "--" || !word.starts_with('-') || word.len() == 1 {
            return Some((begin, options, rest));
        }
        rest = after;
        let mut take = || {
            let (value, after) = rest.split_first()?;
            rest = after;
            Some(value.clone())
        };
        if word.starts_with("--") {
            let typed = match word.split_once('=') {
                Some((flag, value)) => Typed::new(flag, value),
                None if BARE.contains(&&**word) => Typed { flag: word.clone(), value: None },
                None => Typed::new(word, take()?),
            };
            options.push(typed);
            continue;
        }
        for (at, letter) in word[1..].char_indices() {
            let (_, flag) = LETTERS.iter().find(|(known, _)| *known == letter)?;
            if BARE.contains(flag) {
                options.push(Typed { flag: (*flag).to_owned(), value: None });
                continue;
            }
            let value = &word[1..][at + 1..];
            let value = value.strip_prefix('=').unwrap_or(value);
            options.push(Typed::new(flag, if value.is_empty() { take()? } else { value.to_owned() }));
            break;
        }
    }
    None
}

fn last<'t>(options: &'t [Typed], flag: &str) -> Option<&'t str> {
    options.iter().rfind(|one| one.flag == flag).map(Typed::value)
}

/// Takes some options out, and puts others there.
fn replace(options: &mut Vec<Typed>, flags: &[&str], by: Vec<Typed>) {
    options.retain(|one| !flags.contains(&&*one.flag));
    options.extend(by);
}

/// Gives a folder of the host its whole path.
fn absolute(option: &mut Typed, source_of: &dyn Fn(&str) -> Option<String>) {
    let is_relative = |source: &str| !source.starts_with('/') && (source.contains('/') || source == ".");
    let Some(value) = &option.value else { return };
    if option.flag == "--volume" {
        let mut parts = value.splitn(3, ':');
        let (source, target) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let Some(whole) = source_of(target).filter(|_| is_relative(source)) else { return };
        option.value = Some(value.replacen(source, &whole, 1));
    } else if option.flag == "--mount" {
        let pair = |part: &str| part.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned()));
        let pairs: Vec<(String, String)> = value.split(',').filter_map(pair).collect();
        let one = |keys: &[&str]| pairs.iter().find(|(key, _)| keys.contains(&&**key));
        let Some((_, target)) = one(&["target", "destination", "dst"]) else { return };
        let Some((key, source)) = one(&["source", "src"]).filter(|(_, source)| is_relative(source)) else {
            return;
        };
        let Some(whole) = source_of(target) else { return };
        option.value = Some(value.replacen(&format!("{key}={source}"), &format!("{key}={whole}"), 1));
    }
}

/// What limits come to, by their names: numbers where they are numbers.
fn measured(options: &[Typed]) -> BTreeMap<&str, BTreeSet<String>> {
    let mut all: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let mut add = |flag, value: String| drop(all.insert(flag, BTreeSet::from([value])));
    for option in options.iter().filter(|one| LIMITS.contains(&&*one.flag)) {
        let (flag, value) = (&*option.flag, option.value());
        match (flag, value.parse::<f64>()) {
            ("--cpus", Ok(cpus)) => {
                add("--cpu-quota", format!("{}", (cpus * PERIOD).round()));
                add("--cpu-period", format!("{PERIOD}"));
            }
            _ => {
                add(flag, number_of_bytes(value).map_or_else(|| value.to_owned(), |bytes| bytes.to_string()))
            }
        }
    }
    // The default, and what stands for it where there are no cgroups.
    if all.get("--pids-limit").is_some_and(|set| set.iter().any(|pids| NO_PIDS.contains(&&**pids))) {
        all.remove("--pids-limit");
    }
    // Podman allows as much swap as memory, unless it was asked for something else.
    let number = |flag: &str| all.get(flag).and_then(|set| set.first()?.parse::<i64>().ok());
    if let (Some(memory), Some(swap)) = (number("--memory"), number("--memory-swap"))
        && swap == memory.saturating_mul(2)
    {
        all.remove("--memory-swap");
    }
    all
}

/// `100m`, `1g`, `1024`.
fn number_of_bytes(text: &str) -> Option<i64> {
    let lower = text.to_ascii_lowercase();
    let lower = lower.strip_suffix('b').unwrap_or(&lower);
    let (digits, shift) = match lower.char_indices().next_back()? {
        (at, 'k') => (&lower[..at], 10),
        (at, 'm') => (&lower[..at], 20),
        (at, 'g') => (&lower[..at], 30),
        _ => (lower, 0),
    };
    digits.parse::<i64>().ok()?.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn options_as_typed() {
        let line = "podman --runtime crun run -itd -p80:80 -e A=b -m=1g --rm --env=C --label x image -e y";
        let line = words(line);
        let (begin, options, end) = parse(&line).unwrap();
        assert_eq!((begin.len(), end), (4, &words("image -e y")[..]));
        let typed: Vec<(&str, Option<&str>)> =
            options.iter().map(|one| (&*one.flag, one.value.as_deref())).collect();
        assert_eq!(
            typed,
            [
                ("--interactive", None),
                ("--tty", None),
                ("--detach", None),
                ("--publish", Some("80:80")),
                ("--env", Some("A=b")),
                ("--memory", Some("1g")),
                ("--rm", None),
                ("--env", Some("C")),
                ("--label", Some("x")),
            ]
        );
        for line in ["podman pod create x", "podman run -d", "podman run -x y"] {
            assert!(parse(&words(line)).is_none(), "{line}");
        }
    }

    #[test]
    fn what_holds() {
        let source_of = |target: &str| (target == "/h").then(|| "/home/me/host".to_owned());
        let recorded = Recorded { name: "web", policy: "no", source_of: &source_of };
        let pairs = |words: &str| -> Vec<Vec<String>> {
            let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
            words.chunks(2).map(<[String]>::to_vec).collect()
        };
        for (typed, of_record, expected) in [
            ("run --name web -it -m 100m i", "--memory 100m --memory-swap 200m --pids-limit 0", None),
            ("run --name web -e A=b i", "--env A=b --env HOME=/", None),
            ("run -d i", "", Some("run --detach --name web i #")),
            ("run --name old i", "", Some("run --name web i")),
            ("run --name web --restart always i", "", Some("run --name web i")),
            (
                "create --name web -e HOSTS --env-file ef -e A=b i",
                "--env A=b --env HOSTS=secret --env FF=1",
                Some("create --name web --env A=b --env HOSTS=secret --env FF=1 i"),
            ),
            (
                "run --name web -v ./host:/h:ro -v named:/n i",
                "",
                Some("run --name web --volume /home/me/host:/h:ro --volume named:/n i"),
            ),
            (
                "run --name web --mount type=bind,src=x/y,dst=/h i sh -e",
                "",
                Some("run --name web --mount type=bind,src=/home/me/host,dst=/h i sh -e"),
            ),
            (
                "run --rm --name web -m 100m i",
                "--memory 50m --memory-swap 100m --cpu-quota 100000 --cpu-period 100000",
                Some(
                    "run --rm --name web --memory 50m --memory-swap 100m --cpu-quota 100000 --cpu-period \
                     100000 i",
                ),
            ),
        ] {
            let words = words(&format!("podman {typed}"));
            let found = settled(&words, &pairs(of_record), &recorded);
            let found = found
                .map(|(words, is_other)| format!("{}{}", words.join(" "), if is_other { "" } else { " #" }));
            assert_eq!(found, expected.map(|line| format!("podman {line}")), "{typed}");
        }
    }

    #[test]
    fn limits_that_are_the_same() {
        let of = |line: &str| parse(&words(&format!("podman run {line} i"))).unwrap().1;
        for (typed, recorded, same) in [
            ("-m 100m", "--memory 104857600 --memory-swap 209715200", true),
            ("--cpus 0.5", "--cpu-quota 50000 --cpu-period 100000", true),
            ("-m 100m", "--memory 52428800 --memory-swap 104857600", false),
            ("--cpuset-cpus 0-1", "--cpuset-cpus 0-1", true),
            ("-d", "--cpu-quota 100000 --cpu-period 100000", false),
        ] {
            assert_eq!(measured(&of(typed)) == measured(&of(recorded)), same, "{typed}");
        }
    }
}
