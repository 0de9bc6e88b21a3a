//! Whether somebody ordered each name.

use super::rows::NameRow;
use super::{Bench, round_of_order};
use crate::audit::AuditError;
use crate::audit::found::Outcome;
use crate::audit::intern::NONE;
use crate::audit::spool::Fields;
use crate::clock::Span;
use crate::crosscheck::{self, Context};
use crate::finding::{RuleInfo, Verdict};
use crate::record::{Lookup, Presented};

const RULE: &str = "san.unexpected";

/// The names that the orders of a part approve.
#[derive(Default)]
pub(super) struct Ordered {
    names: Vec<u8>,
    /// The order, and where the name begins and ends; sorted by order and name.
    places: Vec<(u32, u32, u32)>,
}

impl Ordered {
    /// Loads a part, or of several rounds one.
    pub(super) fn load(bench: &Bench<'_>, part: u32, round: u32, rounds: u32) -> Result<Ordered, AuditError> {
        let mut ordered = Ordered::default();
        for spool in &bench.loaded.ordered {
            spool.each_block(part, &mut |block| {
                let mut fields = Fields(block);
                while let Some((order, name)) = fields.small().zip(fields.text()) {
                    if round_of_order(bench.facts(), order, rounds) == round {
                        let start = ordered.names.len() as u32;
                        ordered.names.extend_from_slice(name);
                        ordered.places.push((order, start, ordered.names.len() as u32));
                    }
                }
            })?;
        }
        let Ordered { names, places } = &mut ordered;
        places.sort_unstable_by(|a, b| (a.0, name(names, *a)).cmp(&(b.0, name(names, *b))));
        Ok(ordered)
    }

    /// Whether an order approves a name.
    fn has(&self, order: u32, asked: &str) -> bool {
        let of = |place: &(u32, u32, u32)| (place.0, name(&self.names, *place)).cmp(&(order, asked.as_bytes()));
        self.places.binary_search_by(of).is_ok()
    }
}

fn name(names: &[u8], (_, start, end): (u32, u32, u32)) -> &[u8] {
    &names[start as usize..end as usize]
}

/// What was looked at, and what could not be judged.
#[derive(Default)]
pub(super) struct Unjudged(u64, Option<String>);

impl Bench<'_> {
    /// Judges a name by the names that its order approves.
    pub(super) fn order_of(
        &self,
        row: &NameRow<'_>,
        ordered: &Ordered,
        unjudged: &mut Unjudged,
        outcome: &mut Outcome,
    ) {
        if !self.job.asks(RULE) || row.order != NONE && ordered.has(row.order, row.name()) {
            return;
        }
        // What is missing is missing for every name alike: it is looked up once.
        let facts = self.facts();
        let missing = if row.order == NONE { !facts.keeps_orders } else { !facts.keeps_order_names };
        if missing && unjudged.1.is_some() {
            unjudged.0 += 1;
            return;
        }
        let Some((rule, verdict)) = self.asked_for(row) else { return };
        match verdict {
            Verdict::NotEvaluable(why) => *unjudged = Unjudged(unjudged.0 + 1, Some(why)),
            verdict => self.note(rule, verdict, &row.of_no_confirmation(), "", outcome),
        }
    }

    /// Counts what could not be judged.
    pub(super) fn unjudged(&self, unjudged: Unjudged, outcome: &mut Outcome) {
        if let Unjudged(count, Some(why)) = unjudged {
            outcome.gap(RULE, &why, count);
        }
    }

    /// What the cross-check says of a name that no order approves.
    fn asked_for(&self, row: &NameRow<'_>) -> Option<(&'static RuleInfo, Verdict)> {
        let mut record = self.record(self.facts().certificates.at(row.certificate), Vec::new());
        if let Some(order) = record.order.as_mut().filter(|_| self.facts().keeps_order_names) {
            order.names = Some(Vec::new());
        }
        let signed = record.signed_at;
        let presented = Presented { names: vec![row.name().to_string()], ..Presented::default() };
        let context = Context { first_seen: signed, now: signed, grace: Span::default() };
        let verdicts = crosscheck::run(&presented, &Lookup::Found(Box::new(record)), &context, self.job.policy);
        verdicts.into_iter().find(|(rule, _)| rule.id == RULE)
    }
}
