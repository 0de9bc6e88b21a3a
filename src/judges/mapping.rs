//! Which rules of other linters are rules of ours: the table `mapping.csv`, one pair a line. A code of theirs may be part
//! of several rules of ours, and most of our rules are several of theirs.

use std::sync::LazyLock;

/// One line of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair {
    /// Our rule.
    pub rule: &'static str,
    /// The linter: `zlint` or `pkilint`.
    pub linter: &'static str,
    /// Its lint or code.
    pub code: &'static str,
}

/// The code of a certificate that a judge could not read: none of them has one of its own.
pub const UNREADABLE: &str = "unreadable";

static PAIRS: LazyLock<Vec<Pair>> = LazyLock::new(|| {
    let lines = include_str!("mapping.csv").lines().skip(1).filter(|line| !line.is_empty());
    let pairs = lines.filter_map(|line| {
        let (rule, rest) = line.split_once(',')?;
        let (linter, code) = rest.split_once(',')?;
        Some(Pair { rule, linter, code })
    });
    pairs.collect()
});

/// The whole table.
pub fn pairs() -> &'static [Pair] {
    &PAIRS
}

/// The rules of ours that a code of a linter is part of; none when we have no such rule.
pub fn rules(linter: &str, code: &str) -> impl Iterator<Item = &'static str> {
    PAIRS.iter().filter(move |pair| pair.linter == linter && pair.code == code).map(|pair| pair.rule)
}

/// The codes of a linter that are part of a rule of ours; none when it has no such rule.
pub fn codes(rule: &str, linter: &str) -> impl Iterator<Item = &'static str> {
    PAIRS.iter().filter(move |pair| pair.rule == rule && pair.linter == linter).map(|pair| pair.code)
}
