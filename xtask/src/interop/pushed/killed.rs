//! Pushes that end at any request: a name leads to the whole old image or to the whole new one.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use super::{Named, Pushed};
use crate::Outcome;
use crate::engines::process::run;
use crate::engines::proxy::{Fate, Proxy};
use crate::interop::report::Report;
use crate::interop::source::Checks;

/// How many requests a push is killed at, at most.
const POINTS: usize = 8;

/// No push takes this long.
const LIMIT: Duration = Duration::from_secs(60);

pub(super) fn check(of: &Pushed<'_>, checks: &Checks<'_>, report: &mut Report) {
    let name = of.name;
    report.check(&format!("{name}: pushes that are killed at a request"), || killed(of, checks));
    report.check(&format!("{name}: two pushes at once"), || at_once(of, checks));
}

fn killed(of: &Pushed<'_>, checks: &Checks<'_>) -> Outcome {
    let mut named = of.named("");
    named.sort_by_key(|(image, _, _)| image.diff_ids.len());
    named.dedup_by_key(|(image, _, _)| image.id.clone());
    let [old, .., new] = &named[..] else { return Err("two images are needed".into()) };
    let through = |proxy: &Proxy, repository: &str| {
        let place = format!("{}/{repository}:1", proxy.address());
        of.push(checks, [new.1], &place, &["--quiet", "--jobs=2"])
    };
    let all = Proxy::start(of.to.address(), |_, _| Fate::Pass)?;
    run(through(&all, "killed/never"))?;
    push(of, checks, old, "killed/old")?;
    let digests = [digest(of, "killed/old")?, digest(of, "killed/never")?];
    let total = all.seen().len();
    // The same requests each time, spread over the push: the first, the last, and some between.
    let points = total.min(POINTS);
    for point in 0..points {
        let number = point * (total - 1) / (points - 1).max(1);
        let repository = format!("killed/{point}");
        push(of, checks, old, &repository)?;
        // In the middle of its body, or after the registry has done what is asked.
        let fate = move |seen: usize, head: &crate::engines::http::Head| match (seen == number, point % 2) {
            (false, _) => Fate::Pass,
            (true, 0) => Fate::Mute,
            (true, _) => Fate::Hold(head.len() / 2),
        };
        let proxy = Proxy::start(of.to.address(), fate)?;
        let mut child = through(&proxy, &repository).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let began = Instant::now();
        while !proxy.has_halted() && child.try_wait()?.is_none() && began.elapsed() < LIMIT {
            thread::sleep(Duration::from_millis(2));
        }
        let _ = child.kill();
        child.wait()?;
        let reference = at(of, &repository);
        let found = digest(of, &repository)?;
        let is_new = found == digests[1];
        if !is_new && found != digests[0] {
            return Err(format!("killed at request {number} of {total}, {reference} is {found}").into());
        }
        // The old one was whole before.
        if is_new {
            of.copy(new.0, &reference)?;
        }
        // The same command goes on.
        push(of, checks, new, &repository)?;
        if digest(of, &repository)? != digests[1] {
            return Err(format!("{reference} is not the new image after all").into());
        }
        of.copy(new.0, &reference)?;
    }
    Ok(())
}

/// Pushes an image to a repository.
fn push(of: &Pushed<'_>, checks: &Checks<'_>, (_, tag, _): &Named<'_>, repository: &str) -> Outcome {
    run(of.push(checks, [*tag], &at(of, repository), &["--quiet"]))
}

/// What the tag of a repository leads to. Asked without another program, which would take most of the time.
fn digest(of: &Pushed<'_>, repository: &str) -> Outcome<String> {
    let mut stream = TcpStream::connect(of.to.address())?;
    let accept = "application/vnd.oci.image.manifest.v1+json";
    write!(stream, "HEAD /v2/{repository}/manifests/1 HTTP/1.0\r\nHost: x\r\nAccept: {accept}\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let headers = answer.lines().filter_map(|line| line.split_once(": "));
    let digest = headers.into_iter().find(|(name, _)| name.eq_ignore_ascii_case("docker-content-digest"));
    digest.map(|(_, digest)| digest.trim().to_owned()).ok_or_else(|| format!("{repository}: {answer}").into())
}

fn at(of: &Pushed<'_>, repository: &str) -> String {
    format!("{}/{repository}:1", of.to.address())
}

/// Two of the same images, to repositories that do not exist yet.
fn at_once(of: &Pushed<'_>, checks: &Checks<'_>) -> Outcome {
    let begin = || of.push_all(checks, "at-once", &["--quiet"]).spawn();
    for mut child in [begin()?, begin()?] {
        if !child.wait()?.success() {
            return Err("one of two pushes at once failed".into());
        }
    }
    of.copied("at-once")
}
