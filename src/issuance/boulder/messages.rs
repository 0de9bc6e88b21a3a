//! What each message of the audit log says.

use std::net::IpAddr;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use x509_parser::prelude::{FromDer, X509CertificationRequest};

use super::{AccountCheck, KnownIssuer, Said, Used, account_rows, cert_id, number, row};
use crate::cert::Certificate;
use crate::clock::Timestamp;
use crate::finding::escape;

/// The beginnings of the messages that are read.
pub(super) const WANTED: [&str; 11] = [
    "Checked CAA records for ",
    "Checked CAA records",
    "CAA check result",
    "Validation result",
    "Signing precert success",
    "Signing precert",
    "Signing cert success",
    "Certificate request - successful",
    "Authz used for issuance",
    "Revocation request:",
    "Revocation request",
];

type Object = Map<String, Value>;
type Read = Result<Option<Said>, String>;

/// What a message says; `None`: nothing for the record.
pub(super) fn said(message: &str, object: &Object, at: Timestamp, issuers: &[KnownIssuer]) -> Read {
    match message {
        "CAA check result" => remote_of_caa(object, at),
        "Validation result" => validation(object, at),
        "Certificate request - successful" => request(object, at),
        "Authz used for issuance" => used(object),
        "Revocation request:" | "Revocation request" => revocation(object, at),
        "Signing precert" => order(object, at),
        "Signing precert success" => signed(object, at, issuers, false),
        "Signing cert success" => signed(object, at, issuers, true),
        "Checked CAA records" => check_object(object, at),
        text if text.starts_with(WANTED[0]) => check_words(text, at),
        text if text.starts_with("Signing precert success: ") => signed(&bracketed(text), at, issuers, false),
        text if text.starts_with("Signing cert success: ") => signed(&bracketed(text), at, issuers, true),
        _ => Ok(None),
    }
}

/// The member of one of these names, whatever its letters' case: releases differ.
fn member<'o>(object: &'o Object, names: &[&str]) -> Option<&'o Value> {
    names.iter().find_map(|name| {
        let (_, value) = object.iter().find(|(key, _)| key.eq_ignore_ascii_case(name))?;
        (!value.is_null()).then_some(value)
    })
}

