//! What each rule about the CA's record needs of it: tables, and columns that a feed may leave out.

/// A rule, or the beginning of the names of several, and what it needs: `table` or `table.column`. Of the rows that a
/// name begins with the longest counts.
#[rustfmt::skip]
static NEEDS: &[(&str, &[&str])] = &[
    ("db.unknown", &[]),
    ("db.key", &["certificates.spki_sha256"]),
    ("db.tbs", &["certificates.tbs_sha256"]),
    ("db.validity", &["certificates.not_before", "certificates.not_after"]),
    ("san.unexpected", &["certificates.order_id", "orders", "order_names"]),
    ("order.", &["certificates.order_id", "orders"]),
    ("order.key", &["certificates.order_id", "orders.csr_spki_sha256"]),
    ("order.country", &["certificates.order_id", "orders", "applicants.country"]),
    ("dcv.", &["san_authorisations", "dcv_confirmations"]),
    ("dcv.token30", &["san_authorisations", "dcv_confirmations.token_issued_at"]),
    ("dcv.location", &["san_authorisations", "dcv_confirmations.location"]),
    ("dcv.origin", &["san_authorisations", "dcv_confirmations.recorded_at"]),
    ("dcv.resolver", &["san_authorisations", "dcv_confirmations.resolver"]),
    ("dcv.applicant", &["certificates.order_id", "orders", "san_authorisations", "dcv_confirmations"]),
    ("onion.method", &["san_authorisations", "dcv_confirmations"]),
    ("mpic.", &["san_authorisations", "dcv_confirmations.remote_ok", "dcv_confirmations.remote_total"]),
    ("mpic.rir", &["san_authorisations", "dcv_confirmations.remote_rirs"]),
    ("dnssec", &["san_authorisations", "dcv_confirmations.dnssec"]),
    ("caa.", &["san_authorisations.caa_id", "caa_checks"]),
    ("caa.verdict", &["san_authorisations.caa_id", "caa_checks.rrset"]),
    ("caa.params", &["san_authorisations.caa_id", "caa_checks.rrset"]),
    ("ev.", &["certificates.order_id", "orders", "approvals"]),
    ("id.reuse", &["certificates.order_id", "orders.identity_id", "identities"]),
    ("subj.values", &["certificates.order_id", "orders.identity_id", "identities"]),
    ("lint.", &["lint_runs"]),
    ("ct.unlogged", &[]),
    ("pre.unfinalised", &[]),
    ("status.", &["revocations"]),
    ("status.crl", &["revocations.revoked_at"]),
    ("status.record", &["revocations.revoked_at"]),
    ("status.reason", &["revocations.reason"]),
    ("control.", &["controls"]),
    ("control.drift", &["controls.version", "controls.value"]),
    ("control.list", &["controls.entries"]),
    ("counts.", &["counts"]),
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

    #[test]
    fn every_rule_about_the_record_says_what_it_needs_and_no_row_is_of_no_rule() {
        let rules = crate::exam::rules();
        let of_record = || rules.iter().filter(|rule| rule.needs.is_of_record()).map(|rule| rule.id);
        let lacking: Vec<&str> = of_record().filter(|id| record_needs(id).is_none()).collect();
        assert!(lacking.is_empty(), "not in NEEDS of src/exam/needs.rs: {}", lacking.join(", "));
        for (name, _) in NEEDS {
            let fits = |id: &str| id == *name || (name.ends_with('.') && id.starts_with(name));
            assert!(of_record().any(fits), "{name} in NEEDS of src/exam/needs.rs is no rule about the record");
        }
        assert_eq!(record_needs("order.key"), Some(&["certificates.order_id", "orders.csr_spki_sha256"][..]));
        assert_eq!(record_needs("order.channel"), Some(&["certificates.order_id", "orders"][..]));
        assert_eq!(record_needs("name.internal"), None);
    }
}
