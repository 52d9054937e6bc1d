//! Databases of bolt: as they are, and with checksums that fit, since otherwise nearly all damage to a meta
//! page would end there.

use layerlift_store::fuzz;

use crate::corpus;

pub(super) fn run(bytes: &[u8]) -> String {
    let mut sealed = bytes.to_vec();
    fuzz::seal_bolt(&mut sealed);
    [answer(bytes), answer(&sealed)].join("\n")
}

/// What is wrong, and how much there is, roughly and in something that is not a digit.
fn answer(bytes: &[u8]) -> String {
    match fuzz::bolt(bytes) {
        Ok((wrong, count)) => {
            let wrong: Vec<String> = wrong.into_iter().collect();
            format!("{}\n{}", "+".repeat(count.checked_ilog2().unwrap_or(0) as usize), wrong.join("\n"))
        }
        Err(error) => error,
    }
}

pub(super) fn corpus() -> Vec<Vec<u8>> {
    corpus::bolt()
}

#[cfg(test)]
mod tests {
    use super::{answer, corpus};

    #[test]
    fn keys_are_reached() {
        for (input, keys) in corpus().iter().zip([9, 9, 2, 2, 0, 4]) {
            assert_eq!(answer(input), format!("{}\n", "+".repeat(keys)));
        }
    }
}
