//! The results as tables and as JSON.

use std::fmt::Write;
use std::fs;
use std::time::Duration;

use serde_json::{Value, json};

use super::Found;
use super::counts::Counts;
use super::growth::Point;
use super::measure::Run;
use super::pushed::Sent;
use super::row::{Goal, Row};
use crate::Outcome;
use crate::engines::process::{program, text as said_by};

/// Tables in Markdown: a line for each program, with ratios and goals on the lines of the peers.
pub(crate) fn text(found: &Found) -> String {
    let mut text =
        format!("{}.\nMedians of {} runs in turn. Image: {}.\n\n", found.machine, found.runs, found.image);
    text += "| what | wall s | CPU s | peak MiB | temporary MB | first byte ms | ratio | goal | |\n";
    text += "|---|---|---|---|---|---|---|---|---|\n";
    text.extend(found.rows.iter().map(self::row));
    text += "\n| growth with | number | wall ms | ms each | MB/s | peak MiB |\n|---|---|---|---|---|---|\n";
    for Point { what, number, bytes, millis, peak_mib } in &found.growth {
        let each = millis / *number as f64;
        let rate = *bytes as f64 / 1e3 / millis;
        let _ = writeln!(text, "| {what} | {number} | {millis:.1} | {each:.3} | {rate:.0} | {peak_mib:.1} |");
    }
    for Sent { row, what, bytes } in &found.sent {
        let _ = writeln!(text, "\n{row}: {what} sent {bytes} bytes.");
    }
    let mut all = vec![(String::new(), &found.counts)];
    all.extend(found.compressed.iter().map(|(how, counts)| (format!(" with --compress {how}"), counts)));
    all.push((" that leaves out nine of ten layers".to_owned(), &found.partial));
    for (what, counts) in all {
        let _ = writeln!(
            text,
            "\nOne save of {} files into a file{what}: {:.2} system calls per file, {} bytes read, {} \
             written, {} in the output, {} file created.",
            counts.files,
            counts.calls_per_file(),
            counts.read,
            counts.written,
            counts.output,
            counts.created
        );
    }
    text
}

/// The lines of one comparison.
pub(crate) fn row(row: &Row) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "| **{}** | {} | | | |", row.what, figures(&row.own, row.temporary.first()));
    for (number, peer) in row.peers.iter().enumerate() {
        let ratio = ratio(&row.own, &peer.run);
        let goal = peer.goal.map_or(String::new(), |goal| format!("{goal:.2}"));
        let met = peer.goal.map_or("", |goal| met(ratio <= goal));
        let figures = figures(&peer.run, row.temporary.get(number + 1));
        let _ = writeln!(text, "| {} | {figures} | {ratio:.2} | {goal} | {met} |", peer.what);
    }
    for Goal { what, value, limit } in &row.goals {
        let _ = writeln!(text, "| {what} | | | | | | {value:.2} | {limit:.2} | {} |", met(value <= limit));
    }
    text
}

/// The same as JSON.
pub(crate) fn json(found: &Found) -> String {
    let row = |row: &Row| {
        let peers: Vec<Value> = row
            .peers
            .iter()
            .enumerate()
            .map(|(number, peer)| {
                let run = run(&peer.run, row.temporary.get(number + 1));
                json!({"what": peer.what, "goal": peer.goal, "ratio": ratio(&row.own, &peer.run), "run": run})
            })
            .collect();
        let goals: Vec<Value> = row
            .goals
            .iter()
            .map(|goal| json!({"what": goal.what, "value": goal.value, "limit": goal.limit}))
            .collect();
        let own = run(&row.own, row.temporary.first());
        json!({"what": row.what, "bytes": row.bytes, "layerlift": own, "peers": peers, "goals": goals})
    };
    let point = |point: &Point| {
        let Point { what, number, bytes, millis, peak_mib } = point;
        json!({"what": what, "number": number, "bytes": bytes, "wall_ms": millis, "peak_mib": peak_mib})
    };
    let counts = |counts: &Counts| {
        json!({
            "files": counts.files, "calls": counts.calls, "read": counts.read, "written": counts.written,
            "output": counts.output, "created": counts.created,
        })
    };
    let sent = |sent: &Sent| json!({"row": sent.row, "what": sent.what, "bytes": sent.bytes});
    let all = json!({
        "machine": found.machine,
        "image": found.image,
        "runs": found.runs,
        "rows": found.rows.iter().map(row).collect::<Vec<_>>(),
        "growth": found.growth.iter().map(point).collect::<Vec<_>>(),
        "counts": counts(&found.counts),
        "compressed_counts": found.compressed.iter().map(|(_, one)| counts(one)).collect::<Vec<_>>(),
        "partial_counts": counts(&found.partial),
        "sent": found.sent.iter().map(sent).collect::<Vec<_>>(),
    });
    format!("{all:#}\n")
}

/// Processor, kernel and memory.
pub(crate) fn machine() -> Outcome<String> {
    let field = |file: &str, name: &str| -> String {
        let text = fs::read_to_string(file).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split(':').nth(1)).unwrap_or_default().trim().to_owned()
    };
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let memory: f64 = field("/proc/meminfo", "MemTotal").trim_end_matches(" kB").parse().unwrap_or_default();
    Ok(format!(
        "{processors} processors ({}), {:.0} GiB of memory, Linux {}",
        field("/proc/cpuinfo", "model name"),
        memory / f64::from(1 << 20),
        said_by(program("uname", ["-r"]))?.trim()
    ))
}

fn met(yes: bool) -> &'static str {
    if yes { "met" } else { "not met" }
}

fn ratio(own: &Run, peer: &Run) -> f64 {
    own.wall.as_secs_f64() / peer.wall.as_secs_f64().max(0.001)
}

fn figures(run: &Run, temporary: Option<&u64>) -> String {
    let first = run.first_byte.map_or(String::new(), |first| format!("{:.0}", first.as_secs_f64() * 1e3));
    let seconds = |time: Duration| format!("{:.3}", time.as_secs_f64());
    format!(
        "{} | {} | {:.1} | {:.0} | {first}",
        seconds(run.wall),
        seconds(run.cpu),
        run.memory as f64 / f64::from(1 << 20),
        temporary.map_or(0.0, |bytes| *bytes as f64 / 1e6),
    )
}

fn run(run: &Run, temporary: Option<&u64>) -> Value {
    json!({
        "wall_secs": run.wall.as_secs_f64(),
        "cpu_secs": run.cpu.as_secs_f64(),
        "peak_bytes": run.memory,
        "temporary_bytes": temporary,
        "first_byte_secs": run.first_byte.map(|first| first.as_secs_f64()),
    })
}
