//! Controls, of which only the new observations are asked for.

use super::*;
use ctwarden::clock::{HOUR, Span};

fn observed(name: &str, at: Timestamp, enabled: bool, version: &str) -> Value {
    serde_json::json!({"table": "controls", "name": name, "observed_at": at.seconds(), "enabled": enabled, "version": version})
}

fn ago(seconds: i64) -> Timestamp {
    NOW.minus(Span::from_seconds(seconds))
}

async fn only_what_is_new_is_asked_for(dialect: Dialect) {
    let Some(server) = Server::start("only_what_is_new", dialect, None).await else { return };
    let issuer = serde_json::json!({"table": "issuers", "issuer_id": 1, "name": "A", "spki_sha256": "1f".repeat(32), "hierarchy": "public"});
    let mut rows = vec![issuer];
    // Months of two controls, one of them off since ten days; one that is retired; one whose clock is a year ahead.
    for hour in 0..2_000 {
        rows.push(observed("caa", ago(7200 + hour * 3600), true, "1"));
        rows.push(observed("tld", ago(7200 + hour * 3600), hour > 238, "1"));
    }
    rows.push(observed("old", ago(300 * 86_400), true, "1"));
    rows.push(observed("ahead", NOW.plus(Span::from_days(365)), true, "1"));
    server.fill(&rows).await;
    let clock = Clock::manual(NOW);
    let replica_time = Some(format!("SELECT {}", NOW.seconds()));
    let database = IssuanceDb::Sql(Sql::new(Settings { replica_time, ..server.settings() }, clock.clone()));
    let ask = async |rows: &[Value], after: Vec<(String, Timestamp)>| {
        let answer = database.controls(after.clone()).await.expect("an answer");
        let (_directory, other) = embedded(rows);
        (answer, other.controls(after).await.expect("an answer"))
    };
    let read = |name: &str, at: Timestamp| (name.to_string(), at);
    let (answer, expected) = ask(&rows, vec![read("caa", ago(50 * 3600)), read("tld", ago(50 * 3600))]).await;
    assert_eq!(answer, expected);
    assert_eq!(answer.iter().map(|history| history.rows.len()).collect::<Vec<_>>(), [1, 48, 1, 48]);

    // New ones come, one of them late, one of a control that was not known; and what was answered is asked for again,
    // because it could not be put down. `tld` is off as before, since the same time.
    let add = async |row: Value, rows: &mut Vec<Value>| {
        rows.push(row);
        let (columns, values) = ("name, observed_at, enabled, version", &rows[rows.len() - 1]);
        let (name, at) = (values["name"].as_str().expect("a name"), &values["observed_at"]);
        let (on, version) = (i64::from(values["enabled"] == true), values["version"].as_str().expect("a version"));
        server.admin(&format!("INSERT INTO controls ({columns}) VALUES ('{name}', {at}, {on}, '{version}')")).await;
    };
    add(observed("caa", ago(60), true, "2"), &mut rows).await;
    add(observed("tld", ago(60), false, "2"), &mut rows).await;
    add(observed("tld", ago(1800), false, "2"), &mut rows).await;
    add(observed("new", ago(90), false, "1"), &mut rows).await;
    let (answer, expected) = ask(&rows, vec![read("caa", ago(50 * 3600)), read("tld", ago(7200))]).await;
    assert_eq!(answer, expected);
    let tld = answer.iter().find(|history| history.rows[0].name == "tld").expect("it");
    assert_eq!((tld.rows.len(), tld.off_since), (2, Some(ago(7200 + 238 * 3600))));

    // What is older than what was read is not asked for, until all are asked for again.
    let all_read = || ["caa", "tld", "new"].map(|name| read(name, ago(60))).to_vec();
    add(observed("past", ago(86_400), true, "1"), &mut rows).await;
    let (answer, mut expected) = ask(&rows, all_read()).await;
    let past = expected.iter().position(|history| history.rows[0].name == "past").expect("it");
    let past = expected.remove(past);
    assert_eq!(answer, expected);
    clock.advance(HOUR);
    let (answer, expected) = ask(&rows, all_read()).await;
    assert_eq!(answer, expected);
    assert!(answer.contains(&past));

    // It is in force again, and off once more.
    add(observed("tld", ago(-3500), true, "3"), &mut rows).await;
    add(observed("tld", ago(-3520), false, "3"), &mut rows).await;
    let (answer, expected) = ask(&rows, all_read()).await;
    assert_eq!(answer, expected);
    assert!(answer.iter().any(|history| history.off_since == Some(ago(-3520))), "{answer:?}");
}

#[tokio::test]
async fn only_new_observations_are_asked_of_postgres() {
    only_what_is_new_is_asked_for(Dialect::Postgres).await;
}

#[tokio::test]
async fn only_new_observations_are_asked_of_mariadb() {
    only_what_is_new_is_asked_for(Dialect::Mysql).await;
}
