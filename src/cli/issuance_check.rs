//! `ctwarden issuance check`: what the source of the record has, and which rules can be judged with it.
//! `ctwarden issuance ddl`: the tables of the record as SQL.

use std::io::Write;

use serde_json::json;

use super::format::Format;
use super::run::runtime;
use super::{CliError, Exit};
use crate::clock::Timestamp;
use crate::config::Config;
use crate::daemon;
use crate::exam::{self, record_needs};
use crate::issuance::sql::{self, Dialect};
use crate::issuance::{QuestionReport, SourceReport};

/// The server that tables are printed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum DdlDialect {
    /// PostgreSQL.
    Postgres,
    /// MariaDB and MySQL.
    Mysql,
}

/// Prints the tables of the record.
///
/// # Errors
/// When the output cannot be written.
pub fn ddl(dialect: DdlDialect, out: &mut dyn Write) -> Result<Exit, CliError> {
    let dialect = match dialect {
        DdlDialect::Postgres => Dialect::Postgres,
        DdlDialect::Mysql => Dialect::Mysql,
    };
    out.write_all(sql::ddl(dialect).as_bytes())?;
    Ok(Exit::Nothing)
}

/// Looks at the source of the record: exit code 0 when all is well, 1 when a question has a problem, 3 when the source
/// does not answer.
///
/// # Errors
/// When the embedded database cannot be used, or the output cannot be written.
pub fn check(config: &Config, format: Format, now: Timestamp, out: &mut dyn Write) -> Result<Exit, CliError> {
    let failed = |error: &dyn std::error::Error| CliError::Failed(error.to_string());
    let source = daemon::issuance(config).map_err(|error| failed(&error))?;
    let issuers: Vec<_> = config.issuers.iter().map(|issuer| (issuer.name.clone(), issuer.key_hash)).collect();
    let report = runtime()?.block_on(source.check(&issuers)).map_err(|error| failed(&error))?;
    match format {
        Format::Text => text(&report, now, out)?,
        Format::Json => writeln!(out, "{}", json(&report))?,
    }
    Ok(match (&report.outage, report.has_problems()) {
        (Some(_), _) => Exit::Failed,
        (None, true) => Exit::Findings,
        (None, false) => Exit::Nothing,
    })
}

/// Every rule about the record with what it lacks.
fn rules(report: &SourceReport) -> Vec<(&'static str, Vec<String>)> {
    let of_record = exam::rules().into_iter().filter(|rule| rule.needs.is_of_record());
    let lacking = |id: &str| {
        // Without these two nothing is found at all.
        let needs = [&["issuers", "certificates"][..], record_needs(id).unwrap_or_default()].concat();
        report.lacking(&needs)
    };
    of_record.map(|rule| (rule.id, lacking(rule.id))).collect()
}

fn text(report: &SourceReport, now: Timestamp, out: &mut dyn Write) -> Result<(), CliError> {
    writeln!(out, "source: {}", report.source)?;
    if let Some(outage) = &report.outage {
        writeln!(out, "no answer: {outage}")?;
        return Ok(());
    }
    match report.as_of {
        Some(as_of) => writeln!(out, "as of:  {as_of}, {} ago", now.since(as_of))?,
        None => writeln!(out, "as of:  never fed")?,
    }
    writeln!(out)?;
    for question in &report.questions {
        let QuestionReport { table, columns, .. } = question;
        if !question.fed {
            writeln!(out, "{table:<18}  not fed")?;
            continue;
        }
        let rows = match question.rows {
            Some((1, true)) => "1 row".to_string(),
            Some((count, true)) => format!("{count} rows"),
            Some((count, false)) => format!("more than {count} rows"),
            None => "rows not counted".to_string(),
        };
        let newest = question.newest.map_or(String::new(), |newest| format!(", the newest of {newest}"));
        writeln!(out, "{table:<18}  {rows}{newest}")?;
        let columns: Vec<String> = columns.iter().map(|(name, of)| format!("{name} {of}")).collect();
        if !columns.is_empty() {
            writeln!(out, "{:<18}  {}", "", columns.join(", "))?;
        }
        for problem in &question.problems {
            writeln!(out, "{:<18}  PROBLEM: {problem}", "")?;
        }
    }
    let (good, gaps): (Vec<_>, Vec<_>) = rules(report).into_iter().partition(|(_, lacking)| lacking.is_empty());
    let good: Vec<&str> = good.into_iter().map(|(id, _)| id).collect();
    writeln!(
        out,
        "\nevaluable: {}",
        if good.is_empty() { "no rule about the record".into() } else { good.join(", ") }
    )?;
    for (id, lacking) in gaps {
        writeln!(out, "not evaluable: {id:<18} for want of {}", lacking.join(", "))?;
    }
    Ok(())
}

