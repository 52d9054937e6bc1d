//! Words that a native maintainer of the field would not write, in prose, names and messages alike.
//!
//! They are spelt in halves below: this file is checked too.

use std::path::Path;

/// What is not written, word by word, and what is written instead.
const PHRASES: [(&[&str], &str); 18] = [
    (&[concat!("to", "ld")], "reported, said, named"),
    (&[concat!("an", "ew")], "again"),
    (&[concat!("before", "hand")], "in advance, first"),
    (&[concat!("wish", "ed")], "requested"),
    (&[concat!("who", "ever")], "anyone who, a caller that"),
    (&[concat!("genu", "ine")], "real"),
    (&[concat!("genu", "inely")], "really"),
    (&["is", "no"], "is not a"),
    (&["are", "no"], "are not"),
    (&["was", "no"], "was not a"),
    (&["were", "no"], "were not"),
    (&["is", "none"], "is not one, is missing"),
    (&["are", "none"], "are not, are missing"),
    (&["is", "gone"], "is missing, was removed"),
    (&["are", "gone"], "are missing, were removed"),
    (&["was", "gone"], "was missing, was removed"),
    (&["were", "gone"], "were missing, were removed"),
    (&["be", "gone"], "be missing, be removed"),
];

/// Comparatives, before which "no" is plain English.
const COMPARED: [&str; 17] = [
    "longer", "more", "less", "fewer", "better", "worse", "larger", "smaller", "greater", "shorter",
    "deeper", "faster", "slower", "older", "newer", "later", "earlier",
];

/// A word, in lower case, and where it begins.
struct Word {
    at: usize,
    end: usize,
    lower: String,
}

/// Checks one file.
pub(crate) fn check(file: &Path, text: &str) -> Vec<String> {
    let words = words(text);
    let mut complaints = Vec::new();
    let (mut line, mut counted) = (1, 0);
    for first in 0..words.len() {
        for (phrase, instead) in PHRASES {
            if !stands_at(text, &words, first, phrase) {
                continue;
            }
            line += text[counted..words[first].at].matches('\n').count();
            counted = words[first].at;
            complaints.push(format!(
                "{}:{line}: \"{}\" (rather: {instead})",
                file.display(),
                phrase.join(" ")
            ));
        }
    }
    complaints
}

/// Whether the phrase begins with this word.
fn stands_at(text: &str, words: &[Word], first: usize, phrase: &[&str]) -> bool {
    let Some(found) = words.get(first..first + phrase.len()) else { return false };
    let same = found.iter().zip(phrase).all(|(word, part)| word.lower == *part);
    if !same || phrase.len() == 1 {
        return same;
    }
    let gap = &text[found[0].end..found[1].at];
    // A line of a comment or of a string may end between the two. Names join them with `_`, or with a
    // capital.
    let together = gap.chars().all(|c| c.is_whitespace() || "/!#\\_".contains(c));
    let joined = !gap.contains(char::is_whitespace);
    let before = first.checked_sub(1).map(|before| words[before].lower.as_str());
    let next = words.get(first + 2);
    match phrase[1] {
        "no" => {
            let compared = next.is_some_and(|next| COMPARED.contains(&next.lower.as_str()));
            let compound = text[found[1].end..].starts_with('-');
            together && before != Some("there") && !compared && !compound
        }
        // `is_none` asks an `Option`.
        "none" => together && !joined && before != Some("there"),
        _ => together,
    }
}

/// The words of a text; a name such as `readHeader` or `read_header` has two.
fn words(text: &str) -> Vec<Word> {
    let mut words: Vec<Word> = Vec::new();
    let mut open = false;
    let mut before = ' ';
    let mut escape = false;
    for (at, c) in text.char_indices() {
        // The letter of an escape, `\n` say, is not of the word behind it.
        let escaped = escape;
        escape = c == '\\' && !escaped;
        if !c.is_alphabetic() || (escaped && c.is_ascii_lowercase()) {
            open = false;
        } else if open && !(c.is_uppercase() && before.is_lowercase()) {
            if let Some(word) = words.last_mut() {
                word.end = at + c.len_utf8();
                word.lower.extend(c.to_lowercase());
            }
        } else {
            words.push(Word { at, end: at + c.len_utf8(), lower: c.to_lowercase().collect() });
            open = true;
        }
        before = c;
    }
    words
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    #[test]
    fn phrases() {
        const NOT: &str = concat!("is n", "o");
        const SAID: &str = concat!("to", "ld");
        let cases = [
            (concat!("It is n", "o image"), &[NOT][..]),
            (concat!("/// which are\n    /// n", "o images"), &[concat!("are n", "o")]),
            (concat!("\"an id that is \\\n n", "o id\""), &[NOT]),
            (
                "there is no image, nor is there\n// no name; it is no longer there, and is no more than 3",
                &[],
            ),
            (concat!("layer.is_none() || is_n", "o_op || a no-op is no-op"), &[NOT]),
            (concat!("one that is n", "one; if there is none"), &[concat!("is n", "one")]),
            (concat!("fn tol", "d_twice(); let allTol", "d = 1; struct Tol", "dNames"), &[SAID, SAID, SAID]),
            (concat!("\"\\ntol", "d \\\\to", "ld\""), &[SAID, SAID]),
            (concat!("the file is go", "ne; .wh.gone, kept/gone, has gone to"), &[concat!("is go", "ne")]),
            (concat!("Anyan", "ew an", "ewer renewed"), &[]),
        ];
        for (text, expected) in cases {
            let found = super::check(Path::new("a.rs"), text);
            let phrases: Vec<_> =
                found.iter().map(|complaint| complaint.split('"').nth(1).unwrap()).collect();
            assert_eq!(phrases, expected, "{text}: {found:?}");
        }
    }

    #[test]
    fn lines_are_counted() {
        let text = concat!("a\nb tol", "d\n\nis\nn", "o c\n");
        let found = super::check(Path::new("a.md"), text);
        assert!(found[0].starts_with("a.md:2: ") && found[1].starts_with("a.md:4: "), "{found:?}");
    }
}
