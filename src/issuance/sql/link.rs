//! A connection to either server, with a deadline on everything that is asked of it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::error::SqlError;
use super::mysql::Mysql;
use super::postgres::{self, Postgres, Said};
use super::question::{Filter, Form, Shape, no_text, statement, wrapped};
use super::settings::{Dialect, Settings};
use crate::clock::Timestamp;
use crate::issuance::column::{Cell, Kind};
use crate::issuance::tables::Table;

enum Wire {
    Postgres(Box<Postgres>),
    Mysql(Box<Mysql>),
}

/// A connection of which every question sees the same moment of the database.
pub(super) struct Link {
    wire: Wire,
    /// The columns of each text, learnt once: a change of the database is noticed by the next connection, or by an error.
    shapes: HashMap<&'static str, Shape>,
}

/// How much longer than the server itself the monitor waits: the server's own refusal says more.
const PATIENCE: Duration = Duration::from_secs(2);

impl Link {
    /// Connects; nothing was asked yet.
    pub(super) async fn connect(settings: &Settings) -> Result<Link, SqlError> {
        let refused = |reason: Said| SqlError::Connect { server: settings.server(), reason };
        let connect = async {
            match settings.dialect {
                Dialect::Postgres => Postgres::connect(settings).await.map(|wire| Wire::Postgres(Box::new(wire))),
                Dialect::Mysql => Mysql::connect(settings).await.map(|wire| Wire::Mysql(Box::new(wire))),
            }
        };
        let limit = settings.connect_timeout;
        let wire = match tokio::time::timeout(limit, connect).await {
            Ok(wire) => wire.map_err(refused)?,
            Err(_) => return Err(refused(format!("none within {} s", limit.as_secs()))),
        };
        Ok(Link { wire, shapes: HashMap::new() })
    }

    /// Takes a snapshot. Returns how fresh it is: never newer than what it shows.
    pub(super) async fn begin(&mut self, settings: &Settings, now: Timestamp) -> Result<Timestamp, SqlError> {
        let own = match settings.dialect {
            Dialect::Postgres => Some(postgres::REPLICA_TIME),
            Dialect::Mysql => None,
        };
        let as_of = match settings.replica_time.as_deref().or(own) {
            // Asked before the snapshot is taken: what comes between is shown and not counted on.
            Some(text) => self.moment(settings, text).await?.min(now),
            None => now,
        };
        let begin = async {
            match &mut self.wire {
                Wire::Postgres(wire) => wire.begin().await,
                Wire::Mysql(wire) => wire.begin().await,
            }
        };
        within(settings, "begin", begin).await?;
        Ok(as_of)
    }

    /// Ends the snapshot; the connection can be used again.
    pub(super) async fn end(&mut self, settings: &Settings) -> Result<(), SqlError> {
        self.command(settings, "ROLLBACK").await
    }

    /// Lets a statement take as long as it takes, for a stream of a whole table. It still waits no longer than one for a
    /// table that somebody has locked.
    pub(super) async fn unlimited(&mut self, settings: &Settings) -> Result<(), SqlError> {
        if let Wire::Mysql(wire) = &mut self.wire {
            within(settings, "limits", wire.limit_locks(settings.statement_timeout.as_secs())).await?;
            return within(settings, "limits", wire.limit_statements(0.0)).await;
        }
        self.command(settings, "SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0").await
    }

    async fn command(&mut self, settings: &Settings, sql: &str) -> Result<(), SqlError> {
        let command = async {
            match &mut self.wire {
                Wire::Postgres(wire) => wire.command(sql).await,
                Wire::Mysql(wire) => wire.command(sql).await,
            }
        };
        within(settings, "transaction", command).await
    }

    async fn columns(&mut self, sql: &str) -> Result<Vec<(String, String, Result<Form, &'static str>)>, Said> {
        match &mut self.wire {
            Wire::Postgres(wire) => wire.columns(sql).await,
            Wire::Mysql(wire) => wire.columns(sql).await,
        }
    }

    /// The columns of a question.
    pub(super) async fn shape(&mut self, settings: &Settings, table: &'static Table) -> Result<Shape, SqlError> {
        if let Some(shape) = self.shapes.get(table.name) {
            return Ok(shape.clone());
        }
        let text = settings.texts.get(table.name).ok_or_else(|| no_text(&settings.server(), table.name))?;
        let sql = format!("SELECT * FROM {} q", wrapped(text));
        let columns = within(settings, table.name, self.columns(&sql)).await?;
        let shape = Shape::new(table, columns).map_err(|reason| refused(settings, table.name, reason))?;
        self.shapes.insert(table.name, shape.clone());
        Ok(shape)
    }

    /// Gives the rows of a question one by one: a value for each column of the table, null for those that the text
    /// does not give. Returns how many there were.
    pub(super) async fn each(
        &mut self,
        settings: &Settings,
        table: &'static Table,
        filter: &Filter,
        take: &mut (dyn FnMut(Vec<Cell>) -> Result<(), Said> + Send),
    ) -> Result<u64, SqlError> {
        let shape = self.shape(settings, table).await?;
        let text = settings.texts.get(table.name).ok_or_else(|| no_text(&settings.server(), table.name))?;
        let (sql, binds) = statement(settings.dialect, text, &shape, filter);
        let given = AtomicU64::new(0);
        let mut placed = |cells: Vec<Cell>| {
            let mut row = vec![Cell::Null; table.columns.len()];
            for (column, cell) in shape.0.iter().zip(cells) {
                row[column.place] = match column.name {
                    "serial" => settings.serials.read(cell),
                    _ => cell,
                };
            }
            given.fetch_add(1, Ordering::Relaxed);
            take(row)
        };
        let rows = async {
            match &mut self.wire {
                Wire::Postgres(wire) => wire.rows(&sql, &binds, &shape, &mut placed).await,
                Wire::Mysql(wire) => wire.rows(&sql, &binds, &shape, &mut placed).await,
            }
        };
        match filter.limit {
            Some(_) => within(settings, table.name, rows).await?,
            None => flowing(settings, table.name, &given, rows).await?,
        }
        Ok(given.into_inner())
    }

