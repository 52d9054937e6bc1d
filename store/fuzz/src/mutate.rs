//! Damages bytes: a few small changes at a time, always the same for the same seed.

/// A generator of numbers (xorshift64*), good enough to choose what to damage.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// Begins a sequence.
    pub fn new(seed: u64) -> Self {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `end`; 0 if that is 0.
    pub fn below(&mut self, end: usize) -> usize {
        // The high bits are the better ones.
        ((self.next() >> 33) as usize).checked_rem(end).unwrap_or(0)
    }
}

/// No input grows beyond this.
const LARGEST: usize = 128 << 10;

/// What parsers take special care of.
const TOKENS: [&[u8]; 40] = [
    b"null",
    b"true",
    b"{}",
    b"[]",
    b"\"\"",
    b"-1",
    b"0",
    b"1e400",
    b"18446744073709551616",
    b"9223372036854775807",
    b"\\ud800",
    b"\\u0000",
    b"\\",
    b"\"",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\n",
    b"\0",
    b"\xff",
    b"\xe2\x80\xa8",
    b"..",
    b"/",
    b"../../etc/passwd",
    b"./",
    b"sha256:",
    b"@",
    b"latest",
    b"=",
    b"$HOME",
    b"${UID}",
    b"'''",
    b"#",
    b"0000000000\0",
    b"7777777777\0",
    b"\x80\0\0\0\0\0\0\0",
    b"ustar  \0",
];

/// Damages an input; `other` is one of the corpus, parts of which may get into it.
pub fn mutate(input: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    for _ in 0..=random.below(4) {
        once(input, other, random);
    }
    input.truncate(LARGEST);
}

fn once(input: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    let at = random.below(input.len() + 1);
    let span = |input: &[u8], random: &mut Random| {
        let most = if random.below(4) == 0 { input.len() } else { 16 };
        at..(at + random.below(most + 1)).min(input.len())
    };
    match random.below(12) {
        0 if at < input.len() => input[at] ^= 1 << random.below(8),
        1 if at < input.len() => input[at] = random.below(256) as u8,
        2 => input.insert(at, random.below(256) as u8),
        3 | 4 => drop(input.drain(span(input, random))),
        5 => {
            let copy = input[span(input, random)].to_vec();
            let to = random.below(input.len() + 1);
            input.splice(to..to, copy);
        }
        6 => {
            let token = TOKENS[random.below(TOKENS.len())];
            input.splice(at..at, token.iter().copied());
        }
        7 => {
            let token = TOKENS[random.below(TOKENS.len())];
            input.splice(span(input, random), token.iter().copied());
        }
        8 => {
            let from = random.below(other.len() + 1);
            let part = &other[from..(from + random.below(64)).min(other.len())];
            input.splice(span(input, random), part.iter().copied());
        }
        // The same part many times: depth, and lengths that no engine writes.
        9 if input.len() < LARGEST / 4 => {
            let part = input[span(input, random)].to_vec();
            let times = 1 << random.below(12);
            if part.len() * times < LARGEST {
                input.splice(at..at, part.repeat(times));
            }
        }
        10 => number(input, at, random),
        _ => {
            // Two parts change their places.
            let (a, b) = (span(input, random), random.below(input.len() + 1));
            let part: Vec<u8> = input.drain(a).collect();
            let to = b.min(input.len());
            input.splice(to..to, part);
        }
    }
}

/// Changes the next number in the text.
fn number(input: &mut Vec<u8>, at: usize, random: &mut Random) {
    let Some(start) = input[at..].iter().position(u8::is_ascii_digit).map(|start| at + start) else { return };
    let len = input[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let digits = match random.below(5) {
        0 => "0".to_owned(),
        1 => u64::MAX.to_string(),
        2 => (1_u64 << random.below(64)).to_string(),
        3 => "7".repeat(len),
        _ => random.below(1 << 20).to_string(),
    };
    input.splice(start..start + len, digits.bytes());
}

#[cfg(test)]
mod tests {
    use super::{LARGEST, Random, mutate};

    #[test]
    fn the_same_seed_gives_the_same_inputs() {
        let run = |seed| {
            let mut random = Random::new(seed);
            let mut input = b"{\"a\":[1,2,\"x\"]}".to_vec();
            for _ in 0..2_000 {
                mutate(&mut input, b"other input", &mut random);
                assert!(input.len() <= LARGEST);
                if input.len() > 4_096 {
                    input.truncate(64);
                }
            }
            input
        };
        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(2));
    }
}
