//! Was the certificate linted before it was signed, and does what a linter said then agree with what our rules say now
//! (BR 4.3.1.2)?

use crate::clock::{Timestamp, date};
use crate::finding::{Finding, Needs, RevocationClock, RuleInfo, Severity, Verdict, br, escape};
use crate::record::{LintRun, Lookup};

/// BR 4.3.1.2: "Effective 2025-03-15, the CA SHALL implement a Linting process to test the technical conformity of each
/// to-be-signed artifact prior to signing it"; SHOULD since 2024-09-15.
pub static LINT_PRERUN: RuleInfo = RuleInfo {
    id: "lint.prerun",
    summary: "a linter passed the certificate before it was signed, and our rules find no error in it either",
    severity: Severity::Error,
    citation: br("4.3.1.2"),
    clock: RevocationClock::FiveDays(12),
    since: Some(ADVISED),
    until: None,
    needs: Needs::Record,
};

/// From when it SHOULD be linted.
const ADVISED: Timestamp = date(2024, 9, 15);
/// From when it SHALL be.
const REQUIRED: Timestamp = date(2025, 3, 15);
/// The most runs, and the most of our own findings, that a finding tells.
const MOST_TOLD: usize = 5;

/// Judges the linting before the signature; `ours` are the findings of our own rules about the certificate alone.
pub fn judge(lookup: &Lookup, ours: &[&Finding]) -> Verdict {
    let record = match lookup.record() {
        Ok(record) => record,
        Err(why) => return Verdict::NotEvaluable(why),
    };
    let signed = record.signed_at;
    if !LINT_PRERUN.in_force(signed) {
        return Verdict::Pass;
    }
    let Some(runs) = &record.lint_runs else {
        return Verdict::NotEvaluable("the feed has no table lint_runs".to_string());
    };
    let told: Vec<String> = runs.iter().take(MOST_TOLD).map(told).collect();
    let told = if told.is_empty() { "no row in lint_runs".to_string() } else { told.join("; ") };
    let broken = |why: String, grade: Option<(Severity, RevocationClock)>| {
        let mut finding = LINT_PRERUN.finding("linting before signing", why);
        (finding.severity, finding.clock) = grade.unwrap_or((finding.severity, finding.clock));
        let said = format!("{told}; signed {signed} (as of {})", record.as_of);
        Verdict::Fail(vec![finding.with_evidence("issuance database", said)])
    };
    let advice = (signed < REQUIRED).then_some((Severity::Warning, RevocationClock::None));
    let before: Vec<&LintRun> = runs.iter().filter(|run| run.ran_at <= signed).collect();
    if before.is_empty() {
        return broken(format!("no linter is on record as having run before it was signed at {signed}"), advice);
    }
    if let Some(refused) = before.iter().find(|run| !run.result.eq_ignore_ascii_case("passed")) {
        let why = format!("{} refused it at {}, and it was signed nonetheless", shown(&refused.linter), refused.ran_at);
        return broken(why, advice);
    }
    let errors: Vec<String> = (ours.iter())
        .filter(|finding| finding.severity <= Severity::Error)
        .take(MOST_TOLD)
        .map(|finding| format!("{} ({})", finding.rule, finding.subject))
        .collect();
    if errors.is_empty() {
        return Verdict::Pass;
    }
    let linters: Vec<String> = before.iter().take(MOST_TOLD).map(|run| shown(&run.linter)).collect();
    let why = format!(
        "{} passed it before it was signed, our rules find {}: the linting has a gap, or it was another certificate",
        linters.join(", "),
        errors.join(", ")
    );
    broken(why, Some((Severity::Review, RevocationClock::None)))
}

fn told(run: &LintRun) -> String {
    let version = run.version.as_ref().map_or(String::new(), |version| format!(" {}", shown(version)));
    format!("{}{version} {} at {}", shown(&run.linter), shown(&run.result), run.ran_at)
}

fn shown(text: &str) -> String {
    escape(text.as_bytes(), 100)
}
