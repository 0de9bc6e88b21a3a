//! The key table: every key a configuration may hold, stated once. The walk over the file, the suggestions for
//! misspelt keys and the test of `example.toml` all read this table.

/// One key of the configuration.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Where it stands: `logs.list`; `[]` marks a section that may be repeated, as in `issuer[].name`.
    pub path: &'static str,
    /// What its value may be.
    pub kind: Kind,
    /// Whether it must be there, and what holds when it is not.
    pub need: Need,
    /// What it is for, in one line.
    pub doc: &'static str,
    /// A value in TOML, for the remedy of a missing key and for the example.
    pub example: &'static str,
}

/// What a value may be.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// A string that is not empty.
    Text,
    /// A list of at least one such string.
    Texts,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A list of at least one of these words.
    Words(&'static [&'static str]),
    /// A whole number from the first to the second, both included.
    Integer(i64, i64),
    /// `true` or `false`.
    Boolean,
}

/// Whether a key must be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Wherever its section stands; sections that are not repeated always count as standing.
    Required,
    /// It may be left out, and then this TOML value holds.
    Default(&'static str),
    /// It may be left out; what that means depends on its neighbours.
    Optional,
}

impl Kind {
    /// What a value of this kind is called in an error.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Text | Kind::Word(_) => "a string",
            Kind::Texts | Kind::Words(_) => "a list of strings",
            Kind::Integer(..) => "a whole number",
            Kind::Boolean => "true or false",
        }
    }
}

impl Key {
    /// The section, without brackets of TOML: `logs`, `logs.override[]`.
    pub fn section(&self) -> &'static str {
        self.path.rsplit_once('.').map_or("", |(section, _)| section)
    }
    /// The name within the section.
    pub fn name(&self) -> &'static str {
        self.path.rsplit_once('.').map_or(self.path, |(_, name)| name)
    }
}

/// A section as it is written in a file: `[logs]`, `[[logs.override]]`.
pub fn header(section: &str) -> String {
    match section.strip_suffix("[]") {
        Some(repeated) => format!("[[{repeated}]]"),
        None => format!("[{section}]"),
    }
}

/// The key at a path, with `[]` for repeated sections.
pub fn find(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.path == path)
}

/// Whether any key lies in this section or below it.
pub fn is_section(path: &str) -> bool {
    KEYS.iter().any(|key| key.path.strip_prefix(path).is_some_and(|rest| rest.starts_with('.')))
}

/// The states of a log in the log list v3 schema.
const STATES: &[&str] = &["pending", "qualified", "usable", "readonly", "retired", "rejected"];

/// The kinds of GeneralName (RFC 5280 4.2.1.6).
const SAN_TYPES: &[&str] = &[
    "dNSName",
    "iPAddress",
    "rfc822Name",
    "uniformResourceIdentifier",
    "directoryName",
    "otherName",
    "x400Address",
    "ediPartyName",
    "registeredID",
];

const fn key(path: &'static str, kind: Kind, need: Need, doc: &'static str, example: &'static str) -> Key {
    Key { path, kind, need, doc, example }
}

use crate::issuance::sql::PRESETS;
use Kind::{Boolean, Integer, Text, Texts, Word, Words};
use Need::{Default, Optional, Required};

