//! Progress on standard error: a bar on a terminal, lines, or JSON for machines.
//!
//! ```text
//! {"event":"start","phase":"write","total":2580480}
//! {"event":"progress","phase":"write","bytes":1048576,"total":2580480,"seconds":0.41}
//! {"event":"done","output":"base.tar","bytes":2580480,"images":1,"layers":3,"seconds":0.98}
//! ```
//!
//! `layers` of `done` are all layers of the images. Those of them that a partial archive does not have are in
//! `"left_out":{"layers":2,"bytes":4096}`. `volumes` is their number, `digest` that of the archive, where it
//! was computed. `rootfs` and `volume` have only `output` and `bytes`. Volumes are announced:
//! `{"event":"volumes","count":3,"size":4000000000,"bytes":9300000000}`.
//!
//! `verify` reports each image as soon as all of its layers are read, in any order, and sums up:
//!
//! ```text
//! {"event":"image","id":"5e3c…","references":["base:1"],"sound":true,"kind":null,"image":1,"images":2}
//! {"event":"done","images":2,"layers":5,"bytes":2580480,"unsound":0,"seconds":0.98}
//! ```
//!
//! `seconds` count from the start of the phase, in `done` from that of the program's work. Warnings and
//! errors are events with a `message` and `hints`. A warning about the export itself has a `kind` and fields
//! of its own (`layerlift_export::Warning`). `docs/json.md` and its schema describe all of them.
//!
//! ```text
//! {"event":"warning","message":"the name Bad:1 …","kind":"name-left-out","name":"Bad:1","why":"its …"}
//! ```

use std::io::{self, IsTerminal};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use layerlift_archive::Observer;
use serde::Serialize;

use crate::args::{ProgressKind, Show};
use crate::report::Reporter;
use crate::signals;
use crate::size::human;

const PLAIN_EVERY: Duration = Duration::from_secs(3);
const JSON_EVERY: Duration = Duration::from_millis(250);

/// Shows how far the work is.
pub(crate) struct Progress<'r> {
    reporter: &'r Reporter,
    kind: ProgressKind,
    began: Instant,
    phase: Mutex<Phase>,
}

struct Phase {
    name: &'static str,
    began: Instant,
    total: Option<u64>,
    done: u64,
    said: Instant,
    bar: Option<ProgressBar>,
}

/// What the last line says.
pub(crate) trait Words: Serialize {
    fn words(&self) -> String;
}

/// What was written, for the last line.
#[derive(Serialize)]
pub(crate) struct Summary {
    pub(crate) output: String,
    pub(crate) bytes: u64,
    pub(crate) images: usize,
    pub(crate) layers: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) left_out: Option<LeftOut>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) volumes: Option<usize>,
    /// Of the archive, if it was computed on the way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) digest: Option<String>,
}

/// Files that were written: a tar of them, or the files themselves.
#[derive(Serialize)]
pub(crate) struct Files {
    pub(crate) output: String,
    /// Of the tar, or of the contents of the files.
    pub(crate) bytes: u64,
}

impl Words for Files {
    fn words(&self) -> String {
        format!("wrote {}: {}", self.output, human(self.bytes))
    }
}

/// What a partial archive does not have.
#[derive(Serialize)]
pub(crate) struct LeftOut {
    pub(crate) layers: usize,
    pub(crate) bytes: u64,
}

#[derive(Serialize)]
struct Event<'a> {
    event: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    phase: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds: Option<f64>,
}

#[derive(Serialize)]
struct Done<'a, S> {
    event: &'a str,
    #[serde(flatten)]
    summary: &'a S,
    seconds: f64,
}

impl<'r> Progress<'r> {
    pub(crate) fn new(show: &Show, reporter: &'r Reporter) -> Self {
        let kind = match show.progress {
            ProgressKind::Json => ProgressKind::Json,
            _ if show.quiet => ProgressKind::None,
            ProgressKind::Auto if !io::stderr().is_terminal() => ProgressKind::None,
            kind => kind,
        };
        let now = Instant::now();
        let phase = Phase { name: "", began: now, total: None, done: 0, said: now, bar: None };
        Progress { reporter, kind, began: now, phase: Mutex::new(phase) }
    }

