//! How long ago an image was made, in the words of `docker images`.

use jiff::Timestamp;

/// `3 weeks ago` for a time in RFC 3339. `N/A` without one, or for the year 1, which engines write for an
/// unset time.
pub(crate) fn ago(created: Option<&str>, now: Timestamp) -> String {
    let Some(created) = created.and_then(|text| text.parse::<Timestamp>().ok()) else {
        return "N/A".to_owned();
    };
    let seconds = now.as_second() - created.as_second();
    if created.as_second() < YEAR_2 {
        return "N/A".to_owned();
    }
    format!("{} ago", duration(seconds))
}

/// The second at which the year 2 begins.
const YEAR_2: i64 = -62_104_060_800;

fn duration(seconds: i64) -> String {
    let hours = (seconds + 1800) / 3600;
    match seconds {
        ..1 => return "Less than a second".to_owned(),
        1 => return "1 second".to_owned(),
        2..60 => return format!("{seconds} seconds"),
        60..120 => return "About a minute".to_owned(),
        120..3600 => return format!("{} minutes", seconds / 60),
        _ => {}
    }
    match hours {
        ..2 => "About an hour".to_owned(),
        2..48 => format!("{hours} hours"),
        48..336 => format!("{} days", hours / 24),
        336..1440 => format!("{} weeks", hours / 24 / 7),
        1440..17520 => format!("{} months", hours / 24 / 30),
        _ => format!("{} years", seconds / 3600 / 24 / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_docker_does() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        for (created, expected) in [
            ("2026-01-01T00:00:00Z", "Less than a second ago"),
            ("2026-02-01T00:00:00Z", "Less than a second ago"),
            ("2025-12-31T23:59:59Z", "1 second ago"),
            ("2025-12-31T23:59:01Z", "59 seconds ago"),
            ("2025-12-31T23:59:00Z", "About a minute ago"),
            ("2025-12-31T23:01:00Z", "59 minutes ago"),
            ("2025-12-31T23:00:00Z", "About an hour ago"),
            ("2025-12-31T22:30:00Z", "2 hours ago"),
            ("2025-12-30T01:00:00Z", "47 hours ago"),
            ("2025-12-30T00:00:00Z", "2 days ago"),
            ("2025-12-18T00:00:00Z", "2 weeks ago"),
            ("2025-11-02T00:00:00Z", "2 months ago"),
            ("2024-01-02T00:00:00Z", "2 years ago"),
            ("2015-10-12T19:16:27.123456789+02:00", "10 years ago"),
            ("0001-01-01T00:00:00Z", "N/A"),
            ("yesterday", "N/A"),
        ] {
            assert_eq!(ago(Some(created), now), expected, "{created}");
        }
        assert_eq!(ago(None, now), "N/A");
    }
}
