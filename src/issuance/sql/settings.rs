//! What the monitor is told about a database server of the CA.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use num_bigint::BigUint;

use crate::finding::{KeyHash, Serial};
use crate::issuance::column::Cell;

/// Which server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// PostgreSQL 13 or newer.
    Postgres,
    /// MariaDB 10.3 or newer; MySQL 8 or newer, on which nothing was tested.
    Mysql,
}

impl Dialect {
    /// `postgres` or `mysql`, as in the configuration.
    pub const fn word(self) -> &'static str {
        match self {
            Dialect::Postgres => "postgres",
            Dialect::Mysql => "mysql",
        }
    }
    /// The port that its servers listen on unless told otherwise.
    pub const fn port(self) -> u16 {
        match self {
            Dialect::Postgres => 5432,
            Dialect::Mysql => 3306,
        }
    }
}

/// How a connection is protected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tls {
    /// By TLS with a certificate for the host: of a CA in this PEM, or of a public CA.
    Verify(Option<Vec<u8>>),
    /// Not at all; the server is on loopback.
    NoneOnLoopback,
}

/// How the CA's database writes serial numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SerialForm {
    /// Lower-case hexadecimal with an even number of digits and no leading zero octets: `0aff`.
    #[default]
    Hex,
    /// The same with capital letters: `0AFF`.
    HexUpper,
    /// 36 hexadecimal digits, lower case, zeros in front, as Boulder writes them.
    Hex36,
    /// Decimal, as EJBCA writes them.
    Decimal,
}

impl SerialForm {
    /// The word in the configuration and in presets.
    pub fn parse(word: &str) -> Option<SerialForm> {
        match word {
            "hex" => Some(SerialForm::Hex),
            "hex-upper" => Some(SerialForm::HexUpper),
            "hex-36" => Some(SerialForm::Hex36),
            "decimal" => Some(SerialForm::Decimal),
            _ => None,
        }
    }
    /// The serial number as the database has it.
    pub(super) fn spell(self, serial: &Serial) -> String {
        let hex = serial.value_hex();
        match self {
            SerialForm::Hex => hex,
            SerialForm::HexUpper => hex.to_ascii_uppercase(),
            SerialForm::Hex36 => format!("{hex:0>36}"),
            SerialForm::Decimal => BigUint::from_bytes_be(&serial.0).to_string(),
        }
    }
    /// A value of the database as the feed has it: hexadecimal.
    pub(super) fn read(self, cell: Cell) -> Cell {
        if self != SerialForm::Decimal {
            return cell;
        }
        let digits = match &cell {
            Cell::Number(number) => number.to_string(),
            Cell::Text(text) if text.len() <= 160 => text.clone(),
            _ => return cell,
        };
        match BigUint::parse_bytes(digits.as_bytes(), 10) {
            Some(number) => Cell::Text(hex::encode(number.to_bytes_be())),
            None => cell,
        }
    }
}

/// An issuer by the number that it has in the CA's database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MappedIssuer {
    /// Its number in the column issuer_id of certificates.
    pub issuer_id: i64,
    /// SHA-256 of its SubjectPublicKeyInfo.
    pub key_hash: KeyHash,
    /// Its name.
    pub name: String,
    /// `public` or `internal`.
    pub hierarchy: String,
}

/// A database server, how it is reached and what it is asked.
#[derive(Clone, PartialEq, Eq)]
pub struct Settings {
    /// Which server speaks.
    pub dialect: Dialect,
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// The database on the server.
    pub database: String,
    /// The user, who needs to read and nothing else.
    pub user: String,
    /// The user's password, if there is one.
    pub password: Option<String>,
    /// How the connection is protected.
    pub tls: Tls,
    /// The most connections at once, at least 1.
    pub connections: usize,
    /// The longest time that one statement may take; at least one second.
    pub statement_timeout: Duration,
    /// The longest time until a connection stands; at least one second.
    pub connect_timeout: Duration,
    /// The text of each question by the table of the feed that it answers; a table without one is not fed.
    pub texts: BTreeMap<&'static str, String>,
    /// A text that gives the time of the newest write that the server can show, as one column.
    pub replica_time: Option<String>,
    /// How serial numbers are written.
    pub serials: SerialForm,
    /// Issuers that are named here instead of by a question; then `issuers` has no text.
    pub issuers: Vec<MappedIssuer>,
}

impl Settings {
    /// The server as people know it: `postgres ca-db.example:5432/ca`.
    pub fn server(&self) -> String {
        format!("{} {}:{}/{}", self.dialect.word(), self.host, self.port, self.database)
    }
    /// Whether the source has the table at all.
    pub fn feeds(&self, table: &str) -> bool {
        self.texts.contains_key(table) || (table == "issuers" && !self.issuers.is_empty())
    }
}

/// Without the password.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").field("server", &self.server()).field("user", &self.user).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serial_numbers_are_spelled_as_the_database_has_them_and_read_back() {
        let serial = Serial(vec![0, 0x9a, 0xff]);
        let cases = [
            (SerialForm::Hex, "9aff".to_string()),
            (SerialForm::HexUpper, "9AFF".to_string()),
            (SerialForm::Hex36, format!("{}9aff", "0".repeat(32))),
            (SerialForm::Decimal, "39679".to_string()),
        ];
        for (form, spelled) in cases {
            assert_eq!(form.spell(&serial), spelled);
            let Cell::Text(read) = form.read(Cell::Text(spelled)) else { panic!("text") };
            assert_eq!(Serial::from_hex(&read).map(|read| read.value_hex()), Some(serial.value_hex()), "{form:?}");
        }
        assert_eq!(SerialForm::Decimal.read(Cell::Number(10)), Cell::Text("0a".into()));
        assert_eq!(SerialForm::Decimal.read(Cell::Text("x".into())), Cell::Text("x".into()));
    }
}
