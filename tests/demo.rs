//! `ctwarden demo --for` in the real binary: every planted mistake is found, told readably, and nothing else is.

use std::process::{Command, Stdio};

/// What each block must tell: title, what was wrong, why with rule and section, and a fact it rests on.
const BLOCKS: [(&str, &str, &str, &str); 5] = [
    (
        "internal name in a precertificate",
        "dNSName www.barakaldo.bizkaia.euskalsarea   <--",
        "name.internal (BR 4.2.2, error): www.barakaldo.bizkaia.euskalsarea",
        "approves: www.barakaldo.eus",
    ),
    (
        "name under a TLD that does not exist",
        "dNSName sarrera.udala.jaso   <--",
        "name.internal (BR 4.2.2, error): sarrera.udala.jaso",
        "TLD list: of ",
    ),
    (
        "certificate without an order",
        "dNSName test.ssl.com   <--",
        "san.unexpected (BR 3.2.2.4, error): test.ssl.com",
        "the certificate's row names no order",
    ),
    (
        "certificate unknown to the database",
        "dNSName ghost.demo-shop.eus   <--",
        "db.unknown (BR 4.9.1.1, critical): ghost.demo-shop.eus",
        "no row in certificates as of ",
    ),
    (
        "validation reused from a reuse, 900 days old",
        "dNSName tienda.demo-antigua.es   <--",
        "dcv.reuse (BR 4.2.1, error): tienda.demo-antigua.es",
        "-> confirmation ",
    ),
];

#[test]
fn the_demo_finds_its_five_mistakes_and_nothing_else() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut command = Command::new(env!("CARGO_BIN_EXE_ctwarden"));
    command.args(["demo", "--for", "15s"]).env("TMPDIR", directory.path()).env("RUST_BACKTRACE", "1");
    command.env_remove("CTWARDEN_CONFIG").env_remove("RUST_LOG").stdin(Stdio::null());
    let done = command.output().expect("start the demo");
    let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert_eq!(done.status.code(), Some(0), "{out}{err}");
    assert!(!out.contains("internal error") && !err.contains("internal error"), "{out}{err}");

    let blocks: Vec<&str> = out.split("\n-- ").skip(1).collect();
    assert!(!out.contains("not planted") && !out.contains("NOT PLANTED"), "{out}");
    for (title, what, why, fact) in BLOCKS {
        let block = blocks.iter().find(|block| block.lines().next().is_some_and(|head| head.contains(title)));
        let block = block.unwrap_or_else(|| panic!("no block for {title}: {out}"));
        assert!(block.starts_with("CASE-"), "{block}");
        for part in [
            &format!("   what      {what}\n")[..],
            &format!("   why       {why}\n"),
            fact,
            "   deadline  revoked and published by 20",
            "(24h, BR 4.9.1.1 item 5)\n",
            "   evidence  precertificate at 127.0.0.1:",
        ] {
            assert!(block.contains(part), "{title}: {part:?} is not in\n{block}");
        }
    }

    let table: Vec<&str> = out.lines().skip_while(|line| !line.starts_with("mistake planted")).collect();
    assert!(table.len() >= 7, "{out}");
    for ((title, ..), row) in BLOCKS.iter().zip(&table[1..]) {
        let words: Vec<&str> = row[title.len()..].split_whitespace().collect();
        assert!(row.starts_with(title), "{row}");
        let [case, mails, seconds, result] = words[..] else { panic!("{row}") };
        assert!(case.starts_with("CASE-") && mails.parse::<u32>().is_ok_and(|mails| mails >= 1), "{row}");
        assert!(seconds.parse::<f64>().is_ok_and(|seconds| (0.0..60.0).contains(&seconds)), "{row}");
        assert_eq!(result, "found", "{row}");
    }
    let verdict = table.last().expect("a verdict");
    assert!(verdict.ends_with("5 of 5 found, 0 reported without cause: PASSED"), "{verdict}");

    // What the demo leaves behind is worth a look: one mail for each event, in the directory that it named.
    let mails = out.lines().find_map(|line| line.strip_prefix("mails ")).expect("the mail folder is named").trim();
    assert!(mails.starts_with(&directory.path().display().to_string()), "{mails}");
    let mails: Vec<String> = std::fs::read_dir(mails)
        .expect("the folder")
        .map(|file| std::fs::read_to_string(file.expect("a mail").path()).expect("text"))
        .collect();
    assert!(mails.len() >= 5, "{}", mails.len());
    for (_, what, ..) in BLOCKS {
        let name = what.trim_start_matches("dNSName ").trim_end_matches("   <--");
        assert!(mails.iter().any(|mail| mail.contains(name)), "no mail names {name}");
    }
}
