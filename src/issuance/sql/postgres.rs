//! A connection to PostgreSQL.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio::task::JoinHandle;
use tokio_postgres::config::SslMode;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{FromSql, Kind, Type};
use tokio_postgres::{Client, NoTls, Row, SimpleQueryMessage, Statement};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::error::told;
use super::question::{Bind, Form, Shape, Shown};
use super::settings::{Settings, Tls};
use crate::finding::escape;
use crate::issuance::column::Cell;

/// What a server or a driver says, for a person.
pub(super) type Said = String;

/// The newest change that a replica shows, or where it began when it has applied none since its start; a server that is
/// none shows its own now.
pub(super) const REPLICA_TIME: &str = "SELECT CASE WHEN pg_is_in_recovery() THEN coalesce(pg_last_xact_replay_timestamp(), \
     (SELECT checkpoint_time FROM pg_control_checkpoint())) ELSE now() END";

/// A connection. Its task ends with it.
pub(super) struct Postgres {
    client: Client,
    task: JoinHandle<()>,
    /// Statements that the server has prepared for this connection, by their text.
    prepared: HashMap<String, Statement>,
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// How often a silent peer is asked whether it is there: the first row of a whole table has no other limit.
pub(super) const KEEPALIVE: Duration = Duration::from_secs(20);

/// The most statements that are kept prepared on one connection.
const PREPARED_LIMIT: usize = 64;

impl Postgres {
    pub(super) async fn connect(settings: &Settings) -> Result<Postgres, Said> {
        let mut config = tokio_postgres::Config::new();
        config
            .host(&settings.host)
            .port(settings.port)
            .dbname(&settings.database)
            .user(&settings.user)
            .application_name("ctwarden")
            .connect_timeout(settings.connect_timeout)
            .tcp_user_timeout(settings.statement_timeout * 2)
            .keepalives_idle(KEEPALIVE)
            .keepalives_interval(KEEPALIVE)
            .keepalives_retries(3);
        if let Some(password) = &settings.password {
            config.password(password);
        }
        let (client, task) = match &settings.tls {
            Tls::NoneOnLoopback => {
                config.ssl_mode(SslMode::Disable);
                let (client, connection) = config.connect(NoTls).await.map_err(|e| why(&e))?;
                (client, tokio::spawn(async move { drop(connection.await) }))
            }
            Tls::Verify(ca) => {
                config.ssl_mode(SslMode::Require);
                let tls = MakeRustlsConnect::new(client_config(ca.as_deref())?);
                let (client, connection) = config.connect(tls).await.map_err(|e| why(&e))?;
                (client, tokio::spawn(async move { drop(connection.await) }))
            }
        };
        let mut connection = Postgres { client, task, prepared: HashMap::new() };
        let timeout = settings.statement_timeout.as_millis();
        connection
            .command(&format!(
                "SET default_transaction_read_only = on; SET statement_timeout = {timeout}; SET lock_timeout = {timeout};
                 SET idle_in_transaction_session_timeout = {}; SET timezone = 'UTC'",
                timeout * 4
            ))
            .await?;
        Ok(connection)
    }

    /// Runs commands of ours that answer nothing.
    pub(super) async fn command(&mut self, sql: &str) -> Result<(), Said> {
        self.client.batch_execute(sql).await.map_err(|e| why(&e))
    }

