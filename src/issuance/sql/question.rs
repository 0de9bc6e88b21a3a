//! A question to a database server: the text of one table of the feed, wrapped so that it answers for the rows that
//! are wanted and no others.

use super::error::SqlError;
use super::settings::Dialect;
use crate::finding::escape;
use crate::issuance::column::Cell;
use crate::issuance::tables::Table;

/// How a column of a result is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// A whole number of any width.
    Whole,
    /// A number that must have no fraction.
    Decimal,
    /// True or false.
    Flag,
    /// Text.
    Text,
    /// Octets, given as hexadecimal.
    Octets,
    /// A moment with a time zone, given in seconds.
    Moment,
    /// A day, given as its first second in UTC.
    Day,
}

/// A column of a result that is a column of the feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shown {
    /// Its place among the columns of the table.
    pub place: usize,
    pub name: &'static str,
    pub form: Form,
    /// What the server calls the type.
    pub type_name: String,
}

/// The columns that a text gives, in the order of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shape(pub Vec<Shown>);

impl Shape {
    /// Compares what the server says of a text with the table: each column as (name, type, form or why it has none).
    pub(super) fn new(
        table: &'static Table,
        columns: Vec<(String, String, Result<Form, &'static str>)>,
    ) -> Result<Shape, String> {
        let mut shown: Vec<Shown> = Vec::new();
        for (name, type_name, form) in columns {
            let told = escape(name.as_bytes(), 60);
            let Some(place) = table.columns.iter().position(|column| column.name == name) else {
                let known: Vec<&str> = table.columns.iter().map(|column| column.name).collect();
                return Err(format!("column {told} is no column of {}, which has {}", table.name, known.join(", ")));
            };
            if shown.iter().any(|other| other.place == place) {
                return Err(format!("column {told} stands twice"));
            }
            let name = table.columns[place].name;
            match form {
                Ok(form) if form != Form::Text || !COMPARED_TIMES.contains(&name) => {
                    shown.push(Shown { place, name, form, type_name });
                }
                Ok(_) => {
                    let wanted =
                        if name == "place" { "a number" } else { "a number of seconds or a time with its zone" };
                    return Err(format!("column {name} is text: give {wanted}"));
                }
                Err(remedy) => {
                    return Err(format!("column {name} has the type {}: {remedy}", escape(type_name.as_bytes(), 60)));
                }
            }
        }
        let lacks = |name: &str| !shown.iter().any(|column| column.name == name);
        if let Some(column) = table.columns.iter().find(|column| column.required && lacks(column.name)) {
            return Err(format!("column {} is missing", column.name));
        }
        shown.sort_by_key(|column| column.place);
        Ok(Shape(shown))
    }

    /// What the column of a [`Shape::single`] must be called.
    pub(super) const SINGLE: &str = "value";

    /// One column of which only the form matters.
    pub(super) fn single(form: Form, type_name: &str) -> Shape {
        Shape(vec![Shown { place: 0, name: Shape::SINGLE, form, type_name: type_name.to_string() }])
    }

    /// Whether the text gives a column that a number of ours can be compared with.
    pub(super) fn compares(&self, name: &str) -> bool {
        self.0.iter().any(|column| column.name == name && column.form != Form::Text)
    }

    /// Whether the text gives a column.
    pub(super) fn gives(&self, name: &str) -> bool {
        self.0.iter().any(|column| column.name == name)
    }

    fn form(&self, name: &str) -> Form {
        self.0.iter().find(|column| column.name == name).map_or(Form::Text, |column| column.form)
    }

    fn type_name(&self, name: &str) -> &str {
        self.0.iter().find(|column| column.name == name).map_or("text", |column| &column.type_name)
    }
}

/// Times that the server compares with a time of ours.
const COMPARED_TIMES: [&str; 5] = ["signed_at", "completed_at", "revoked_at", "hour", "place"];

/// Compares as `>` does, and lets rows without a value through.
pub(super) const STILL: &str = "IS NULL OR >";

/// Which rows are wanted.
#[derive(Clone, Debug, Default)]
pub(super) struct Filter {
    /// The column has one of these values.
    pub one_of: Vec<(&'static str, Vec<String>)>,
    /// The column, a time or a number, compares so (`<`, `<=`, `>`, `>=` or [`STILL`]) with a moment in seconds or a number.
    pub times: Vec<(&'static str, &'static str, i64)>,
    /// The rows come in the rising order of this column.
    pub ordered: Option<&'static str>,
    /// Of the rows with equal values of the first column the newest by the second, so many.
    pub newest: Option<(&'static str, &'static str, u64)>,
    /// The most rows.
    pub limit: Option<u64>,
}

impl Filter {
    /// Rows whose column has one of these values.
    pub(super) fn one_of(column: &'static str, values: Vec<String>) -> Filter {
        Filter { one_of: vec![(column, values)], ..Filter::default() }
    }
}

/// Values for one condition of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bind {
    pub form: Form,
    pub values: Vec<String>,
}

/// A text of the configuration before it is wrapped.
///
/// # Errors
/// Why it can be none: it must be one SELECT, so that it can stand in parentheses.
pub fn check_text(text: &str) -> Result<String, String> {
    let bare = text.trim().trim_end_matches(';').trim_end();
    let first: String = bare.chars().take_while(|c| c.is_ascii_alphabetic()).collect();
    if !["select", "with"].contains(&first.to_ascii_lowercase().as_str()) {
        return Err("does not begin with SELECT".to_string());
    }
    if bare.contains(';') {
        return Err("has a semicolon: it must be one statement".to_string());
    }
    Ok(bare.to_string())
}

/// The text as a table; its end may be a comment.
pub(super) fn wrapped(text: &str) -> String {
    format!("(\n{text}\n)")
}

/// The statement for the rows of `filter`, with what is bound to it. The values of one bind are one array in PostgreSQL,
/// and one after another in MariaDB. What is compared is cast to the type of the column and never the column, so that
/// an index on it can be used.
pub(super) fn statement(dialect: Dialect, text: &str, shape: &Shape, filter: &Filter) -> (String, Vec<Bind>) {
    let mut binds = Vec::new();
    let mut conditions: Vec<String> = Vec::new();
    for (column, values) in &filter.one_of {
        let form = shape.form(column);
        conditions.push(match dialect {
            Dialect::Postgres => {
                format!("q.{column} = ANY (${}::text[]::{}[])", binds.len() + 1, shape.type_name(column))
            }
            Dialect::Mysql => format!("q.{column} IN ({})", vec!["?"; values.len().next_power_of_two()].join(", ")),
        });
        binds.push(Bind { form, values: values.clone() });
    }
    for (column, compared, seconds) in &filter.times {
        let given = match dialect {
            Dialect::Postgres => format!("((${}::text[])[1]::int8)", binds.len() + 1),
            Dialect::Mysql => "?".to_string(),
        };
        let given = match (dialect, shape.form(column)) {
            (Dialect::Postgres, Form::Moment) => format!("to_timestamp({given})"),
            (Dialect::Postgres, Form::Day) => format!("(to_timestamp({given}) AT TIME ZONE 'UTC')::date"),
            (Dialect::Mysql, Form::Moment | Form::Day) => format!("FROM_UNIXTIME({given})"),
            _ => given,
        };
        conditions.push(match *compared {
            STILL => format!("(q.{column} IS NULL OR q.{column} > {given})"),
            compared => format!("q.{column} {compared} {given}"),
        });
        binds.push(Bind { form: Form::Whole, values: vec![seconds.to_string()] });
    }
    let mut condition = match conditions.is_empty() {
        true => String::new(),
        false => format!(" WHERE {}", conditions.join(" AND ")),
    };
    let mut from = format!("{} q", wrapped(text));
    if let Some((of, by, count)) = filter.newest {
        let place = format!("row_number() OVER (PARTITION BY q.{of} ORDER BY q.{by} DESC) AS place_of_row");
        from = format!("(SELECT q.*, {place} FROM {from}{condition}) q");
        condition = format!(" WHERE q.place_of_row <= {count}");
    }
    let columns: Vec<String> = shape.0.iter().map(|column| expression(dialect, column)).collect();
    let limit = filter.limit.map_or(String::new(), |limit| format!(" LIMIT {limit}"));
    let order = filter.ordered.map_or(String::new(), |column| format!(" ORDER BY q.{column}"));
    (format!("SELECT {} FROM {from}{condition}{order}{limit}", columns.join(", ")), binds)
}

/// The longest text that is taken from a server, in characters; the longest that a column may have and one.
const TEXT_LIMIT_CHARS: usize = 65_537;

/// A column as the server gives it: PostgreSQL turns it into one of three types, MariaDB gives what it has.
fn expression(dialect: Dialect, column: &Shown) -> String {
    let name = column.name;
    if dialect == Dialect::Mysql {
        return format!("q.{name}");
    }
    match column.form {
        Form::Whole => format!("q.{name}::int8"),
        Form::Decimal => format!("trim_scale(q.{name})::text"),
        Form::Flag => format!("q.{name}"),
        Form::Text => format!("left(q.{name}::text, {TEXT_LIMIT_CHARS})"),
        Form::Octets => format!("encode(substr(q.{name}, 1, {TEXT_LIMIT_CHARS}), 'hex')"),
        Form::Moment => finite(name, &format!("floor(extract(epoch FROM q.{name}))::int8")),
        Form::Day => finite(name, &format!("(q.{name} - date '1970-01-01') * 86400::int8")),
    }
}

/// An infinite time is before 1970 for the reader, who refuses it with its row.
fn finite(name: &str, seconds: &str) -> String {
    format!("CASE WHEN q.{name} IS NULL THEN NULL WHEN isfinite(q.{name}) THEN {seconds} ELSE -1 END")
}

/// What a person calls a key of the database.
pub(super) fn key_text(cell: &Cell) -> Option<String> {
    match cell {
        Cell::Number(number) => Some(number.to_string()),
        Cell::Text(text) => Some(text.trim().to_string()),
        _ => None,
    }
}

/// A question without a text is asked of nobody; the caller has looked before.
pub(super) fn no_text(server: &str, table: &str) -> SqlError {
    SqlError::Question {
        server: server.to_string(),
        table: table.to_string(),
        reason: "this source has no text for it".to_string(),
    }
}
