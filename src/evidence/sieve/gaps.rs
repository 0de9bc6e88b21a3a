//! What is missing to judge a name: causes, and the rules that each makes not evaluable.

use crate::evidence::rules::{
    CAA_EXISTS, CAA_FRESH, CAA_MANUAL, CAA_PARAMS, CAA_RESOLVER, CAA_VERDICT, DCV_APPLICANT, DCV_LOCATION, DCV_ORIGIN,
    DCV_OWN_LIMIT, DCV_RESOLVER, DCV_TOKEN30, DNSSEC, MPIC_COUNT, MPIC_QUORUM, MPIC_RIR,
};
use crate::finding::RuleInfo;

/// What cannot be judged of a name: a set of causes, each of which makes some rules not evaluable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Gaps(pub(super) u32);

/// The causes, a bit each, and the rules that each makes not evaluable.
static CAUSES: [&[&RuleInfo]; 22] = [
    &[&DCV_OWN_LIMIT],
    &[&DCV_TOKEN30],
    &[&DCV_APPLICANT],
    &[&DCV_APPLICANT],
    &[&DCV_RESOLVER],
    &[&MPIC_COUNT],
    &[&MPIC_QUORUM],
    &[&MPIC_RIR],
    &[&MPIC_RIR],
    &[&DNSSEC],
    &[&CAA_EXISTS, &CAA_VERDICT, &CAA_PARAMS, &CAA_FRESH, &CAA_RESOLVER, &CAA_MANUAL],
    &[&CAA_VERDICT],
    &[&CAA_VERDICT],
    &[&CAA_FRESH],
    &[&DNSSEC],
    &[&MPIC_COUNT],
    &[&MPIC_QUORUM],
    &[&MPIC_RIR],
    &[&MPIC_RIR],
    &[&DCV_LOCATION],
    &[&DCV_ORIGIN],
    &[&DCV_ORIGIN],
];
pub(super) const NO_RULE_LIMIT: Gaps = Gaps(1);
pub(super) const NO_TOKEN: Gaps = Gaps(1 << 1);
pub(super) const NO_ORDER: Gaps = Gaps(1 << 2);
pub(super) const NO_ACCOUNT: Gaps = Gaps(1 << 3);
pub(super) const NO_RESOLVER: Gaps = Gaps(1 << 4);
pub(super) const NO_COUNT: Gaps = Gaps(1 << 5);
pub(super) const NO_QUORUM: Gaps = Gaps(1 << 6);
pub(super) const NO_RIR: Gaps = Gaps(1 << 7);
pub(super) const NO_REGIONS: Gaps = Gaps(1 << 8);
pub(super) const NO_DNSSEC: Gaps = Gaps(1 << 9);
pub(super) const NO_CAA_TABLE: Gaps = Gaps(1 << 10);
pub(super) const NO_RRSET: Gaps = Gaps(1 << 11);
pub(super) const NO_ISSUER_DOMAINS: Gaps = Gaps(1 << 12);
pub(super) const NO_TTL: Gaps = Gaps(1 << 13);
pub(super) const NO_CAA_DNSSEC: Gaps = Gaps(1 << 14);
/// The perspectives of a confirmation, and those of a CAA check so many causes further.
pub(super) const OF_CHECK: u32 = 10;
pub(super) const NO_LOCATION: Gaps = Gaps(1 << 19);
pub(super) const NO_RECORDED: Gaps = Gaps(1 << 20);
pub(super) const NO_REFERENCE: Gaps = Gaps(1 << 21);

impl Gaps {
    /// Nothing is missing.
    pub const NONE: Gaps = Gaps(0);

    /// Both sets of causes.
    pub fn and(self, other: Gaps) -> Gaps {
        Gaps(self.0 | other.0)
    }
    /// The rules that cannot be judged, each once, in no order.
    pub fn rules(self) -> Vec<&'static RuleInfo> {
        let mut rules: Vec<&'static RuleInfo> = Vec::new();
        for (_, of_cause) in CAUSES.iter().enumerate().filter(|(bit, _)| self.0 & 1 << bit != 0) {
            rules.extend(
                of_cause
                    .iter()
                    .filter(|rule| !rules.iter().any(|known| known.id == rule.id))
                    .copied()
                    .collect::<Vec<_>>(),
            );
        }
        rules
    }
}
