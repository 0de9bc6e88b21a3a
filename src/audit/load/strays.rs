//! Rows of other parts, which the names of this share rest on.

use std::borrow::Cow;
use std::sync::atomic::AtomicU64;

use super::hand::{Refusals, Row};
use super::{CHECKS, CONFIRMATIONS, Reading};
use crate::audit::facts::{Facts, moment};
use crate::audit::judge::Ids;
use crate::audit::source::Corpus;
use crate::audit::spool::Room;
use crate::audit::{AuditError, Job};
use crate::clock::{Span, Timestamp};
use crate::record::{CaaCheck, DcvConfirmation, Perspectives};

/// Reads the confirmations and checks of these numbers, wherever they belong.
pub(in crate::audit) fn strays(
    corpus: &Corpus,
    job: &Job<'_>,
    facts: &Facts,
    dcv: &Ids,
    caa: &Ids,
) -> Result<(Vec<DcvConfirmation>, Vec<CaaCheck>), AuditError> {
    let refusals = Refusals::default();
    let keep = |_: u32, _: i64, _: &str| false;
    let (done, room) = (AtomicU64::new(0), Room::default());
    let reading = Reading { corpus, job, wanted: &[], keep: &keep, refusals: &refusals, done, total: 0, room };
    let (mut confirmations, mut checks) = (Vec::new(), Vec::new());
    let remote = |row: &mut Row<'_>, [ok, total, regions]: [usize; 3]| {
        let mut count = |column| row.whole(column).map(i64::unsigned_abs);
        let (ok, total, regions) = (count(ok), count(total), count(regions));
        ok.zip(total).map(|(corroborating, total)| Perspectives { corroborating, total, regions })
    };
    for piece in corpus.pieces(&["dcv_confirmations"]) {
        reading.rows(&piece, &CONFIRMATIONS, &mut |row| {
            let dcv_id = row.whole(0).unwrap_or_default();
            let Some(applicant) = facts.applicant_ids.find(&row.must(1)).filter(|_| dcv.contains(&dcv_id)) else {
                return Ok(());
            };
            let account = facts.applicants[applicant as usize].account;
            confirmations.push(DcvConfirmation {
                dcv_id,
                applicant_id: facts.applicant_ids.get(applicant).to_string(),
                account_id: Some(facts.account_ids.get(account).to_string()),
                adn: row.must(2).into_owned(),
                method: row.must(3).into_owned(),
                completed_at: Timestamp::from_seconds(row.moment(4)),
                performed_by: row.must(5).into_owned(),
                resolver: row.text(6).map(Cow::into_owned),
                token_issued_at: moment(row.moment(11)),
                dnssec: row.text(10).map(Cow::into_owned),
                remote: remote(row, [7, 8, 9]),
                location: row.text(13).map(Cow::into_owned),
                evidence_ref: row.text(15).map(Cow::into_owned),
                recorded_at: moment(row.moment(14)),
            });
            Ok(())
        })?;
    }
    let columns: Vec<&'static str> = CHECKS.into_iter().chain(["remote_rirs"]).collect();
    for piece in corpus.pieces(&["caa_checks"]).iter().filter(|_| job.with_caa) {
        reading.rows(piece, &columns, &mut |row| {
            let caa_id = row.whole(0).unwrap_or_default();
            if caa.contains(&caa_id) {
                checks.push(CaaCheck {
                    caa_id,
                    name: row.must(1).into_owned(),
                    checked_at: Timestamp::from_seconds(row.moment(2)),
                    result: row.must(3).into_owned(),
                    rrset: row.text(4).map(Cow::into_owned),
                    ttl: row.whole(5).map(Span::from_seconds),
                    dnssec: row.text(6).map(Cow::into_owned),
                    resolver: row.must(7).into_owned(),
                    performed_by: row.must(8).into_owned(),
                    remote: remote(row, [9, 10, 11]),
                });
            }
            Ok(())
        })?;
    }
    refusals.result()?;
    Ok((confirmations, checks))
}
