//! CAA looked up once more, when a certificate is first seen: what the DNS says now, by the CA's own resolvers.
//!
//! DNS may have changed since the certificate was issued, so that this proves nothing about the check that the CA made;
//! it is a second look that costs little. Records that forbid now what was issued a minute ago are worth a question.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::dnssec::{Proof, TrustAnchors};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use hickory_resolver::proto::serialize::txt::ParseError;
use hickory_resolver::{Resolver, TokioResolver};

use super::{Answer, Foreign, JudgeError, Weight, shown};
use crate::cert::{Certificate, Identifier};
use crate::evidence::caa::{self, Answer as Verdict};
use crate::record::covering_domains;

/// The judge's name in cases and metrics, and that of its findings.
pub const NAME: &str = "caa-now";
/// Its code for records that do not permit now what was issued.
pub const DENIED: &str = "denied_now";
/// Its code for a name of which the DNS does not answer, or not as DNSSEC wants it.
pub const FAILED: &str = "failed_now";

/// The most names of one certificate that are looked up; the others are told as not looked up.
const MOST_NAMES: usize = 200;
/// Names of one certificate that are looked up side by side.
const SIDE_BY_SIDE: usize = 8;
/// After so many names of one certificate of which nothing came back, no more of them are looked up.
const MOST_SILENT: usize = 8;
/// The most CAA records of one domain that are looked at.
const MOST_RECORDS: usize = 100;

/// `[caa_recheck]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaaLookup {
    /// The CA's own resolvers, or those of its choice.
    pub resolvers: Vec<SocketAddr>,
    /// The issuer domains of the CA, CP/CPS 4.2.
    pub issuer_domains: Vec<String>,
    /// Whether answers are validated by DNSSEC.
    pub dnssec: bool,
    /// A file with DNSKEY records to be trusted in place of those of the root, in presentation format.
    pub trust_anchor: Option<PathBuf>,
    /// How long one question to one resolver may take.
    pub query_timeout: Duration,
}

/// What asks.
pub(super) struct CaaJudge {
    lookup: CaaLookup,
    resolver: TokioResolver,
}

impl std::fmt::Debug for CaaJudge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CaaJudge").field("lookup", &self.lookup).finish_non_exhaustive()
    }
}

/// What the DNS says of one name.
enum Seen {
    /// The records permit the CA, restrict nobody, or there are none.
    Permits,
    Denies(String),
    /// An answer that cannot be relied upon.
    Fails(String),
    /// None, while the resolver answers other questions: the fault of whoever serves the domain, and no outage of ours.
    Silent(String),
}

/// What came back for one domain.
enum Found {
    /// Its CAA records; empty when it has none.
    Records(String),
    Wrong(String),
    /// No answer, from a resolver that gives others.
    Nothing,
}

impl CaaJudge {
    pub(super) fn new(lookup: CaaLookup) -> Result<CaaJudge, JudgeError> {
        let server = |address: &SocketAddr| {
            let port = |mut connection: ConnectionConfig| {
                connection.port = address.port();
                connection
            };
            // A resolver's word that there is nothing is an answer, not a reason to ask the next one.
            NameServerConfig::new(
                address.ip(),
                true,
                vec![port(ConnectionConfig::udp()), port(ConnectionConfig::tcp())],
            )
        };
        let config = ResolverConfig::from_parts(None, Vec::new(), lookup.resolvers.iter().map(server).collect());
        let mut options = ResolverOpts::default();
        options.validate = lookup.dnssec;
        options.timeout = lookup.query_timeout;
        // BR 4.2.2.1 wants a failed lookup retried at least once.
        options.attempts = 2;
        options.use_hosts_file = ResolveHosts::Never;
        // What is asked about is what the DNS says now.
        options.cache_size = 0;
        options.try_tcp_on_error = true;
        let mut builder = Resolver::builder_with_config(config, TokioRuntimeProvider::default()).with_options(options);
        if let Some(path) = lookup.trust_anchor.as_ref().filter(|_| lookup.dnssec) {
            let wrong = |error: ParseError| JudgeError::Unreachable(format!("{}: {error}", path.display()));
            builder = builder.with_trust_anchor(Arc::new(TrustAnchors::from_file(path).map_err(wrong)?));
        }
        let resolver = builder.build().map_err(|error| JudgeError::Unreachable(shown(error.to_string().as_bytes())))?;
        Ok(CaaJudge { lookup, resolver })
    }

    /// What the DNS says of the names of one certificate.
    ///
    /// # Errors
    /// When no resolver answers at all: that is our outage.
    pub(super) async fn ask(&self, der: &[u8]) -> Result<Answer, JudgeError> {
        let mut answer = Answer {
            linters: vec![NAME.to_string()],
            version: format!("{} resolver(s), DNSSEC {}", self.lookup.resolvers.len(), on(self.lookup.dnssec)),
            findings: Vec::new(),
        };
        let Ok(certificate) = Certificate::parse(der) else { return Ok(answer) };
        let names = names(&certificate);
        let mut finding = |code: &str, weight, field: String, text: &str| {
            let (linter, code) = (NAME.to_string(), code.to_string());
            answer.findings.push(Foreign { linter, code, weight, field, text: shown(text.as_bytes()) });
        };
        let (mut left, mut silent) = (names.len(), 0);
        let looks = names.into_iter().take(MOST_NAMES).map(|name| self.named(name));
        let mut looks = futures_util::stream::iter(looks).buffered(SIDE_BY_SIDE);
        while silent < MOST_SILENT
            && let Some((name, seen)) = looks.next().await
        {
            left -= 1;
            let field = format!("dNSName {}", shown(name.as_bytes()));
            match seen? {
                Seen::Permits => {}
                Seen::Denies(why) => finding(DENIED, Weight::Error, field, &why),
                Seen::Fails(why) => finding(FAILED, Weight::Warning, field, &why),
                Seen::Silent(why) => {
                    silent += 1;
                    finding(FAILED, Weight::Warning, field, &why);
                }
            }
        }
        if left > 0 {
            let text = format!("{left} more names were not looked up");
            finding("not_looked_up", Weight::Notice, "subjectAltName".to_string(), &text);
        }
        Ok(answer)
    }