fn text(object: &Object, names: &[&str]) -> Option<String> {
    match member(object, names)? {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn must(object: &Object, names: &[&str]) -> Result<String, String> {
    text(object, names).ok_or_else(|| format!("has no {}", names[0]))
}

fn moment(object: &Object, names: &[&str]) -> Option<Timestamp> {
    text(object, names).and_then(|text| Timestamp::parse(&text))
}

/// An identifier: `{"type":"dns","value":"..."}`, or the value alone.
fn identifier(value: &Value) -> Option<String> {
    match value {
        Value::String(name) => Some(name.clone()),
        Value::Object(object) => text(object, &["value"]),
        _ => None,
    }
}

/// The one name that a line is about. Since 2026 it stands in a list.
fn named(object: &Object) -> Option<String> {
    if let Some(one) = member(object, &["identifier", "ident", "hostname", "domain", "name"]) {
        return identifier(one);
    }
    match member(object, &["idents"])?.as_array()?.as_slice() {
        [one] => identifier(one),
        _ => None,
    }
}

/// The method that a challenge is for an identifier: those of ACME for addresses (RFC 8738) are others than for names.
fn method(challenge: &str, identifier: &str) -> String {
    let of_addresses = [("http-01", "3.2.2.5.6"), ("tls-alpn-01", "3.2.2.5.7")];
    let known = of_addresses.iter().find(|(label, _)| *label == challenge);
    match known.filter(|_| identifier.parse::<IpAddr>().is_ok()) {
        Some((_, section)) => section.to_string(),
        None => challenge.to_string(),
    }
}

/// `Signing precert success: serial=[..] regID=[..] names=[..] precertificate=[..]` as an object.
fn bracketed(text: &str) -> Object {
    let mut object = Map::new();
    for piece in text.split("] ") {
        let piece = piece.rsplit(": ").next().unwrap_or(piece);
        if let Some((name, value)) = piece.split_once("=[") {
            object.insert(name.to_string(), Value::from(value.trim_end_matches(']')));
        }
    }
    object
}

/// `Checked CAA records for NAME, [Present: true, Account ID: 7, Challenge: http-01, Valid for issuance: true, Found at:
/// "NAME"] Response="..."`; the last two parts are not in every release.
fn check_words(text: &str, at: Timestamp) -> Read {
    let odd = || "is not of the form of a CAA check".to_string();
    let (name, rest) = text[WANTED[0].len()..].split_once(", [").ok_or_else(odd)?;
    let (facts, response) = rest.split_once(']').ok_or_else(odd)?;
    let fact = |name: &str| facts.split(", ").find_map(|fact| fact.strip_prefix(name)?.strip_prefix(": "));
    let present = fact("Present").ok_or_else(odd)?;
    let valid = fact("Valid for issuance").ok_or_else(odd)?;
    let response = response.trim().strip_prefix("Response=").map(unquoted);
    check(name, fact("Account ID"), (present == "true", valid == "true"), response.as_deref(), at).map(Some)
}

fn check_object(object: &Object, at: Timestamp) -> Read {
    let flag = |names: &[&str]| member(object, names).and_then(Value::as_bool);
    let name = named(object).ok_or("has no ident")?;
    let found_at = text(object, &["foundAt", "found_at"]);
    let present = flag(&["present"]).unwrap_or(found_at.is_some());
    let valid = flag(&["valid", "validForIssuance"]).ok_or("has no valid")?;
    let account = text(object, &["acct", "accountID", "requester"]);
    let response = text(object, &["response"]);
    check(&name, account.as_deref(), (present, valid), response.as_deref(), at).map(Some)
}

fn check(
    name: &str,
    account: Option<&str>,
    (present, valid): (bool, bool),
    response: Option<&str>,
    at: Timestamp,
) -> Result<Said, String> {
    let name = name.to_ascii_lowercase();
    let account = account.unwrap_or("unknown").to_string();
    let caa_id = number("caa", &format!("{account} {name} {}", at.millis()));
    let result = match (present, valid) {
        (_, false) => "deny",
        (true, true) => "permit",
        (false, true) => "none",
    };
    let records = response.map(answer).unwrap_or_default();
    let ttl = records.iter().filter_map(|record| record.split_ascii_whitespace().nth(1)?.parse::<u32>().ok()).min();
    let rrset = if records.is_empty() { Value::Null } else { Value::from(records.join("\n")) };
    // Boulder's VA asks no resolver but those of its configuration.
    let found = json!({"table": "caa_checks", "caa_id": caa_id, "name": name, "checked_at": at.seconds(),
                       "result": result, "rrset": rrset, "ttl": ttl, "resolver": "own", "performed_by": "system"});
    let own = AccountCheck { account, name, at, caa_id };
    Ok(Said { rows: vec![(row(found), true)], checks: vec![own], ..Said::default() })
}

/// The CAA and CNAME records of the answer section, as dig prints them.
fn answer(response: &str) -> Vec<String> {
    let section = response.split(";; ANSWER SECTION:").nth(1).unwrap_or_default();
    let section = section.split(";; ").next().unwrap_or_default();
    let records = section.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with(';'));
    let wanted = |line: &&str| line.split_ascii_whitespace().any(|word| word == "CAA" || word == "CNAME");
    records.filter(wanted).map(|line| line.replace('\t', " ")).collect()
}

/// A string as Go's %q writes it.
fn unquoted(quoted: &str) -> String {
    let inner = quoted.trim().trim_start_matches('"').trim_end_matches('"');
    let (mut text, mut letters) = (String::new(), inner.chars());
    while let Some(letter) = letters.next() {
        if letter != '\\' {
            text.push(letter);
            continue;
        }
        let hex = |digits: usize, letters: &mut std::str::Chars<'_>| {
            let digits: String = letters.take(digits).collect();
            u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32).unwrap_or('\u{fffd}')
        };
        match letters.next() {
            Some('n') => text.push('\n'),
            Some('t') => text.push('\t'),
            Some('r') => text.push('\r'),
            Some('x') => text.push(hex(2, &mut letters)),
            Some('u') => text.push(hex(4, &mut letters)),
            Some('U') => text.push(hex(8, &mut letters)),
            Some(other) => text.push(other),
            None => {}
        }
    }
    text
}

