//! What the rows of each table become.

use std::sync::atomic::Ordering;

use super::Reading;
use super::hand::{Hand, Row};
use crate::audit::AuditError;
use crate::audit::facts::{Certificate, Facts, NO_MOMENT, OrderRow, Reuse};
use crate::audit::intern::NONE;
use crate::audit::key::Place;
use crate::audit::location::Location;
use crate::audit::spool::{put_moments, put_number, put_small, put_smalls, put_text};

impl Reading<'_> {
    pub(super) fn certificate(&self, row: &mut Row<'_>, hand: &mut Hand<'_>, facts: &Facts) -> Result<(), AuditError> {
        let (id, issuer_id) = (row.whole(0).unwrap_or_default(), row.whole(1).unwrap_or_default());
        let order = row.text(2).map_or(NONE, |order| hand.order(&order, facts));
        let (signed, not_after) = (row.moment(3), row.moment(4));
        let Some(issuer) = facts.issuers.iter().position(|issuer| issuer.id == issuer_id) else {
            row.refuse(1, "names no row of issuers");
            return Ok(());
        };
        let question = self.job.question;
        let asked = (not_after == NO_MOMENT || not_after >= question.unexpired_at.seconds())
            && question.since.is_none_or(|since| signed >= since.seconds());
        let settled = self.corpus.settled.is_none_or(|until| signed < until.seconds());
        if !asked || !settled {
            hand.unsettled += u64::from(asked);
            hand.unasked.push(id);
        } else if row.sound {
            hand.add_certificate(Certificate { id, signed, not_after, order, issuer: issuer as u32 });
        }
        Ok(())
    }

    pub(super) fn confirmation(&self, row: &mut Row<'_>, hand: &mut Hand<'_>, facts: &Facts) -> Result<(), AuditError> {
        hand.resolve(row, 1, facts);
        let id = row.whole(0).unwrap_or_default();
        let (method, completed, by) = (hand.must(row, 3), row.moment(4), hand.must(row, 5));
        let (dcv, reused) = (row.whole(12).unwrap_or(0), row.whole(16).unwrap_or(0));
        if dcv != 0 || reused != 0 || hand.method(method).is_reuse {
            if row.sound {
                hand.add_reuse(Reuse { id: -id, dcv, reuse: reused, decided: completed, rule: method, by });
                // Twice, for a moment, when they are put in order.
                let left = |room: u64| Some(room.saturating_sub(2 * size_of::<Reuse>() as u64));
                let _ = self.room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, left);
            }
            return Ok(());
        }
        let adn = row.must(2);
        let place = hand.keys.of_domain(&adn);
        if !self.wants(place) {
            return Ok(());
        }
        let Some(applicant) = hand.applicant(row, 1, facts) else {
            row.refuse(1, "names no row of applicants");
            return Ok(());
        };
        let remote = [row.whole(7), row.whole(8), row.whole(9)];
        let (resolver, dnssec, token) = (hand.word(row, 6), hand.word(row, 10), row.moment(11));
        let (location, recorded) = (row.text(13), row.moment(14));
        // References are looked at only by their class.
        let reference = if self.job.policy.bulk_evidence.is_empty() { None } else { row.text(15) };
        let number = hand.means(([method, by, resolver, dnssec], remote));
        let prescribed = hand.method(method).prescribed;
        let Some(writer) = hand.confirmations.as_mut().filter(|_| row.sound) else { return Ok(()) };
        writer.put(place, |out| {
            put_number(out, id);
            put_smalls(out, [applicant, number]);
            put_moments(out, [completed, token, recorded]);
            put_text(out, &adn);
            Location::of(location.as_deref(), prescribed, &adn).put(out);
            put_text(out, reference.as_deref().unwrap_or_default());
        })
    }

    pub(super) fn check(&self, row: &mut Row<'_>, hand: &mut Hand<'_>) -> Result<(), AuditError> {
        let name = row.must(1);
        let place = Place::Part(hand.keys.of_name(&name));
        if !self.wants(place) {
            return Ok(());
        }
        let (id, checked, result) = (row.whole(0).unwrap_or_default(), row.moment(2), hand.must(row, 3));
        let (rrset, ttl, dnssec) = (row.text(4), row.whole(5), hand.word(row, 6));
        let (resolver, by) = (hand.must(row, 7), hand.must(row, 8));
        let remote = [row.whole(9), row.whole(10), row.whole(11)];
        let number = hand.means(([result, by, resolver, dnssec], remote));
        let Some(writer) = hand.checks.as_mut().filter(|_| row.sound) else { return Ok(()) };
        writer.put(place, |out| {
            put_number(out, id);
            put_small(out, number);
            put_moments(out, [checked]);
            put_number(out, ttl.unwrap_or(-1));
            put_text(out, &name);
            put_small(out, u32::from(rrset.is_some()));
            put_text(out, rrset.as_deref().unwrap_or_default());
        })
    }

    pub(super) fn name(&self, row: &mut Row<'_>, hand: &mut Hand<'_>, facts: &Facts) -> Result<(), AuditError> {
        let Some(place) = row.whole(0).and_then(|id| facts.certificates.place(id)) else {
            let unasked = row.whole(0).is_some_and(|id| facts.unasked.binary_search(&id).is_ok());
            if !unasked {
                row.refuse(0, "names no row of certificates");
            }
            return Ok(());
        };
        let name = row.must(1);
        let number = hand.keys.of_name(&name);
        let certificate = facts.certificates.at(place);
        if !self.wanted[number as usize] || !(self.keep)(number, certificate.id, &name) {
            return Ok(());
        }
        let part = Place::Part(number);
        let (mut dcv, mut reuse, caa) = (row.whole(2).unwrap_or(0), row.reuse_id(3), row.whole(4).unwrap_or(0));
        if dcv != 0 && reuse != 0 {
            row.refuse(3, "a name rests on a confirmation or on a reuse, not on both");
        }
        if dcv != 0 && facts.reuses.place(-dcv).is_some() {
            (dcv, reuse) = (0, -dcv);
        }
        let reused = if reuse == 0 { None } else { facts.reuses.place(reuse) };
        let reused = reused.map(|place| {
            let reuse = facts.reuses.at(place);
            let (root, nearest) = facts.origin(reuse);
            dcv = root.unwrap_or(0);
            (place, [nearest.unwrap_or(NO_MOMENT), reuse.decided], reuse.rule)
        });
        let order = (certificate.order != NONE).then(|| &facts.orders[certificate.order as usize]);
        let (applicant, vtype) = order.map_or((NONE, NONE), |order| (order.applicant, order.vtype));
        let Some(writer) = hand.names.as_mut().filter(|_| row.sound) else { return Ok(()) };
        writer.put(part, |out| {
            put_smalls(out, [place, certificate.order, applicant, vtype, reused.map_or(NONE, |(place, ..)| place)]);
            put_moments(out, [certificate.signed]);
            put_number(out, dcv);
            put_number(out, caa);
            if let Some((_, moments, rule)) = reused {
                put_moments(out, moments);
                put_small(out, rule);
            }
            put_text(out, &name);
        })
    }

    /// A name that an order approves, to where the names of certificates are that are the same.
    pub(super) fn ordered(&self, row: &mut Row<'_>, hand: &mut Hand<'_>, facts: &Facts) -> Result<(), AuditError> {
        let (order, name) = (hand.order(&row.must(0), facts), row.must(1));
        let part = hand.keys.of_name(&name);
        let kept = order != NONE && self.wanted[part as usize] && row.sound;
        let Some(writer) = hand.ordered.as_mut().filter(|_| kept) else { return Ok(()) };
        writer.put(Place::Part(part), |out| {
            put_small(out, order);
            put_text(out, &name);
        })
    }
}

