//! Which code points IDNA2008 allows in a U-label: the derived property of RFC 5892 3.

use icu_properties::props::{ChangesWhenNfkcCasefolded, DefaultIgnorableCodePoint, GeneralCategory};
use icu_properties::{CodePointMapData, CodePointSetData};

/// RFC 5892 2.6: PVALID, CONTEXTO or DISALLOWED whatever their properties.
const ALLOWED: &[char] = &[
    '\u{df}', '\u{3c2}', '\u{6fd}', '\u{6fe}', '\u{f0b}', '\u{3007}', '\u{b7}', '\u{375}', '\u{5f3}', '\u{5f4}',
    '\u{30fb}',
];
const DISALLOWED: &[char] = &[
    '\u{640}', '\u{7fa}', '\u{302e}', '\u{302f}', '\u{3031}', '\u{3032}', '\u{3033}', '\u{3034}', '\u{3035}',
    '\u{303b}',
];

/// Whether the code point is DISALLOWED. One that is not assigned in the version of Unicode that is built in is not:
/// a later version may have it.
pub fn is_disallowed(c: char) -> bool {
    if ALLOWED.contains(&c) {
        return false;
    }
    if DISALLOWED.contains(&c) {
        return true;
    }
    match c {
        // 2.5 LDH.
        '-' | '0'..='9' | 'a'..='z' => return false,
        // 2.8 JoinControl: CONTEXTJ.
        '\u{200c}' | '\u{200d}' => return false,
        // 2.4 IgnorableBlocks.
        '\u{20d0}'..='\u{20ff}' | '\u{1d100}'..='\u{1d1ff}' | '\u{1d200}'..='\u{1d24f}' => return true,
        // 2.9 OldHangulJamo.
        '\u{1100}'..='\u{11ff}' | '\u{a960}'..='\u{a97f}' | '\u{d7b0}'..='\u{d7ff}' => return true,
        _ => {}
    }
    let category = CodePointMapData::<GeneralCategory>::new().get(c);
    if category == GeneralCategory::Unassigned {
        return false;
    }
    // 2.2 Unstable and 2.3 IgnorableProperties.
    if CodePointSetData::new::<ChangesWhenNfkcCasefolded>().contains(c)
        || CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c)
    {
        return true;
    }
    // 2.1 LetterDigits.
    !matches!(
        category,
        GeneralCategory::LowercaseLetter
            | GeneralCategory::UppercaseLetter
            | GeneralCategory::OtherLetter
            | GeneralCategory::DecimalNumber
            | GeneralCategory::ModifierLetter
            | GeneralCategory::NonspacingMark
            | GeneralCategory::SpacingMark
    )
}

/// Whether a label begins with `xn--`.
pub fn is_xn(label: &[u8]) -> bool {
    label.get(..4).is_some_and(|prefix| prefix.eq_ignore_ascii_case(b"xn--"))
}

/// What the Punycode of an XN-Label stands for; `None` when it is no XN-Label or not output of the algorithm.
pub fn decoded(label: &[u8]) -> Option<String> {
    let code = std::str::from_utf8(label.get(4..).filter(|_| is_xn(label))?).ok()?;
    // A DNS label has at most 63 octets; longer ones are name.ldh's, and decoding them could be slow.
    if code.is_empty() || code.len() > 59 {
        return None;
    }
    // RFC 3492 5: the digits of Punycode are case-insensitive and only mark the case of what they stand for.
    let text = idna::punycode::decode(&code.to_ascii_lowercase())?;
    let encoded = idna::punycode::encode(&text)?;
    encoded.eq_ignore_ascii_case(code).then(|| text.iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_derived_property_is_that_of_rfc_5892() {
        for c in
            "a0-\u{df}\u{e9}\u{3c2}\u{431}\u{5d0}\u{628}\u{661}\u{905}\u{94d}\u{10d0}\u{3042}\u{30fb}\u{4e00}\u{ac00}\
                  \u{131}\u{13a0}\u{200d}\u{b7}\u{1e9f}\u{20000}"
                .chars()
        {
            assert!(!is_disallowed(c), "U+{:04X}", u32::from(c));
        }
        for c in "A_ .\u{c9}\u{aa}\u{149}\u{17f}\u{ad}\u{640}\u{1100}\u{1e9e}\u{200b}\u{20ac}\u{2122}\u{2665}\u{303b}\u{3000}\
                  \u{ff41}\u{ab70}\u{345}\u{fb01}\u{1f600}\u{1d100}\u{fffd}\u{e000}"
            .chars()
        {
            assert!(is_disallowed(c), "U+{:04X}", u32::from(c));
        }
    }
}
