//! Files that are something else than they should be, and files of earlier programs.

use super::*;

#[test]
fn a_file_that_is_something_else_is_told_what_to_do() {
    let (directory, database) = database();
    let cases: [(&str, &[u8], &str); 7] = [
        (
            "accounts.csv",
            b"kind;account_id\ndirect;7\n",
            "line 1: its columns are separated by ';': export it with commas",
        ),
        ("accounts.csv", b"kind\taccount_id\n", "line 1: its columns are separated by tabs: export it with commas"),
        ("accounts.csv", b"\xff\xfek\0i\0", "line 1: is text in UTF-16: write it in UTF-8"),
        (
            "accounts.csv",
            b"PK\x03\x04\x14\0",
            "line 1: is an archive or a spreadsheet: export its table as CSV in UTF-8",
        ),
        ("accounts.csv", b"PAR1\x15\x04", "line 1: is Parquet, which only an audit reads: export it as CSV or NDJSON"),
        (
            "rows.ndjson",
            b"\x1f\x8b\x08\0",
            "line 1: is packed with gzip: unpack it, or send it with Content-Encoding: gzip",
        ),
        ("rows.ndjson", b"\xfe\xff\0{", "line 1: is text in UTF-16: write it in UTF-8"),
    ];
    for (name, bytes, reason) in cases {
        let path = directory.path().join(name);
        std::fs::write(&path, bytes).expect("written");
        assert_eq!(refused(database.import_file(&path, None, NOW)), [reason], "{name}");
    }
}

#[test]
fn names_that_waited_for_a_check_in_an_earlier_program_wait_on() {
    let (directory, database) = database();
    drop(database);
    let path = directory.path().join(FILE_NAME);
    let older =
        "CREATE TABLE names_without_check (account_id TEXT NOT NULL, name TEXT NOT NULL, cert_id INTEGER NOT NULL,
          signed_at INTEGER NOT NULL, PRIMARY KEY (account_id, name, cert_id)) STRICT, WITHOUT ROWID;
        INSERT INTO names_without_check VALUES ('7', 'a.eus', 5, 1000);";
    Connection::open(&path).and_then(|c| c.execute_batch(older)).expect("made older");
    for _ in 0..2 {
        drop(Embedded::open(directory.path()).expect("opens"));
    }
    let connection = schema::connect(&path).expect("connected");
    let number = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0)).expect("a number");
    let waits =
        "SELECT count(*) FROM names_awaiting_check WHERE cert_id = 5 AND noted_at = 1000 AND checked_at IS NULL";
    assert_eq!(number(waits), 1);
    assert_eq!(number("SELECT count(*) FROM sqlite_master WHERE name = 'names_without_check'"), 0);
}
