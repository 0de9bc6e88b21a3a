//! The rules of this room: one row each, above it the sentence it obeys.

use crate::clock::{Timestamp, date};
use crate::finding::{Citation, Document, Needs, RevocationClock, RuleInfo, Severity, br};

/// A MUST about validation: BR 4.9.1.1 (5), "validation ... should not be relied upon", 24 hours.
const fn must(id: &'static str, summary: &'static str, section: &'static str) -> RuleInfo {
    RuleInfo {
        id,
        summary,
        severity: Severity::Error,
        citation: br(section),
        clock: RevocationClock::Day(5),
        since: None,
        until: None,
        needs: Needs::Record,
    }
}

const fn since(day: Timestamp, rule: RuleInfo) -> RuleInfo {
    RuleInfo { since: Some(day), ..rule }
}

// BR 3.2.2.4: "The CA SHALL confirm that prior to issuance, the CA has validated each Fully-Qualified Domain Name
// (FQDN) listed in the Certificate".
pub(super) static DCV_EXISTS: RuleInfo = must(
    "dcv.exists",
    "every subject alternative name rests on a validation that was completed before signing",
    "3.2.2.4",
);

// BR 1.6.1, "Authorization Domain Name": "The FQDN used to obtain authorization for a given FQDN to be included in a
// Certificate", that FQDN itself or what is left after pruning labels from the left down to the Base Domain Name.
pub(super) static DCV_ADN: RuleInfo = must(
    "dcv.adn",
    "the domain that was validated is the name itself or an ancestor of it, not above its Base Domain Name",
    "3.2.2.4",
);

// BR 3.2.2.4 and 3.2.2.5: each name and address is validated "using at least one of the methods listed below".
pub(super) static DCV_METHOD: RuleInfo = must(
    "dcv.method",
    "the method of validation was permitted on the day of validation and on the day of signing",
    "3.2.2.4",
);

// BR 3.2.2.4.18 to .20: "the CA MUST NOT issue Certificates for other FQDNs that end with all the labels of the
// validated FQDN unless the CA performs separate validations for each of those other FQDNs", and the method "is NOT
// suitable for validating Wildcard Domain Names" (since 2021-12-01).
pub(super) static DCV_WILDCARD: RuleInfo = must(
    "dcv.wildcard",
    "no wildcard and no name under the validated one rests on a method that proves one name only",
    "3.2.2.4",
);

// BR 4.2.1: "In no case may a prior validation be reused if any data or document used in the prior validation was
// obtained more than the maximum time permitted for reuse of the data or document prior to issuing the Certificate."
pub(super) static DCV_REUSE: RuleInfo = must(
    "dcv.reuse",
    "the confirmation at the root of every reuse is known and within the reuse limit at signing",
    "4.2.1",
);

// What the CA's own practice says of its rules of reuse (Mozilla bug 1718771): a rule that held for a step of a chain says
// nothing of its root.
pub(super) static DCV_OWN_LIMIT: RuleInfo = RuleInfo {
    severity: Severity::Warning,
    citation: Citation { document: Document::Monitor, section: "rules of reuse" },
    clock: RevocationClock::None,
    ..must("dcv.own_limit", "a validation is reused within the limit that the CA set for its rule of reuse", "")
};

// BR 3.2.2.4.x: "The Random Value SHALL remain valid for use in a confirming response for no more than 30 days from its
// creation."
pub(super) static DCV_TOKEN30: RuleInfo =
    must("dcv.token30", "the Random Value or token of the validation was not older than 30 days", "3.2.2.4");

// BR 3.2.2.4.x: each method says at which DNS name, URL or mailbox its Random Value or Request Token is looked for, as
// .7: "an Authorization Domain Name that is prefixed with a Domain Label that begins with an underscore character" (a
// label without it: Mozilla bug 1910322; a mailbox whose domain was credited: 1961406).
pub(super) static DCV_LOCATION: RuleInfo = must(
    "dcv.location",
    "the Random Value or token was found where the method prescribes: label, path, port, mailbox",
    "3.2.2.4",
);

// BR 4.9.1.1 (5): "The CA obtains evidence that the validation of domain authorization or control ... should not be
// relied upon": a method that was flawed as the CA practised it (Mozilla bug 1751984) leaves no trace in a certificate.
pub(super) static DCV_FLAWED: RuleInfo =
    must("dcv.flawed", "no validation was made by a method while the CA knows it to have been flawed", "4.9.1.1");

