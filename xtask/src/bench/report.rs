//! The figures as a table, as JSON and as a chart.

use std::fmt::Write;
use std::time::Duration;

use serde_json::{Value, json};

use super::measure::Run;
use super::rows::Rows;
use crate::Outcome;

pub(crate) struct Report<'a> {
    rows: &'a Rows,
    runs: usize,
}

impl<'a> Report<'a> {
    pub(crate) fn new(rows: &'a Rows, runs: usize) -> Self {
        Report { rows, runs }
    }

    /// A table in Markdown: a line for each program, ratios and goals beside the peers.
    pub(crate) fn text(&self) -> String {
        let mut text = format!("Medians of {} runs in turn, warm cache.\n\n", self.runs);
        text += "| what | wall s | CPU s | peak MiB | first byte ms | ratio | goal | |\n|---|---|---|---|---|---|---|---|\n";
        for row in &self.rows.rows {
            let _ = writeln!(text, "| **{}** | {} | | | |", row.what, figures(&row.own));
            for peer in &row.peers {
                let ratio = ratio(&row.own, &peer.run);
                let goal = peer.goal.map_or(String::new(), |goal| format!("{goal:.2}"));
                let met = peer.goal.map_or("", |goal| if ratio <= goal { "met" } else { "not met" });
                let _ = writeln!(
                    text,
                    "| {} | {} | {ratio:.2} | {goal} | {met} |",
                    peer.what,
                    figures(&peer.run)
                );
            }
        }
        let _ = writeln!(
            text,
            "\nCalls to the system per file (open, read, close, stat): {:.2}. Temporary files: {}.",
            self.rows.calls_per_file, self.rows.temporary_files
        );
        text
    }

    pub(crate) fn json(&self) -> String {
        let rows: Vec<Value> = self.rows.rows.iter().map(|row| {
            let peers: Vec<Value> = row.peers.iter().map(|peer| {
                json!({"what": peer.what, "goal": peer.goal, "ratio": ratio(&row.own, &peer.run), "run": figures_json(&peer.run)})
            }).collect();
            json!({"what": row.what, "bytes": row.bytes, "layerlift": figures_json(&row.own), "peers": peers})
        }).collect();
        let all = json!({
            "runs": self.runs,
            "rows": rows,
            "calls_per_file": self.rows.calls_per_file,
            "temporary_files": self.rows.temporary_files,
        });
        format!("{all:#}\n")
    }

    /// Bars of wall time, layerlift's dark.
    pub(crate) fn chart(&self) -> String {
        const LINE: usize = 20;
        let bars: Vec<(&str, &Run, bool)> = self
            .rows
            .rows
            .iter()
            .flat_map(|row| {
                std::iter::once((row.what, &row.own, true))
                    .chain(row.peers.iter().map(|peer| (peer.what, &peer.run, false)))
            })
            .collect();
        let longest = bars.iter().map(|(_, run, _)| run.wall.as_secs_f64()).fold(0.001, f64::max);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"900\" height=\"{}\" font-family=\"sans-serif\" font-size=\"12\">\n",
            (bars.len() + 1) * LINE
        );
        for (index, (what, run, own)) in bars.iter().enumerate() {
            let y = index * LINE;
            let seconds = run.wall.as_secs_f64();
            let width = (seconds / longest * 400.0).max(1.0);
            let fill = if *own { "#1b4f72" } else { "#aeb6bf" };
            let _ = writeln!(
                svg,
                "<text x=\"380\" y=\"{}\" text-anchor=\"end\">{}</text><rect x=\"390\" y=\"{}\" width=\"{width:.1}\" height=\"14\" fill=\"{fill}\"/><text x=\"{:.1}\" y=\"{}\">{seconds:.2} s</text>",
                y + 15,
                what.replace('&', "&amp;"),
                y + 4,
                396.0 + width,
                y + 15
            );
        }
        svg + "</svg>\n"
    }

    /// An open, a read and a close for each file, and no temporary file where lengths are known.
    pub(crate) fn assert_counts(&self) -> Outcome {
        let Rows { calls_per_file, temporary_files, .. } = *self.rows;
        if calls_per_file > 4.0 {
            return Err(
                format!("{calls_per_file:.2} calls to the system per file, where 4 are enough").into()
            );
        }
        if temporary_files > 0 {
            return Err(format!("{temporary_files} temporary files, where every length is known").into());
        }
        Ok(())
    }
}

fn ratio(own: &Run, peer: &Run) -> f64 {
    own.wall.as_secs_f64() / peer.wall.as_secs_f64().max(0.001)
}

fn figures(run: &Run) -> String {
    let first = run.first_byte.map_or(String::new(), |first| format!("{:.0}", first.as_secs_f64() * 1e3));
    let seconds = |time: Duration| format!("{:.2}", time.as_secs_f64());
    format!(
        "{} | {} | {:.1} | {first}",
        seconds(run.wall),
        seconds(run.cpu),
        run.memory as f64 / f64::from(1 << 20)
    )
}

fn figures_json(run: &Run) -> Value {
    json!({
        "wall_secs": run.wall.as_secs_f64(),
        "cpu_secs": run.cpu.as_secs_f64(),
        "peak_bytes": run.memory,
        "first_byte_secs": run.first_byte.map(|first| first.as_secs_f64()),
    })
}
