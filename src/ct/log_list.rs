//! The list of logs, version 3 of the JSON schema that Chrome and Apple publish.
//!
//! One bad entry costs that entry and not the list: every log that is left out is a certificate not seen.

use std::collections::HashSet;
use std::fmt;

use serde_json::Value;

use super::key::{LogId, LogKey};
use super::log_url::LogUrl;
use super::sth::escape_error;
use super::{Hash, from_base64, hash_from_base64};
use crate::clock::{Span, Timestamp};
use crate::finding::escape;

/// The most bytes of a foreign name that are kept.
const MAX_NAME_BYTES: usize = 200;

/// Why a list cannot be used at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogListError {
    /// Not JSON.
    #[error("is not JSON ({0})")]
    Json(String),
    /// No list of operators.
    #[error("has no \"operators\" array, as the log_list.json of version 3 has")]
    Schema,
}

/// A log list.
#[derive(Clone, Debug)]
pub struct LogList {
    /// Version, as the list says; empty when it says none.
    pub version: String,
    /// When the list was made.
    pub timestamp: Option<Timestamp>,
    /// The logs that can be used, in the order of the list.
    pub logs: Vec<Log>,
    /// The entries that cannot.
    pub rejected: Vec<Rejected>,
}

/// An entry of the list that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// The entry's description or place, escaped.
    pub what: String,
    /// Why.
    pub why: String,
}

/// A log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// Host and path of the URL that is read, without scheme and trailing slash; unique in the list.
    pub name: String,
    /// Description, escaped.
    pub description: String,
    /// Name of the operator, escaped.
    pub operator: String,
    /// SHA-256 of the key.
    pub log_id: LogId,
    /// The key.
    pub key: LogKey,
    /// The key as DER SubjectPublicKeyInfo.
    pub key_der: Vec<u8>,
    /// How it is read.
    pub api: Api,
    /// The first line of its checkpoints: the submission URL without scheme and trailing slash.
    pub origin: String,
    /// Maximum merge delay.
    pub mmd: Span,
    /// What the list's author thinks of it.
    pub state: LogState,
    /// Size and root at which a readonly log has ended.
    pub final_tree_head: Option<(u64, Hash)>,
    /// The notAfter of the certificates that it takes: from the first moment, up to and without the second.
    pub temporal_interval: Option<(Timestamp, Timestamp)>,
}

/// How a log is read. All URLs end with a slash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Api {
    /// RFC 6962: ct/v1/ below this URL.
    Rfc6962 {
        /// The log's URL.
        url: String,
    },
    /// C2SP static-ct-api.
    StaticCt {
        /// Where certificates are submitted.
        submission_url: String,
        /// Where checkpoint, tile/ and issuer/ are.
        monitoring_url: String,
    },
}

impl Api {
    /// The word of the `api` label: `rfc6962` or `static-ct`.
    pub const fn word(&self) -> &'static str {
        match self {
            Api::Rfc6962 { .. } => "rfc6962",
            Api::StaticCt { .. } => "static-ct",
        }
    }
    /// The URL that a monitor reads.
    pub fn read_url(&self) -> &str {
        match self {
            Api::Rfc6962 { url } => url,
            Api::StaticCt { monitoring_url, .. } => monitoring_url,
        }
    }
}

/// The state of a log in the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LogState {
    /// Applied for inclusion.
    Pending,
    /// Accepted; SCTs count from a later day.
    Qualified,
    /// SCTs count.
    Usable,
    /// Takes no more entries.
    ReadOnly,
    /// SCTs from before its retirement count.
    Retired,
    /// Never counted, or no longer.
    Rejected,
    /// The list says nothing.
    NoState,
}

impl LogState {
    /// All states, in the order of a log's life.
    pub const ALL: [LogState; 7] = [
        LogState::Pending,
        LogState::Qualified,
        LogState::Usable,
        LogState::ReadOnly,
        LogState::Retired,
        LogState::Rejected,
        LogState::NoState,
    ];

    /// The word in the list and in the configuration; `none` when the list says nothing.
    pub const fn word(self) -> &'static str {
        match self {
            LogState::Pending => "pending",
            LogState::Qualified => "qualified",
            LogState::Usable => "usable",
            LogState::ReadOnly => "readonly",
            LogState::Retired => "retired",
            LogState::Rejected => "rejected",
            LogState::NoState => "none",
        }
    }
    /// The state with this word.
    pub fn parse(word: &str) -> Option<LogState> {
        LogState::ALL.into_iter().find(|state| state.word() == word)
    }
}

