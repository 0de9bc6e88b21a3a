//! The meaning of what `[issuance]` says of a database server.

use std::collections::BTreeSet;
use std::time::Duration;

use super::address::{check_host, is_loopback, parse_span};
use super::document::Document;
use super::problem::quote;
use super::raw::{RawIssuance, RawMappedIssuer};
use super::secret::{ca_certificate, password};
use super::{IssuanceSource, Issuer};
use crate::issuance::questions;
use crate::issuance::sql::{Dialect, MappedIssuer, SerialForm, Settings, Tls, check_text, preset};

/// The keys that mean nothing without a server.
#[rustfmt::skip]
const SERVER_KEYS: [&str; 15] = [
    "issuance.preset", "issuance.host", "issuance.port", "issuance.database", "issuance.user", "issuance.password_file",
    "issuance.tls", "issuance.ca_certificate", "issuance.connections", "issuance.statement_timeout",
    "issuance.connect_timeout", "issuance.serials", "issuance.replica_time", "issuance.queries", "issuance.issuer",
];

/// `Some(None)` where the record is on no server; `None` when a problem was reported.
pub(super) fn build(raw: RawIssuance, issuers: &[Issuer], document: &mut Document<'_>) -> Option<Option<Settings>> {
    let dialect = match raw.source? {
        IssuanceSource::Postgres => Dialect::Postgres,
        IssuanceSource::Mysql => Dialect::Mysql,
        IssuanceSource::Embedded | IssuanceSource::None => {
            let mut sound = Some(None);
            for key in SERVER_KEYS.into_iter().filter(|key| document.has(key)).collect::<Vec<_>>() {
                let remedy = "Remove it, or write source = \"postgres\" or \"mysql\".";
                document.refuse::<()>(key, "has no meaning without a database server", remedy);
                sound = None;
            }
            return sound;
        }
    };
    server(raw, dialect, issuers, document).map(Some)
}

fn server(raw: RawIssuance, dialect: Dialect, issuers: &[Issuer], document: &mut Document<'_>) -> Option<Settings> {
    let wanted = [
        ("issuance.preset", "Write preset = \"ctwarden\", or preset = \"none\" and the texts in [issuance.queries]."),
        ("issuance.host", "Name the server: host = \"ca-replica.example\"."),
        ("issuance.database", "Name the database on the server: database = \"ca\"."),
        ("issuance.user", "Name a user who may SELECT and nothing else: user = \"ctwarden\"."),
    ];
    for (key, remedy) in wanted {
        if !document.has(key) {
            document.missing(key, remedy);
        }
    }
    let host = raw.host.and_then(|host| match check_host(&host) {
        Ok(()) => Some(host),
        Err((reason, remedy)) => document.refuse("issuance.host", reason, remedy),
    });
    let password = match raw.password_file {
        Some(file) => {
            password("issuance.password_file", &file, document).map(|secret| Some(secret.expose().to_string()))
        }
        None => Some(None).filter(|_| !document.has("issuance.password_file")),
    };
    let ca = match raw.ca_certificate {
        Some(file) => ca_certificate("issuance.ca_certificate", &file, document).map(Some),
        None => Some(None).filter(|_| !document.has("issuance.ca_certificate")),
    };
    let tls = match raw.tls.as_deref() {
        Some("verify") => ca.map(Tls::Verify),
        Some(_) => {
            if let Some(host) = host.as_deref().filter(|host| !is_loopback(host)) {
                let reason = format!("\"none-on-loopback\" does not go with host {}", quote(host));
                document.refuse::<()>(
                    "issuance.tls",
                    reason,
                    "Use \"verify\"; the record leaves that machine encrypted.",
                );
            }
            Some(Tls::NoneOnLoopback)
        }
        None => None,
    };
    let statement_timeout = span("issuance.statement_timeout", raw.statement_timeout, document);
    let connect_timeout = span("issuance.connect_timeout", raw.connect_timeout, document);
    let mapped = mapped(raw.issuer, issuers, document);
    let mut chosen = match raw.preset.as_deref().map(|name| (name, preset(name, dialect))) {
        Some((_, Some(preset))) => preset,
        Some((name, None)) => {
            let reason = format!("{} has no texts for {}", quote(name), dialect.word());
            document.refuse("issuance.preset", reason, "Choose another source or another preset.")?
        }
        None => return None,
    };
    // It was made for the texts of the preset, and no others.
    if ["revocations", "certificates"].iter().any(|table| raw.queries.contains_key(*table)) {
        chosen.texts.remove("revoked");
    }
    for table in questions() {
        let key = format!("issuance.queries.{table}");
        match raw.queries.get(table).map(|text| (text.as_str(), check_text(text))) {
            None => {}
            Some(("none", _)) => drop(chosen.texts.remove(table)),
            Some((_, Ok(text))) => drop(chosen.texts.insert(table, text)),
            Some((_, Err(reason))) => document.refuse::<()>(&key, reason, TEXT).unwrap_or_default(),
        }
    }
    if !mapped.is_empty() && raw.queries.get("issuers").is_none_or(|text| text == "none") {
        chosen.texts.remove("issuers");
    } else if !mapped.is_empty() {
        let remedy = "Keep [[issuance.issuer]], or the text where the database knows the SHA-256 of its issuers' keys.";
        document.refuse::<()>("issuance.queries.issuers", "does not go with [[issuance.issuer]]", remedy);
    }
    for table in ["issuers", "certificates"] {
        if !chosen.texts.contains_key(table) && (table != "issuers" || mapped.is_empty()) {
            let remedy = match table {
                "issuers" => {
                    "Write [[issuance.issuer]] with issuer_id and issuer for each, or the text in [issuance.queries]."
                }
                _ => "Write its text in [issuance.queries]; nothing can be looked up without it.",
            };
            document.missing(&format!("issuance.queries.{table}"), remedy);
        }
    }
    if let Some(text) = raw.replica_time {
        match check_text(&text) {
            Ok(text) => chosen.replica_time = Some(text),
            Err(reason) => document.refuse::<()>("issuance.replica_time", reason, TEXT).unwrap_or_default(),
        }
    }
    let serials = raw.serials.as_deref().and_then(SerialForm::parse).unwrap_or(chosen.serials);
    Some(Settings {
        dialect,
        host: host?,
        port: raw.port.unwrap_or(dialect.port()),
        database: raw.database?,
        user: raw.user?,
        password: password?,
        tls: tls?,
        connections: raw.connections?,
        statement_timeout: statement_timeout?,
        connect_timeout: connect_timeout?,
        texts: chosen.texts,
        replica_time: chosen.replica_time,
        serials,
        issuers: mapped,
    })
}