    /// The next phase; `total` bytes, if that is known.
    pub(crate) fn begin(&self, name: &'static str, total: Option<u64>) {
        let now = Instant::now();
        let bar = (self.kind == ProgressKind::Auto)
            .then(|| bar(name, total, width(), ProgressDrawTarget::stderr_with_hz(10)));
        self.reporter.set_bar(bar.clone());
        let mut phase = self.phase();
        phase.clear();
        *phase = Phase { name, began: now, total, done: 0, said: now, bar };
        self.reporter.event(&Event { phase: Some(name), total, ..event("start") });
    }

    /// The work ended, well or not: nothing is shown any more.
    pub(crate) fn end(&self) {
        self.reporter.set_bar(None);
        self.phase().clear();
    }

    /// The work is done.
    pub(crate) fn finish(&self, summary: &impl Words) {
        self.end();
        let seconds = self.began.elapsed().as_secs_f64();
        match self.kind {
            ProgressKind::Json => self.reporter.event(&Done { event: "done", summary, seconds }),
            ProgressKind::Auto | ProgressKind::Plain => self.reporter.note(&summary.words()),
            ProgressKind::None => {}
        }
    }

    /// One of several things is done: it gets a line of its own, an event, and `3/20` beside the bar. On a
    /// terminal, only what `stands_out` gets a line.
    pub(crate) fn step(
        &self,
        (n, of): (usize, usize),
        words: &str,
        stands_out: bool,
        event: &impl Serialize,
    ) {
        let name = {
            let phase = self.phase();
            if let Some(bar) = &phase.bar {
                bar.set_message(format!("{} {n}/{of}", phase.name));
            }
            phase.name
        };
        match self.kind {
            ProgressKind::Json => self.reporter.event(event),
            ProgressKind::Auto if !stands_out => {}
            ProgressKind::Auto | ProgressKind::Plain => {
                self.reporter.note(&format!("{name}: {n} of {of}: {words}"));
            }
            ProgressKind::None => {}
        }
    }

    fn phase(&self) -> MutexGuard<'_, Phase> {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Progress<'_> {
    fn advance(&self, bytes: u64) {
        if self.kind == ProgressKind::None {
            return;
        }
        let mut phase = self.phase();
        phase.done += bytes;
        if let Some(bar) = &phase.bar {
            return bar.set_position(phase.done);
        }
        let every = if self.kind == ProgressKind::Json { JSON_EVERY } else { PLAIN_EVERY };
        if phase.said.elapsed() < every {
            return;
        }
        phase.said = Instant::now();
        if self.kind == ProgressKind::Json {
            self.reporter.event(&Event {
                phase: Some(phase.name),
                bytes: Some(phase.done),
                total: phase.total,
                seconds: Some(phase.began.elapsed().as_secs_f64()),
                ..event("progress")
            });
        } else {
            self.reporter.note(&phase.words(phase.began.elapsed()));
        }
    }

    fn total(&self, bytes: u64) {
        let mut phase = self.phase();
        phase.total = Some(bytes);
        if let Some(bar) = &phase.bar {
            bar.set_length(bytes);
            bar.set_style(style(Some(bytes), width()));
        }
    }

    fn cancelled(&self) -> bool {
        signals::cancelled()
    }
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        self.end();
    }
}