/// (corroborating, asked, regions) of an mpicSummary, which releases call differently.
fn summary(object: &Object) -> Option<[i64; 3]> {
    let summary = member(object, &["summary", "mpicSummary", "mpic"])?.as_object()?;
    let count = |names: &[&str]| Some(member(summary, names)?.as_array()?.len() as i64);
    let (passed, failed) = (count(&["passedPerspectives", "passed"])?, count(&["failedPerspectives", "failed"])?);
    Some([passed, passed + failed, count(&["passedRIRs"]).unwrap_or_default()])
}

fn remote_of_caa(object: &Object, at: Timestamp) -> Read {
    let Some(remote) = summary(object) else { return Ok(None) };
    let name = named(object).ok_or("has no Identifier")?;
    let account = must(object, &["requester", "acct"])?;
    let check = AccountCheck { account, name: name.to_ascii_lowercase(), at, caa_id: 0 };
    Ok(Some(Said { remote: Some((check, remote)), ..Said::default() }))
}

/// The number of an authorization; those of today are numbers.
fn dcv_id(authz: &str) -> i64 {
    authz.parse().ok().filter(|id| *id > 0).unwrap_or_else(|| number("authz", authz))
}

/// Where the VA looked, by the first of its records: those behind it are of redirects. For DNS the record has the name
/// that is validated and not the one that was asked.
fn place(record: &Object, challenge: &str) -> Option<String> {
    match challenge {
        "http-01" => text(record, &["url"]),
        "tls-alpn-01" => {
            let (host, port) = (text(record, &["hostname"])?, text(record, &["port"])?);
            let host = if host.contains(':') { format!("[{host}]") } else { host };
            Some(format!("{host}:{port}"))
        }
        _ => None,
    }
}

fn validation(object: &Object, at: Timestamp) -> Read {
    let challenge = member(object, &["challenge"]).and_then(Value::as_object);
    // Since 2026 a line has the attributes of the request (acct, authz, idents, method), and an error if there was one.
    let kind = challenge.map_or_else(|| text(object, &["method"]), |challenge| text(challenge, &["type"]));
    let kind = kind.ok_or("has no Challenge")?;
    let is_valid = challenge.is_none_or(|challenge| text(challenge, &["status"]).as_deref() == Some("valid"));
    if !is_valid || text(object, &["error"]).is_some() {
        return Ok(None);
    }
    let authz = must(object, &["authzID", "authz", "ID"])?;
    let account = must(object, &["requester", "acct"])?;
    let name = named(object).ok_or("has no Identifier")?;
    let records = challenge.and_then(|challenge| member(challenge, &["validationRecord"])?.as_array());
    let record = records.and_then(|records| records.first()?.as_object());
    let location = record.and_then(|record| place(record, &kind));
    // `A:10.0.0.1:53`, one for each type of record that was asked for.
    let resolvers = record.and_then(|record| member(record, &["resolverAddrs"])?.as_array());
    let resolver = resolvers.and_then(|resolvers| resolvers.first()?.as_str()).map(|resolver| {
        let types = ["A:", "AAAA:", "TXT:", "CAA:"];
        types.iter().find_map(|kind| resolver.strip_prefix(kind)).unwrap_or(resolver).to_string()
    });
    let remote = summary(object);
    let mut found = row(json!({"table": "dcv_confirmations", "dcv_id": dcv_id(&authz), "applicant_id": account,
        "adn": name, "method": method(&kind, &name), "completed_at": at.seconds(), "performed_by": "system",
        "resolver": resolver, "location": location, "evidence_ref": format!("authz {authz}")}));
    if let Some([ok, total, regions]) = remote {
        found.extend(row(json!({"remote_ok": ok, "remote_total": total, "remote_rirs": regions})));
    }
    let mut rows = account_rows(&account).to_vec();
    // A remote perspective logs its own validation, without a summary.
    rows.push((found, remote.is_none()));
    Ok(Some(Said { rows, ..Said::default() }))
}

