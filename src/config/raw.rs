//! The file as it is written: every key optional, no key unknown. Made from a checked
//! [`Document`](super::document::Document), so that serde never meets a key that the table does not know.
//! The key table says what each field is.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{IssuanceSource, LogFormat, MailProfile, MailTls};
use crate::issuance::FileFormat;
use crate::judges::Format;

/// The whole file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawConfig {
    pub logs: RawLogs,
    pub issuer: Vec<RawIssuer>,
    pub profile: Vec<RawProfile>,
    pub data: RawData,
    pub books: RawBooks,
    pub issuance: RawIssuance,
    pub mail: RawMail,
    pub web: RawWeb,
    pub watch: RawWatch,
    pub lint: RawLint,
    pub judge: Vec<RawJudge>,
    pub caa_recheck: RawCaaRecheck,
    pub status: RawStatus,
    pub control: Vec<RawControl>,
    pub log: RawLog,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawLogs {
    pub list: Option<String>,
    pub list_key: Option<String>,
    pub list_signature: Option<String>,
    pub contact: Option<String>,
    pub start: Option<String>,
    pub refresh: Option<String>,
    pub states: Option<Vec<String>>,
    pub expiring_after: Option<String>,
    pub source_addresses: Option<Vec<String>>,
    pub r#override: Vec<RawOverride>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawOverride {
    pub log_id: Option<String>,
    pub origin: Option<String>,
    pub monitoring_url: Option<String>,
    pub start: Option<String>,
    pub page: Option<u64>,
    pub rate: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawIssuer {
    pub name: Option<String>,
    pub certificate: Option<String>,
    pub issuer_key_hash: Option<String>,
    pub crls: Option<Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawProfile {
    pub issuers: Option<Vec<String>>,
    pub section: Option<String>,
    pub since: Option<String>,
    pub until: Option<String>,
    pub severity: Option<String>,
    pub san_types: Option<Vec<String>>,
    pub policy_oids: Option<Vec<String>>,
    pub max_validity_days: Option<u32>,
    pub keys: Option<Vec<String>>,
    pub ekus: Option<Vec<String>>,
    pub subject_fields: Option<Vec<String>>,
    pub name_suffixes: Option<Vec<String>>,
    pub subject_countries: Option<Vec<String>>,
    pub forbidden_names: Option<Vec<String>>,
    pub forbidden_names_file: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawData {
    pub directory: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawBooks {
    pub url: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawIssuance {
    pub source: Option<IssuanceSource>,
    pub grace: Option<String>,
    pub preset: Option<String>,
    pub host: Option<String>,
    pub port: Option<u16>,
    pub database: Option<String>,
    pub user: Option<String>,
    pub password_file: Option<String>,
    pub tls: Option<String>,
    pub ca_certificate: Option<String>,
    pub connections: Option<usize>,
    pub statement_timeout: Option<String>,
    pub connect_timeout: Option<String>,
    pub serials: Option<String>,
    pub replica_time: Option<String>,
    pub queries: BTreeMap<String, String>,
    pub issuer: Vec<RawMappedIssuer>,
    pub caa_domains: Option<Vec<String>>,
    pub account_uri_prefix: Option<String>,
    pub channels: Option<Vec<String>>,
    pub countries: Option<Vec<String>>,
    pub methods: Option<Vec<String>>,
    pub bulk_evidence: Option<Vec<String>>,
    pub recorded_within: Option<String>,
    pub test_accounts: Option<Vec<String>>,
    pub test_organizations: Option<Vec<String>>,
    pub test_zones: Option<Vec<String>>,
    pub own_resolvers: Option<Vec<String>>,
    pub systems: Option<Vec<String>>,
    pub shared_accounts: Option<Vec<String>>,
    pub follow: Vec<RawFollow>,
    pub reuse_rule: Vec<RawReuseRule>,
    pub flawed: Vec<RawFlawed>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawReuseRule {
    pub name: Option<String>,
    pub days: Option<i64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawFollow {
    pub path: Option<String>,
    pub format: Option<FileFormat>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawFlawed {
    pub method: Option<String>,
    pub from: Option<String>,
    pub until: Option<String>,
    pub reason: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawMappedIssuer {
    pub issuer_id: Option<i64>,
    pub issuer: Option<String>,
    pub hierarchy: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawMail {
    pub server: Option<String>,
    pub port: Option<u16>,
    pub tls: Option<MailTls>,
    pub username: Option<String>,
    pub password_file: Option<String>,
    pub ca_certificate: Option<String>,
    pub folder: Option<String>,
    pub from: Option<String>,
    pub to: Option<Vec<String>>,
    pub profile: Option<MailProfile>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawWeb {
    pub listen: Option<String>,
    pub behind_proxy: Option<bool>,
    pub feed_limit_bytes: Option<usize>,
    pub token: Vec<RawToken>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawToken {
    pub name: Option<String>,
    pub role: Option<String>,
    pub token_file: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawWatch {
    pub all_issuers: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawLint {
    pub gtld_registry: Option<String>,
    pub tld_list: Option<String>,
    pub refresh: Option<String>,
    pub public_suffix_list: Option<String>,
    pub weak_keys: Option<Vec<String>>,
    pub compromised_keys: Option<Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawJudge {
    pub name: Option<String>,
    pub command: Option<Vec<String>>,
    pub url: Option<String>,
    pub format: Option<Format>,
    pub version_command: Option<Vec<String>>,
    pub timeout: Option<String>,
    pub at_once: Option<usize>,
    pub batch: Option<usize>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawCaaRecheck {
    pub resolvers: Option<Vec<String>>,
    pub dnssec: Option<bool>,
    pub trust_anchor: Option<String>,
    pub timeout: Option<String>,
    pub at_once: Option<usize>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawStatus {
    pub every: Option<String>,
    pub logged_within: Option<String>,
    pub unfinalised: Option<bool>,
    pub named_crls: Option<bool>,
    pub crl_grace: Option<String>,
    pub crl_limit_mib: Option<usize>,
    pub controls_every: Option<String>,
    pub retired_counts: Option<Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawControl {
    pub name: Option<String>,
    pub max_age: Option<String>,
    pub enabled: Option<bool>,
    pub version: Option<String>,
    pub value: Option<String>,
    pub entries_file: Option<String>,
    pub entries_of: Option<String>,
    pub entries_within: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawLog {
    pub format: Option<LogFormat>,
    pub level: Option<String>,
}
