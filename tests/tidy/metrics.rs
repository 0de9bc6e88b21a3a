//! Metrics, alerts and dashboards agree with one another.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Stdio};

use ctwarden::metrics::{Kind, MetricInfo, Metrics, TABLE};

use super::*;

/// Every word that looks like a metric of ours, with its line and what follows it.
fn metrics_named(text: &str) -> Vec<(usize, String, String)> {
    let mut named = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let word_at = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
        for (at, _) in line.match_indices("ctwarden_") {
            let start = line[..at].rfind(|c| !word_at(c)).map_or(0, |i| i + 1);
            let end = line[at..].find(|c| !word_at(c)).map_or(line.len(), |i| at + i);
            named.push((number + 1, line[start..end].trim_end_matches(':').to_string(), line[end..].to_string()));
        }
    }
    named
}

/// The row of a metric, or of the histogram that a series belongs to.
fn row_of(metric: &str) -> Option<&'static MetricInfo> {
    let family = ["_bucket", "_sum", "_count"].iter().find_map(|end| metric.strip_suffix(end));
    TABLE.iter().find(|row| row.name == metric || (row.kind == Kind::Histogram && Some(row.name) == family))
}

#[test]
fn every_metric_is_on_a_dashboard_or_in_an_alert() {
    let rules = read("alerts/ctwarden.rules.yml");
    let said = |line: &&str| !line.trim_start().starts_with('#') && !line.contains("description:");
    let mut queries: Vec<String> = rules.lines().filter(said).map(str::to_string).collect();
    for (name, text) in files("dashboards", ".json") {
        let board: serde_json::Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let targets = board["panels"].as_array().into_iter().flatten().filter_map(|panel| panel["targets"].as_array());
        queries.extend(targets.flatten().filter_map(|target| target["expr"].as_str().map(str::to_string)));
    }
    let named: BTreeSet<&str> = (queries.iter().flat_map(|query| metrics_named(query)))
        .filter_map(|(_, metric, _)| row_of(&metric).map(|row| row.name))
        .collect();
    let unseen = TABLE.iter().filter(|row| !named.contains(row.name));
    let problems = unseen.map(|row| format!("src/metrics/table.rs: {} is on no dashboard and in no alert", row.name));
    fail_with(problems.collect());
}

#[test]
fn every_metric_that_is_named_exists_with_its_labels() {
    let rules = read("alerts/ctwarden.rules.yml");
    let recorded: BTreeSet<&str> = rules.lines().filter_map(|l| l.trim().strip_prefix("- record: ")).collect();
    let mut sources = files("alerts", "");
    sources.extend(files("dashboards", ""));
    sources.push(("README.md".into(), read("README.md")));
    let mut problems = Vec::new();
    for (name, text) in &sources {
        for (line, metric, after) in metrics_named(text) {
            if metric.contains(':') {
                if !recorded.contains(&*metric) {
                    problems.push(format!("{name}:{line}: {metric} is not recorded by alerts/ctwarden.rules.yml"));
                }
                continue;
            }
            let Some(row) = row_of(&metric) else {
                problems.push(format!("{name}:{line}: {metric} is not in the table of src/metrics/table.rs"));
                continue;
            };
            let matchers = after.strip_prefix('{').and_then(|rest| rest.split('}').next()).unwrap_or("");
            for matcher in matchers.split(',') {
                let label = matcher.trim().split(['=', '!']).next().unwrap_or("");
                if !label.is_empty() && !["job", "instance", "le"].contains(&label) && !row.labels.contains(&label) {
                    problems.push(format!("{name}:{line}: {metric} has no label {label}"));
                }
            }
        }
    }
    fail_with(problems);
}

/// A metric that nobody reports would be a gauge painted on the wall.
#[test]
fn every_report_of_the_metrics_is_made_by_someone() {
    let rest: String = (product_files().into_iter())
        .filter(|(name, _)| !name.starts_with("src/metrics"))
        .map(|(_, text)| code(&text, true).join("\n"))
        .collect();
    let reports = code(&read("src/metrics.rs"), true);
    let names =
        reports.iter().filter_map(|l| l.trim().strip_prefix("pub fn ")?.split_once("(&self").map(|(name, _)| name));
    let unused =
        names.filter(|name| !rest.contains(&format!(".{name}("))).map(|n| format!("src/metrics.rs: nobody calls {n}"));
    fail_with(unused.collect());
}