fn json(report: &SourceReport) -> serde_json::Value {
    let questions: Vec<_> = (report.questions.iter())
        .map(|question| {
            let columns: Vec<_> = question.columns.iter().map(|(name, of)| json!({"name": name, "type": of})).collect();
            json!({"table": question.table, "fed": question.fed, "columns": columns,
                   "rows": question.rows.map(|(count, _)| count), "rows_exact": question.rows.map(|(_, exact)| exact),
                   "newest": question.newest.map(|time| time.to_string()), "sampled": question.sampled,
                   "problems": question.problems})
        })
        .collect();
    let rules: Vec<_> = (rules(report).into_iter())
        .map(|(id, lacking)| json!({"rule": id, "evaluable": lacking.is_empty(), "lacking": lacking}))
        .collect();
    json!({"source": report.source, "as_of": report.as_of.map(|time| time.to_string()), "outage": report.outage,
           "questions": questions, "rules": rules})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_without_a_table_makes_its_rules_not_evaluable() {
        let question = |table, columns: &[&str]| QuestionReport {
            table,
            fed: true,
            columns: columns.iter().map(|name| (name.to_string(), "text".to_string())).collect(),
            rows: Some((100_000, false)),
            ..QuestionReport::default()
        };
        let questions = vec![
            question("issuers", &["issuer_id"]),
            question("certificates", &["cert_id", "spki_sha256", "order_id"]),
            question("orders", &["order_id"]),
            QuestionReport { table: "approvals", ..QuestionReport::default() },
        ];
        let report = SourceReport { source: "x".into(), as_of: Some(Timestamp::EPOCH), outage: None, questions };
        let mut out = Vec::new();
        text(&report, Timestamp::EPOCH, &mut out).expect("memory");
        let text = String::from_utf8(out).expect("text");
        let evaluable = text.lines().find(|line| line.starts_with("evaluable: ")).expect("a line");
        let listed = |rule: &str| evaluable.split([' ', ',']).any(|word| word == rule);
        assert!(["db.unknown", "db.key", "order.hierarchy", "order.channel"].iter().all(|rule| listed(rule)), "{text}");
        assert!(!["order.key", "db.validity", "dcv.exists", "ev.approvals"].iter().any(|rule| listed(rule)), "{text}");
        assert!(text.contains("approvals           not fed") && text.contains("more than 100000 rows"), "{text}");
        assert!(text.contains("ev.approvals       for want of approvals"), "{text}");
        assert!(text.contains("order.key          for want of orders.csr_spki_sha256"), "{text}");
        let json = json(&report);
        let rule = |id: &str| {
            json["rules"].as_array().expect("rules").iter().find(|rule| rule["rule"] == id).expect(id).clone()
        };
        assert_eq!(
            (&rule("db.key")["evaluable"], &rule("san.unexpected")["lacking"][0]),
            (&json!(true), &json!("order_names"))
        );
        assert_eq!(json["questions"][1]["rows_exact"], json!(false));
    }
}