fn order_row(object: &Object, account: &str, order: &str, created_at: Timestamp) -> Object {
    let profile = text(object, &["certProfileName", "profile"]);
    row(json!({"table": "orders", "order_id": order, "applicant_id": account, "channel": "acme", "vtype": "DV",
               "hierarchy": "public", "profile": profile, "created_at": created_at.seconds()}))
}

/// The CA is about to sign: what was ordered, and for which key.
fn order(object: &Object, at: Timestamp) -> Read {
    let (account, order) = (must(object, &["requester", "acct"])?, must(object, &["orderID", "order"])?);
    let mut found = order_row(object, &account, &order, at);
    if let Some(csr) = text(object, &["csr"]) {
        let der = hex::decode(&csr).map_err(|_| "its csr is not hexadecimal".to_string())?;
        let (_, request) =
            X509CertificationRequest::from_der(&der).map_err(|_| "its csr cannot be read".to_string())?;
        let spki = request.certification_request_info.subject_pki.raw;
        found.insert("csr_spki_sha256".to_string(), Value::from(hex::encode(Sha256::digest(spki))));
    }
    let mut rows = account_rows(&account).to_vec();
    rows.push((found, false));
    Ok(Some(Said { rows, ..Said::default() }))
}

fn signed(object: &Object, at: Timestamp, issuers: &[KnownIssuer], is_final: bool) -> Read {
    let names: &[&str] = if is_final { &["certificate"] } else { &["precertificate"] };
    let result = member(object, &["result"]).and_then(Value::as_object).unwrap_or(object);
    let der = hex::decode(must(result, names)?).map_err(|_| format!("its {} is not hexadecimal", names[0]))?;
    let certificate = Certificate::parse(&der).map_err(|error| format!("its {} cannot be read: {error}", names[0]))?;
    let issuer = issuers.iter().find(|issuer| issuer.issued(&certificate)).ok_or_else(|| {
        let name = escape(certificate.issuer_text().as_bytes(), 200);
        format!("its issuer {name} is none of the [[issuer]] with a certificate")
    })?;
    let serial = certificate.serial().value_hex();
    let id = cert_id(&serial).ok_or("its serial number cannot be read")?;
    let issuer_id = number("issuer", &issuer.key_hash.to_string());
    let seconds = |time: Option<Timestamp>| time.map(Timestamp::seconds);
    let sha256 = hex::encode(certificate.sha256());
    let mut found = row(json!({"table": "certificates", "cert_id": id, "issuer_id": issuer_id, "serial": serial,
        "order_id": text(object, &["orderID", "order"]), "spki_sha256": certificate.spki_sha256().to_string(),
        "signed_at": at.seconds(), "not_before": seconds(certificate.not_before()),
        "not_after": seconds(certificate.not_after()), "state": "precert_only", "precert_sha256": sha256}));
    if is_final {
        found.insert("state".to_string(), Value::from("issued"));
        found.insert("cert_sha256".to_string(), Value::from(sha256.clone()));
        found.remove("precert_sha256");
    }
    let own = row(json!({"table": "issuers", "issuer_id": issuer_id, "name": issuer.name,
        "spki_sha256": issuer.key_hash.to_string(), "hierarchy": "public"}));
    // Two lines make one row, in any order: what the later one adds is told apart.
    let issued = is_final.then(|| (id, sha256.clone()));
    let signed = (!is_final).then_some((id, sha256, at));
    Ok(Some(Said { rows: vec![(own, true), (found, true)], issued, signed, ..Said::default() }))
}

/// A name of a request with the authorization it rests on.
struct Authorised {
    name: String,
    authz: Option<String>,
    challenge: Option<String>,
    validated: Option<Timestamp>,
}

