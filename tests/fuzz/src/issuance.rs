//! What may stand in the feed.

#[path = "../../../src/issuance/column.rs"]
mod column;
#[path = "../../../src/issuance/tables.rs"]
mod tables;

use serde_json::{Map, Value};

/// Reads every member of a row as the column of each table that it could be. What is kept is read as the same again.
pub fn feed(row: &Map<String, Value>) {
    for column in tables::TABLES.iter().flat_map(|table| table.columns) {
        let raw = column::Raw::member(row.get(column.name));
        if let Ok(kept) = column.kind.read(raw) {
            let again = column.kind.read(column::Raw::member(Some(&kept)));
            assert_eq!(again.as_ref(), Ok(&kept), "{}: {raw:?}", column.name);
        }
    }
}
