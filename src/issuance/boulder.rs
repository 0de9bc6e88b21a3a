//! The audit log of Boulder: what a CA that runs it keeps in no table (CAA checks, what remote perspectives saw, the
//! precertificate as signed) and the request that ties it together, as rows of the feed.
//!
//! A line is `... CHECKSUM [AUDIT] TEXT`, where TEXT is `MESSAGE JSON={...}`, since 2026 `{"time":...,"msg":"MESSAGE",...}`,
//! or, for some messages of older releases, words. What is before it is syslog's. The lines come from several programs
//! on several machines, so nothing is said of their order. The members are those of Boulder's validationLogEvent,
//! certificateRequestEvent, certificateRevocationEvent and issuanceEvent, and since 2026 those of its package blog.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use memchr::memmem;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::cert::{Certificate, oid};
use crate::clock::Timestamp;
use crate::finding::{KeyHash, Serial, escape};

mod messages;
pub(super) mod ties;

/// An issuer of the CA, by which certificates in the log are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownIssuer {
    /// Its name.
    pub name: String,
    /// SHA-256 of its SubjectPublicKeyInfo.
    pub key_hash: KeyHash,
    /// Its CA certificate, DER.
    pub certificate: Arc<[u8]>,
}

impl KnownIssuer {
    /// Whether it issued the certificate, by name and, where both have one, key identifier.
    fn issued(&self, certificate: &Certificate) -> bool {
        let Ok(own) = Certificate::parse(&self.certificate) else { return false };
        let named = own.extension(oid::SUBJECT_KEY_ID).next().map(|extension| extension.value.clone());
        let names = certificate.extension(oid::AUTHORITY_KEY_ID).next().map(|extension| extension.value.clone());
        // RFC 5280 4.2.1.2: KeyIdentifier ::= OCTET STRING; two octets of tag and length stand before its content.
        let key = match (&named, &names) {
            (Some(named), Some(names)) if named.len() > 2 => memmem::find(names, &named[2..]).is_some(),
            _ => true,
        };
        own.subject_der() == certificate.issuer_der() && key
    }
}

/// What a line says.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Said {
    /// Rows, and whether one counts only where there is none yet.
    pub(super) rows: Vec<(Map<String, Value>, bool)>,
    /// CAA checks by the account that they were made for.
    pub(super) checks: Vec<AccountCheck>,
    /// What the remote perspectives saw of the CAA check before.
    pub(super) remote: Option<(AccountCheck, [i64; 3])>,
    /// A certificate was issued for its precertificate: its number and SHA-256.
    pub(super) issued: Option<(i64, String)>,
    /// A precertificate was signed: its number, SHA-256 and when.
    pub(super) signed: Option<(i64, String, Timestamp)>,
    /// Names that were authorised: account, certificate, names, time of signing.
    pub(super) names: Option<(String, i64, Vec<String>, Timestamp)>,
    /// An authorization that an order rests on, told apart from the certificate.
    pub(super) used: Option<Used>,
    /// The certificate of an order, told apart from its authorizations: order, account, certificate, time of signing.
    pub(super) request: Option<(String, String, i64, Timestamp)>,
}

/// An authorization that an order rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Used {
    pub(super) order: String,
    pub(super) name: String,
    pub(super) dcv_id: i64,
}

/// A CAA check of a name for an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AccountCheck {
    pub(super) account: String,
    pub(super) name: String,
    pub(super) at: Timestamp,
    pub(super) caa_id: i64,
}

/// What a line turned out to be.
#[derive(Debug, PartialEq)]
pub(super) enum Reading {
    Said(Box<Said>),
    /// Nothing for the record.
    Nothing,
    /// It should have said something, and why it does not.
    Bad(String),
}

