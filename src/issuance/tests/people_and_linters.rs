//! What the record holds beside validations: identities, linters, revocations.

use super::*;

#[test]
fn identity_linter_and_revocation_stand_in_the_record() {
    let (_directory, database) = database();
    database.import_ndjson(&(base() + &confirmation(4, "dns-01", "") + &san(r#","dcv_id":4"#)), NOW).expect("imported");
    let before = record(&database);
    assert_eq!((before.identity, before.lint_runs, before.revocation), (None, None, None));
    assert!(!before.keeps_identities && !before.keeps_revocations);
    let order = before.order.expect("an order");
    let rows = format!(
        r#"{{"table":"identities","identity_id":"i","applicant_id":"{}","verified_at":"2026-11-01","locality":"Bilbao"}}
{{"table":"lint_runs","cert_id":1,"linter":"zlint","version":"3.7","ran_at":"2026-11-02","result":"failed","findings":"e_x"}}
{{"table":"revocations","cert_id":1,"aware_at":"2026-11-03","revoked_at":"2026-11-04","reason":4}}
{{"table":"orders","order_id":"{}","applicant_id":"{}","channel":"acme","vtype":"OV","hierarchy":"public","created_at":"2026-11-01","identity_id":"i"}}"#,
        order.applicant_id, order.order_id, order.applicant_id
    );
    database.import_ndjson(&rows, NOW).expect("imported");
    let after = record(&database);
    let identity = after.identity.expect("an identity");
    assert_eq!((identity.identity_id.as_str(), identity.verified_at), ("i", date(2026, 11, 1)));
    assert_eq!(identity.values[3].as_deref(), Some("Bilbao"));
    let run = after.lint_runs.expect("a table").remove(0);
    assert_eq!((run.linter.as_str(), run.result.as_str(), run.findings.as_deref()), ("zlint", "failed", Some("e_x")));
    let revocation = after.revocation.expect("a row");
    assert_eq!((revocation.revoked_at, revocation.reason), (Some(date(2026, 11, 4)), Some(4)));
    assert!(after.keeps_identities && after.keeps_revocations);
}