    async fn named(&self, name: String) -> (String, Result<Seen, JudgeError>) {
        let seen = self.look(&name).await;
        (name, seen)
    }

    // RFC 8659 3: "Let CAA(X) be the RRset returned by performing a CAA record query for the domain name X ... climbing
    // the DNS name tree from the specified label up to, but not including, the DNS root '.' until a CAA RRset is found."
    async fn look(&self, name: &str) -> Result<Seen, JudgeError> {
        for domain in covering_domains(name) {
            let text = match self.records(domain).await? {
                Found::Records(text) => text,
                Found::Wrong(why) => return Ok(Seen::Fails(format!("CAA of {domain}: {why}"))),
                Found::Nothing => {
                    let limit = self.lookup.query_timeout.as_secs();
                    return Ok(Seen::Silent(format!("CAA of {domain}: no answer within {limit} s")));
                }
            };
            if text.is_empty() {
                continue;
            }
            // Judged as the records on file are, by what an administrator would see.
            let records = match caa::read(&text) {
                Ok(records) => records,
                Err(why) => return Ok(Seen::Fails(format!("CAA of {domain} cannot be read: {why}"))),
            };
            let wildcard = if name.starts_with("*.") { format!("*.{domain}") } else { domain.to_string() };
            return Ok(match caa::evaluate(&wildcard, &records, &self.lookup.issuer_domains) {
                Verdict::NoRecords | Verdict::Unrestricted(_) | Verdict::Permitted(_) => Seen::Permits,
                Verdict::Denied(why) => Seen::Denies(format!("{why} (looked up now; DNS may have changed)")),
                Verdict::Unusable(why) => Seen::Fails(why),
            });
        }
        Ok(Seen::Permits)
    }

    /// The CAA records that a domain has, through CNAME records, without owner; empty when there are none.
    async fn records(&self, domain: &str) -> Result<Found, JudgeError> {
        let Ok(mut owner) = Name::from_ascii(domain) else {
            return Ok(Found::Wrong("is no name that the DNS could hold".to_string()));
        };
        owner.set_fqdn(true);
        let found = match self.resolver.lookup(owner, RecordType::CAA).await {
            Ok(found) => found,
            Err(NetError::Dns(DnsError::NoRecordsFound(_))) => return Ok(Found::Records(String::new())),
            Err(NetError::Dns(DnsError::Nsec { proof: Proof::Secure | Proof::Insecure, .. })) => {
                return Ok(Found::Records(String::new()));
            }
            Err(NetError::Dns(error)) => return Ok(Found::Wrong(shown(error.to_string().as_bytes()))),
            Err(NetError::Timeout) if self.resolver_answers().await => return Ok(Found::Nothing),
            Err(NetError::Timeout) => return Err(JudgeError::TimedOut(self.lookup.query_timeout.as_secs())),
            Err(error) => return Err(JudgeError::Unreachable(shown(error.to_string().as_bytes()))),
        };
        let caa: Vec<&Record> =
            found.answers().iter().filter(|record| record.record_type() == RecordType::CAA).collect();
        if self.lookup.dnssec && caa.iter().any(|record| !matches!(record.proof, Proof::Secure | Proof::Insecure)) {
            return Ok(Found::Wrong("DNSSEC validation failed".to_string()));
        }
        Ok(Found::Records(caa.into_iter().take(MOST_RECORDS).filter_map(line).collect()))
    }

    /// Whether a resolver answers at all, were it with an error: it is asked for the name servers of the root.
    async fn resolver_answers(&self) -> bool {
        matches!(self.resolver.lookup(Name::root(), RecordType::NS).await, Ok(_) | Err(NetError::Dns(_)))
    }
}

/// A record as `TYPE257 \# length hex` (RFC 3597 5), which says exactly what was received.
fn line(record: &Record) -> Option<String> {
    let RData::CAA(caa) = &record.data else { return None };
    let tag = caa.tag.as_bytes();
    let length = u8::try_from(tag.len()).ok()?;
    let data = [&[caa.flags(), length], tag, &caa.value].concat();
    Some(format!("TYPE257 \\# {} {}\n", data.len(), hex::encode(data)))
}

/// Domain names in the DNS, in lower case, each once: not addresses, not onion services.
fn names(certificate: &Certificate) -> Vec<String> {
    let text = |identifier: &Identifier| match identifier {
        Identifier::Dns(name) => String::from_utf8(name.bytes().to_ascii_lowercase()).ok(),
        Identifier::Ip(_) => None,
    };
    let mut names: Vec<String> = certificate.identifiers().iter().filter_map(text).collect();
    names.retain(|name| !(name.ends_with(".onion") || name.ends_with(".onion.")));
    names.sort();
    names.dedup();
    names
}

const fn on(flag: bool) -> &'static str {
    if flag { "on" } else { "off" }
}
