//! A server that stops in the midst of a whole table, and keeps the connection.

use super::*;
use crate::gate::{Gate, Pass};

const ROWS: u64 = 100_000;

async fn a_table_that_stops_is_given_up(dialect: Dialect) {
    let Some(server) = Server::start("a_table_that_stops", dialect, None).await else { return };
    let numbers = match dialect {
        Dialect::Postgres => format!("generate_series(1, {ROWS}) AS s (seq)"),
        Dialect::Mysql => format!("seq_1_to_{ROWS} AS s"),
    };
    server
        .admin(&format!(
            "INSERT INTO accounts (account_id, kind) SELECT CONCAT('account ', seq), 'direct' FROM {numbers}"
        ))
        .await;
    let gate = Gate::open(server.port).await;
    let settings =
        Settings { port: gate.port, statement_timeout: std::time::Duration::from_secs(2), ..server.settings() };
    let database = IssuanceDb::Sql(Sql::new(settings, Clock::System));
    let read = async || {
        let mut count = 0;
        let mut take = |row: Result<Vec<Value>, String>| {
            count += 1;
            row.map(drop)
        };
        let mut snapshot = database.snapshot().await.map_err(|error| error.to_string())?;
        let streamed = snapshot.stream("accounts", &mut take).await.map_err(|error| error.to_string());
        assert!(count > 0, "no row came");
        streamed
    };
    assert_eq!(read().await, Ok(ROWS));
    gate.set(Pass::Hold(400_000));
    let told = read().await.expect_err("given up");
    assert!(told.contains("the connection was lost in the middle of accounts (it sent nothing for 2 s)"), "{told}");
    gate.set(Pass::Through);
    assert_eq!(read().await, Ok(ROWS));
}

#[tokio::test]
async fn a_table_of_postgres_that_stops_is_given_up() {
    a_table_that_stops_is_given_up(Dialect::Postgres).await;
}

#[tokio::test]
async fn a_table_of_mariadb_that_stops_is_given_up() {
    a_table_that_stops_is_given_up(Dialect::Mysql).await;
}
