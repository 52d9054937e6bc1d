//! Containers as `docker ps -a` prints them.

use jiff::Timestamp;
use layerlift_store::{Container, ContainerStatus, Port};

use super::row::Row;
use crate::commands::images::short;
use crate::size::human;
use crate::table::Table;
use crate::time::ago;

/// Characters of a command that are shown.
const COMMAND: usize = 20;

pub(super) fn render(rows: &[Row<'_>], no_trunc: bool, several_stores: bool, now: Timestamp) -> String {
    let pods = rows.iter().any(|row| row.container.pod.is_some());
    let mut headings =
        vec!["CONTAINER ID", "IMAGE", "IMAGE ID", "COMMAND", "CREATED", "STATUS", "PORTS", "SIZE"];
    headings.extend(pods.then_some("POD"));
    headings.push("NAMES");
    headings.extend(several_stores.then_some("STORE"));
    let mut table = Table::new(&headings);
    for row in rows {
        let container = &row.container;
        let id = |id: &str| if no_trunc { id.to_owned() } else { short(id).to_owned() };
        let mut image_id = container.image_id.as_deref().map_or_else(|| "<none>".to_owned(), id);
        if container.image_id.is_some() && !container.image_present {
            image_id.push_str(" (removed)");
        }
        let mut cells = vec![
            id(container.key.id()),
            container.image.clone().unwrap_or_else(|| "<none>".to_owned()),
            image_id,
            command(&container.command, no_trunc),
            ago(container.created.as_deref(), now),
            status(container, now),
            container.ports.iter().map(port).collect::<Vec<_>>().join(", "),
            row.size.map_or_else(|| "N/A".to_owned(), human),
        ];
        let pod = container.pod.as_ref().map(|pod| pod.name.clone().unwrap_or_else(|| id(&pod.id)));
        cells.extend(pods.then(|| pod.unwrap_or_default()));
        cells.push(container.names.join(", "));
        cells.extend(several_stores.then(|| row.root.clone()));
        table.row(cells);
    }
    table.render()
}

/// As Docker writes it: arguments with spaces in single quotes, the whole as a text of Go.
fn command(words: &[String], no_trunc: bool) -> String {
    let word = |(index, word): (usize, &String)| match index > 0 && word.contains(' ') {
        true => format!("'{word}'"),
        false => word.clone(),
    };
    let text = words.iter().enumerate().map(word).collect::<Vec<_>>().join(" ");
    if words.is_empty() {
        String::new()
    } else if no_trunc || text.chars().count() <= COMMAND {
        format!("{text:?}")
    } else {
        let begin: String = text.chars().take(COMMAND - 1).collect();
        format!("{:?}", format!("{begin}…"))
    }
}

fn status(container: &Container, now: Timestamp) -> String {
    let state = &container.state;
    let code = state.exit_code.unwrap_or_default();
    match (state.status, &state.finished) {
        (ContainerStatus::Unknown, _) if !container.damage.is_empty() => "Record damaged".to_owned(),
        (ContainerStatus::Created, _) => "Created".to_owned(),
        (ContainerStatus::Running, _) => match &state.started {
            Some(started) => format!("Was running, started {}", ago(Some(started), now)),
            None => "Was running".to_owned(),
        },
        (ContainerStatus::Paused, _) => "Was paused".to_owned(),
        (ContainerStatus::Restarting, _) => "Was restarting".to_owned(),
        (ContainerStatus::Exited, Some(finished)) => format!("Exited ({code}) {}", ago(Some(finished), now)),
        (ContainerStatus::Exited, None) => format!("Exited ({code})"),
        (ContainerStatus::Removing, _) => "Was being removed".to_owned(),
        (ContainerStatus::Dead, _) => "Dead".to_owned(),
        (ContainerStatus::External, _) => "External".to_owned(),
        _ => "N/A".to_owned(),
    }
}

/// `0.0.0.0:8080->80/tcp`, or `80/tcp` for one that is only exposed.
fn port(port: &Port) -> String {
    let last = port.container.saturating_add(port.count.saturating_sub(1));
    let inner = match port.count {
        0 | 1 => port.container.to_string(),
        _ => format!("{}-{last}", port.container),
    };
    let inner = format!("{inner}/{}", port.protocol);
    if !port.published {
        return inner;
    }
    let ip = match port.host_ip.as_deref() {
        Some(ip) if ip.contains(':') => format!("[{ip}]"),
        ip => ip.unwrap_or("0.0.0.0").to_owned(),
    };
    let host = match (port.host.as_deref(), port.count) {
        (None, _) => "*".to_owned(),
        (Some(host), 0 | 1) => host.to_owned(),
        (Some(host), count) => match host.parse::<u16>() {
            Ok(first) => format!("{first}-{}", first.saturating_add(count - 1)),
            Err(_) => host.to_owned(),
        },
    };
    format!("{ip}:{host}->{inner}")
}