impl fmt::Display for LogState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl Log {
    /// Puts the URL and the origin of `[[logs.override]]` in the place of the list's. The name follows the URL. The
    /// error says what is wrong with the URL.
    pub fn apply_override(&mut self, origin: Option<&str>, monitoring_url: Option<&str>) -> Result<(), String> {
        if let Some(text) = monitoring_url {
            let read = LogUrl::parse(text)?;
            match &mut self.api {
                Api::Rfc6962 { url } => *url = read.url().to_string(),
                Api::StaticCt { monitoring_url, .. } => *monitoring_url = read.url().to_string(),
            }
            self.name = read.name().to_string();
        }
        if let Some(origin) = origin {
            self.origin = origin.to_string();
        }
        Ok(())
    }
}

/// Reads a log list.
pub fn parse(bytes: &[u8]) -> Result<LogList, LogListError> {
    let json: Value = serde_json::from_slice(bytes).map_err(|error| LogListError::Json(escape_error(&error)))?;
    let operators = json.get("operators").and_then(Value::as_array).ok_or(LogListError::Schema)?;
    let mut list = LogList {
        version: text(&json, "version").map(shown).unwrap_or_default(),
        timestamp: text(&json, "log_list_timestamp").and_then(Timestamp::parse),
        logs: Vec::new(),
        rejected: Vec::new(),
    };
    let (mut names, mut ids) = (HashSet::new(), HashSet::new());
    for (at, operator) in operators.iter().enumerate() {
        let name = text(operator, "name").map(shown).unwrap_or_else(|| format!("operator {at}"));
        for (member, read) in [("logs", rfc6962 as fn(&Value) -> Result<Urls, String>), ("tiled_logs", static_ct)] {
            let entries = match operator.get(member) {
                Some(Value::Array(entries)) => entries.as_slice(),
                None | Some(Value::Null) => &[],
                Some(_) => {
                    list.rejected.push(Rejected { what: name.clone(), why: format!("\"{member}\" is not an array") });
                    &[]
                }
            };
            for (at, entry) in entries.iter().enumerate() {
                let what = text(entry, "description").map(shown).unwrap_or_else(|| format!("{name} {member}[{at}]"));
                match read(entry).and_then(|urls| log(entry, &what, &name, urls)) {
                    Ok(log) if ids.contains(&log.log_id) || names.contains(&log.name) => {
                        let why = format!("log ID {} or URL {} is in the list before", log.log_id, log.name);
                        list.rejected.push(Rejected { what, why });
                    }
                    Ok(log) => {
                        ids.insert(log.log_id);
                        names.insert(log.name.clone());
                        list.logs.push(log);
                    }
                    Err(why) => list.rejected.push(Rejected { what, why }),
                }
            }
        }
    }
    Ok(list)
}

fn text<'a>(value: &'a Value, member: &str) -> Option<&'a str> {
    value.get(member).and_then(Value::as_str)
}

/// Foreign text as it is shown.
fn shown(text: &str) -> String {
    escape(text.as_bytes(), MAX_NAME_BYTES)
}

/// What is read from an entry by its kind.
struct Urls {
    api: Api,
    name: String,
    origin: String,
}

fn url(entry: &Value, member: &str) -> Result<LogUrl, String> {
    let text = text(entry, member).ok_or_else(|| format!("it has no \"{member}\""))?;
    LogUrl::parse(text).map_err(|why| format!("{member}: {why}"))
}

fn rfc6962(entry: &Value) -> Result<Urls, String> {
    let read = url(entry, "url")?;
    let (name, origin) = (read.name().to_string(), read.name().to_string());
    Ok(Urls { api: Api::Rfc6962 { url: read.into_url() }, name, origin })
}

fn static_ct(entry: &Value) -> Result<Urls, String> {
    // The origin is made from the submission URL but the monitor never dials it, so that an odd one does not matter.
    let (submission, monitoring) = (url(entry, "submission_url")?, url(entry, "monitoring_url")?);
    let (name, origin) = (monitoring.name().to_string(), submission.name().to_string());
    let api = Api::StaticCt { submission_url: submission.into_url(), monitoring_url: monitoring.into_url() };
    Ok(Urls { api, name, origin })
}

fn log(entry: &Value, description: &str, operator: &str, urls: Urls) -> Result<Log, String> {
    let key_der = text(entry, "key").and_then(from_base64).ok_or("its \"key\" is missing or not base64")?;
    let key = LogKey::from_spki_der(&key_der).map_err(|error| error.to_string())?;
    let log_id = text(entry, "log_id").and_then(LogId::from_base64);
    let log_id = log_id.ok_or("its \"log_id\" is missing or not the base64 of 32 bytes")?;
    if log_id != key.log_id() {
        return Err(format!("its log_id {log_id} is not SHA-256 of its key, which is {}", key.log_id()));
    }
    let (state, final_tree_head) = state(entry)?;
    Ok(Log {
        name: urls.name,
        description: description.to_string(),
        operator: operator.to_string(),
        log_id,
        key,
        key_der,
        api: urls.api,
        origin: urls.origin,
        mmd: mmd(entry)?,
        state,
        final_tree_head,
        temporal_interval: temporal_interval(entry)?,
    })
}