#[test]
fn every_alert_has_annotations_a_runbook_and_tests() {
    let rules = read("alerts/ctwarden.rules.yml");
    let tests = files("alerts/tests", ".yml");
    let mut problems = Vec::new();
    let mut alerts = BTreeMap::new();
    for block in rules.split("\n      - ").skip(1).filter(|block| block.starts_with("alert: ")) {
        let block = block.split("\n  - name:").next().unwrap_or(block);
        let (head, body) = block.split_once('\n').unwrap_or((block, ""));
        alerts.insert(head["alert: ".len()..].trim().to_string(), body.to_string());
    }
    assert!(alerts.len() >= 15, "only {} alerts were found", alerts.len());
    for (alert, body) in &alerts {
        let mut demand = |holds: bool, what: &str| {
            if !holds {
                problems.push(format!("alerts/ctwarden.rules.yml: {alert}: {what}"));
            }
        };
        let proper = |c: char| c.is_ascii_alphanumeric();
        demand(alert.starts_with("Ctwarden") && alert.chars().all(proper), "the name is not Ctwarden<Condition>");
        let severities = ["critical", "warning", "info", "none"];
        demand(severities.iter().any(|s| body.contains(&format!("severity: {s}\n"))), "no severity");
        demand(body.contains(" summary: ") && body.contains(" description: "), "no summary or no description");
        demand(
            body.contains(&format!("/runbooks/{}\n", alert.to_lowercase()))
                || body.trim_end().ends_with(&format!("/runbooks/{}", alert.to_lowercase())),
            "runbook_url does not end in its name",
        );
        let runbook = fs::read_to_string(root().join(format!("alerts/runbooks/{alert}.md"))).unwrap_or_default();
        let parts: Vec<&str> = runbook.lines().filter_map(|line| line.strip_prefix("## ")).collect();
        demand(parts == ["Meaning", "Impact", "Diagnosis", "Mitigation"], "the runbook is missing or lacks a part");
        let of_alert: Vec<&str> = (tests.iter().flat_map(|(_, text)| text.split("\n  - name: ")))
            .filter(|test| test.contains(&format!("alertname: {alert}\n")))
            .collect();
        demand(of_alert.iter().any(|test| test.contains("exp_labels:")), "no test in which it fires");
        let silent = of_alert.iter().any(|test| test.contains("exp_alerts: []"));
        demand(silent || body.contains("expr: vector(1)"), "no test in which it does not fire");
    }
    for (name, _) in files("alerts/runbooks", ".md") {
        let alert = Path::new(&name).file_stem().and_then(|stem| stem.to_str()).unwrap_or("");
        if !alerts.contains_key(alert) {
            problems.push(format!("{name}:1: there is no such alert"));
        }
    }
    fail_with(problems);
}

#[test]
fn dashboards_keep_the_rules_of_operation() {
    let mut problems = Vec::new();
    let boards = files("dashboards", ".json");
    assert!(!boards.is_empty());
    for (name, text) in &boards {
        let board: serde_json::Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut problem = |what: String| problems.push(format!("{name}: {what}"));
        if board["schemaVersion"] != 39 || board["editable"] != false || board["uid"].as_str().is_none() {
            problem("schemaVersion must be 39, editable false, uid set".into());
        }
        let variables: Vec<_> = board["templating"]["list"].as_array().into_iter().flatten().collect();
        for wanted in ["datasource", "job", "instance"] {
            if !variables.iter().any(|v| v["name"] == wanted && (v["refresh"] == 2 || wanted == "datasource")) {
                problem(format!("no variable {wanted} that refreshes with the time range"));
            }
        }
        for panel in board["panels"].as_array().into_iter().flatten().filter(|p| p["type"] != "row") {
            let title = panel["title"].as_str().unwrap_or("");
            let said = |value: &serde_json::Value| value.as_str().is_some_and(|text| !text.is_empty());
            if !said(&panel["title"])
                || !said(&panel["description"])
                || !said(&panel["fieldConfig"]["defaults"]["unit"])
            {
                problem(format!("panel '{title}' lacks title, description or unit"));
            }
            if panel["datasource"]["uid"] != "${datasource}" {
                problem(format!("panel '{title}' names a datasource"));
            }
            for target in panel["targets"].as_array().into_iter().flatten() {
                let expr = target["expr"].as_str().unwrap_or("");
                if expr.matches('{').count() != expr.matches("{job=~\"$job\",instance=~\"$instance\"").count() {
                    problem(format!("panel '{title}': a selector lacks job or instance: {expr}"));
                }
                for (at, _) in expr.match_indices("rate(").chain(expr.match_indices("increase(")) {
                    let window = expr[at..].split(['[', ']']).nth(1).unwrap_or("");
                    if !["$__rate_interval", "$__range"].contains(&window) {
                        problem(format!("panel '{title}': fixed window [{window}]: {expr}"));
                    }
                }
                for (at, word) in metrics_named(expr).iter().filter_map(|(_, m, _)| Some((expr.find(m.as_str())?, m))) {
                    let counted = word.ends_with("_total") || word.ends_with("_bucket");
                    if counted && !expr[..at].ends_with("rate(") && !expr[..at].ends_with("increase(") {
                        problem(format!("panel '{title}': counter {word} outside of rate and increase"));
                    }
                }
            }
        }
    }
    fail_with(problems);
}

#[test]
fn promtool_accepts_the_metrics() {
    let child = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut promtool) = child else {
        println!("skipped: promtool is not installed (Debian package prometheus)");
        return;
    };
    let metrics = Metrics::new("0.1.0", "abc");
    metrics.declare_log("log.example/2026h2");
    metrics.log_info("log.example/2026h2", "Op", "rfc6962", "usable");
    metrics.declare_issuer("Example CA G2");
    let text = metrics.render().expect("renders");
    promtool.stdin.take().expect("piped").write_all(text.as_bytes()).expect("promtool reads");
    let output = promtool.wait_with_output().expect("promtool ends");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.trim().is_empty(), "{said}");
}
