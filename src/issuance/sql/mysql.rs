//! A connection to MariaDB or MySQL.

use mysql_async::consts::{ColumnFlags, ColumnType};
use mysql_async::prelude::Queryable;
use mysql_async::{Column, Conn, OptsBuilder, Params, SslOpts, Value};

use super::error::told;
use super::postgres::{KEEPALIVE, Said};
use super::question::{Bind, Form, Shape, Shown};
use super::settings::{Settings, Tls};
use crate::clock::days_from_civil;
use crate::finding::escape;
use crate::issuance::column::Cell;

/// The character set "binary".
const BINARY: u16 = 63;
/// The longest row that is taken, in bytes.
const ROW_LIMIT_BYTES: usize = 16 << 20;

/// A connection.
pub(super) struct Mysql {
    connection: Conn,
}

impl Mysql {
    pub(super) async fn connect(settings: &Settings) -> Result<Mysql, Said> {
        let tls = match &settings.tls {
            Tls::NoneOnLoopback => None,
            Tls::Verify(None) => Some(SslOpts::default()),
            Tls::Verify(Some(pem)) => {
                Some(SslOpts::default().with_root_certs(vec![pem.clone().into()]).with_disable_built_in_roots(true))
            }
        };
        let options = OptsBuilder::default()
            .ip_or_hostname(&settings.host)
            .tcp_port(settings.port)
            .db_name(Some(&settings.database))
            .user(Some(&settings.user))
            .pass(settings.password.as_ref())
            .ssl_opts(tls)
            .prefer_socket(false)
            .tcp_keepalive(Some(KEEPALIVE))
            .max_allowed_packet(Some(ROW_LIMIT_BYTES))
            .stmt_cache_size(64);
        let connection = Conn::new(options).await.map_err(|e| why(&e))?;
        let mut connection = Mysql { connection };
        let seconds = settings.statement_timeout.as_secs_f64();
        connection.command("SET SESSION TRANSACTION READ ONLY").await?;
        connection.command("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ").await?;
        connection.command("SET SESSION time_zone = '+00:00'").await?;
        connection.limit_statements(seconds).await?;
        Ok(connection)
    }

    /// The longest time of a statement in seconds; 0: none. MariaDB and MySQL have each a variable of its own.
    pub(super) async fn limit_statements(&mut self, seconds: f64) -> Result<(), Said> {
        match self.command(&format!("SET SESSION max_statement_time = {seconds}")).await {
            Ok(()) => Ok(()),
            Err(_) => self.command(&format!("SET SESSION max_execution_time = {}", (seconds * 1000.0).round())).await,
        }
    }

    /// The longest wait for a table that somebody has locked; unless told the server waits for a day.
    pub(super) async fn limit_locks(&mut self, seconds: u64) -> Result<(), Said> {
        self.command(&format!("SET SESSION lock_wait_timeout = {}", seconds.max(1))).await
    }

    /// Runs a command of ours that answers nothing.
    pub(super) async fn command(&mut self, sql: &str) -> Result<(), Said> {
        self.connection.query_drop(sql).await.map_err(|e| why(&e))
    }

    /// Begins a transaction in which all questions see one moment of the database.
    pub(super) async fn begin(&mut self) -> Result<(), Said> {
        self.command("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY").await
    }

    /// The columns that a SELECT gives, as the server knows them before it is run.
    pub(super) async fn columns(
        &mut self,
        sql: &str,
    ) -> Result<Vec<(String, String, Result<Form, &'static str>)>, Said> {
        let statement = self.connection.prep(sql).await.map_err(|e| why(&e))?;
        let columns = statement.columns();
        let columns = columns.iter().map(|column| {
            let name = format!("{:?}", column.column_type()).trim_start_matches("MYSQL_TYPE_").to_ascii_lowercase();
            (column.name_str().into_owned(), name, form(column))
        });
        let columns = columns.collect();
        self.connection.close(statement).await.map_err(|e| why(&e))?;
        Ok(columns)
    }

    /// How many rows a plan gives, about: the most that one of its steps reads.
    pub(super) async fn guess(&mut self, explain: &str) -> Option<u64> {
        let steps: Vec<mysql_async::Row> = self.connection.query(explain).await.ok()?;
        steps.iter().filter_map(|step| step.get_opt::<Option<u64>, _>("rows")?.ok()?).max()
    }

    /// Runs a SELECT and gives its rows one by one, as they come.
    pub(super) async fn rows(
        &mut self,
        sql: &str,
        binds: &[Bind],
        shape: &Shape,
        each: &mut (dyn FnMut(Vec<Cell>) -> Result<(), Said> + Send),
    ) -> Result<(), Said> {
        let values: Vec<Value> = binds.iter().flat_map(values).collect();
        let given = if values.is_empty() { Params::Empty } else { Params::Positional(values) };
        let mut rows = self.connection.exec_iter(sql, given).await.map_err(|e| why(&e))?;
        while let Some(row) = rows.next().await.map_err(|e| why(&e))? {
            let cells = shape.0.iter().zip(row.unwrap()).map(|(column, value)| cell(column, value));
            each(cells.collect())?;
        }
        rows.drop_result().await.map_err(|e| why(&e))
    }
}

/// The values of a bind, the last one repeated up to a power of two, so that there are few different statements. A
/// number is bound as one: compared with a text, a column of numbers would be turned into text and its index be of no use.
fn values(bind: &Bind) -> Vec<Value> {
    let value = |text: &String| match bind.form {
        Form::Whole | Form::Flag => text.parse().map_or_else(|_| Value::Bytes(text.clone().into()), Value::Int),
        Form::Octets => Value::Bytes(hex::decode(text).unwrap_or_default()),
        _ => Value::Bytes(text.clone().into()),
    };
    let mut values: Vec<Value> = bind.values.iter().map(value).collect();
    if let Some(last) = values.last().cloned() {
        values.resize(values.len().next_power_of_two(), last);
    }
    values
}

