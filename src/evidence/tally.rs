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
    /// By rule, those that were not said before.
    gaps: Vec<(&'static str, BTreeSet<String>)>,
}

impl Tally {
    pub(super) fn add(&mut self, remark: Remark) {
        match remark {
            Remark::Broken(finding) => self.findings.push(finding),
            Remark::Gap(rule, why) => match self.gaps.iter_mut().find(|(id, _)| *id == rule.id) {
                Some((_, reasons)) => drop(reasons.insert(why)),
                None => self.gaps.push((rule.id, BTreeSet::from([why]))),
            },
        }
    }

    /// One verdict per rule of [`RULES`], in that order: what is broken counts before what is missing.
    pub(super) fn verdicts(mut self) -> Vec<(&'static RuleInfo, Verdict)> {
        RULES.iter().map(|rule| (*rule, self.verdict(rule))).collect()
    }

    fn verdict(&mut self, rule: &RuleInfo) -> Verdict {
        if self.findings.iter().any(|finding| finding.rule == rule.id) {
            return Verdict::from_findings(self.findings.extract_if(.., |finding| finding.rule == rule.id).collect());
        }
        let Some((_, gaps)) = self.gaps.iter().find(|(id, _)| *id == rule.id) else { return Verdict::Pass };
        let told: Vec<&str> = gaps.iter().take(REASON_LIMIT).map(|why| &**why).collect();
        let (told, more) = (told.join("; "), gaps.len().saturating_sub(REASON_LIMIT));
        Verdict::NotEvaluable(if more > 0 { format!("{told}; and {more} more") } else { told })
    }
}
