//! How old the verification of a subject was when the certificate was signed (BR 4.2.1, EVG 3.2.2.14.3).

use crate::evidence::reuse_limits::identity_limit;
use crate::evidence::rules::ID_REUSE;
use crate::evidence::story::{days, shown};
use crate::evidence::tally::Remark;
use crate::finding::{Citation, Document};
use crate::record::IssuanceRecord;

/// Judges the identity behind a certificate; of those without one (DV) it asks nothing.
pub(super) fn judge(record: &IssuanceRecord) -> Option<Remark> {
    let gap = |why: &str| Some(Remark::gap(&ID_REUSE, why));
    let Some(order) = &record.order else {
        return gap(record.without_order());
    };
    let limit = identity_limit(&order.vtype, record.signed_at)?;
    let Some(identity) = &record.identity else {
        return match record.keeps_identities {
            true => gap("the order names no identity (orders.identity_id)"),
            false => gap("the feed has no table identities"),
        };
    };
    let (verified, signed) = (identity.verified_at, record.signed_at);
    let why = match () {
        () if verified > signed => format!("its subject was verified {verified}, after signing at {signed}"),
        () if signed > limit.ends(verified) => {
            let age = days(signed.since(verified));
            format!(
                "the oldest data behind its subject was of {verified}, {age} old at signing on {signed}; limit {limit}"
            )
        }
        () => return None,
    };
    let mut finding = ID_REUSE.finding(format!("identity {}", shown(&identity.identity_id)), why);
    if order.vtype.trim().eq_ignore_ascii_case("EV") {
        finding.citation = Citation { document: Document::Evg, section: "3.2.2.14.3" }.to_string().into();
    }
    let by = identity.performed_by.as_ref().map_or(String::new(), |by| format!(" by {}", shown(by)));
    let said = format!(
        "order {} ({}) rests on identity {}, verified {verified}{by} (as of {})",
        shown(&order.order_id),
        shown(&order.vtype),
        shown(&identity.identity_id),
        record.as_of
    );
    Some(Remark::Broken(finding.with_evidence("issuance database", said)))
}
