//! What the other linters of a configuration say of certificates, beside our own findings.

use std::borrow::Cow;
use std::sync::Arc;

use futures_util::future::join_all;
use tokio::runtime::Runtime;

use super::input::Item;
use super::judge::Report;
use crate::finding::{Finding, RevocationClock, Severity};
use crate::judges::opinion::{Said, compare};
use crate::judges::{Judge, JudgeError};

/// The other linters, and where they are asked from.
pub struct Panel {
    /// Each of them.
    pub judges: Vec<Arc<Judge>>,
    /// Where questions are under way.
    pub runtime: Runtime,
}

impl Panel {
    /// Asks about all certificates that can be read, and adds what is said to their reports. A linter that does not
    /// answer is not evaluable, and said to be.
    pub fn ask(&self, items: &[&Item], reports: &mut [Report]) {
        let readable = |at: &usize| reports[*at].issued.is_some() && items[*at].block.is_ok();
        let asked: Vec<usize> = (0..items.len()).filter(readable).collect();
        let said: Vec<Option<Said>> =
            reports.iter().map(|report| Some(Said::new(&report.findings, report.issued?))).collect();
        let ders = |part: &[usize]| part.iter().filter_map(|at| items[*at].block.clone().ok()).collect::<Vec<_>>();
        for judge in &self.judges {
            let (batch, at_once) = (judge.settings.batch.max(1), judge.settings.at_once.max(1));
            for group in asked.chunks(batch * at_once) {
                let parts: Vec<&[usize]> = group.chunks(batch).collect();
                let questions = parts.iter().map(|part| {
                    let ders = ders(part);
                    async move { judge.ask(&ders).await }
                });
                let answers = self.runtime.block_on(join_all(questions));
                for (part, answer) in parts.into_iter().zip(answers) {
                    match answer {
                        Ok(answers) => part.iter().zip(answers).for_each(|(at, answer)| {
                            let Some(said) = &said[*at] else { return };
                            let comparison = compare(said, &answer);
                            reports[*at].opinions.extend(comparison.lines);
                            reports[*at].findings.extend(comparison.findings);
                        }),
                        Err(error) => {
                            part.iter().for_each(|at| reports[*at].findings.push(silent(&judge.settings.name, &error)));
                        }
                    }
                }
            }
        }
    }
}

fn silent(name: &str, error: &JudgeError) -> Finding {
    Finding {
        rule: Cow::Owned(name.to_string()),
        severity: Severity::Review,
        citation: Cow::Borrowed("another linter"),
        clock: RevocationClock::None,
        subject: "not evaluable".to_string(),
        detail: error.to_string(),
        evidence: Vec::new(),
    }
}
