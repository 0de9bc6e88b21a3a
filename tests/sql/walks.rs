//! The walks through the record, by the servers as by the embedded database.

use super::*;

/// Certificates of several hours, some revoked; controls that were off; counts.
fn walked_rows() -> Vec<Value> {
    let at = |hours: i64| Value::from(NOW.seconds() - hours * 3600);
    let mut rows = vec![
        serde_json::json!({"table": "issuers", "issuer_id": 1, "name": "A", "spki_sha256": "1f".repeat(32), "hierarchy": "public"}),
        serde_json::json!({"table": "issuers", "issuer_id": 2, "name": "B", "spki_sha256": "2f".repeat(32), "hierarchy": "internal"}),
    ];
    for number in 1..40_i64 {
        rows.push(serde_json::json!({
            "table": "certificates", "cert_id": number, "issuer_id": 1 + number % 2, "serial": format!("{:04x}", 0xff00 + number),
            "signed_at": at(number * number / 4), "not_after": at(-24 * (number - 3)),
            "state": if number % 5 == 0 { "precert_only" } else { "issued" },
        }));
        if number % 3 == 0 {
            let (aware, reason) = (at(number), number % 5);
            let revoked = if number % 2 == 0 { at(number - 1) } else { Value::Null };
            rows.push(serde_json::json!({
                "table": "revocations", "cert_id": number, "aware_at": aware, "revoked_at": revoked, "reason": reason,
            }));
        }
    }
    for hour in 1..30_i64 {
        for (name, enabled) in [("tld-check", hour > 9), ("caa-check", true)] {
            rows.push(serde_json::json!({
                "table": "controls", "name": name, "observed_at": at(hour), "enabled": enabled, "version": "7.1",
                "entries": 100 + hour,
            }));
        }
        rows.push(serde_json::json!({
            "table": "counts", "source": "audit_log", "issuer_id": 1 + hour % 2, "hour": at(hour), "certificates": hour,
        }));
    }
    rows
}

async fn every_walk_goes_alike(dialect: Dialect) {
    let Some(server) = Server::start("every_walk_goes_alike", dialect, None).await else { return };
    let rows = walked_rows();
    let (_directory, other) = embedded(&rows);
    server.fill(&rows).await;
    let source = source(server.settings(), &other);
    let hours = |hours: i64| Timestamp::from_seconds(NOW.seconds() - hours * 3600);
    for (from, to) in [(hours(9000), NOW), (hours(300), hours(20)), (hours(20), hours(20))] {
        let (mut walks, mut lengths) = (Vec::new(), Vec::new());
        for (database, limit) in [(&source, 1), (&other, 7)] {
            let (mut all, mut after) = (Vec::new(), None);
            loop {
                let rows = database.signed_between(from, to, after, limit).await.expect("an answer");
                let Some(last) = rows.last() else { break };
                after = Some((last.signed_at, last.cert_id));
                all.extend(rows);
            }
            lengths.push(all.len());
            walks.push(all);
        }
        assert_eq!(walks[0], walks[1], "{lengths:?}");
    }
    let issuer = KeyHash::from_hex(&"1f".repeat(32)).expect("a key hash");
    let mut revoked = Vec::new();
    for database in [&other, &source] {
        let mut rows = database.revocations(issuer, NOW, Vec::new(), Vec::push).await.expect("an answer");
        rows.sort_by(|one: &Revoked, other| one.serial.cmp(&other.serial));
        revoked.push(rows);
    }
    assert!(revoked[0].len() > 3, "{revoked:?}");
    assert_eq!(revoked[0], revoked[1]);
    let keys: Vec<CaseKey> = (1..50_u64)
        .map(|number| CaseKey {
            issuer_key_hash: issuer,
            serial: Serial::from_hex(&format!("{:04x}", 0xff00 + number)).expect("a serial"),
        })
        .collect();
    let standings = other.standings(keys.clone()).await.expect("an answer");
    assert!(standings.iter().flatten().any(|standing| standing.revocation.is_none()), "{standings:?}");
    assert_eq!(source.standings(keys).await.expect("an answer"), standings);
    for after in [vec![], vec![("caa-check".to_string(), hours(5))]] {
        let histories = other.controls(after.clone()).await.expect("an answer");
        assert_eq!(histories[1].off_since, Some(hours(9)));
        assert_eq!(source.controls(after).await.expect("an answer"), histories);
    }
    let counts = other.counts(hours(25), hours(3)).await.expect("an answer");
    assert_eq!((source.counts(hours(25), hours(3)).await.expect("an answer"), counts.len()), (counts.clone(), 22));
    assert_eq!(source.complete_until(NOW).await, Ok(NOW));
}

#[tokio::test]
async fn postgres_is_walked_as_the_embedded_database_is() {
    every_walk_goes_alike(Dialect::Postgres).await;
}

#[tokio::test]
async fn mariadb_is_walked_as_the_embedded_database_is() {
    every_walk_goes_alike(Dialect::Mysql).await;
}