// BR 3.2.2.4: "CAs SHALL maintain a record of which domain validation method ... was used to validate every domain"; what
// was taken over from files of another system (Mozilla bug 1876593) records no act of validation.
pub(super) static DCV_ORIGIN: RuleInfo = must(
    "dcv.origin",
    "the row of a validation was written by the validation itself, not taken over in bulk or later",
    "3.2.2.4",
);

// BR 3.2.2.4: the CA confirms the control of "the Applicant". Who that is under an account that acts for many is a
// matter of policy (Mozilla bug 1718771, comments 2 and 3).
pub(super) static DCV_APPLICANT: RuleInfo = RuleInfo {
    severity: Severity::Review,
    citation: Citation { document: Document::Monitor, section: "applicant binding" },
    clock: RevocationClock::None,
    ..must("dcv.applicant", "the validation was made for the applicant of the order, not for another one", "3.2.2.4")
};

// BR 3.2.2.4: the CA validates by the procedure of a method; what a person of the CA wrote down by hand shows none
// (Mozilla bug 1718579).
pub(super) static DCV_MANUAL: RuleInfo =
    must("dcv.manual", "the validation was performed by the CA's system, unless its method needs a person", "3.2.2.4");

// BR 1.3.2: "With the exception of Section 3.2.2.4 and Section 3.2.2.5, the CA MAY delegate the performance of all, or
// any part, of Section 3.2 requirements to a Delegated Third Party".
pub(super) static DCV_RESOLVER: RuleInfo =
    must("dcv.resolver", "the validation was resolved by a resolver that the CA operates itself", "1.3.2");

// BR 5.4.1 (2): "All verification activities stipulated in these Requirements and the CA's Certification Practice
// Statement" are to be recorded.
pub(super) static DCV_RECORD: RuleInfo = RuleInfo {
    severity: Severity::Warning,
    clock: RevocationClock::None,
    ..must("dcv.record", "the record of each name points at the validation that carries it", "5.4.1")
};

// BR Appendix B.2: for an Onion Domain Name "the CA SHALL verify the Applicant's control over the Onion Service" by
// 3.2.2.4.18, .19 or .20 over Tor, or by a request that is signed with the service's key (B.2.b).
pub(super) static ONION_METHOD: RuleInfo = since(
    date(2020, 3, 27),
    must("onion.method", "an onion name was validated over Tor or by a request signed with its key", "B.2"),
);

/// From when perspectives are counted.
pub(super) const COUNTED: Timestamp = date(2025, 3, 15);
/// From when their quorum decides.
pub(super) const ENFORCED: Timestamp = date(2025, 9, 15);
/// From when DNSSEC is validated and corroborating perspectives stand in two RIR regions.
pub(super) const MARCH_2026: Timestamp = date(2026, 3, 15);

// BR 3.2.2.9: "Effective March 15, 2025, the CA MUST implement Multi-Perspective Issuance Corroboration using at least
// two (2) remote Network Perspectives", and the later phases of that section.
pub(super) static MPIC_COUNT: RuleInfo = since(
    COUNTED,
    must(
        "mpic.count",
        "as many remote perspectives as the date demands took part in validations and checks",
        "3.2.2.9",
    ),
);

// BR 3.2.2.9, "Quorum Requirements": one non-corroboration is allowed among 2 to 5 remote perspectives, two among 6 or
// more; "Effective September 15, 2025 ... the CA MUST NOT proceed with certificate issuance" without the quorum.
pub(super) static MPIC_QUORUM: RuleInfo =
    since(ENFORCED, must("mpic.quorum", "the quorum of remote perspectives corroborated", "3.2.2.9"));

// BR 3.2.2.9: "Effective March 15, 2026 ... The CA MUST ensure that ... the remote Network Perspectives that corroborate
// the Primary Network Perspective fall within the service regions of at least two (2) distinct Regional Internet
// Registries."
pub(super) static MPIC_RIR: RuleInfo = since(
    MARCH_2026,
    must("mpic.rir", "the perspectives that corroborated stand in at least two RIR regions", "3.2.2.9"),
);

// BR 4.2.2.2 (3.2.2.4 and 3.2.2.8.1 before 2.3.0): "Effective March 15, 2026: DNSSEC validation back to the IANA DNSSEC root trust anchor MUST
// be performed on all DNS queries ... by the Primary Network Perspective."
pub(super) static DNSSEC: RuleInfo = since(
    MARCH_2026,
    must("dnssec", "the DNS answers behind validations and CAA checks were validated by DNSSEC", "4.2.2.2"),
);