pub(super) fn order(row: &mut Row<'_>, hand: &mut Hand<'_>, facts: &Facts) -> Result<(), AuditError> {
    hand.resolve(row, 1, facts);
    let id = row.must(0);
    let Some(applicant) = hand.applicant(row, 1, facts) else {
        row.refuse(1, "names no row of applicants");
        return Ok(());
    };
    let (channel, vtype, hierarchy) = (hand.must(row, 2), hand.must(row, 3), hand.must(row, 4));
    let identity = row.text(5).and_then(|identity| facts.identity_ids.find(&identity)).unwrap_or(NONE);
    let created = row.moment(6);
    if row.sound {
        hand.orders.ids.push(&id);
        hand.orders.halves.push(facts.order_ids.half(&id));
        hand.orders.rows.push(OrderRow { applicant, channel, vtype, hierarchy, identity, created });
    }
    Ok(())
}

pub(super) fn reuse(row: &mut Row<'_>, hand: &mut Hand<'_>) -> Result<(), AuditError> {
    let id = row.reuse_id(0);
    let (dcv, reuse, decided) = (row.whole(1).unwrap_or(0), row.reuse_id(5), row.moment(3));
    let (rule, by) = (hand.must(row, 2), hand.word(row, 4));
    if row.sound {
        hand.add_reuse(Reuse { id, dcv, reuse, decided, rule, by });
    }
    Ok(())
}