/// Every key, in the order of the example.
#[rustfmt::skip]
pub static KEYS: &[Key] = &[
    key("logs.list", Text, Required, "The log list (v3 JSON): a file or an https URL.",
        r#""https://www.gstatic.com/ct/log_list/v3/log_list.json""#),
    key("logs.list_key", Text, Optional, "PEM file with the public key that signs the list; without one the signature is not looked at.",
        r#""log_list_pubkey.pem""#),
    key("logs.list_signature", Text, Optional, "The signature of the list, a file or an https URL; beside the list when left out.",
        r#""https://www.gstatic.com/ct/log_list/v3/log_list.sig""#),
    key("logs.contact", Text, Required, "E-mail address or URL at which a log operator reaches you; sent in the User-Agent.",
        r#""pki-team@ca.example""#),
    key("logs.start", Text, Default(r#""beginning""#), "Where a log that was never read before is begun: beginning, end, or a time.",
        r#""beginning""#),
    key("logs.refresh", Text, Default(r#""1h""#), "How often the log list is read again.", r#""1h""#),
    key("logs.states", Words(STATES), Default(r#"["qualified", "usable", "readonly"]"#), "Logs in these states of the list are followed.",
        r#"["qualified", "usable", "readonly"]"#),
    key("logs.expiring_after", Text, Optional, "Shards that take only certificates that expire before this time are not followed.",
        r#""2026-01-01""#),
    key("logs.source_addresses", Texts, Optional, "Addresses of this machine from which the logs are asked in turn; each has a pace of its own.",
        r#"["192.0.2.1", "192.0.2.2"]"#),
    key("logs.override[].log_id", Text, Required, "The log that is corrected: its log_id in the list (base64).",
        r#""47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=""#),
    key("logs.override[].origin", Text, Optional, "The first line of its checkpoints.", r#""log.ca.example/2027h1""#),
    key("logs.override[].monitoring_url", Text, Optional, "Where its tiles are read.", r#""https://tiles.ca.example/2027h1""#),
    key("logs.override[].start", Text, Optional, "Where it is begun, instead of start in [logs].", r#""2026-01-01""#),
    key("logs.override[].page", Integer(1, 1000), Optional, "The most entries that one get-entries request asks for.", "256"),
    key("logs.override[].rate", Text, Optional, "The most requests that it is sent: 5/s, 30/m, 200/h.", r#""5/s""#),
    key("issuer[].name", Text, Required, "The issuer's name in mails and metrics.", r#""Example CA G1""#),
    key("issuer[].certificate", Text, Optional, "The issuer's CA certificate, a PEM or DER file.", r#""issuer.pem""#),
    key("issuer[].issuer_key_hash", Text, Optional, "Instead: SHA-256 of its SubjectPublicKeyInfo; only precertificates are matched.",
        r#""e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855""#),
    key("issuer[].crls", Texts, Optional, "Its CRLs, beside those that its certificates name.", r#"["http://crl.ca.example/g1.crl"]"#),
    key("profile[].issuers", Texts, Optional, "The names of the issuers that it binds; left out: all.", r#"["Example CA G1"]"#),
    key("profile[].section", Text, Required, "The section of your CP/CPS; findings cite it.", r#""CPS 3.2.2""#),
    key("profile[].since", Text, Optional, "The first day of issuance on which it binds.", r#""2019-11-15""#),
    key("profile[].until", Text, Optional, "The first day of issuance on which it no longer binds.", r#""2030-01-01""#),
    key("profile[].severity", Word(&["error", "warning", "review"]), Default(r#""error""#),
        "How bad it is to break it; an error starts the clock of 5 days.", r#""error""#),
    key("profile[].san_types", Words(SAN_TYPES), Optional, "The kinds of names in the subjectAltName.", r#"["dNSName"]"#),
    key("profile[].policy_oids", Texts, Optional, "The policies, of which one is asserted and no other.",
        r#"["2.23.140.1.2.2", "1.3.6.1.4.1.14777.1.2.1"]"#),
    key("profile[].max_validity_days", Integer(1, 10_000), Optional, "The longest validity.", "200"),
    key("profile[].keys", Texts, Optional, "The keys: rsa-2048, rsa-3072+ (or more), p-256, p-384, p-521.", r#"["rsa-3072+", "p-256"]"#),
    key("profile[].ekus", Texts, Optional, "The extended key usages, by name or dotted.", r#"["serverAuth"]"#),
    key("profile[].subject_fields", Texts, Optional, "The attributes of the subject, by short name or dotted.",
        r#"["C", "ST", "L", "O", "organizationIdentifier", "CN"]"#),
    key("profile[].name_suffixes", Texts, Optional, "The domains under which names are certified.", r#"["eus", "es"]"#),
    key("profile[].subject_countries", Texts, Optional, "The countries of the subject.", r#"["ES"]"#),
    key("profile[].forbidden_names", Texts, Optional, "Names that are never certified, nor any below them.",
        r#"["euskalsarea", "other-ca.example"]"#),
    key("profile[].forbidden_names_file", Text, Optional, "A file with more of them, one on each line.", r#""forbidden-names.txt""#),
    key("data.directory", Text, Required, "Where the books and the cache are kept.", r#""ctwarden-data""#),
    key("books.url", Text, Optional, "The books, when they are not in the data directory.", r#""sqlite:///var/lib/ctwarden/books.sqlite""#),
    key("issuance.source", Word(&["embedded", "postgres", "mysql", "none"]), Default(r#""embedded""#), "The CA's own record of what it issued.",
        r#""embedded""#),
    key("issuance.grace", Text, Default(r#""1m""#), "How long the record may lag behind the logs.", r#""1m""#),
    key("issuance.caa_domains", Texts, Optional, "The issuer domains of CP/CPS 4.2 that CAA records may name.", r#"["ca.example"]"#),
    key("issuance.account_uri_prefix", Text, Optional, "What stands before an account's identifier in its URI (RFC 8657).",
        r#""https://acme.ca.example/acct/""#),
    key("issuance.channels", Texts, Optional, "The channels through which orders may come, by the day of the order.",
        r#"["acme", "api", "web until 2026-03-15"]"#),
    key("issuance.countries", Texts, Optional, "The countries of the applicants, by the day of signing.", r#"["ES from 2019-11-15"]"#),
    key("issuance.methods", Texts, Optional, "The validation methods that the CP/CPS lists, by the day of signing.",
        r#"["3.2.2.4.7", "http-01", "3.2.2.4.4 until 2026-03-15"]"#),
    key("issuance.bulk_evidence", Texts, Optional, "How references to evidence begin that was taken over in bulk.", r#"["flatfile:"]"#),
    key("issuance.recorded_within", Text, Default(r#""1d""#), "How long after its completion a validation is written down.", r#""1d""#),
    key("issuance.test_accounts", Texts, Optional, "The accounts of your own tests.", r#"["qa"]"#),
    key("issuance.test_organizations", Texts, Optional, "The organizations in the subjects of your own tests.", r#"["Example CA QA"]"#),
    key("issuance.test_zones", Texts, Optional, "The domains in which they may get certificates.", r#"["test.ca.example"]"#),
    key("issuance.own_resolvers", Texts, Default(r#"["own"]"#), "What the record calls a resolver of the CA's own.", r#"["own"]"#),
    key("issuance.systems", Texts, Default(r#"["system"]"#), "What the record calls the CA's system, as opposed to a person.",
        r#"["system"]"#),
    key("issuance.shared_accounts", Texts, Default(r#"["reseller", "cdn"]"#), "Kinds of accounts that act for several applicants.",
        r#"["reseller", "cdn"]"#),
    key("issuance.preset", Word(PRESETS), Optional, "The texts of the questions to a database server, ready made.", r#""ctwarden""#),
    key("issuance.host", Text, Optional, "The database server.", r#""ca-replica.example""#),
    key("issuance.port", Integer(1, 65_535), Optional, "Its port; 5432 for postgres, 3306 for mysql.", "5432"),
    key("issuance.database", Text, Optional, "The database on it.", r#""ca""#),
    key("issuance.user", Text, Optional, "A user who may SELECT and nothing else.", r#""ctwarden""#),
    key("issuance.password_file", Text, Optional, "File with the user's password.", r#""ca-database-password""#),
    key("issuance.tls", Word(&["verify", "none-on-loopback"]), Default(r#""verify""#), "How the connection is protected.", r#""verify""#),
    key("issuance.ca_certificate", Text, Optional, "PEM file of the private CA that signed the server's certificate.",
        r#""ca-database-ca.pem""#),
    key("issuance.connections", Integer(1, 32), Default("4"), "The most connections at once.", "4"),
    key("issuance.statement_timeout", Text, Default(r#""15s""#), "The longest time of one statement.", r#""15s""#),
    key("issuance.connect_timeout", Text, Default(r#""10s""#), "The longest time until a connection stands.", r#""10s""#),
    key("issuance.serials", Word(&["hex", "hex-upper", "hex-36", "decimal"]), Optional, "How the database writes serial numbers, when not as the preset says.",
        r#""hex""#),
    key("issuance.replica_time", Text, Optional, "A SELECT that gives the time of the newest write that a replica shows.",
        r#""SELECT written_at FROM heartbeat""#),
    key("issuance.queries.issuers", Text, Optional, "The SELECT for issuers, or none where the database has no such thing.", r#""none""#),
    key("issuance.queries.accounts", Text, Optional, "The SELECT for accounts, or none where the database has no such thing.", r#""none""#),
    key("issuance.queries.applicants", Text, Optional, "The SELECT for applicants, or none where the database has no such thing.", r#""none""#),
    key("issuance.queries.identities", Text, Optional, "The SELECT for identities, or none where the database has no such thing.", r#""none""#),
    key("issuance.queries.orders", Text, Optional, "The SELECT for orders, or none where the database has no such thing.", r#""none""#),
    key("issuance.queries.order_names", Text, Optional, "The SELECT for order_names, or none where the database has no such thing.", r#""none""#),
    key("issuance.queries.certificates", Text, Optional, "The SELECT for certificates.",
        r#""SELECT id AS cert_id, ca AS issuer_id, serial, order_id, signed AS signed_at, 'issued' AS state FROM certs""#),
    key("issuance.queries.dcv_confirmations", Text, Optional, "The SELECT for dcv_confirmations, or none where the database has no such thing.", r#""none""#),
    key("issuance.queries.dcv_reuse", Text, Optional, "The SELECT for dcv_reuse, or none where the database has no such thing.", r#""none""#),
    key("issuance.queries.caa_checks", Text, Optional, "The SELECT for caa_checks, or none where the database has no such thing.", r#""none""#),
    key("issuance.queries.san_authorisations", Text, Optional, "The SELECT for san_authorisations, or none where the database has no such thing.", r#""none""#),
    key("issuance.queries.approvals", Text, Optional, "The SELECT for approvals, or none where the database has no such thing.", r#""none""#),
    key("issuance.queries.revocations", Text, Optional, "The SELECT for revocations, or none where the database has no such thing.", r#""none""#),
    key("issuance.queries.revoked", Text, Optional,
        "The SELECT for the revocations that are compared with the CRLs, in pages by a unique number, place; without it they are joined from revocations and certificates by cert_id.",
        r#""SELECT id AS place, ca AS issuer_id, serial, ends AS not_after, revoked AS revoked_at FROM revoked_certs""#),
    key("issuance.queries.controls", Text, Optional, "The SELECT for controls, or none where the database has no such thing.", r#""none""#),
    key("issuance.queries.lint_runs", Text, Optional, "The SELECT for lint_runs, or none where the database has no such thing.", r#""none""#),
    key("issuance.queries.counts", Text, Optional, "The SELECT for counts, or none where the database has no such thing.", r#""none""#),
    key("issuance.issuer[].issuer_id", Integer(0, i64::MAX), Required, "The number that an issuer has in the CA's database.", "7"),
    key("issuance.issuer[].issuer", Text, Required, "Its name in [[issuer]].", r#""Example CA G1""#),
    key("issuance.issuer[].hierarchy", Word(&["public", "internal"]), Default(r#""public""#), "The hierarchy that it belongs to.", r#""public""#),
    key("issuance.follow[].path", Text, Required, "A growing file that feeds the record.", r#""/var/log/ra/rows.ndjson""#),
    key("issuance.follow[].format", Word(&["rows", "boulder-log"]), Default(r#""rows""#), "What its lines are.", r#""rows""#),
    key("issuance.reuse_rule[].name", Text, Required, "The name in the record of a rule by which you reuse validations.", r#""sticky""#),
    key("issuance.reuse_rule[].days", Integer(1, 10_000), Required, "How old a validation may be when it is reused by it.", "365"),
    key("issuance.flawed[].method", Text, Required, "A method of validation that was flawed as you practised it.", r#""tls-alpn-01""#),
    key("issuance.flawed[].from", Text, Required, "From which day or time of validation on.", r#""2021-11-01""#),
    key("issuance.flawed[].until", Text, Optional, "The first day or time at which it was sound again.", r#""2022-01-26T00:48:00Z""#),
    key("issuance.flawed[].reason", Text, Required, "What was wrong, as findings say it.", r#""Mozilla bug 1751984""#),
    key("mail.server", Text, Optional, "The SMTP server.", r#""smtp.ca.example""#),
    key("mail.port", Integer(1, 65_535), Optional, "Its port; 587 for starttls, 465 for tls, 25 for none-on-loopback.", "587"),
    key("mail.tls", Word(&["starttls", "tls", "none-on-loopback"]), Default(r#""starttls""#), "How the connection is protected.",
        r#""starttls""#),
    key("mail.username", Text, Optional, "User name, when the server wants one.", r#""ctwarden""#),
    key("mail.password_file", Text, Optional, "File with the password.", r#""smtp-password""#),
    key("mail.ca_certificate", Text, Optional, "PEM file of the private CA that signed the server's certificate.", r#""smtp-ca.pem""#),
    key("mail.folder", Text, Optional, "Instead of a server: a directory into which mails are written.", r#""mail""#),
    key("mail.from", Text, Optional, "The sender.", r#""ctwarden@ca.example""#),
    key("mail.to", Texts, Optional, "The recipients.", r#"["pki-oncall@ca.example"]"#),
    key("mail.profile", Word(&["human", "ticket"]), Default(r#""human""#), "The form of the messages.", r#""human""#),
    key("web.listen", Text, Default(r#""127.0.0.1:8640""#), "Address and port of metrics and health.", r#""127.0.0.1:8640""#),
    key("web.behind_proxy", Boolean, Default("false"), "Nobody but a proxy that speaks https reaches the address.", "false"),
    key("web.feed_limit_bytes", Integer(1024, 1 << 30), Default("8388608"), "The most bytes of a batch of the CA's record.", "8388608"),
    key("web.token[].name", Text, Required, "The bearer's name in metrics.", r#""ra""#),
    key("web.token[].role", Word(&["feed", "read"]), Required, "What the bearer may do.", r#""feed""#),
    key("web.token[].token_file", Text, Required, "File with the token, or with sha256: and its hash; for its owner's eyes alone.",
        r#""feed-token""#),
    key("watch.all_issuers", Boolean, Default("false"), "Every entry is a hit, for trials.", "false"),
    key("lint.gtld_registry", Text, Default(r#""https://www.icann.org/resources/registries/gtlds/v2/gtlds.json""#),
        "The ICANN registry of generic TLDs (JSON): a file, an https URL, or none.",
        r#""https://www.icann.org/resources/registries/gtlds/v2/gtlds.json""#),
    key("lint.tld_list", Text, Default(r#""https://data.iana.org/TLD/tlds-alpha-by-domain.txt""#),
        "The IANA list of top-level domains: a file, an https URL, or none.", r#""https://data.iana.org/TLD/tlds-alpha-by-domain.txt""#),
    key("lint.public_suffix_list", Text, Default(r#""https://publicsuffix.org/list/public_suffix_list.dat""#),
        "The Public Suffix List: a file, an https URL, or embedded.", r#""https://publicsuffix.org/list/public_suffix_list.dat""#),
    key("lint.refresh", Text, Default(r#""1d""#), "How often the three are read again.", r#""1d""#),
    key("lint.weak_keys", Texts, Optional, "Lists of weak keys: SHA-256 of the SubjectPublicKeyInfo, or as openssl-blacklist has them.",
        r#"["debian-weak-keys.txt"]"#),
    key("lint.compromised_keys", Texts, Optional, "The CA's lists of compromised keys: SHA-256 of the SubjectPublicKeyInfo and a reason.",
        r#"["compromised-keys.txt"]"#),
    key("judge[].name", Text, Required, "The name of another linter in cases and metrics.", r#""pkilint""#),
    key("judge[].command", Texts, Optional, "The program that is asked, with its arguments.",
        r#"["/opt/pkilint/bin/lint_cabf_serverauth_cert", "lint", "-d", "-f", "JSON", "{file}"]"#),
    key("judge[].url", Text, Optional, "Instead: the service that is asked.", r#""http://127.0.0.1:8080/lintcert""#),
    key("judge[].format", Word(&["pkilint", "zlint", "pkimetal"]), Required, "The form of its answers.", r#""pkilint""#),
    key("judge[].version_command", Texts, Optional, "A command that prints its version.", r#"["/opt/pkilint/bin/pip", "show", "pkilint"]"#),
    key("judge[].timeout", Text, Default(r#""30s""#), "How long it may take for one question.", r#""30s""#),
    key("judge[].at_once", Integer(1, 64), Default("2"), "The most questions that it is asked at once.", "2"),
    key("judge[].batch", Integer(1, 256), Default("1"), "The most certificates of one command.", "1"),
    key("caa_recheck.resolvers", Texts, Optional, "The CA's own resolvers, which are asked for CAA when a certificate is first seen.",
        r#"["10.0.0.53"]"#),
    key("caa_recheck.dnssec", Boolean, Default("true"), "Whether their answers are validated by DNSSEC.", "true"),
    key("caa_recheck.trust_anchor", Text, Optional, "DNSKEY records in place of those of the root.", r#""root.key""#),
    key("caa_recheck.timeout", Text, Default(r#""5s""#), "How long one question to one resolver may take.", r#""5s""#),
    key("caa_recheck.at_once", Integer(1, 64), Default("4"), "The most certificates whose names are looked up at once.", "4"),
    key("status.every", Text, Default(r#""1h""#), "How often the record is walked, the CRLs are read and both are compared.", r#""1h""#),
    key("status.logged_within", Text, Default(r#""1d""#), "How long after its signature a certificate may be in no log, or lack its final form.",
        r#""1d""#),
    key("status.unfinalised", Boolean, Default("true"), "Whether a precertificate that stays without its certificate is told.", "true"),
    key("status.named_crls", Boolean, Default("true"), "Whether the CRLs that certificates name are read, and not only those of [[issuer]].", "true"),
    key("status.crl_grace", Text, Default(r#""2h""#), "How long a CRL may be out of reach before that is a case.", r#""2h""#),
    key("status.crl_limit_mib", Integer(1, 2048), Default("256"), "The largest CRL that is read, in MiB; up to four times as much of the disk is needed while it is fetched.", "256"),
    key("status.controls_every", Text, Default(r#""1m""#), "How often the feed of the controls is read.", r#""1m""#),
    key("status.retired_counts", Texts, Optional, "Records of the CA that count certificates no more: their silence is not alarmed.", r#"["old_audit_log"]"#),
    key("control[].name", Text, Required, "The name of a control in the feed.", r#""internal-names""#),
    key("control[].max_age", Text, Optional, "How old its newest observation may be.", r#""15m""#),
    key("control[].enabled", Boolean, Default("true"), "Whether it is meant to be in force.", "true"),
    key("control[].version", Text, Optional, "The version that it must have.", r#""4.2""#),
    key("control[].value", Text, Optional, "The value that it must have: what the CP/CPS says, or the hash of a profile.", r#""ca.example""#),
    key("control[].entries_file", Text, Optional, "The source of its list, a file with one entry on each line; their numbers are compared.",
        r#""high-risk-names.txt""#),
    key("control[].entries_of", Text, Optional, "Instead: the control whose entries are the source.", r#""block-list-source""#),
    key("control[].entries_within", Integer(0, 1_000_000_000), Default("0"), "By how many entries the two may differ.", "0"),
    key("log.format", Word(&["human", "json"]), Default(r#""human""#), "The form of the program's own log.", r#""human""#),
    key("log.level", Word(&["error", "warn", "info", "debug", "trace"]), Default(r#""info""#), "The least important level that is written.",
        r#""info""#),
];

/// The entry of `candidates` that a person most likely meant by `word`: at most a third of its letters away, and at
/// least one letter may always differ.
pub fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_ascii_lowercase().replace('-', "_");
    let limit = (word.chars().count() / 3).max(1);
    let far = |candidate: &str| distance(&word, &candidate.replace('-', "_"));
    candidates.map(|c| (far(c), c)).filter(|(d, _)| *d <= limit).min_by_key(|(d, _)| *d).map(|(_, c)| c)
}

/// Levenshtein distance of two words. The first 64 characters of each count; longer words are never near a key.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(64).collect(), b.chars().take(64).collect());
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_found_and_far_ones_are_not() {
        assert_eq!(nearest("lisst", ["list", "contact"].into_iter()), Some("list"));
        assert_eq!(nearest("password-file", ["password_file"].into_iter()), Some("password_file"));
        assert_eq!(nearest("StartTLS", ["starttls", "tls"].into_iter()), Some("starttls"));
        assert_eq!(nearest("banana", ["list", "contact"].into_iter()), None);
        assert_eq!(nearest("", ["list"].into_iter()), None);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
    }

    #[test]
    fn no_key_is_stated_twice_and_defaults_are_the_example() {
        for (at, key) in KEYS.iter().enumerate() {
            assert!(KEYS[at + 1..].iter().all(|other| other.path != key.path), "{} stands twice", key.path);
            if let Need::Default(value) = key.need {
                assert_eq!(value, key.example, "{}", key.path);
            }
        }
    }
}