    /// About how many rows a text gives, as the server guesses without running it; a guess may take as long as a statement.
    pub(super) async fn about(&mut self, text: &str) -> Option<u64> {
        let sql = format!("EXPLAIN SELECT * FROM {} q", wrapped(text));
        match &mut self.wire {
            Wire::Postgres(wire) => wire.guess(&sql).await,
            Wire::Mysql(wire) => wire.guess(&sql).await,
        }
    }

    /// The rows of a question, at most as many as the filter says.
    pub(super) async fn rows(
        &mut self,
        settings: &Settings,
        table: &'static Table,
        filter: &Filter,
    ) -> Result<Vec<Vec<Cell>>, SqlError> {
        let mut rows = Vec::new();
        let mut keep = |row| {
            rows.push(row);
            Ok(())
        };
        self.each(settings, table, filter, &mut keep).await?;
        Ok(rows)
    }

    /// One number that a statement of ours gives; nothing when it is null.
    pub(super) async fn number(&mut self, settings: &Settings, what: &str, sql: &str) -> Result<Option<i64>, SqlError> {
        Ok(match self.value(settings, what, sql).await? {
            Cell::Number(number) => Some(number),
            Cell::Text(text) => text.parse().ok(),
            _ => None,
        })
    }

    /// The one value of a statement.
    async fn value(&mut self, settings: &Settings, what: &str, sql: &str) -> Result<Cell, SqlError> {
        let columns = within(settings, what, self.columns(sql)).await?;
        let [(name, type_name, form)] = &columns[..] else {
            return Err(refused(settings, what, format!("gives {} columns, one is expected", columns.len())));
        };
        let form = form.map_err(|remedy| refused(settings, what, format!("has the type {type_name}: {remedy}")))?;
        // Any column can stand for the one that is converted; it is read by its place.
        let shape = Shape::single(form, type_name);
        let name = match settings.dialect {
            Dialect::Postgres => format!("\"{}\"", name.replace('"', "\"\"")),
            Dialect::Mysql => format!("`{}`", name.replace('`', "``")),
        };
        let named = format!("SELECT one.{name} AS {} FROM {} one", Shape::SINGLE, wrapped(sql));
        let (sql, binds) = statement(settings.dialect, &named, &shape, &Filter { limit: Some(1), ..Filter::default() });
        let mut found = Cell::Null;
        let mut take = |mut row: Vec<Cell>| {
            found = row.pop().unwrap_or(Cell::Null);
            Ok(())
        };
        let rows = async {
            match &mut self.wire {
                Wire::Postgres(wire) => wire.rows(&sql, &binds, &shape, &mut take).await,
                Wire::Mysql(wire) => wire.rows(&sql, &binds, &shape, &mut take).await,
            }
        };
        within(settings, what, rows).await?;
        Ok(found)
    }

    async fn moment(&mut self, settings: &Settings, text: &str) -> Result<Timestamp, SqlError> {
        const WHAT: &str = "replica_time";
        let cell = self.value(settings, WHAT, text).await?;
        let seconds = Kind::Moment.read(cell.raw()).map_err(|reason| refused(settings, WHAT, reason))?;
        let seconds = seconds.as_i64().ok_or_else(|| refused(settings, WHAT, "gives no time".to_string()))?;
        Ok(Timestamp::from_seconds(seconds))
    }
}

pub(super) fn refused(settings: &Settings, table: &str, reason: String) -> SqlError {
    SqlError::Question { server: settings.server(), table: table.to_string(), reason }
}

/// Waits for a whole table, which takes as long as it takes, before its first row too: the server may have to sort it. But
/// a server that has sent rows and then nothing for the time of a statement is given up.
async fn flowing(
    settings: &Settings,
    table: &'static str,
    given: &AtomicU64,
    rows: impl Future<Output = Result<(), Said>>,
) -> Result<(), SqlError> {
    /// How often it is looked whether rows have come, in the time of a statement.
    const LOOKS: u32 = 4;
    let mut rows = std::pin::pin!(rows);
    let (mut known, mut silent) = (0, 0);
    loop {
        if let Ok(done) = tokio::time::timeout(settings.statement_timeout / LOOKS, &mut rows).await {
            return done.map_err(|reason| refused(settings, table, reason));
        }
        let now = given.load(Ordering::Relaxed);
        silent = if now == known && now > 0 { silent + 1 } else { 0 };
        known = now;
        if silent >= LOOKS {
            let reason = format!("it sent nothing for {} s", settings.statement_timeout.as_secs());
            return Err(SqlError::Lost { server: settings.server(), table, reason });
        }
    }
}

/// Waits for the server no longer than its own limit and a little.
async fn within<T>(
    settings: &Settings,
    what: &str,
    asked: impl Future<Output = Result<T, Said>>,
) -> Result<T, SqlError> {
    let limit = settings.statement_timeout + PATIENCE;
    match tokio::time::timeout(limit, asked).await {
        Ok(answer) => answer.map_err(|reason| refused(settings, what, reason)),
        Err(_) => Err(SqlError::Slow { server: settings.server(), what: what.to_string(), limit }),
    }
}
