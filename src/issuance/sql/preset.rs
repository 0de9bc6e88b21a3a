//! Ready texts for databases that many CAs have. A preset is a file `presets/NAME.DIALECT.toml` and a row here:
//!
//! ```toml
//! serials = "hex-36"                 # how serial numbers are written: hex, hex-upper, hex-36, decimal
//! replica_time = "SELECT ..."        # may be left out
//! [queries]                          # one text for each table of the feed that the database can answer, and `revoked`
//! certificates = "SELECT ..."
//! ```

use std::collections::BTreeMap;

use serde::Deserialize;

use super::question::check_text;
use super::settings::{Dialect, SerialForm};
use crate::issuance::tables::{self, TABLES};

/// A preset for one dialect.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Preset {
    /// How serial numbers are written.
    pub serials: SerialForm,
    /// A text that gives the time of the newest write that the server can show.
    pub replica_time: Option<String>,
    /// The text of each question by its table.
    pub texts: BTreeMap<&'static str, String>,
}

/// The files: name, dialect, text. `ctwarden` and `none` need none.
static FILES: &[(&str, Dialect, &str)] = &[
    ("boulder", Dialect::Mysql, include_str!("presets/boulder.mysql.toml")),
    ("ejbca", Dialect::Mysql, include_str!("presets/ejbca.mysql.toml")),
    ("ejbca", Dialect::Postgres, include_str!("presets/ejbca.postgres.toml")),
];

/// The names of all presets.
pub const NAMES: &[&str] = &["ctwarden", "boulder", "ejbca", "none"];

/// The preset of that name; `None` when there is none for this dialect.
pub fn preset(name: &str, dialect: Dialect) -> Option<Preset> {
    match name {
        "none" => Some(Preset::default()),
        "ctwarden" => Some(own_schema()),
        _ => FILES.iter().find(|(file, of, _)| *file == name && *of == dialect).and_then(|(.., text)| read(text).ok()),
    }
}

/// Our own schema as `ctwarden issuance ddl` prints it: a table for each table of the feed.
fn own_schema() -> Preset {
    let text = |table: &tables::Table| {
        let columns: Vec<&str> = table.columns.iter().map(|column| column.name).collect();
        format!("SELECT {} FROM {}", columns.join(", "), table.name)
    };
    Preset { texts: TABLES.iter().map(|table| (table.name, text(table))).collect(), ..Preset::default() }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    serials: Option<String>,
    replica_time: Option<String>,
    queries: BTreeMap<String, String>,
}

fn read(text: &str) -> Result<Preset, String> {
    let file: File = toml::from_str(text).map_err(|error| error.to_string())?;
    let serials = match file.serials {
        Some(word) => SerialForm::parse(&word).ok_or_else(|| format!("serials: {word} is no form"))?,
        None => SerialForm::default(),
    };
    let mut texts = BTreeMap::new();
    for (name, text) in file.queries {
        let table = tables::question(&name).ok_or_else(|| format!("queries.{name}: there is no such table"))?;
        texts.insert(table.name, check_text(&text).map_err(|reason| format!("queries.{name}: {reason}"))?);
    }
    let replica_time = file.replica_time.as_deref().map(check_text).transpose()?;
    Ok(Preset { serials, replica_time, texts })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_can_be_read_and_has_certificates() {
        for (name, dialect, text) in FILES {
            let preset = read(text).unwrap_or_else(|error| panic!("{name} for {}: {error}", dialect.word()));
            assert!(preset.texts.contains_key("certificates"), "{name} for {}", dialect.word());
            assert!(NAMES.contains(name), "{name} is not among the names");
        }
        let own = preset("ctwarden", Dialect::Postgres).expect("our own");
        assert_eq!(own.texts["order_names"], "SELECT order_id, name FROM order_names");
        assert_eq!(own.texts.len(), TABLES.len());
        assert_eq!(preset("none", Dialect::Mysql), Some(Preset::default()));
        assert_eq!(preset("other", Dialect::Mysql), None);
    }

    #[test]
    fn a_file_says_how_serials_are_written_and_what_is_asked() {
        let text =
            "serials = \"decimal\"\nreplica_time = \"SELECT 1;\"\n[queries]\ncertificates = \"select 1 AS cert_id\"";
        let preset = read(text).expect("a preset");
        assert_eq!((preset.serials, preset.replica_time.as_deref()), (SerialForm::Decimal, Some("SELECT 1")));
        assert_eq!(preset.texts["certificates"], "select 1 AS cert_id");
        for (bad, why) in [
            ("[queries]\nx = \"SELECT 1\"", "no such table"),
            ("[queries]\norders = \"DELETE FROM orders\"", "does not begin with SELECT"),
            ("[queries]\norders = \"SELECT 1; DELETE FROM orders\"", "semicolon"),
            ("serials = \"roman\"\n[queries]", "roman is no form"),
            ("colour = 1\n[queries]", "colour"),
        ] {
            let error = read(bad).expect_err("refused");
            assert!(error.contains(why), "{error}");
        }
    }
}
