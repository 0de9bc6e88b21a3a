//! A notice as a mail: RFC 5322 headers and a MIME body, the same bytes every time for the same notice and addresses.

use lettre::Address;
use lettre::message::header::{
    ContentDisposition, ContentType, From as FromHeader, HeaderName, HeaderValue, Headers, To as ToHeader,
};
use lettre::message::{Mailbox, MultiPart, SinglePart};
use sha2::{Digest, Sha256};

use super::{SetupError, attachment, clean, text, thread};
use crate::case::{EventKind, Notice};
use crate::clock::{Timestamp, civil_from_days};
use crate::finding::Finding;

/// Longest subject, in characters, so that a header line never nears the 998 of RFC 5322 2.1.1.
const SUBJECT_LIMIT: usize = 240;
/// Longest value of a header of our own.
const HEADER_LIMIT: usize = 400;

/// Which headers a recipient gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Profile {
    /// A person's mailbox: marked as automatic (RFC 3834), so that no absence note answers it, and as a list.
    #[default]
    Human,
    /// A ticket system: several refuse or suspend mail with Auto-Submitted or List-Id, so it carries neither.
    Ticket,
}

/// From whom, to whom, and how: all that a mail needs besides the notice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addressing {
    from: Mailbox,
    to: Mailbox,
    profile: Profile,
}

impl Addressing {
    /// From addresses as they stand in the configuration: `pki@ca.example` or `PKI <pki@ca.example>`.
    ///
    /// # Errors
    /// [`SetupError::Address`] when one is no address or not ASCII (an international domain is written as A-labels).
    pub fn parse(from: &str, to: &str, profile: Profile) -> Result<Addressing, SetupError> {
        Ok(Addressing { from: mailbox(from)?, to: mailbox(to)?, profile })
    }

    /// The recipient's address without the display name, as the outbox keeps it.
    pub fn recipient(&self) -> String {
        self.to.email.to_string()
    }
}

/// RFC 6531 would allow more, but a server without SMTPUTF8 would then refuse the alert.
fn mailbox(text: &str) -> Result<Mailbox, SetupError> {
    let refuse = |reason: String| SetupError::Address { address: clean(text, 120), reason };
    if !text.bytes().all(|b| (b' '..=b'~').contains(&b)) {
        return Err(refuse("it holds something other than printable ASCII".to_string()));
    }
    text.trim().parse::<Mailbox>().map_err(|error| refuse(error.to_string()))
}

/// One message to one recipient, ready to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// `<case.CASE-2026-0042.opened.1@ca.example>`: the same for all recipients of an event and every time it is sent.
    pub message_id: String,
    /// Sender, in the envelope too.
    pub from: Address,
    /// Recipient.
    pub to: Address,
    /// The message of RFC 5322, ASCII with CRLF line ends.
    pub bytes: Vec<u8>,
}

/// Writes the mail about a notice. Pure: the same notice and addresses give the same bytes.
pub fn compose(notice: &Notice, addressing: &Addressing) -> Mail {
    let Addressing { from, to, profile } = addressing;
    let domain = from.email.domain();
    let message_id = thread::message_id(notice, domain);
    let topic = header_text(&notice.subject_line, SUBJECT_LIMIT);
    let reply = thread::is_reply(notice);

    let mut headers = Headers::new();
    let mut add = |name: &'static str, value: String| {
        headers.insert_raw(HeaderValue::new(HeaderName::new_from_ascii_str(name), value));
    };
    add("Date", rfc5322_date(notice.event_at));
    add("Message-ID", message_id.clone());
    if let [.., previous] = thread::references(notice, domain).as_slice() {
        add("In-Reply-To", previous.clone());
        add("References", thread::references(notice, domain).join(" "));
    }
    add("Subject", format!("{}{topic}", if reply { "Re: " } else { "" }));
    add("Thread-Topic", topic);
    add("Thread-Index", thread::thread_index(notice, from.email.as_ref()));
    // [MS-OXCMAIL] 2.1.3.2.20: no receipts and no absence notes from Exchange.
    add("X-Auto-Response-Suppress", "All".to_string());
    if *profile == Profile::Human {
        // RFC 3834 5: "auto-generated" marks messages that are not in direct response to another message.
        add("Auto-Submitted", "auto-generated".to_string());
        // RFC 2919 3: a name within a domain of the sender's.
        add("List-Id", format!("ctwarden <ctwarden.{}>", domain.trim_matches(['[', ']'])));
    }
    add("X-ctwarden-Case", header_text(&notice.case, 64));
    add("X-ctwarden-Event", notice.event.word().to_string());
    add("X-ctwarden-Severity", notice.severity.word().to_string());
    if notice.event != EventKind::Test {
        add("X-ctwarden-Rule", header_text(&rules(&notice.findings), HEADER_LIMIT));
        add("X-ctwarden-Fingerprint", fingerprint(notice));
    }
    headers.set(FromHeader::from(lettre::message::Mailboxes::from(from.clone())));
    headers.set(ToHeader::from(lettre::message::Mailboxes::from(to.clone())));
    headers.insert_raw(HeaderValue::new(HeaderName::new_from_ascii_str("MIME-Version"), "1.0".to_string()));

    let mut bytes = headers.to_string().into_bytes();
    bytes.extend(body(notice, &message_id).formatted());
    Mail { message_id, from: from.email.clone(), to: to.email.clone(), bytes }
}

