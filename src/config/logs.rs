//! The meaning of `[logs]`.

use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::address::{Refusal, check_contact, check_url, parse_rate, parse_span};
use super::document::Document;
use super::problem::{quote, read_file};
use super::raw::{RawLogs, RawOverride};
use super::{ListSigning, ListSource, LogOverride, LogsConfig, StartAt};
use crate::clock::Timestamp;
use crate::ct::list_key::ListKey;

/// The longest log list that is read, in bytes; today's lists have 0.2 MB.
const LIST_LIMIT_BYTES: u64 = 16 << 20;

/// The longest key file that is read, in bytes.
const KEY_LIMIT_BYTES: u64 = 1 << 20;

/// `[logs]`, or `None` when a problem was reported.
pub(super) fn build(raw: RawLogs, document: &mut Document<'_>) -> Option<LogsConfig> {
    let list = raw.list.and_then(|text| list_source(&text, document));
    let signing = signing(raw.list_key, raw.list_signature, list.as_ref(), document);
    let contact = raw.contact.and_then(|text| checked(text, check_contact, "logs.contact", document));
    let start = raw.start.and_then(|text| start_at(&text, "logs.start", document));
    let refresh = raw.refresh.and_then(|text| match parse_span(&text) {
        Ok(span) => Some(span),
        Err(reason) => document.refuse("logs.refresh", reason, "The default is 1h."),
    });
    let expiring_after = raw.expiring_after.map(|text| match Timestamp::parse(&text).filter(is_of_logs) {
        Some(time) => Some(time),
        None => {
            let reason = format!("{} is no time of the era of logs", quote(&text));
            document.refuse("logs.expiring_after", reason, "Write for instance \"2026-01-01\", or remove it.")
        }
    });
    let source_addresses = source_addresses(raw.source_addresses.unwrap_or_default(), document);
    let mut overrides: Vec<LogOverride> = Vec::new();
    for (at, raw) in raw.r#override.into_iter().enumerate() {
        let shown = format!("logs.override[{}]", at + 1);
        let Some(one) = log_override(raw, &shown, document) else { continue };
        if overrides.iter().any(|other| other.log_id == one.log_id) {
            let remedy = "Put everything about one log into one [[logs.override]].";
            document.refuse::<()>(&format!("{shown}.log_id"), "is overridden twice", remedy);
        } else {
            overrides.push(one);
        }
    }
    let (start, refresh) = (start?, refresh?);
    let (list, signing, contact, states) = (list?, signing?, contact?, raw.states?);
    let (expiring_after, source_addresses) = (wanted(expiring_after)?, source_addresses?);
    Some(LogsConfig { list, signing, contact, start, refresh, states, expiring_after, source_addresses, overrides })
}

fn source_addresses(texts: Vec<String>, document: &mut Document<'_>) -> Option<Vec<IpAddr>> {
    let key = "logs.source_addresses";
    let mut addresses: Vec<IpAddr> = Vec::new();
    for text in &texts {
        let own = |address: &IpAddr| !address.is_unspecified() && !address.is_multicast();
        match text.parse().ok().filter(own) {
            Some(address) if !addresses.contains(&address) => addresses.push(address),
            Some(_) => return document.refuse(key, format!("{} stands twice", quote(text)), "Name it once."),
            None => {
                let reason = format!("{} is no address that a machine has", quote(text));
                return document.refuse(key, reason, "Write numbers, for instance 192.0.2.1 or 2001:db8::1.");
            }
        }
    }
    Some(addresses)
}

/// From 2013 on, the year of the first log: anything earlier is a slip of the pen.
fn is_of_logs(time: &Timestamp) -> bool {
    (2013..2100).contains(&time.year())
}

/// `beginning`, `end`, or a time.
fn start_at(text: &str, key: &str, document: &mut Document<'_>) -> Option<StartAt> {
    let remedy = "Write \"beginning\", \"end\", or a time such as \"2026-01-01\" or \"2026-01-01T12:00:00Z\".";
    match text {
        "beginning" => Some(StartAt::Beginning),
        "end" => Some(StartAt::End),
        _ => match Timestamp::parse(text).filter(is_of_logs) {
            Some(time) => Some(StartAt::Time(time)),
            None => document.refuse(key, format!("{} is no place in a log", quote(text)), remedy),
        },
    }
}

fn list_source(text: &str, document: &mut Document<'_>) -> Option<ListSource> {
    if text.contains("://") {
        return checked(text.to_string(), check_url, "logs.list", document).map(ListSource::Url);
    }
    let path = document.path(text);
    match read_file(&path, LIST_LIMIT_BYTES) {
        Ok(_) => Some(ListSource::File(path)),
        Err(reason) => document.refuse("logs.list", reason, "Name a readable log list (v3 JSON) or its https URL."),
    }
}

