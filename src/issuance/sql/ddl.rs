//! Our own schema for the CA's server, with the indexes that the lookups need.

use super::settings::Dialect;
use crate::issuance::column::Kind;
use crate::issuance::tables::{Column, TABLES, Table};

/// Indexes besides the primary keys: what a lookup, an audit or a walk by time asks for.
const INDEXES: &[(&str, &str)] = &[
    ("certificates", "issuer_id, serial"),
    ("certificates", "signed_at"),
    ("dcv_confirmations", "applicant_id, adn, completed_at"),
    ("revocations", "revoked_at"),
    ("controls", "observed_at"),
];

/// The statements that make the tables, for a person to read and run.
pub fn ddl(dialect: Dialect) -> String {
    let mut text = format!(
        "-- The issuance record of ctwarden in {}. Moments are seconds since 1970, hashes and serial numbers lower-case\n\
         -- hexadecimal, names lower-case A-labels. ctwarden needs SELECT on these tables and nothing else.\n",
        match dialect {
            Dialect::Postgres => "PostgreSQL",
            Dialect::Mysql => "MariaDB (or MySQL 8, not tested)",
        }
    );
    TABLES.iter().for_each(|table| text.push_str(&create(dialect, table)));
    for (table, columns) in INDEXES {
        let unique = if *columns == "issuer_id, serial" { "UNIQUE " } else { "" };
        let name = format!("{table}_by_{}", columns.replace(", ", "_"));
        text.push_str(&format!("CREATE {unique}INDEX {name} ON {table} ({columns});\n"));
    }
    text
}

fn create(dialect: Dialect, table: &Table) -> String {
    let keyed = |column: &Column| {
        let place = table.columns.iter().position(|other| other.name == column.name).unwrap_or(usize::MAX);
        place < table.key || INDEXES.iter().any(|(of, columns)| *of == table.name && columns.contains(column.name))
    };
    let mut lines: Vec<String> = (table.columns.iter())
        .map(|column| {
            let needed = if column.required { " NOT NULL" } else { "" };
            format!("    {} {}{needed}", column.name, type_name(dialect, column.kind, keyed(column)))
        })
        .collect();
    let key: Vec<&str> = table.columns[..table.key].iter().map(|column| column.name).collect();
    lines.push(format!("    PRIMARY KEY ({})", key.join(", ")));
    let end = match dialect {
        Dialect::Postgres => "",
        Dialect::Mysql => " ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
    };
    format!("CREATE TABLE {} (\n{}\n){end};\n", table.name, lines.join(",\n"))
}

fn type_name(dialect: Dialect, kind: Kind, keyed: bool) -> &'static str {
    match (kind, dialect) {
        (Kind::Id | Kind::Count | Kind::Moment, _) => "BIGINT",
        (Kind::Flag, _) => "SMALLINT",
        (_, Dialect::Postgres) => "TEXT",
        // A key of InnoDB has 3,072 bytes at most, and a row 65,535.
        (Kind::Sha256, Dialect::Mysql) => "CHAR(64)",
        (Kind::Serial, Dialect::Mysql) => "VARCHAR(128)",
        (Kind::Note, Dialect::Mysql) => "MEDIUMTEXT",
        (Kind::Word(_), Dialect::Mysql) => "VARCHAR(20)",
        (_, Dialect::Mysql) if keyed => "VARCHAR(253)",
        (_, Dialect::Mysql) => "VARCHAR(1000)",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_and_column_of_the_feed_is_made() {
        for dialect in [Dialect::Postgres, Dialect::Mysql] {
            let text = ddl(dialect);
            for table in TABLES {
                let made = text.split(&format!("CREATE TABLE {} (", table.name)).nth(1).expect(table.name);
                let made = made.split(");").next().expect("an end");
                for column in table.columns {
                    assert!(made.contains(&format!("    {} ", column.name)), "{}.{}", table.name, column.name);
                }
            }
            assert!(
                text.contains(
                    "CREATE UNIQUE INDEX certificates_by_issuer_id_serial ON certificates (issuer_id, serial)"
                )
            );
        }
    }
}
