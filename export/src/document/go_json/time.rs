//! Times in image documents: RFC 3339, as Go's `time.Time` reads and writes them.

use jiff::civil::{self, Date};

const EPOCH: Date = civil::date(1970, 1, 1);

/// A point in time with its offset. The default is Go's zero time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Time {
    text: String,
    secs: i64,
}

impl Default for Time {
    fn default() -> Self {
        Time { text: "0001-01-01T00:00:00Z".to_owned(), secs: -62_135_596_800 }
    }
}

impl Time {
    /// 1970-01-01T00:00:00Z.
    pub(crate) fn epoch() -> Self {
        Time { text: "1970-01-01T00:00:00Z".to_owned(), secs: 0 }
    }

    /// Reads `2015-11-20T01:02:03.405Z`, `…+01:00`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (date_time, rest) = text.split_at_checked(19)?;
        let (fraction, zone) = fraction(rest)?;
        let number = |range: std::ops::Range<usize>| digits(date_time.get(range)?);
        let separators = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
        if separators.iter().any(|&(at, byte)| date_time.as_bytes()[at] != byte) {
            return None;
        }
        let small = |range| i8::try_from(number(range)?).ok();
        let date = Date::new(i16::try_from(number(0..4)?).ok()?, small(5..7)?, small(8..10)?).ok()?;
        let (hour, minute, second) = (small(11..13)?, small(14..16)?, small(17..19)?);
        let time = civil::Time::new(hour, minute, second, 0).ok()?;
        let offset = offset_secs(zone)?;
        let time = time.duration_since(civil::Time::midnight()).as_secs();
        let secs = date.duration_since(EPOCH).as_secs() + time - i64::from(offset);
        let zone = if offset == 0 { "Z" } else { zone };
        Some(Time { text: format!("{date_time}{fraction}{zone}"), secs })
    }

    /// As Go writes it: nanoseconds without trailing zeros, the offset as it was, `Z` for an offset of 0.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// Whole seconds since 1970, rounded down.
    pub(crate) fn secs(&self) -> i64 {
        self.secs
    }

    /// For a tar header, which holds times from 1970 to 2242; 0 outside of that.
    pub(crate) fn mtime(&self) -> u64 {
        u64::try_from(self.secs()).ok().filter(|&secs| secs < 1 << 33).unwrap_or(0)
    }
}

/// `.405` of `.405000Z` (nothing of `.000Z`), and the zone after it.
fn fraction(rest: &str) -> Option<(String, &str)> {
    let Some(after) = rest.strip_prefix('.') else { return Some((String::new(), rest)) };
    let len = after.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, zone) = after.split_at(len);
    if digits.is_empty() {
        return None;
    }
    let digits = digits[..len.min(9)].trim_end_matches('0');
    Some((if digits.is_empty() { String::new() } else { format!(".{digits}") }, zone))
}

fn offset_secs(zone: &str) -> Option<i32> {
    if zone == "Z" {
        return Some(0);
    }
    let (hours, minutes) = zone.get(1..)?.split_once(':')?;
    if hours.len() != 2 || minutes.len() != 2 {
        return None;
    }
    let secs = digits(hours)? * 3600 + digits(minutes).filter(|&minutes| minutes < 60)? * 60;
    match zone.as_bytes()[0] {
        b'+' => Some(secs),
        b'-' => Some(-secs),
        _ => None,
    }
}

fn digits(text: &str) -> Option<i32> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_go_has_them() {
        for (text, written, secs) in [
            ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z", 0),
            ("1970-01-01T01:00:00.120+01:00", "1970-01-01T01:00:00.12+01:00", 0),
            ("1970-01-01T00:00:01-00:00", "1970-01-01T00:00:01Z", 1),
            ("1969-12-31T23:59:59.5Z", "1969-12-31T23:59:59.5Z", -1),
            ("2015-11-20T01:02:03.1234567899Z", "2015-11-20T01:02:03.123456789Z", 1447981323),
            ("2000-02-29T00:00:00.000Z", "2000-02-29T00:00:00Z", 951782400),
            ("9999-12-31T23:59:59.9+14:00", "9999-12-31T23:59:59.9+14:00", 253402250399),
            ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z", Time::default().secs()),
        ] {
            let time = Time::parse(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!((time.as_str(), time.secs()), (written, secs), "{text}");
        }
        assert_eq!(Time::default().mtime(), 0);
    }

    #[test]
    fn not_times() {
        for text in [
            "",
            "now",
            "2015-11-20",
            "2015-11-20 01:02:03Z",
            "2015-13-20T01:02:03Z",
            "2015-02-29T01:02:03Z",
            "2015-11-20T01:02:60Z",
            "2015-11-20T24:00:00Z",
            "2015-11-20T01:02:03",
            "2015-11-20T01:02:03.Z",
            "2015-11-20T01:02:03+1:00",
            "2015-11-20T01:02:03+é0:00",
        ] {
            assert_eq!(Time::parse(text), None, "{text}");
        }
    }
}