/// Who must have signed the list; the inner `None` when nobody must.
fn signing(
    key: Option<String>,
    signature: Option<String>,
    list: Option<&ListSource>,
    document: &mut Document<'_>,
) -> Option<Option<ListSigning>> {
    let Some(key) = key else {
        if signature.is_some() && !document.has("logs.list_key") {
            let remedy = "Name the publisher's public key in logs.list_key, or remove logs.list_signature.";
            return document.refuse("logs.list_signature", "is not looked at without logs.list_key", remedy);
        }
        return Some(None);
    };
    let key_file = document.path(&key);
    let remedy = "Name the PEM file with the public key of the list's publisher.";
    let read = read_file(&key_file, KEY_LIMIT_BYTES);
    let read =
        read.and_then(|bytes| ListKey::from_pem(&bytes).map_err(|reason| format!("{} {reason}", key_file.display())));
    let key = read.map_or_else(|reason| document.refuse("logs.list_key", reason, remedy), Some);
    let signature = match signature {
        Some(text) if text.contains("://") => {
            checked(text, check_url, "logs.list_signature", document).map(ListSource::Url)
        }
        Some(text) => Some(ListSource::File(document.path(&text))),
        None => list.and_then(|list| {
            let found = beside(list);
            let remedy = "Name the place of the signature in logs.list_signature.";
            let reason = "is needed: the place beside the list cannot be told";
            found.or_else(|| document.refuse("logs.list_signature", reason, remedy))
        }),
    };
    Some(Some(ListSigning { key: key?, key_file, signature: signature? }))
}

/// log_list.sig beside log_list.json.
fn beside(list: &ListSource) -> Option<ListSource> {
    match list {
        ListSource::File(path) => Some(ListSource::File(path.with_extension("sig"))),
        ListSource::Url(text) => {
            let mut url = reqwest::Url::parse(text).ok()?;
            let path = format!("{}.sig", url.path().strip_suffix(".json")?);
            url.set_path(&path);
            Some(ListSource::Url(url.into()))
        }
    }
}

fn log_override(raw: RawOverride, shown: &str, document: &mut Document<'_>) -> Option<LogOverride> {
    let log_id = raw.log_id.and_then(|text| {
        // RFC 6962 3.2: the LogID is the SHA-256 hash of the log's public key.
        let bytes = STANDARD.decode(text.trim()).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        let reason = || format!("{} is not 32 bytes in base64", quote(&text));
        bytes.or_else(|| document.refuse(&format!("{shown}.log_id"), reason(), "Copy log_id from the log list."))
    });
    let key = format!("{shown}.monitoring_url");
    let monitoring_url = raw.monitoring_url.map(|text| checked(text, check_url, &key, document));
    let origin = raw.origin.map(|text| {
        // C2SP tlog-checkpoint: the origin is the first line of the note, so it has no line break.
        let good = text.len() <= 500 && !text.chars().any(char::is_control) && text.trim() == text;
        let remedy = "Copy the first line of the log's checkpoint.";
        if good { Some(text) } else { document.refuse(&format!("{shown}.origin"), "is not one line of text", remedy) }
    });
    let start_key = format!("{shown}.start");
    let start = raw.start.map(|text| start_at(&text, &start_key, document));
    let rate_key = format!("{shown}.rate");
    let rate = raw.rate.map(|text| match parse_rate(&text) {
        Ok(rate) => Some(rate),
        Err(reason) => document.refuse(&rate_key, reason, "Leave it out to let the log itself say what it stands."),
    });
    let corrections = ["origin", "monitoring_url", "start", "page", "rate"];
    if !corrections.iter().any(|name| document.has(&format!("{shown}.{name}"))) {
        let remedy = "Write origin, monitoring_url, start, page or rate, or remove the section.";
        document.missing(&format!("{shown}.origin"), remedy);
    }
    let trimmed = |url: Option<String>| url.map(|url| url.trim_end_matches('/').to_string());
    let (origin, monitoring_url) = (wanted(origin)?, wanted(monitoring_url.map(trimmed))?);
    let (start, rate) = (wanted(start)?, wanted(rate)?);
    Some(LogOverride { log_id: log_id?, origin, monitoring_url, start, page: raw.page, rate })
}

/// A key that may be left out, checked when it is there.
fn wanted<T>(value: Option<Option<T>>) -> Option<Option<T>> {
    match value {
        Some(None) => None,
        Some(some) => Some(some),
        None => Some(None),
    }
}

fn checked(
    text: String,
    check: fn(&str) -> Result<(), Refusal>,
    key: &str,
    document: &mut Document<'_>,
) -> Option<String> {
    match check(&text) {
        Ok(()) => Some(text),
        Err((reason, remedy)) => document.refuse(key, reason, remedy),
    }
}

#[cfg(test)]
mod tests;
