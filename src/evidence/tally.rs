//! What was found and what could not be judged, until it is one verdict per rule.

use std::collections::BTreeSet;

use crate::evidence::rules::RULES;
use crate::finding::{Finding, RuleInfo, Verdict};

/// The most reasons that a "not evaluable" names; the rest are counted.
const REASON_LIMIT: usize = 3;

/// What a rule says about one name.
pub(super) enum Remark {
    /// It is broken.
    Broken(Finding),
    /// It cannot be judged: the text names the column or table that is missing.
    Gap(&'static RuleInfo, String),
}

impl Remark {
    pub(super) fn gap(rule: &'static RuleInfo, why: impl Into<String>) -> Remark {
        Remark::Gap(rule, why.into())
    }
}

/// Collects remarks.
#[derive(Default)]
pub(super) struct Tally {
    findings: Vec<Finding>,
    gaps: BTreeSet<(&'static str, String)>,
}

impl Tally {
    pub(super) fn add(&mut self, remark: Remark) {
        match remark {
            Remark::Broken(finding) => self.findings.push(finding),
            Remark::Gap(rule, why) => {
                self.gaps.insert((rule.id, why));
            }
        }
    }

    /// One verdict per rule of [`RULES`], in that order: what is broken counts before what is missing.
    pub(super) fn verdicts(mut self) -> Vec<(&'static RuleInfo, Verdict)> {
        let verdict = |rule: &RuleInfo| {
            let mine: Vec<Finding> = self.findings.extract_if(.., |finding| finding.rule == rule.id).collect();
            let of_rule = self.gaps.range((rule.id, String::new())..).take_while(|(id, _)| *id == rule.id);
            let gaps: Vec<&str> = of_rule.map(|(_, why)| &**why).collect();
            match Verdict::from_findings(mine) {
                Verdict::Pass if !gaps.is_empty() => {
                    let more = gaps.len().saturating_sub(REASON_LIMIT);
                    let told = gaps[..gaps.len() - more].join("; ");
                    Verdict::NotEvaluable(if more > 0 { format!("{told}; and {more} more") } else { told })
                }
                verdict => verdict,
            }
        };
        let verdicts: Vec<Verdict> = RULES.iter().copied().map(verdict).collect();
        RULES.iter().copied().zip(verdicts).collect()
    }
}