fn form(column: &Column) -> Result<Form, &'static str> {
    use ColumnType::*;
    match column.column_type() {
        MYSQL_TYPE_TINY | MYSQL_TYPE_SHORT | MYSQL_TYPE_INT24 | MYSQL_TYPE_LONG | MYSQL_TYPE_LONGLONG
        | MYSQL_TYPE_YEAR => Ok(Form::Whole),
        MYSQL_TYPE_DECIMAL | MYSQL_TYPE_NEWDECIMAL => Ok(Form::Decimal),
        MYSQL_TYPE_NULL | MYSQL_TYPE_ENUM | MYSQL_TYPE_JSON => Ok(Form::Text),
        MYSQL_TYPE_VARCHAR
        | MYSQL_TYPE_VAR_STRING
        | MYSQL_TYPE_STRING
        | MYSQL_TYPE_TINY_BLOB
        | MYSQL_TYPE_BLOB
        | MYSQL_TYPE_MEDIUM_BLOB
        | MYSQL_TYPE_LONG_BLOB => {
            let text = column.character_set() != BINARY || column.flags().contains(ColumnFlags::ENUM_FLAG);
            Ok(if text { Form::Text } else { Form::Octets })
        }
        MYSQL_TYPE_TIMESTAMP | MYSQL_TYPE_TIMESTAMP2 => Ok(Form::Moment),
        MYSQL_TYPE_DATE | MYSQL_TYPE_NEWDATE => Ok(Form::Day),
        MYSQL_TYPE_DATETIME | MYSQL_TYPE_DATETIME2 => {
            Err("it has no time zone; where it is in UTC, write CAST(UNIX_TIMESTAMP(column) AS SIGNED)")
        }
        MYSQL_TYPE_FLOAT | MYSQL_TYPE_DOUBLE => Err("it is not exact; write CAST(column AS SIGNED)"),
        _ => Err("write CAST(column AS CHAR), or give a number, a TIMESTAMP, a DATE or a BINARY"),
    }
}

fn cell(column: &Shown, value: Value) -> Cell {
    match (column.form, value) {
        (_, Value::NULL) => Cell::Null,
        (_, Value::Int(number)) => Cell::Number(number),
        (_, Value::UInt(number)) => {
            i64::try_from(number).map_or(Cell::Other("a number that is too large"), Cell::Number)
        }
        (Form::Octets, Value::Bytes(octets)) => Cell::Text(hex::encode(octets)),
        (Form::Decimal, Value::Bytes(digits)) => decimal(&digits),
        (_, Value::Bytes(text)) => String::from_utf8(text).map_or(Cell::Other("text that is not UTF-8"), Cell::Text),
        // The year 0 is what MariaDB makes of a time that was refused.
        (_, Value::Date(0, ..)) => Cell::Other("the time 0000-00-00"),
        (_, Value::Date(year, month @ 1..=12, day @ 1..=31, hour, minute, second, _)) => {
            let seconds = i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second);
            Cell::Number(days_from_civil(i64::from(year), month, day) * 86_400 + seconds)
        }
        _ => Cell::Other("a value that cannot be read"),
    }
}

/// `12.00` is 12; `12.5` stays what it is and is refused where a number is expected.
fn decimal(digits: &[u8]) -> Cell {
    let text = String::from_utf8_lossy(digits).into_owned();
    match text.split_once('.') {
        Some((whole, fraction)) if fraction.bytes().all(|digit| digit == b'0') => Cell::Text(whole.to_string()),
        _ => Cell::Text(text),
    }
}

fn why(error: &mysql_async::Error) -> Said {
    match error {
        mysql_async::Error::Server(server) => escape(format!("{} [{}]", server.message, server.code).as_bytes(), 400),
        other => told(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_different_statements_are_made_and_numbers_stay_numbers() {
        let bind =
            |form, texts: &[&str]| values(&Bind { form, values: texts.iter().map(ToString::to_string).collect() });
        assert_eq!(bind(Form::Whole, &["1", "2", "3"]), [1, 2, 3, 3].map(Value::Int));
        assert_eq!(bind(Form::Text, &["1"]), [Value::Bytes(b"1".to_vec())]);
        assert_eq!(bind(Form::Octets, &["0aff"]), [Value::Bytes(vec![10, 255])]);
        assert_eq!(bind(Form::Text, &[]), []);
    }

    #[test]
    fn values_are_read_by_the_form_of_their_column() {
        let read = |form, value| cell(&Shown { place: 0, name: "x", form, type_name: String::new() }, value);
        assert_eq!(read(Form::Decimal, Value::Bytes(b"12.00".to_vec())), Cell::Text("12".into()));
        assert_eq!(read(Form::Decimal, Value::Bytes(b"12.50".to_vec())), Cell::Text("12.50".into()));
        assert_eq!(read(Form::Moment, Value::Date(2026, 11, 22, 9, 14, 0, 5)), Cell::Number(1_795_338_840));
        assert_eq!(read(Form::Day, Value::Date(1970, 1, 2, 0, 0, 0, 0)), Cell::Number(86_400));
        assert_eq!(read(Form::Moment, Value::Date(0, 0, 0, 0, 0, 0, 0)), Cell::Other("the time 0000-00-00"));
        assert_eq!(read(Form::Whole, Value::UInt(u64::MAX)), Cell::Other("a number that is too large"));
        assert_eq!(read(Form::Text, Value::Bytes(vec![0xff])), Cell::Other("text that is not UTF-8"));
    }
}
