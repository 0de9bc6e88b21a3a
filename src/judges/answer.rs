//! The formats in which judges answer, read with suspicion: text is escaped and cut, what is missing is an error.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::mapping::UNREADABLE;
use super::{Answer, Foreign, Format, JudgeError, MOST_FINDINGS, TEXT_LIMIT_BYTES, Weight};
use crate::finding::escape;

/// The longest name of a linter or code, in bytes.
const NAME_LIMIT_BYTES: usize = 120;

#[derive(Deserialize)]
struct PkilintReport {
    results: Vec<PkilintResult>,
}

#[derive(Deserialize)]
struct PkilintResult {
    node_path: String,
    finding_descriptions: Vec<PkilintFinding>,
}

#[derive(Deserialize)]
struct PkilintFinding {
    severity: String,
    code: String,
    message: Option<String>,
}

/// What zlint says of one lint: `{"result": "error", "details": "..."}`.
#[derive(Deserialize)]
struct ZlintResult {
    result: String,
    #[serde(default)]
    details: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PkimetalFinding {
    linter: String,
    finding: String,
    severity: String,
    #[serde(default)]
    code: String,
    #[serde(default)]
    field: String,
}

/// Reads the answers about `count` certificates: one JSON document each, in order.
///
/// # Errors
/// [`JudgeError::Garbled`] when they are fewer, more, or something else.
pub(super) fn read(format: Format, bytes: &[u8], count: usize) -> Result<Vec<Answer>, JudgeError> {
    let garbled =
        |error: serde_json::Error| JudgeError::Garbled(escape(error.to_string().as_bytes(), TEXT_LIMIT_BYTES));
    let mut documents = serde_json::Deserializer::from_slice(bytes).into_iter::<serde_json::Value>();
    let mut answers = Vec::new();
    for document in documents.by_ref().take(count + 1) {
        let document = document.map_err(garbled)?;
        answers.push(match format {
            Format::Pkilint => pkilint(serde_json::from_value(document).map_err(garbled)?),
            Format::Zlint => zlint(serde_json::from_value(document).map_err(garbled)?)?,
            Format::Pkimetal => pkimetal(serde_json::from_value(document).map_err(garbled)?)?,
        });
    }
    match answers.len() {
        found if found == count => Ok(answers),
        found => Err(JudgeError::Garbled(format!("{found} or more JSON documents for {count} certificates"))),
    }
}

/// The answer of a linter that cannot load a certificate, in its own words.
pub(super) fn unreadable(linter: &str, words: &str) -> Answer {
    let finding = foreign(linter, UNREADABLE, Weight::Error, "certificate", words);
    Answer { linters: vec![linter.to_string()], version: String::new(), findings: vec![finding] }
}

fn pkilint(report: PkilintReport) -> Answer {
    let found = report.results.iter().flat_map(|result| {
        result.finding_descriptions.iter().map(|finding| {
            let weight = match finding.severity.as_str() {
                "FATAL" | "ERROR" => Weight::Error,
                "WARNING" => Weight::Warning,
                _ => Weight::Notice,
            };
            foreign("pkilint", &finding.code, weight, &result.node_path, finding.message.as_deref().unwrap_or_default())
        })
    });
    Answer {
        linters: vec!["pkilint".to_string()],
        version: String::new(),
        findings: found.take(MOST_FINDINGS).collect(),
    }
}

fn zlint(results: BTreeMap<String, ZlintResult>) -> Result<Answer, JudgeError> {
    if results.is_empty() {
        // `-includeNames` of nothing, or not zlint: silence about every rule is no verdict.
        return Err(JudgeError::Garbled("it holds no lint at all".to_string()));
    }
    let found = results.iter().filter_map(|(lint, result)| {
        let weight = match result.result.as_str() {
            "fatal" | "error" => Weight::Error,
            "warn" => Weight::Warning,
            "info" => Weight::Notice,
            // pass, NA (not applicable), NE (not effective), reserved.
            _ => return None,
        };
        Some(foreign("zlint", lint, weight, "", &result.details))
    });
    Ok(Answer {
        linters: vec!["zlint".to_string()],
        version: String::new(),
        findings: found.take(MOST_FINDINGS).collect(),
    })
}

fn pkimetal(findings: Vec<PkimetalFinding>) -> Result<Answer, JudgeError> {
    let mut answer = Answer::default();
    for finding in findings.into_iter().take(MOST_FINDINGS) {
        let own = finding.linter == "pkimetal";
        let weight = match finding.severity.as_str() {
            // "Profile: tbr_leaf_tlsserver_dv; Version: v1.20.0" of itself, "...; Runtime: ...; Version: v3.6.4" of each
            // linter that has run, "Not used [...]" of the others.
            "meta" => {
                let version = finding.finding.split_once("Version: ").map(|(_, version)| version);
                match version {
                    Some(version) if own => answer.version = escape(version.as_bytes(), NAME_LIMIT_BYTES),
                    Some(_) => answer.linters.push(escape(finding.linter.as_bytes(), NAME_LIMIT_BYTES)),
                    None => {}
                }
                continue;
            }
            // What pkimetal calls fatal about itself is a linter that broke down, or a question that it did not take.
            _ if own => return Err(JudgeError::Garbled(super::shown(finding.finding.as_bytes()))),
            "error" | "fatal" => Weight::Error,
            "warning" => Weight::Warning,
            _ => Weight::Notice,
        };
        // zlint and x509lint give no fatal but "Could not parse certificate"; older versions give no codes.
        let code = match (finding.severity.as_str(), finding.code.as_str()) {
            ("fatal", "") => UNREADABLE,
            (_, "") => &finding.finding,
            (_, code) => code,
        };
        answer.findings.push(foreign(&finding.linter, code, weight, &finding.field, &finding.finding));
    }
    if answer.linters.is_empty() {
        return Err(JudgeError::Garbled("it names no linter that has run; ask with severity=meta".to_string()));
    }
    Ok(answer)
}

fn foreign(linter: &str, code: &str, weight: Weight, field: &str, text: &str) -> Foreign {
    Foreign {
        linter: escape(linter.as_bytes(), NAME_LIMIT_BYTES),
        code: escape(code.as_bytes(), NAME_LIMIT_BYTES),
        weight,
        field: escape(field.as_bytes(), NAME_LIMIT_BYTES),
        text: escape(text.as_bytes(), TEXT_LIMIT_BYTES),
    }
}