/// From when CAA is mandatory (ballot 187).
const CAA_MANDATORY: Timestamp = date(2017, 9, 8);

// BR 4.2.2.1 (3.2.2.8 before 2.2.8): "As part of the Certificate issuance process, the CA MUST retrieve and process CAA
// records in accordance with RFC 8659 for each dNSName in the subjectAltName extension".
pub(super) static CAA_EXISTS: RuleInfo =
    since(CAA_MANDATORY, must("caa.exists", "CAA was checked for every domain name in the certificate", "4.2.2.1"));

// RFC 8659 3: "a CA MUST NOT issue a certificate unless the CA determines that either (1) the certificate request is
// consistent with the applicable CAA RRset or (2) an exception specified in the relevant CP or CPS applies."
pub(super) static CAA_VERDICT: RuleInfo = since(
    CAA_MANDATORY,
    must(
        "caa.verdict",
        "the CAA records on file, judged anew, permit the CA to issue for every domain name",
        "4.2.2.1",
    ),
);

// RFC 8657 3 and 4: an issue property with accounturi or validationmethods authorises that account and those methods
// alone. BR 4.2.2.1.2: SHOULD, since 2027-03-15 MUST.
pub(super) static CAA_PARAMS: RuleInfo = since(
    CAA_MANDATORY,
    must("caa.params", "account and method are those that the CAA parameters permit (RFC 8657)", "4.2.2.1.2"),
);

// BR 4.2.2.1: "If the CA issues, they MUST do so within the TTL of the CAA record, or 8 hours, whichever is greater."
pub(super) static CAA_FRESH: RuleInfo = since(
    CAA_MANDATORY,
    must("caa.fresh", "each CAA check was made before signing, not longer ago than its TTL or 8 hours", "4.2.2.1"),
);

// BR 1.3.2: since 2026-03-15 CAA checking is not delegated either; before, dig at a public resolver was no process of
// the CA (Mozilla bug 1651026, comments 19 to 21).
pub(super) static CAA_RESOLVER: RuleInfo =
    since(CAA_MANDATORY, must("caa.resolver", "CAA was looked up by a resolver that the CA operates itself", "1.3.2"));

// BR 4.2.2.1: the CA retrieves and processes CAA records "as part of the Certificate issuance process", not beside it.
pub(super) static CAA_MANUAL: RuleInfo =
    since(CAA_MANDATORY, must("caa.manual", "CAA was checked by the CA's system, not by hand", "4.2.2.1"));

// EVG 5.2.4: "The CA MUST enforce rigorous control procedures for the separation of validation duties to ensure that no
// one person can single-handedly validate and authorize the issuance of an EV Certificate."
pub(super) static EV_APPROVALS: RuleInfo = RuleInfo {
    citation: Citation { document: Document::Evg, section: "5.2.4" },
    clock: RevocationClock::FiveDays(12),
    ..must(
        "ev.approvals",
        "an EV order was approved by two persons before signing, and who validated it did not issue it",
        "",
    )
};

// BR 4.2.1 (EVG 3.2.2.14.3): the CA MAY use documents and data obtained for an earlier validation for so long.
pub(super) static ID_REUSE: RuleInfo = RuleInfo {
    clock: RevocationClock::FiveDays(12),
    ..must(
        "id.reuse",
        "the data behind the subject of an OV, IV or EV certificate was within its limit at signing",
        "4.2.1",
    )
};

/// The rules of this room.
pub static RULES: &[&RuleInfo] = &[
    &DCV_EXISTS,
    &DCV_ADN,
    &DCV_METHOD,
    &DCV_WILDCARD,
    &DCV_REUSE,
    &DCV_OWN_LIMIT,
    &DCV_TOKEN30,
    &DCV_LOCATION,
    &DCV_FLAWED,
    &DCV_ORIGIN,
    &DCV_APPLICANT,
    &DCV_MANUAL,
    &DCV_RESOLVER,
    &ONION_METHOD,
    &DCV_RECORD,
    &MPIC_COUNT,
    &MPIC_QUORUM,
    &MPIC_RIR,
    &DNSSEC,
    &CAA_EXISTS,
    &CAA_VERDICT,
    &CAA_PARAMS,
    &CAA_FRESH,
    &CAA_RESOLVER,
    &CAA_MANUAL,
    &ID_REUSE,
    &EV_APPROVALS,
];
