//! The meaning of `[caa_recheck]`: CAA looked up once more when a certificate is first seen.

use std::net::{IpAddr, SocketAddr};

use super::address::parse_span;
use super::document::Document;
use super::problem::quote;
use super::raw::RawCaaRecheck;
use crate::judges::caa::{CaaLookup, NAME};
use crate::judges::{Settings, Way};

/// The DNS as a judge; `None` when no resolver is named, or a problem was reported.
pub(super) fn build(raw: RawCaaRecheck, issuer_domains: &[String], document: &mut Document<'_>) -> Option<Settings> {
    let names = raw.resolvers?;
    if issuer_domains.is_empty() {
        let reason = "needs issuance.caa_domains: without the CA's own issuer domains no record can be judged";
        return document.refuse("caa_recheck.resolvers", reason, "Write caa_domains of CP/CPS 4.2 in [issuance].");
    }
    let mut resolvers = Vec::new();
    for text in &names {
        match text.parse().or_else(|_| text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 53))) {
            Ok(address) => resolvers.push(address),
            Err(_) => {
                let reason = format!("{} is not an address", quote(text));
                let remedy = "Write numbers, for instance 10.0.0.53, 10.0.0.53:5353 or [2001:db8::53]:53.";
                document.refuse::<()>("caa_recheck.resolvers", reason, remedy);
            }
        }
    }
    let trust_anchor = raw.trust_anchor.map(|name| document.path(&name));
    if let Some(path) = trust_anchor.as_ref().filter(|path| std::fs::File::open(path).is_err()) {
        let reason = format!("{} cannot be read", path.display());
        document.refuse::<()>("caa_recheck.trust_anchor", reason, "Name a file with DNSKEY records, or leave it out.");
    }
    let timeout = match parse_span(&raw.timeout?) {
        Ok(span) => span.duration(),
        Err(reason) => return document.refuse("caa_recheck.timeout", reason, "The default is 5s."),
    };
    let lookup = CaaLookup {
        resolvers,
        issuer_domains: issuer_domains.to_vec(),
        dnssec: raw.dnssec?,
        trust_anchor,
        query_timeout: timeout,
    };
    // A certificate of 200 names, eight at a time, each of a few labels, is allowed twenty times what one question is.
    let (name, way, whole) = (NAME.to_string(), Way::Dns(lookup), timeout * 20);
    let at_once = raw.at_once?;
    Some(Settings { name, way, timeout: whole, at_once, batch: 1, version_command: None })
}
