//! The real binary reads configurations: what it says, where it says it, and the exit code.

use std::path::Path;
use std::process::{Command, Output, Stdio};

fn ctwarden(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ctwarden"));
    command.args(arguments).env_remove("CTWARDEN_CONFIG").env_remove("RUST_BACKTRACE");
    command.stdin(Stdio::null()).output().expect("the binary starts")
}

fn check(file: &Path) -> (Option<i32>, String, String) {
    let output = ctwarden(&["config", "check", file.to_str().unwrap()]);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn write_issuer(directory: &Path) {
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let key = rcgen::KeyPair::generate().unwrap();
    std::fs::write(directory.join("issuer.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
}

#[test]
fn the_printed_example_is_good_once_its_issuer_is_there() {
    let directory = tempfile::tempdir().unwrap();
    let example = ctwarden(&["config", "example"]);
    assert_eq!(example.status.code(), Some(0));
    let file = directory.path().join("ctwarden.toml");
    std::fs::write(&file, &example.stdout).unwrap();
    let (code, out, err) = check(&file);
    assert_eq!((code, out.as_str()), (Some(2), ""));
    let line =
        String::from_utf8(example.stdout).unwrap().lines().position(|line| line.starts_with("certificate")).unwrap();
    let issuer = directory.path().join("issuer.pem");
    let expected = format!(
        "{}:{}: issuer[1].certificate: {} cannot be read (no such file or directory). \
         Name the CA certificate of this issuer, one certificate in PEM or DER.\n",
        file.display(),
        line + 1,
        issuer.display()
    );
    assert_eq!(err, expected);
    write_issuer(directory.path());
    let (code, out, err) = check(&file);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert!(out.starts_with(&format!("{}: good\n", file.display())), "{out}");
    assert!(out.contains("Example CA G1, key "), "{out}");
    assert!(!directory.path().join("ctwarden-data").exists(), "a check creates nothing");
}

#[test]
fn every_problem_is_one_line_with_key_reason_and_remedy() {
    let directory = tempfile::tempdir().unwrap();
    write_issuer(directory.path());
    let file = directory.path().join("bad.toml");
    let text = "[logs]\nlist = \"http://ct.example/list.json\"\nkontact = \"a@b.example\"\n\
                [[issuer]]\nname = \"A\"\ncertificate = \"bad.toml\"\n\
                [web]\nlisten = \"everywhere\"\n[mail]\nserver = \"smtp.ca.example\"\n";
    std::fs::write(&file, text).unwrap();
    let (code, out, err) = check(&file);
    assert_eq!((code, out.as_str()), (Some(2), ""));
    let sentences = [
        ":1: logs.contact: is missing. Write contact = \"pki-team@ca.example\" in [logs].",
        ":2: logs.list: \"http://ct.example/list.json\" is plain http. Use https; plain http is accepted on loopback",
        ":3: logs.kontact: is not a key of ctwarden. Did you mean contact?",
        "bad.toml is not a certificate. Name the CA certificate of this issuer",
        ":8: web.listen: \"everywhere\" is not an address and a port. Write numbers, for instance 127.0.0.1:8640",
        ":9: mail.from: is missing. Write from = ",
        ":9: mail.to: is missing. Write to = ",
        ": data.directory: is missing. Write directory = \"ctwarden-data\" in [data].",
    ];
    for sentence in sentences {
        assert!(err.contains(sentence), "no {sentence}\nin {err}");
    }
    assert_eq!(err.lines().count(), sentences.len(), "{err}");
    assert!(err.lines().all(|line| line.starts_with(file.to_str().unwrap())), "{err}");
}

#[test]
fn the_files_that_the_daemon_reads_at_its_start_are_read_by_the_check() {
    let directory = tempfile::tempdir().unwrap();
    write_issuer(directory.path());
    let path = |name: &str| directory.path().join(name);
    let text = "data.directory = \"data\"\nlogs.list = \"logs.json\"\nlogs.contact = \"a@b.example\"\n\
                mail.folder = \"mail\"\nmail.from = \"a@b.example\"\nmail.to = [\"c@b.example\"]\n\
                lint.weak_keys = [\"weak\"]\n[[issuer]]\nname = \"A\"\ncertificate = \"issuer.pem\"\n";
    std::fs::write(path("ctwarden.toml"), text).unwrap();
    std::fs::write(path("logs.json"), "{}").unwrap();
    std::fs::write(path("weak"), "# one hash a line\nthis is none\n").unwrap();
    let (code, out, err) = check(&path("ctwarden.toml"));
    assert_eq!((code, out.as_str()), (Some(2), ""));
    let lines: Vec<&str> = err.lines().collect();
    let list = format!("ctwarden: log list {}: has no \"operators\" array", path("logs.json").display());
    let keys = format!("ctwarden: list of keys {}: line 2: ", path("weak").display());
    assert!(lines.len() == 2 && lines[0].starts_with(&list) && lines[1].starts_with(&keys), "{err}");
    assert!(lines[0].ends_with("mend it or name another in [logs] list"), "{err}");
    assert!(!path("data").exists() && !path("mail").exists(), "a check creates nothing");
}

#[test]
fn a_case_without_its_command_is_told_how_it_is_shown() {
    let directory = tempfile::tempdir().unwrap();
    write_issuer(directory.path());
    let file = directory.path().join("ctwarden.toml");
    std::fs::write(&file, ctwarden(&["config", "example"]).stdout).unwrap();
    for (word, command) in [("CASE-2026-0007", "`ctwarden cases show CASE-2026-0007`"), ("lst", "`list` nor `show`")] {
        let output = ctwarden(&["cases", "--config", file.to_str().unwrap(), word]);
        let err = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{err}");
        assert!(err.starts_with(&format!("ctwarden: cases {word}: ")) && err.contains(command), "{err}");
    }
}

#[test]
fn a_missing_file_and_a_wrong_word_are_one_sentence_and_code_2() {
    let (code, out, err) = check(Path::new("/nowhere/ctwarden.toml"));
    assert_eq!((code, out.as_str()), (Some(2), ""));
    assert!(err.starts_with("/nowhere/ctwarden.toml: file: ") && err.lines().count() == 1, "{err}");
    for words in [&["config"][..], &["confg"], &["config", "check"], &["lint"], &["demo", "--for", "ever"]] {
        let output = ctwarden(words);
        assert_eq!(output.status.code(), Some(2), "{words:?}");
        assert!(!output.stderr.is_empty() && output.stdout.is_empty(), "{words:?}");
    }
}

#[test]
fn the_version_names_the_commit() {
    let output = ctwarden(&["--version"]);
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    let commit = text
        .trim()
        .strip_prefix(concat!("ctwarden ", env!("CARGO_PKG_VERSION"), " ("))
        .and_then(|t| t.strip_suffix(')'));
    assert!(
        commit.is_some_and(|c| c == "unknown" || c.len() >= 7 && c.bytes().all(|b| b.is_ascii_alphanumeric())),
        "{text}"
    );
}

#[test]
fn a_reader_that_goes_away_ends_the_program_quietly() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_ctwarden"))
        .args(["config", "example"])
        .stdin(Stdio::null())
        .stdout(closed_pipe())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    std::io::Read::read_to_string(child.stderr.as_mut().unwrap(), &mut said).unwrap();
    assert_eq!((child.wait().unwrap().code(), said.as_str()), (Some(0), ""));
}

/// The writing end of a pipe that nobody reads.
fn closed_pipe() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}
