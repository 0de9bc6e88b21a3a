//! Telling people: a [`Notice`] becomes a [`Mail`], and a [`Notifier`] hands the mail over.
//!
//! Composition is a pure function of the notice and the addresses, so that a mail sent again after a crash is the
//! same mail, byte for byte, with the same Message-ID. The outbox decides when to try again; [`retry_after`] says how
//! long to wait.

use thiserror::Error;

use crate::case::{EventKind, Notice};
use crate::clock::{HOUR, Span, Timestamp};
use crate::finding::{RevocationClock, Severity};

pub mod attachment;
mod folder;
pub mod mail;
mod memory;
mod page;
mod smtp;
pub mod text;
mod thread;

pub use folder::Folder;
pub use mail::{Addressing, Mail, Profile, compose};
pub use memory::Memory;
pub use smtp::{Smtp, SmtpSettings, Tls};

/// Why a mail was not handed over. Either way it stays in the outbox.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SendError {
    /// It may work later without a change: network, timeout, 4xx, TLS, or a login that the operator will mend.
    #[error("{0}")]
    Transient(String),
    /// The server refuses this mail or this recipient for good (5xx): somebody has to change something.
    #[error("{0}")]
    Permanent(String),
}

/// Why a notifier cannot be made from its settings.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SetupError {
    /// A mail address that is none.
    #[error("mail address {address:?}: {reason}; write it as name@ca.example or \"Name <name@ca.example>\", in ASCII")]
    Address {
        /// The address as given, escaped.
        address: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Plain text to a server that is not this machine.
    #[error(
        "mail server {server:?}: tls = \"none-on-loopback\" is for localhost, 127.0.0.0/8 and ::1 only; use \"starttls\" or \"tls\""
    )]
    NotLoopback {
        /// The server.
        server: String,
    },
    /// A user name without a password or the reverse.
    #[error("mail server {server:?}: username and password go together; give both or neither")]
    HalfLogin {
        /// The server.
        server: String,
    },
    /// TLS cannot be set up.
    #[error("mail server {server:?}: TLS cannot be set up: {reason}; check the CA certificate file (PEM)")]
    Tls {
        /// The server.
        server: String,
        /// What went wrong.
        reason: String,
    },
    /// The folder cannot be made or is not a directory.
    #[error("mail folder {directory}: {reason}; name a directory that can be written to")]
    Folder {
        /// The directory.
        directory: String,
        /// What went wrong.
        reason: String,
    },
}

/// Where mails go.
#[derive(Clone, Debug)]
pub enum Notifier {
    /// To a mail server.
    Smtp(Smtp),
    /// Into a directory, one file per mail.
    Folder(Folder),
    /// Into memory, for tests.
    Memory(Memory),
}

impl Notifier {
    /// Hands one mail over. `Ok` means that the other side has taken responsibility for it (250 after DATA, or synced
    /// to disk). Sending the same mail twice is harmless: it carries the same Message-ID.
    ///
    /// # Errors
    /// [`SendError::Transient`] or [`SendError::Permanent`], with server, reason and remedy.
    pub async fn send(&self, mail: &Mail) -> Result<(), SendError> {
        match self {
            Notifier::Smtp(smtp) => smtp.send(mail).await,
            Notifier::Folder(folder) => folder.send(mail).await,
            Notifier::Memory(memory) => memory.send(mail),
        }
    }

    /// The `channel` label of `ctwarden_notifications_total`.
    pub const fn channel(&self) -> &'static str {
        "mail"
    }
}

/// The first wait after a failure.
const BACKOFF_FIRST: Span = Span::from_seconds(30);
/// The longest wait between two attempts.
const BACKOFF_LONGEST: Span = Span::from_seconds(1800);

/// How long to wait after the `attempts`th failure (from 1): 30 s, doubling to 30 minutes, for ever. `jitter` is any
/// random number; it takes up to a quarter off, so that what failed together does not come back together.
pub fn backoff(attempts: u32, jitter: u64) -> Span {
    let doublings = attempts.saturating_sub(1).min(16);
    let full = (BACKOFF_FIRST.millis() << doublings).min(BACKOFF_LONGEST.millis());
    Span::from_millis(full - (jitter % (full as u64 / 4 + 1)) as i64)
}

/// How long to wait before a mail is tried again: [`backoff`], or an hour after a permanent refusal, because only a
/// person can mend that.
pub fn retry_after(error: &SendError, attempts: u32, jitter: u64) -> Span {
    match error {
        SendError::Transient(_) => backoff(attempts, jitter),
        SendError::Permanent(_) => HOUR,
    }
}

/// What `ctwarden test-alert` sends: no case, no certificate, only the proof that mail arrives. Every second has a
/// Message-ID of its own, so that a second test is not taken for a duplicate.
pub fn test_notice(now: Timestamp) -> Notice {
    Notice {
        case: format!("TEST-{}", now.seconds()),
        event: EventKind::Test,
        event_number: 1,
        event_at: now,
        aware_at: now,
        clock: RevocationClock::None,
        due: None,
        severity: Severity::Notice,
        findings: Vec::new(),
        new_findings: 0,
        clock_since: None,
        resolved: None,
        certificate: None,
        sightings: Vec::new(),
        record: Vec::new(),
        not_evaluable: Vec::new(),
        opinions: Vec::new(),
        subject_line: format!("[test] ctwarden: test message of {}", now.minute()),
    }
}

/// Text for a person or a header: printable ASCII as it is, everything else (controls, bidi marks, line ends) as an
/// escape, cut at `limit` characters. Notices are escaped when they are made; this is the second lock on the door,
/// so it leaves backslashes alone.
fn clean(text: &str, limit: usize) -> String {
    let mut out = String::with_capacity(text.len().min(limit));
    for (place, c) in text.chars().enumerate() {
        match c {
            _ if place == limit => {
                out.push_str("...");
                break;
            }
            ' '..='~' => out.push(c),
            _ => out.extend(c.escape_unicode()),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_half_an_hour_and_never_end() {
        let full: Vec<i64> = (1..=8).map(|attempts| backoff(attempts, 0).seconds()).collect();
        assert_eq!(full, [30, 60, 120, 240, 480, 960, 1800, 1800]);
        assert_eq!(backoff(0, 0).seconds(), 30);
        assert_eq!(backoff(u32::MAX, 0), BACKOFF_LONGEST);
        for jitter in [1, 7_500, 7_501, u64::MAX] {
            let wait = backoff(1, jitter).millis();
            assert!((22_500..=30_000).contains(&wait), "{wait}");
        }
        assert_eq!(backoff(1, 7_500).millis(), 22_500);
        assert_eq!(retry_after(&SendError::Permanent(String::new()), 1, 5), HOUR);
        assert_eq!(retry_after(&SendError::Transient(String::new()), 2, 0).seconds(), 60);
    }

    #[test]
    fn cleaning_leaves_one_line_of_printable_ascii() {
        assert_eq!(clean("a\\x0d\r\nb\u{202e}", 100), "a\\x0d\\u{d}\\u{a}b\\u{202e}");
        assert_eq!(clean("abcdef", 3), "abc...");
        assert_eq!(clean("abc", 3), "abc");
    }
}
