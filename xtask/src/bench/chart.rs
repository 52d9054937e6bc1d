//! The chart of `docs/performance.md`: wall times of each row's programs, layerlift's in a dark color.

use std::fmt::Write;

use super::row::Row;

const LINE: usize = 20;
const LEFT: usize = 300;
const WIDTH: f64 = 420.0;

/// Draws the rows that have peers, each on its own scale.
pub(crate) fn draw(rows: &[Row]) -> String {
    let mut y = LINE;
    let mut body = String::new();
    for row in rows.iter().filter(|row| !row.peers.is_empty()) {
        let _ = writeln!(body, "<text x=\"0\" y=\"{y}\" font-weight=\"bold\">{}</text>", escaped(&row.what));
        let bars: Vec<(&str, f64)> = std::iter::once(("layerlift", row.own.wall.as_secs_f64()))
            .chain(row.peers.iter().map(|peer| (&*peer.what, peer.run.wall.as_secs_f64())))
            .collect();
        let longest = bars.iter().map(|(_, seconds)| *seconds).fold(0.001, f64::max);
        for (number, (what, seconds)) in bars.iter().enumerate() {
            y += LINE;
            let width = (seconds / longest * WIDTH).max(1.0);
            let fill = if number == 0 { "#1b4f72" } else { "#aeb6bf" };
            let _ = writeln!(
                body,
                "<text x=\"{}\" y=\"{y}\" text-anchor=\"end\">{}</text><rect x=\"{LEFT}\" y=\"{}\" \
                 width=\"{width:.1}\" height=\"14\" fill=\"{fill}\"/><text x=\"{:.1}\" y=\"{y}\">\
                 {seconds:.2} s</text>",
                LEFT - 8,
                escaped(what),
                y - 12,
                LEFT as f64 + width + 6.0,
            );
        }
        y += LINE + LINE / 2;
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"800\" height=\"{y}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n{body}</svg>\n"
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
