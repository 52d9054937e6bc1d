//! Sizes as `docker images` prints them: three digits, powers of 1000.

const UNITS: &[&str] = &["B", "kB", "MB", "GB", "TB", "PB", "EB"];

/// `1.23MB`, `45.6MB`, `789kB`.
pub(crate) fn human(bytes: u64) -> String {
    let mut value = bytes as f64;
    let mut unit = 0;
    while rounded(value) >= 1000.0 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    format!("{}{}", rounded(value), UNITS[unit])
}

/// Three significant digits of a value below 1000.
fn rounded(value: f64) -> f64 {
    let step = if value < 10.0 {
        100.0
    } else if value < 100.0 {
        10.0
    } else {
        1.0
    };
    (value * step).round() / step
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_docker_does() {
        for (bytes, expected) in [
            (0, "0B"),
            (1, "1B"),
            (999, "999B"),
            (1000, "1kB"),
            (1234, "1.23kB"),
            (12_345, "12.3kB"),
            (999_499, "999kB"),
            (999_500, "1MB"),
            (1_200_000, "1.2MB"),
            (123_456_789, "123MB"),
            (2_580_000_000, "2.58GB"),
            (u64::MAX, "18.4EB"),
        ] {
            assert_eq!(human(bytes), expected, "{bytes}");
        }
    }
}
