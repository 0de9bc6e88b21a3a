//! What makes the mails of one case one conversation in every mail program: Message-ID, References (RFC 5322 3.6.4)
//! and Thread-Index (MS-OXOMSG 2.2.1.3).
//!
//! Nothing is stored: every earlier identifier is computed from the case's name and the number of the event, of which
//! the first is always `opened` and every later one `updated`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use crate::case::{EventKind, Notice};
use crate::clock::Timestamp;

/// How many identifiers References names: the first of the conversation and the newest ones.
const REFERENCES_LIMIT: u32 = 12;
/// How many replies Thread-Index lists; Outlook groups by the first 22 bytes alone.
const REPLIES_LIMIT: u32 = 40;
/// Seconds from 1601-01-01, where FILETIME begins, to 1970-01-01.
const FILETIME_EPOCH_SECONDS: u64 = 11_644_473_600;

/// The Message-ID of an event of a case, the same for every recipient: `<case.CASE-2026-0042.opened.1@ca.example>`.
/// `domain` is that of a parsed address.
pub(super) fn message_id(notice: &Notice, domain: &str) -> String {
    identifier(&notice.case, notice.event, notice.event_number, domain)
}

/// The Message-IDs of earlier events, oldest first; the last is the one replied to. Empty for the first event and for
/// test messages. Of a long conversation the middle is left out, the root never.
pub(super) fn references(notice: &Notice, domain: &str) -> Vec<String> {
    if !is_reply(notice) {
        return Vec::new();
    }
    let newest = (notice.event_number.saturating_sub(REFERENCES_LIMIT - 1)).max(2)..notice.event_number;
    let root = identifier(&notice.case, EventKind::Opened, 1, domain);
    let later = newest.map(|number| identifier(&notice.case, EventKind::Updated, number, domain));
    std::iter::once(root).chain(later).collect()
}

/// Whether an earlier mail of the same conversation exists.
pub(super) fn is_reply(notice: &Notice) -> bool {
    notice.event != EventKind::Test && notice.event_number > 1
}

/// The Thread-Index header. MS-OXOMSG 2.2.1.3: a header block of 22 bytes (0x01, five bytes of FILETIME, a GUID) and
/// for each reply a block of 5 bytes (31 bits of time difference, 8 bits to tell siblings apart).
///
/// The GUID comes from case and sender. The times of earlier events are not known here and need not be: the blocks
/// only have to be the same in every mail, so reply k says k units of time (26 ms each).
pub(super) fn thread_index(notice: &Notice, sender: &str) -> String {
    let mut index = Vec::with_capacity(22);
    index.push(0x01);
    index.extend_from_slice(&filetime(notice.aware_at).to_be_bytes()[1..6]);
    index.extend_from_slice(&Sha256::digest(format!("{sender}\n{}", notice.case))[..16]);
    if is_reply(notice) {
        for reply in 1..notice.event_number.min(REPLIES_LIMIT + 1) {
            index.extend_from_slice(&reply.to_be_bytes());
            index.push(0);
        }
    }
    STANDARD.encode(index)
}

/// 100 ns since 1601; moments before 1970 count as 1970.
fn filetime(moment: Timestamp) -> u64 {
    let seconds = u64::try_from(moment.seconds()).unwrap_or(0);
    seconds.saturating_add(FILETIME_EPOCH_SECONDS).saturating_mul(10_000_000)
}

fn identifier(case: &str, event: EventKind, number: u32, domain: &str) -> String {
    format!("<case.{}.{}.{number}@{domain}>", atom(case), event.word())
}

/// The case's name with only what a dot-atom of RFC 5322 3.2.3 allows everywhere.
fn atom(case: &str) -> String {
    case.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::date;
    use crate::notify::test_notice;

    fn event(number: u32) -> Notice {
        let event = if number == 1 { EventKind::Opened } else { EventKind::Updated };
        Notice { case: "CASE-2026-0042".into(), event, event_number: number, ..test_notice(date(2026, 11, 21)) }
    }

    #[test]
    fn the_first_event_starts_the_conversation_and_later_ones_name_all_before() {
        assert_eq!(message_id(&event(1), "ca.example"), "<case.CASE-2026-0042.opened.1@ca.example>");
        assert_eq!(references(&event(1), "ca.example"), Vec::<String>::new());
        for number in 2..12 {
            let expected: Vec<String> = (1..number).map(|n| message_id(&event(n), "ca.example")).collect();
            assert_eq!(references(&event(number), "ca.example"), expected);
        }
        let long = references(&event(4_000_000_000), "ca.example");
        assert_eq!(long.len(), REFERENCES_LIMIT as usize);
        assert_eq!(long[0], message_id(&event(1), "ca.example"));
        assert_eq!(long.last(), Some(&message_id(&event(3_999_999_999), "ca.example")));
    }

    #[test]
    fn a_hostile_case_name_stays_inside_its_atom() {
        let notice = Notice { case: "A>\r\nBcc: x@y".into(), ..event(1) };
        assert_eq!(message_id(&notice, "d"), "<case.A___Bcc__x_y.opened.1@d>");
    }

    #[test]
    fn every_reply_continues_the_thread_index_of_the_one_before() {
        let decode = |number| STANDARD.decode(thread_index(&event(number), "a@ca.example")).expect("base64");
        let root = decode(1);
        assert_eq!(root.len(), 22);
        // 2026-11-21T00:00:00Z is 134396928000000000 times 100 ns after 1601 (Python's datetime says so as well).
        assert_eq!(root[..6], 134_396_928_000_000_000u64.to_be_bytes()[..6]);
        for number in 2..20 {
            let (before, this) = (decode(number - 1), decode(number));
            assert_eq!(this.len(), before.len() + 5);
            assert_eq!(this[..before.len()], before[..]);
        }
        assert_eq!(decode(u32::MAX).len(), 22 + 5 * REPLIES_LIMIT as usize);
        let other = Notice { case: "CASE-2026-0043".into(), ..event(1) };
        assert_ne!(thread_index(&other, "a@ca.example"), thread_index(&event(1), "a@ca.example"));
    }
}