/// "mmd": whole seconds. The schema gives 86,400 where a log has none of its own.
fn mmd(entry: &Value) -> Result<Span, String> {
    match entry.get("mmd") {
        None => Ok(Span::from_seconds(86_400)),
        Some(value) => match value.as_i64() {
            Some(seconds @ 1..=31_536_000) => Ok(Span::from_seconds(seconds)),
            _ => Err("its \"mmd\" is not a number of seconds between 1 and 31536000".to_string()),
        },
    }
}

/// "state": an object with one member, which is named after the state.
fn state(entry: &Value) -> Result<(LogState, Option<(u64, Hash)>), String> {
    let member = match entry.get("state") {
        None | Some(Value::Null) => return Ok((LogState::NoState, None)),
        Some(Value::Object(members)) if members.len() <= 1 => members.iter().next(),
        Some(_) => return Err("its \"state\" is not an object with one state".to_string()),
    };
    let Some((word, details)) = member else { return Ok((LogState::NoState, None)) };
    let state = LogState::parse(word).filter(|state| *state != LogState::NoState);
    let state = state.ok_or_else(|| format!("its state \"{}\" is unknown", shown(word)))?;
    let head = match details.get("final_tree_head") {
        None | Some(Value::Null) => None,
        Some(head) => {
            let size = head.get("tree_size").and_then(Value::as_u64).filter(|size| *size <= super::MAX_TREE_SIZE);
            let root = text(head, "sha256_root_hash").and_then(hash_from_base64);
            Some(size.zip(root).ok_or("its \"final_tree_head\" has no tree_size or no sha256_root_hash")?)
        }
    };
    Ok((state, head))
}

