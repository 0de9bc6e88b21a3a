//! `ctwarden rules`: the rule table.

use std::io::{self, Write};

use serde_json::json;

use crate::clock::Timestamp;
use crate::finding::RuleInfo;

/// The form of the rule table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum TableFormat {
    /// For people: aligned columns.
    #[default]
    Text,
    /// For programs: one JSON array.
    Json,
    /// For documents: one table.
    Markdown,
}

/// Prints the rule table.
pub fn rules(table: &[&RuleInfo], format: TableFormat, out: &mut dyn Write) -> io::Result<()> {
    match format {
        TableFormat::Text => print_text(table, out),
        TableFormat::Markdown => print_markdown(table, out),
        TableFormat::Json => {
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

fn in_force(info: &RuleInfo) -> String {
    match (info.since, info.until) {
        (None, None) => "always".to_string(),
        (Some(since), None) => format!("from {}", since.day()),
        (None, Some(until)) => format!("before {}", until.day()),
        (Some(since), Some(until)) => format!("{} to before {}", since.day(), until.day()),
    }
}

fn print_markdown(table: &[&RuleInfo], out: &mut dyn Write) -> io::Result<()> {
    writeln!(
        out,
        "| rule | severity | section | in force | clock | what a pass proves | needs |\n|---|---|---|---|---|---|---|"
    )?;
    for info in table {
        let clock = info.clock.item().map_or("none".to_string(), |item| format!("{} ({item})", info.clock.word()));
        let (severity, section, needs) = (info.severity.word(), info.citation, info.needs.word());
        let what = info.summary.replace('|', "\\|");
        writeln!(out, "| `{}` | {severity} | {section} | {} | {clock} | {what} | {needs} |", info.id, in_force(info))?;
    }
    Ok(())
}

fn print_text(table: &[&RuleInfo], out: &mut dyn Write) -> io::Result<()> {
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
        rules(&table, TableFormat::Text, &mut out).expect("memory");
        let text = String::from_utf8(out).expect("text");
        assert_eq!(text.lines().count(), RULES.len() + 1);
        let line = text.lines().find(|line| line.starts_with("name.internal ")).expect("a row");
        assert!(line.contains("error") && line.contains("24h") && line.contains("BR 4.2.2"), "{line}");

        let mut out = Vec::new();
        rules(&table, TableFormat::Json, &mut out).expect("memory");
        let rows: Vec<serde_json::Value> = serde_json::from_slice(&out).expect("JSON");
        let reverse = rows.iter().find(|row| row["rule"] == "name.reverse_zone").expect("a row");
        assert_eq!((rows.len(), reverse["since"].as_str()), (RULES.len(), Some("2026-03-15")));
    }

    /// `CTWARDEN_WRITE_FIXTURES=1 cargo test --lib cli::rules` writes the file again.
    #[test]
    fn the_table_in_the_repository_is_the_one_of_the_program() {
        const HEAD: &str = "# All rules\n\nAs `ctwarden rules --format markdown` prints them. In force is the day of issuance from \
                            which a rule binds; the days on which a limit changes within a rule stand in its file. The clock is the \
                            time to revocation and the item of BR 4.9.1.1 it comes from; a finding may be milder than its rule.\n\n";
        let table = crate::exam::rules();
        let mut out = HEAD.as_bytes().to_vec();
        rules(&table, TableFormat::Markdown, &mut out).expect("memory");
        let text = String::from_utf8(out).expect("text");
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/RULES.md");
        if std::env::var_os("CTWARDEN_WRITE_FIXTURES").is_some() {
            std::fs::write(path, &text).expect("written");
        }
        let kept = std::fs::read_to_string(path).expect("src/RULES.md");
        let linked = include_str!("../../README.md").contains("](src/RULES.md)");
        assert!(linked, "README.md does not lead to the table of rules");
        assert!(kept == text, "src/RULES.md is not what the program prints: write it again");
    }
}
