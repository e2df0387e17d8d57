//! Suggestions for mistyped words.

/// The word in `known` that differs from `word` only by case, or by at most two letters that are missing, wrong, extra or
/// swapped.
pub(super) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_ascii_lowercase();
    let candidates = known.into_iter().map(|name| (distance(&word, &name.to_ascii_lowercase()), name));
    // Two errors in a short word leave too little of it.
    candidates.filter(|(distance, name)| *distance <= 2 && distance * 2 < name.len()).min().map(|(_, name)| name)
}

/// The number of insertions, deletions, replacements and swaps of neighbours (the optimal string alignment distance).
fn distance(left: &str, right: &str) -> usize {
    // None of our names is that long, and the time grows with the product of the lengths.
    if left.len().abs_diff(right.len()) > 2 || left.len() > 64 {
        return usize::MAX / 2;
    }
    let (left, right) = (left.as_bytes(), right.as_bytes());
    let mut rows = vec![(0..=right.len()).collect::<Vec<_>>()];
    for line in 1..=left.len() {
        let mut row = vec![line];
        for column in 1..=right.len() {
            let same = left[line - 1] == right[column - 1];
            let mut least =
                (rows[line - 1][column - 1] + usize::from(!same)).min(rows[line - 1][column] + 1).min(row[column - 1] + 1);
            if line > 1 && column > 1 && left[line - 1] == right[column - 2] && left[line - 2] == right[column - 1] {
                least = least.min(rows[line - 2][column - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[left.len()][right.len()]
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_typing_error_is_understood_and_another_word_is_not() {
        let known = ["port", "interface", "backlog", "bindAddress"];
        for (word, meant) in [
            ("backlg", Some("backlog")),
            ("BACKLOG", Some("backlog")),
            ("bind_address", Some("bindAddress")),
            ("prot", Some("port")),
            ("pot", Some("port")),
            ("x", None),
            ("", None),
            ("certKey", None),
        ] {
            assert_eq!(nearest(word, known), meant, "{word}");
        }
    }
}