impl Phase {
    fn clear(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    /// `write: 1.2GB of 2.58GB (46%), 800MB/s, 2s left`
    fn words(&self, elapsed: Duration) -> String {
        let rate = (self.done as f64 / elapsed.as_secs_f64().max(0.001)) as u64;
        let mut words = format!("{}: {}", self.name, human(self.done));
        if let Some(total) = self.total {
            let percent = self.done.saturating_mul(100).checked_div(total).unwrap_or(100);
            words.push_str(&format!(" of {} ({percent}%)", human(total)));
        }
        words.push_str(&format!(", {}/s", human(rate)));
        if let (Some(total), 1..) = (self.total, rate) {
            words.push_str(&format!(", {}s left", total.saturating_sub(self.done).div_ceil(rate)));
        }
        words
    }
}

/// `1 layer`, `2 layers`.
pub(crate) fn plural(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

impl Words for Summary {
    fn words(&self) -> String {
        let (images, layers) = (plural(self.images, "image"), plural(self.layers, "layer"));
        let mut words = format!("wrote {}: {images}, {layers}, {}", self.output, human(self.bytes));
        if let Some(LeftOut { layers, bytes }) = &self.left_out {
            words.push_str(&format!("; left out {} ({})", plural(*layers, "layer"), human(*bytes)));
        }
        if let Some(volumes) = self.volumes {
            words.push_str(&format!("; {}", plural(volumes, "volume")));
        }
        if let Some(digest) = &self.digest {
            words.push_str(&format!("; {digest}"));
        }
        words
    }
}

fn event(event: &str) -> Event<'_> {
    Event { event, phase: None, bytes: None, total: None, seconds: None }
}

/// Columns of the terminal.
fn width() -> u16 {
    let size = rustix::termios::tcgetwinsize(io::stderr());
    size.ok().map(|size| size.ws_col).filter(|columns| *columns > 0).unwrap_or(80)
}

fn bar(name: &'static str, total: Option<u64>, width: u16, target: ProgressDrawTarget) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(total, target).with_style(style(total, width)).with_message(name);
    bar.enable_steady_tick(Duration::from_millis(250));
    bar
}

/// A bar that fits into one line: in a narrow terminal, it has fewer parts.
fn style(total: Option<u64>, width: u16) -> ProgressStyle {
    let template = match (total, width) {
        (Some(_), 64..) => {
            "{msg:8} [{wide_bar}] {decimal_bytes}/{decimal_total_bytes}  {decimal_bytes_per_sec}  {eta} left"
        }
        (Some(_), 40..) => "{msg:8} {percent:>3}%  {decimal_bytes_per_sec}  {eta} left",
        (Some(_), _) => "{msg:8} {percent:>3}%",
        (None, 40..) => "{msg:8} {spinner} {decimal_bytes}  {decimal_bytes_per_sec}",
        (None, _) => "{msg:8} {decimal_bytes}",
    };
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    style.progress_chars("=> ")
}

#[cfg(test)]
mod tests {
    use indicatif::InMemoryTerm;

    use super::*;

    #[test]
    fn plain_words() {
        let now = Instant::now();
        let mut phase = Phase {
            name: "write",
            began: now,
            total: Some(2_580_000_000),
            done: 1_200_000_000,
            said: now,
            bar: None,
        };
        let elapsed = Duration::from_secs(2);
        assert_eq!(phase.words(elapsed), "write: 1.2GB of 2.58GB (46%), 600MB/s, 3s left");
        phase.total = None;
        assert_eq!(phase.words(elapsed), "write: 1.2GB, 600MB/s");
        phase.total = Some(0);
        phase.done = 0;
        assert_eq!(phase.words(elapsed), "write: 0B of 0B (100%), 0B/s");
    }

    #[test]
    fn a_bar_takes_one_line() {
        for width in [20, 40, 63, 64, 80, 200] {
            for total in [Some(999_990_000_000), None] {
                let term = InMemoryTerm::new(5, width);
                let target = ProgressDrawTarget::term_like(Box::new(term.clone()));
                let bar = bar("prepare", total, width, target);
                bar.set_position(123_450_000_000);
                bar.force_draw();
                let shown = term.contents();
                assert!(shown.starts_with("prepare") && !shown.contains('\n'), "{width}: {shown}");
                let shows = |part| shown.contains(part);
                assert_eq!(total.is_some(), shows("12%") || shows("123.45 GB/999.99 GB"), "{width}: {shown}");
                assert!(width < 40 || shows("B/s"), "{width}: {shown}");
                bar.finish_and_clear();
                assert_eq!(term.contents(), "");
            }
        }
    }

    #[test]
    fn summary_words() {
        let summary = Summary {
            output: "base.tar".to_owned(),
            bytes: 10_240,
            images: 1,
            layers: 3,
            left_out: None,
            volumes: None,
            digest: None,
        };
        assert_eq!(summary.words(), "wrote base.tar: 1 image, 3 layers, 10.2kB");
        let left_out = Some(LeftOut { layers: 2, bytes: 1_200_000 });
        let words = Summary { left_out, ..summary }.words();
        assert_eq!(words, "wrote base.tar: 1 image, 3 layers, 10.2kB; left out 2 layers (1.2MB)");
    }
}