    /// Begins a transaction in which all questions see one moment of the database.
    pub(super) async fn begin(&mut self) -> Result<(), Said> {
        self.command("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await
    }

    /// The columns that a SELECT gives, as the server knows them before it is run.
    pub(super) async fn columns(
        &mut self,
        sql: &str,
    ) -> Result<Vec<(String, String, Result<Form, &'static str>)>, Said> {
        let statement = self.prepare(sql).await?;
        let columns = statement.columns().iter();
        Ok(columns.map(|c| (c.name().to_string(), base(c.type_()).name().to_string(), form(c.type_()))).collect())
    }

    async fn prepare(&mut self, sql: &str) -> Result<Statement, Said> {
        if let Some(statement) = self.prepared.get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.client.prepare(sql).await.map_err(|e| why(&e))?;
        if self.prepared.len() >= PREPARED_LIMIT {
            self.prepared.clear();
        }
        self.prepared.insert(sql.to_string(), statement.clone());
        Ok(statement)
    }

    /// How many rows a plan gives: that of its first line, `Seq Scan on orders (cost=0.00..22.70 rows=1270 width=36)`.
    pub(super) async fn guess(&mut self, explain: &str) -> Option<u64> {
        // What fails in a transaction spoils it.
        self.command("SAVEPOINT guess").await.ok()?;
        let lines = self.client.simple_query(explain).await;
        self.command("ROLLBACK TO SAVEPOINT guess").await.ok()?;
        let lines = lines.ok()?;
        let mut lines = lines.iter().filter_map(|line| match line {
            SimpleQueryMessage::Row(row) => row.get(0),
            _ => None,
        });
        let digits = lines.next()?.split("rows=").nth(1)?;
        digits.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
    }

    /// Runs a SELECT and gives its rows one by one, as they come.
    pub(super) async fn rows(
        &mut self,
        sql: &str,
        binds: &[Bind],
        shape: &Shape,
        each: &mut (dyn FnMut(Vec<Cell>) -> Result<(), Said> + Send),
    ) -> Result<(), Said> {
        let statement = self.prepare(sql).await?;
        let arrays: Vec<Vec<String>> = binds.iter().map(array).collect();
        let rows = self.client.query_raw(&statement, &arrays).await.map_err(|e| why(&e))?;
        let mut rows = std::pin::pin!(rows);
        while let Some(row) = rows.try_next().await.map_err(|e| why(&e))? {
            let cells = shape.0.iter().enumerate().map(|(place, column)| cell(&row, place, column));
            each(cells.collect())?;
        }
        Ok(())
    }
}

/// The values of a bind as elements of a text array; octets are written as the server writes them.
fn array(bind: &Bind) -> Vec<String> {
    match bind.form {
        Form::Octets => bind.values.iter().map(|value| format!("\\x{value}")).collect(),
        _ => bind.values.clone(),
    }
}

fn cell(row: &Row, place: usize, column: &Shown) -> Cell {
    fn get<'r, T: FromSql<'r>>(row: &'r Row, place: usize, make: impl Fn(T) -> Cell) -> Cell {
        match row.try_get::<_, Option<T>>(place) {
            Ok(Some(value)) => make(value),
            Ok(None) => Cell::Null,
            Err(_) => Cell::Other("a value that cannot be read"),
        }
    }
    match column.form {
        Form::Whole | Form::Moment | Form::Day => get(row, place, Cell::Number),
        Form::Flag => get(row, place, Cell::Flag),
        Form::Decimal | Form::Text | Form::Octets => get(row, place, Cell::Text),
    }
}

/// The type under a domain.
fn base(of: &Type) -> &Type {
    match of.kind() {
        Kind::Domain(inner) => base(inner),
        _ => of,
    }
}

fn form(of: &Type) -> Result<Form, &'static str> {
    match *base(of) {
        Type::INT2 | Type::INT4 | Type::INT8 => Ok(Form::Whole),
        Type::NUMERIC => Ok(Form::Decimal),
        Type::BOOL => Ok(Form::Flag),
        Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::UUID => Ok(Form::Text),
        Type::BYTEA => Ok(Form::Octets),
        Type::TIMESTAMPTZ => Ok(Form::Moment),
        Type::DATE => Ok(Form::Day),
        Type::TIMESTAMP => Err("it has no time zone; write for instance column AT TIME ZONE 'UTC'"),
        Type::FLOAT4 | Type::FLOAT8 => Err("it is not exact; write column::numeric or column::int8"),
        _ => Err("write column::text, or give a number, a boolean, a timestamptz, a date or a bytea"),
    }
}

/// TLS 1.2 or 1.3 to a server whose certificate is of this CA, or of one that Mozilla trusts.
fn client_config(ca: Option<&[u8]>) -> Result<rustls::ClientConfig, Said> {
    let mut roots = rustls::RootCertStore::empty();
    match ca {
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Some(pem) => {
            for certificate in CertificateDer::pem_slice_iter(pem) {
                let certificate = certificate.map_err(|e| format!("ca_certificate: {e}"))?;
                roots.add(certificate).map_err(|e| format!("ca_certificate: {e}"))?;
            }
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    Ok(config.map_err(|e| e.to_string())?.with_root_certificates(roots).with_no_client_auth())
}

fn why(error: &tokio_postgres::Error) -> Said {
    match error.as_db_error() {
        Some(server) => {
            let hint = match server.hint() {
                // https://www.postgresql.org/docs/15/hot-standby.html#HOT-STANDBY-CONFLICT
                _ if *server.code() == SqlState::T_R_SERIALIZATION_FAILURE => {
                    " (set hot_standby_feedback = on at the replica, or a longer max_standby_streaming_delay)"
                        .to_string()
                }
                Some(hint) => format!(" ({hint})"),
                None => String::new(),
            };
            escape(format!("{}{hint} [{}]", server.message(), server.code().code()).as_bytes(), 400)
        }
        None => told(error),
    }
}