const TEXT: &str = "Write one SELECT whose columns are named as those of the table in `ctwarden issuance ddl`.";

fn span(key: &str, text: Option<String>, document: &mut Document<'_>) -> Option<Duration> {
    match parse_span(&text?) {
        Ok(span) => Some(span.duration()),
        Err(reason) => document.refuse(key, reason, "Write for instance 15s."),
    }
}

/// Every `[[issuance.issuer]]`; those with problems are left out, and the problems reported.
fn mapped(raw: Vec<RawMappedIssuer>, issuers: &[Issuer], document: &mut Document<'_>) -> Vec<MappedIssuer> {
    let (mut mapped, mut seen): (Vec<MappedIssuer>, BTreeSet<i64>) = (Vec::new(), BTreeSet::new());
    for (at, raw) in raw.into_iter().enumerate() {
        let shown = format!("issuance.issuer[{}]", at + 1);
        let (Some(issuer_id), Some(name), Some(hierarchy)) = (raw.issuer_id, raw.issuer, raw.hierarchy) else {
            continue;
        };
        if !seen.insert(issuer_id) {
            let remedy = "Give each number once.";
            document.refuse::<()>(&format!("{shown}.issuer_id"), format!("{issuer_id} stands twice"), remedy);
        }
        match issuers.iter().find(|issuer| issuer.name == name) {
            Some(issuer) if mapped.iter().any(|other| other.key_hash == issuer.key_hash) => {
                let remedy = "Name each issuer once.";
                document.refuse::<()>(&format!("{shown}.issuer"), format!("{} stands twice", quote(&name)), remedy);
            }
            Some(issuer) => mapped.push(MappedIssuer { issuer_id, key_hash: issuer.key_hash, name, hierarchy }),
            None => {
                let reason = format!("{} is the name of no [[issuer]]", quote(&name));
                document.refuse::<()>(&format!("{shown}.issuer"), reason, "Write the name as in [[issuer]].");
            }
        }
    }
    mapped
}

#[cfg(test)]
mod tests;