fn authorised(object: &Object) -> Vec<Authorised> {
    let of = |name: String, authz: Option<&Object>| Authorised {
        authz: authz.and_then(|authz| text(authz, &["authz", "authzID", "ID"])),
        challenge: authz.and_then(|authz| text(authz, &["challenge", "challengeType"])),
        validated: authz.and_then(|authz| moment(authz, &["validated", "validatedAt"])),
        name: name.to_ascii_lowercase(),
    };
    if let Some(by_name) = member(object, &["authorizations"]).and_then(Value::as_object) {
        return by_name.iter().map(|(name, authz)| of(name.clone(), authz.as_object())).collect();
    }
    let identifiers = member(object, &["identifiers", "idents"]).and_then(Value::as_array);
    let one = |value: &Value| {
        let own = value.as_object()?;
        let name = member(own, &["ident", "identifier"]).and_then(identifier).or_else(|| identifier(value))?;
        Some(of(name, Some(own)))
    };
    identifiers.into_iter().flatten().filter_map(one).collect()
}

fn request(object: &Object, at: Timestamp) -> Read {
    let (account, order) = (must(object, &["requester", "acct"])?, must(object, &["orderID", "order"])?);
    let id = cert_id(&must(object, &["serialNumber", "serial"])?).ok_or("its serial number cannot be read")?;
    let signed_at = moment(object, &["responseTime"]).unwrap_or(at);
    let created_at = moment(object, &["requestTime"]).unwrap_or(at);
    let mut rows = account_rows(&account).to_vec();
    rows.push((order_row(object, &account, &order, created_at), true));
    let names = authorised(object);
    if names.is_empty() {
        // Since 2026 each of them has a line of its own.
        let own_lines = !object.keys().any(|key| key.eq_ignore_ascii_case("authorizations"));
        let said = Said { rows, request: Some((order, account, id, signed_at)), ..Said::default() };
        return if own_lines { Ok(Some(said)) } else { Err("names no authorizations".to_string()) };
    }
    for one in &names {
        let dcv = one.authz.as_deref().map(dcv_id);
        rows.push((row(json!({"table": "order_names", "order_id": order, "name": one.name})), false));
        rows.push((row(json!({"table": "san_authorisations", "cert_id": id, "name": one.name, "dcv_id": dcv})), false));
        if let (Some(dcv), Some(challenge), Some(validated)) = (dcv, &one.challenge, one.validated) {
            // Less than what the VA logs; it serves where that is not there.
            let less = json!({"table": "dcv_confirmations", "dcv_id": dcv, "applicant_id": account, "adn": one.name,
                "method": method(challenge, &one.name), "completed_at": validated.seconds(), "performed_by": "system"});
            rows.push((row(less), true));
        }
    }
    let all = names.into_iter().map(|one| one.name).collect();
    Ok(Some(Said { rows, names: Some((account, id, all, signed_at)), ..Said::default() }))
}

/// An authorization that an order rests on, one line for each since 2026; the certificate stands in another line.
fn used(object: &Object) -> Read {
    let (account, order) = (must(object, &["acct"])?, must(object, &["order"])?);
    let name = named(object).ok_or("has no idents")?.to_ascii_lowercase();
    let dcv_id = dcv_id(&must(object, &["authz"])?);
    let kind = must(object, &["method"])?;
    let validated = moment(object, &["validated"]).ok_or("has no validated")?;
    let created_at = moment(object, &["requestTime"]).unwrap_or(validated);
    let mut rows = account_rows(&account).to_vec();
    rows.push((order_row(object, &account, &order, created_at), true));
    rows.push((row(json!({"table": "order_names", "order_id": order, "name": name})), false));
    // Less than what the VA logs; it serves where that is not there.
    let less = json!({"table": "dcv_confirmations", "dcv_id": dcv_id, "applicant_id": account, "adn": name,
        "method": method(&kind, &name), "completed_at": validated.seconds(), "performed_by": "system"});
    rows.push((row(less), true));
    Ok(Some(Said { rows, used: Some(Used { order, name, dcv_id }), ..Said::default() }))
}

/// A revocation that was done; one that failed has an error.
fn revocation(object: &Object, at: Timestamp) -> Read {
    if text(object, &["error"]).is_some() {
        return Ok(None);
    }
    let id = cert_id(&must(object, &["serialNumber", "serial"])?).ok_or("its serial number cannot be read")?;
    let reason = member(object, &["reason"]).and_then(Value::as_i64);
    let found = json!({"table": "revocations", "cert_id": id, "revoked_at": at.seconds(), "reason": reason});
    Ok(Some(Said { rows: vec![(row(found), false)], ..Said::default() }))
}