/// RFC 2046 5.1.4: "the last part is the richest", so text, then HTML; RFC 2046 5.1.1: "boundary delimiters must not
/// appear within the encapsulated material".
///
/// The boundaries come from a hash over the parts themselves. They are the same each time, and whoever chose the names
/// in the certificate cannot foresee them, since every attempt to write the boundary into a name changes it.
fn body(notice: &Notice, message_id: &str) -> MultiPart {
    let parts = [text::render(notice), text::render_html(notice), attachment::file(notice)];
    // RFC 5322 2.1: lines end in CRLF. lettre would do it as well, but one insertion at a time.
    let parts = parts.map(|part| part.replace('\n', "\r\n"));
    let mut digest = Sha256::new_with_prefix(message_id);
    for part in &parts {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    let hash = hex::encode(&digest.finalize()[..20]);
    let [plain, html, json] = parts;
    let alternative = MultiPart::alternative().boundary(format!("alt-{hash}")).singlepart(SinglePart::plain(plain));
    let alternative = alternative.singlepart(SinglePart::html(html));
    let mixed = MultiPart::mixed().boundary(format!("mix-{hash}")).multipart(alternative);
    let kind = ContentType::parse("application/json").unwrap_or(ContentType::TEXT_PLAIN);
    let file = SinglePart::builder().header(kind).header(ContentDisposition::attachment("CASE.json")).body(json);
    mixed.singlepart(file)
}

/// Text for a header: one line, single blanks (folding would eat the others), and nothing that a mail program would
/// decode. RFC 2047 2: an encoded-word begins with "=?"; in plain ASCII it could bring back what [`clean`] took out.
fn header_text(text: &str, limit: usize) -> String {
    let words = clean(text, limit);
    let words = words.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    words.replace("=?", "=\\x3f")
}

/// The distinct rules, worst first.
fn rules(findings: &[Finding]) -> String {
    let mut rules: Vec<&str> = Vec::new();
    for finding in findings {
        if rules.len() < 20 && !rules.contains(&finding.rule.as_ref()) {
            rules.push(&finding.rule);
        }
    }
    rules.join(", ")
}

/// What the case is about, as one short token that never changes: a hash over issuer key and serial number.
fn fingerprint(notice: &Notice) -> String {
    let about = match &notice.certificate {
        Some(certificate) => format!("{} {}", certificate.issuer_key_hash, certificate.serial),
        None => notice.case.clone(),
    };
    hex::encode(&Sha256::digest(about)[..16])
}

/// RFC 5322 3.3, in UTC: `Sun, 22 Nov 2026 09:14:02 +0000`.
fn rfc5322_date(moment: Timestamp) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (days, second) = (moment.seconds().div_euclid(86_400), moment.seconds().rem_euclid(86_400));
    let (year, month, day) = civil_from_days(days);
    // 1970-01-01 was a Thursday.
    let (weekday, month) = (DAYS[days.rem_euclid(7) as usize], MONTHS[usize::from(month - 1)]);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} +0000")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Span, date};

    #[test]
    fn dates_as_mail_wants_them() {
        let moment = date(2026, 11, 22).plus(Span::from_seconds(9 * 3600 + 14 * 60 + 2));
        assert_eq!(rfc5322_date(moment), "Sun, 22 Nov 2026 09:14:02 +0000");
        assert_eq!(rfc5322_date(Timestamp::EPOCH), "Thu, 01 Jan 1970 00:00:00 +0000");
        assert_eq!(rfc5322_date(date(2024, 2, 29)), "Thu, 29 Feb 2024 00:00:00 +0000");
        assert_eq!(rfc5322_date(date(1969, 12, 31)), "Wed, 31 Dec 1969 00:00:00 +0000");
    }

    #[test]
    fn addresses_that_would_break_a_header_are_refused() {
        let good = Addressing::parse("CT <ct@ca.example>", " oncall@ca.example ", Profile::Human).expect("addresses");
        assert_eq!(good.recipient(), "oncall@ca.example");
        for bad in ["", "nobody", "a@b\r\nBcc: x@y.example", "\u{fc}@ca.example", "a@b, c@d", "<a@b"] {
            let error = Addressing::parse("ct@ca.example", bad, Profile::Human).expect_err(bad).to_string();
            assert!(error.starts_with("mail address \"") && error.contains("write it as"), "{error}");
            assert!(error.is_ascii() && !error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn header_text_cannot_be_decoded_into_something_else() {
        assert_eq!(header_text("=?utf-8?B?DQpCY2M6?= x   y ", 100), "=\\x3futf-8?B?DQpCY2M6?= x y");
        assert_eq!(header_text("a\r\nBcc: b", 100), "a\\u{d}\\u{a}Bcc: b");
    }
}