fn temporal_interval(entry: &Value) -> Result<Option<(Timestamp, Timestamp)>, String> {
    let interval = match entry.get("temporal_interval") {
        None | Some(Value::Null) => return Ok(None),
        Some(interval) => interval,
    };
    let moment = |member| text(interval, member).and_then(Timestamp::parse);
    match moment("start_inclusive").zip(moment("end_exclusive")) {
        Some((start, end)) if start < end => Ok(Some((start, end))),
        _ => Err("its \"temporal_interval\" is not a start_inclusive before an end_exclusive".to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::date;
    use crate::ct::signer::LogSigner;
    use crate::ct::to_base64;
    use crate::ct::vectors::{read, shared};
    use serde_json::json;

    fn entry(description: &str, urls: Value) -> Value {
        let signer = LogSigner::generate();
        let mut entry = json!({
            "description": description, "log_id": signer.log_id(), "key": to_base64(&signer.spki_der()), "mmd": 60,
            "state": {"usable": {"timestamp": "2026-01-01T00:00:00Z"}},
            "temporal_interval": {"start_inclusive": "2026-01-01T00:00:00Z", "end_exclusive": "2026-07-01T00:00:00Z"},
        });
        for (name, url) in urls.as_object().expect("URLs") {
            entry[name] = url.clone();
        }
        entry
    }

    fn list(logs: Vec<Value>, tiled_logs: Vec<Value>) -> LogList {
        let operators = json!([{"name": "Op\u{202e}", "logs": logs, "tiled_logs": tiled_logs}]);
        let json = json!({"version": "1.2", "log_list_timestamp": "2026-09-27T00:00:00Z", "operators": operators});
        parse(json.to_string().as_bytes()).expect("a list")
    }

    #[test]
    fn both_kinds_of_log_are_read() {
        let urls = json!({"submission_url": "https://s.test-log.eu/2026h1/", "monitoring_url": "http://[::1]:80/m"});
        let list = list(vec![entry("a", json!({"url": "https://Ct.a.eu/x"}))], vec![entry("b", urls)]);
        assert_eq!((list.version.as_str(), list.timestamp), ("1.2", Some(date(2026, 9, 27))));
        assert_eq!(list.rejected, []);
        let [a, b] = list.logs.as_slice() else { panic!("two logs") };
        assert_eq!(
            (a.name.as_str(), a.origin.as_str(), a.operator.as_str()),
            ("ct.a.eu/x", "ct.a.eu/x", "Op\\xe2\\x80\\xae")
        );
        assert_eq!(a.api, Api::Rfc6962 { url: "https://ct.a.eu/x/".to_string() });
        assert_eq!((a.state, a.mmd, a.log_id), (LogState::Usable, Span::from_seconds(60), a.key.log_id()));
        assert_eq!(a.temporal_interval, Some((date(2026, 1, 1), date(2026, 7, 1))));
        assert_eq!((b.name.as_str(), b.origin.as_str()), ("[::1]:80/m", "s.test-log.eu/2026h1"));
        assert_eq!(b.api.read_url(), "http://[::1]:80/m/");
        let mut b = b.clone();
        assert_eq!(b.apply_override(Some("o"), Some("https://mirror.eu/b")), Ok(()));
        assert_eq!(
            (b.name.as_str(), b.origin.as_str(), b.api.read_url()),
            ("mirror.eu/b", "o", "https://mirror.eu/b/")
        );
        assert!(b.apply_override(None, Some("ftp://mirror.eu/b")).is_err());
    }

    #[test]
    fn one_bad_entry_is_rejected_with_its_reason_and_the_rest_stays() {
        let good = entry("good", json!({"url": "https://good.eu/"}));
        let change = |member: &str, value: Value| {
            let mut bad = entry(member, json!({"url": format!("https://{}.eu/", member.replace('_', "-"))}));
            bad[member] = value;
            bad
        };
        let logs = vec![
            change("log_id", json!(to_base64(&[0; 32]))),
            change("key", json!("AAAA")),
            change("url", json!("https://ct.example.com/bogus/")),
            change("mmd", json!("soon")),
            change("state", json!({"odd": {}})),
            change("state", json!({"readonly": {"final_tree_head": {"tree_size": 7}}})),
            change("temporal_interval", json!({"start_inclusive": "2027-01-01T00:00:00Z"})),
            json!(7),
            good.clone(),
            good,
            change("state", Value::Null),
            change("description", json!(7)),
        ];
        let list = list(logs, vec![json!({"description": "no URLs"})]);
        let names: Vec<&str> = list.logs.iter().map(|log| log.name.as_str()).collect();
        assert_eq!(names, ["good.eu", "state.eu", "description.eu"]);
        assert_eq!(list.logs[1].state, LogState::NoState);
        assert_eq!(list.logs[2].description, "Op\\xe2\\x80\\xae logs[11]");
        let reasons = [
            ("log_id", "is not SHA-256 of its key"),
            ("key", "SubjectPublicKeyInfo"),
            ("url", "placeholder"),
            ("mmd", "\"mmd\""),
            ("state", "\"odd\" is unknown"),
            ("state", "final_tree_head"),
            ("temporal_interval", "temporal_interval"),
            ("Op\\xe2\\x80\\xae logs[7]", "no \"url\""),
            ("good", "in the list before"),
            ("no URLs", "submission_url"),
        ];
        assert_eq!(list.rejected.len(), reasons.len(), "{:?}", list.rejected);
        for (rejected, (what, why)) in list.rejected.iter().zip(reasons) {
            assert!(rejected.what == what && rejected.why.contains(why), "{rejected:?}");
        }
        assert!(matches!(parse(b"<html>"), Err(LogListError::Json(_))));
        assert!(matches!(parse(b"{\"operators\":{}}"), Err(LogListError::Schema)));
        let odd = parse(br#"{"operators":[7,{"logs":7}]}"#).expect("a list");
        assert_eq!((odd.logs.len(), odd.rejected.len()), (0, 1));
    }

    #[test]
    fn states_have_words() {
        for state in LogState::ALL {
            assert_eq!(LogState::parse(state.word()), Some(state));
        }
        assert_eq!(LogState::parse("Usable"), None);
    }

    #[test]
    fn real_lists_are_read_whole() {
        let Some(directory) = shared().map(|shared| shared.join("loglists")) else { return };
        let list = |file| parse(&read(directory.join(file))).expect("a list");
        let tiled = |list: &LogList| list.logs.iter().filter(|log| matches!(log.api, Api::StaticCt { .. })).count();
        let chrome = list("log_list.v81.14.2026-01-20.json");
        let bogus = chrome.rejected.iter().filter(|rejected| rejected.why.contains("placeholder")).count();
        assert_eq!((chrome.logs.len() + bogus, bogus, chrome.rejected.len()), (75, 2, 2), "{:?}", chrome.rejected);
        let final_heads = chrome.logs.iter().filter(|log| log.final_tree_head.is_some());
        assert!(final_heads.clone().all(|log| log.state == LogState::ReadOnly) && final_heads.count() == 9);
        let composed = list("log_list.composed-2026-09-27.json");
        assert_eq!(
            (composed.logs.len(), tiled(&composed), composed.rejected.len()),
            (62, 38, 2),
            "{:?}",
            composed.rejected
        );
        let all = list("all_logs_list.v53.34.2025-05-05.json");
        assert_eq!((all.version.as_str(), all.logs.len(), all.rejected.len()), ("53.34", 180, 1), "{:?}", all.rejected);
    }
}
