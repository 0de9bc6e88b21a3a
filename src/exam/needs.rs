//! What each rule about the CA's record needs of it: tables, and columns that a feed may leave out.

/// A rule, or the beginning of the names of several, and what it needs: `table` or `table.column`. Of the rows that a
/// name begins with the longest counts.
#[rustfmt::skip]
static NEEDS: &[(&str, &[&str])] = &[
    ("db.unknown", &[]),
    ("db.key", &["certificates.spki_sha256"]),
    ("db.validity", &["certificates.not_before", "certificates.not_after"]),
    ("san.unexpected", &["certificates.order_id", "orders", "order_names"]),
    ("order.", &["certificates.order_id", "orders"]),
    ("order.key", &["certificates.order_id", "orders.csr_spki_sha256"]),
    ("dcv.", &["san_authorisations", "dcv_confirmations"]),
    ("dcv.token30", &["san_authorisations", "dcv_confirmations.token_issued_at"]),
    ("dcv.resolver", &["san_authorisations", "dcv_confirmations.resolver"]),
    ("dcv.applicant", &["certificates.order_id", "orders", "san_authorisations", "dcv_confirmations"]),
    ("mpic.", &["san_authorisations", "dcv_confirmations.remote_ok", "dcv_confirmations.remote_total"]),
    ("mpic.rir", &["san_authorisations", "dcv_confirmations.remote_rirs"]),
    ("dnssec", &["san_authorisations", "dcv_confirmations.dnssec"]),
    ("caa.", &["san_authorisations.caa_id", "caa_checks"]),
    ("caa.verdict", &["san_authorisations.caa_id", "caa_checks.rrset"]),
    ("caa.params", &["san_authorisations.caa_id", "caa_checks.rrset"]),
    ("ev.", &["certificates.order_id", "orders", "approvals"]),
    ("identity.", &["certificates.order_id", "orders.identity_id", "identities"]),
    ("subject.", &["certificates.order_id", "orders.identity_id", "identities"]),
    ("lint.", &["lint_runs"]),
    ("revocation.", &["revocations"]),
    ("crl.", &["revocations"]),
    ("controls.", &["controls"]),
    ("control.", &["controls"]),
    ("counts.", &["counts"]),
    ("count.", &["counts"]),
];

/// What a rule needs of the record besides certificates and issuers: `table` or `table.column`. `None` when nobody has
/// said so.
pub fn record_needs(rule: &str) -> Option<&'static [&'static str]> {
    let fits = |name: &str| rule == name || (name.ends_with('.') && rule.starts_with(name));
    let rows = NEEDS.iter().filter(|(name, _)| fits(name));
    rows.max_by_key(|(name, _)| name.len()).map(|(_, needs)| *needs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Needs;

    #[test]
    fn every_rule_about_the_record_says_what_it_needs() {
        let rules = crate::exam::rules();
        let lacking: Vec<&str> = (rules.iter())
            .filter(|rule| rule.needs == Needs::Record && record_needs(rule.id).is_none())
            .map(|rule| rule.id)
            .collect();
        assert!(lacking.is_empty(), "not in NEEDS of src/exam/needs.rs: {}", lacking.join(", "));
        assert_eq!(record_needs("order.key"), Some(&["certificates.order_id", "orders.csr_spki_sha256"][..]));
        assert_eq!(record_needs("order.channel"), Some(&["certificates.order_id", "orders"][..]));
        assert_eq!(record_needs("name.internal"), None);
    }
}
