//! Where the row of a confirmation comes from: from the act of validation, or from a file of long ago; and whether the
//! CA knows that what it did then was flawed.

use crate::evidence::methods::section;
use crate::evidence::policy::Policy;
use crate::evidence::rules::{DCV_FLAWED, DCV_ORIGIN};
use crate::evidence::story::{days, shown};
use crate::evidence::tally::Remark;
use crate::finding::{RevocationClock, Severity};
use crate::record::DcvConfirmation;

/// dcv.flawed: one remark when the method was flawed on the day of the validation.
pub(super) fn flawed(name: &str, c: &DcvConfirmation, policy: &Policy) -> Option<Remark> {
    let own = section(&c.method);
    let concerned = policy.flawed.iter().find(|flaw| {
        let since = c.completed_at >= flaw.from && flaw.until.is_none_or(|until| c.completed_at < until);
        since && own.is_some() && section(&flaw.method) == own
    })?;
    let until = concerned.until.map_or(String::new(), |until| format!(" until {}", until.day()));
    let why = format!(
        "confirmation {} of {} was made by method {} on {}, which was flawed from {}{until}: {}",
        c.dcv_id,
        shown(&c.adn),
        shown(&c.method),
        c.completed_at.day(),
        concerned.from.day(),
        shown(&concerned.reason)
    );
    Some(Remark::Broken(DCV_FLAWED.finding(name, why)))
}

/// dcv.origin: evidence that was taken over in bulk is none; a row that was written long after the act is for review.
pub(super) fn origin(name: &str, c: &DcvConfirmation, policy: &Policy) -> Option<Remark> {
    let (id, adn) = (c.dcv_id, || shown(&c.adn));
    let reference = c.evidence_ref.as_deref().map(str::trim).filter(|reference| !reference.is_empty());
    let bulk = reference.filter(|reference| policy.bulk_evidence.iter().any(|class| reference.starts_with(&**class)));
    if let Some(reference) = bulk {
        let why =
            format!("confirmation {id} of {} was taken over in bulk: its evidence is {}", adn(), shown(reference));
        return Some(Remark::Broken(DCV_ORIGIN.finding(name, why)));
    }
    let Some(recorded) = c.recorded_at else {
        let why = format!("no usable dcv_confirmations.recorded_at for confirmation {id}");
        return Some(Remark::gap(&DCV_ORIGIN, why));
    };
    let (after, limit) = (recorded.since(c.completed_at), policy.recorded_within);
    if recorded < c.completed_at || after > limit {
        let when =
            if recorded < c.completed_at { "before it was completed".into() } else { format!("{} later", days(after)) };
        let why = format!(
            "confirmation {id} of {}, completed {}, was written down {recorded}, {when}: not by the validation itself; its \
             evidence has to be looked at",
            adn(),
            c.completed_at
        );
        let mut finding = DCV_ORIGIN.finding(name, why);
        (finding.severity, finding.clock) = (Severity::Review, RevocationClock::None);
        return Some(Remark::Broken(finding));
    }
    let unread = !policy.bulk_evidence.is_empty() && reference.is_none();
    unread.then(|| Remark::gap(&DCV_ORIGIN, format!("no usable dcv_confirmations.evidence_ref for confirmation {id}")))
}
