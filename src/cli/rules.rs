//! `ctwarden rules`: the rule table.

use std::io::{self, Write};

use serde_json::json;

use crate::cli::format::Format;
use crate::clock::Timestamp;
use crate::finding::RuleInfo;

/// Prints the rule table: aligned columns, or one JSON array.
pub fn rules(table: &[&RuleInfo], format: Format, out: &mut dyn Write) -> io::Result<()> {
    match format {
        Format::Text => print_text(table, out),
        Format::Json => {
            let rows: Vec<serde_json::Value> = table.iter().map(|info| row(info)).collect();
            writeln!(out, "{}", serde_json::Value::Array(rows))
        }
    }
}

fn row(info: &RuleInfo) -> serde_json::Value {
    json!({
        "rule": info.id, "summary": info.summary, "severity": info.severity.word(),
        "citation": info.citation.to_string(), "clock": info.clock.word(), "revocation_item": info.clock.item(),
        "since": info.since.map(Timestamp::day), "until": info.until.map(Timestamp::day), "needs": info.needs.word(),
    })
}

fn print_text(table: &[&RuleInfo], out: &mut dyn Write) -> io::Result<()> {
    let in_force = |info: &RuleInfo| match (info.since, info.until) {
        (None, None) => "always".to_string(),
        (Some(since), None) => format!("from {}", since.day()),
        (None, Some(until)) => format!("before {}", until.day()),
        (Some(since), Some(until)) => format!("{} to before {}", since.day(), until.day()),
    };
    let heading = ["RULE", "SEVERITY", "CLOCK", "SECTION", "IN FORCE", "NEEDS", "WHAT"].map(str::to_string);
    let mut rows = vec![heading];
    for info in table {
        rows.push([
            info.id.to_string(),
            info.severity.word().to_string(),
            info.clock.word().to_string(),
            info.citation.to_string(),
            in_force(info),
            info.needs.word().to_string(),
            info.summary.to_string(),
        ]);
    }
    let widths: [usize; 7] = std::array::from_fn(|i| rows.iter().map(|row| row[i].len()).max().unwrap_or(0));
    for row in &rows {
        let cells: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        writeln!(out, "{}", cells.join("  ").trim_end())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::RULES;

    #[test]
    fn every_rule_is_a_row() {
        let table: Vec<&RuleInfo> = RULES.iter().map(|rule| &rule.info).collect();
        let mut out = Vec::new();
        rules(&table, Format::Text, &mut out).expect("memory");
        let text = String::from_utf8(out).expect("text");
        assert_eq!(text.lines().count(), RULES.len() + 1);
        let line = text.lines().find(|line| line.starts_with("name.internal ")).expect("a row");
        assert!(line.contains("error") && line.contains("24h") && line.contains("BR 4.2.2"), "{line}");

        let mut out = Vec::new();
        rules(&table, Format::Json, &mut out).expect("memory");
        let rows: Vec<serde_json::Value> = serde_json::from_slice(&out).expect("JSON");
        let reverse = rows.iter().find(|row| row["rule"] == "name.reverse_zone").expect("a row");
        assert_eq!((rows.len(), reverse["since"].as_str()), (RULES.len(), Some("2026-03-15")));
    }
}