/// Reads a line.
pub(super) fn read(line: &[u8], issuers: &[KnownIssuer]) -> Reading {
    const TAG: &[u8] = b"[AUDIT] ";
    let Some(at) = memmem::find(line, TAG) else { return Reading::Nothing };
    let (before, text) = (String::from_utf8_lossy(&line[..at]), &line[at + TAG.len()..]);
    if let Some(false) = checksum(&before, &line[at..]) {
        return Reading::Bad("its checksum is not that of its text: it was changed or cut".to_string());
    }
    let Ok(text) = std::str::from_utf8(text) else { return Reading::Bad("is not UTF-8".to_string()) };
    let (message, object) = match split(text) {
        Ok(split) => split,
        Err(reason) => return Reading::Bad(reason),
    };
    if !messages::WANTED.iter().any(|wanted| message.starts_with(wanted)) {
        return Reading::Nothing;
    }
    let stated = object.get("time").and_then(Value::as_str).and_then(Timestamp::parse);
    let Some(at) = stated.or_else(|| time(&before)) else {
        return Reading::Bad("has no time: log with the time of the message (RFC 3339)".to_string());
    };
    match messages::said(message, &object, at, issuers) {
        Ok(Some(said)) => Reading::Said(Box::new(said)),
        Ok(None) => Reading::Nothing,
        Err(reason) => Reading::Bad(reason),
    }
}

/// The message and its object, which is empty for messages of words alone.
fn split(text: &str) -> Result<(&str, Map<String, Value>), String> {
    let object = |json: &str| {
        let odd =
            |error: serde_json::Error| format!("not a JSON object: {}", escape(error.to_string().as_bytes(), 200));
        serde_json::from_str::<Map<String, Value>>(json).map_err(odd)
    };
    if text.starts_with('{') {
        let object = object(text)?;
        let message = messages::WANTED.iter().find(|wanted| object.get("msg").and_then(Value::as_str) == Some(wanted));
        return Ok((message.copied().unwrap_or_default(), object));
    }
    match text.split_once(" JSON=") {
        Some((message, json)) if messages::WANTED.contains(&message) => Ok((message, object(json)?)),
        _ => Ok((text, Map::new())),
    }
}

/// Whether the checksum before the text is that of the text; `None` when there is none. It is the CRC-32 (IEEE) in
/// base64: as a varint padded to five octets, since 2026 as four octets, little-endian.
fn checksum(before: &str, text: &[u8]) -> Option<bool> {
    let word = before.split_ascii_whitespace().next_back()?;
    let given = URL_SAFE_NO_PAD.decode(word).ok()?;
    let mut crc = flate2::Crc::new();
    crc.update(text);
    let mut rest = crc.sum();
    let octets = match given.len() {
        4 => rest.to_le_bytes().to_vec(),
        5 => {
            let mut octets = vec![0; 5];
            for octet in &mut octets {
                *octet = (rest & 0x7f) as u8 | if rest > 0x7f { 0x80 } else { 0 };
                rest >>= 7;
                if rest == 0 {
                    break;
                }
            }
            octets
        }
        _ => return None,
    };
    Some(octets == given)
}

/// The last time that stands in front of the text; older releases write a `Z` behind the offset.
fn time(before: &str) -> Option<Timestamp> {
    let read = |word: &str| {
        Timestamp::parse(word)
            .or_else(|| word.contains('+').then(|| Timestamp::parse(word.trim_end_matches('Z'))).flatten())
    };
    before.split_ascii_whitespace().rev().find_map(read)
}

/// A number for something that has none: the same for the same text.
fn number(of: &str, text: &str) -> i64 {
    let digest = Sha256::digest(format!("{of}\0{text}"));
    let octets: [u8; 8] = digest[..8].try_into().unwrap_or_default();
    (u64::from_be_bytes(octets) >> 2) as i64 + 1
}

/// The number of a certificate: Boulder gives no serial number twice, whoever the issuer is.
fn cert_id(serial: &str) -> Option<i64> {
    Serial::from_hex(serial).map(|serial| number("certificate", &serial.value_hex()))
}

fn row(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(row) => row,
        _ => Map::new(),
    }
}

/// The rows that every account needs.
fn account_rows(account: &str) -> [(Map<String, Value>, bool); 2] {
    [
        (row(json!({"table": "accounts", "account_id": account, "kind": "direct"})), true),
        (row(json!({"table": "applicants", "applicant_id": account, "account_id": account})), true),
    ]
}

#[cfg(test)]
mod tests;
