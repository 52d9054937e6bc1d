//! Values of engines' documents, and the forms that options have for them.

use serde_json::Value;

/// Whether a volume has no name of its own.
pub(super) fn is_anonymous(volume: &str) -> bool {
    layerlift_store::hex_id(volume)
}

pub(super) fn short(id: &str) -> String {
    id.get(..12).unwrap_or(id).to_owned()
}

/// A text that is not empty.
pub(super) fn text<'v>(value: &'v Value, key: &str) -> Option<&'v str> {
    value.get(key).and_then(Value::as_str).filter(|text| !text.is_empty())
}

/// A whole number that is not 0.
pub(super) fn number(value: &Value, key: &str) -> Option<i64> {
    value.get(key).and_then(Value::as_i64).filter(|number| *number != 0)
}

pub(super) fn is_true(value: &Value, key: &str) -> bool {
    value.get(key).and_then(Value::as_bool) == Some(true)
}

/// The texts of a list.
pub(super) fn texts(value: Option<&Value>) -> Vec<String> {
    let list = value.and_then(Value::as_array).into_iter().flatten();
    list.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The texts of a map, by key.
pub(super) fn entries(value: Option<&Value>) -> Vec<(String, String)> {
    let map = value.and_then(Value::as_object).into_iter().flatten();
    map.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

/// Bytes as an option has them: `64m`.
pub(super) fn bytes(count: i64) -> String {
    for (unit, shift) in [("g", 30), ("m", 20), ("k", 10)] {
        if count > 0 && count & ((1 << shift) - 1) == 0 {
            return format!("{}{unit}", count >> shift);
        }
    }
    count.to_string()
}

/// A duration of Go.
pub(super) fn duration(nanos: i64) -> String {
    for (unit, size) in [("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1000)] {
        if nanos % size == 0 {
            return format!("{}{unit}", nanos / size);
        }
    }
    format!("{nanos}ns")
}

/// A number of processors, from billionths.
pub(super) fn cpus(nanos: i64) -> String {
    let text = format!("{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_the_forms_of_options() {
        for (count, expected) in
            [(67_108_864, "64m"), (1 << 30, "1g"), (1500, "1500"), (3 << 10, "3k"), (-1, "-1")]
        {
            assert_eq!(bytes(count), expected);
        }
        assert_eq!(duration(30_000_000_000), "30s");
        assert_eq!(duration(1_500_000_000), "1500ms");
        assert_eq!(duration(7), "7ns");
        assert_eq!(
            (cpus(1_500_000_000), cpus(2_000_000_000), cpus(1)),
            ("1.5".to_owned(), "2".to_owned(), "0.000000001".to_owned())
        );
    }
}
