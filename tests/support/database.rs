//! Real database servers, started by the test on a free port in a directory of their own and ended by their number.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use ctwarden::clock::{Stopwatch, Timestamp};
use ctwarden::finding::Serial;
use ctwarden::issuance::sql::{Dialect, SerialForm, Settings, Tls, ddl, preset};
use mysql_async::prelude::Queryable;
use serde_json::Value;

/// The password of everybody.
pub const PASSWORD: &str = "correct horse";
/// Both servers.
pub const BOTH: [Dialect; 2] = [Dialect::Postgres, Dialect::Mysql];

/// A running server with our schema in the database "ca", an owner "owner" and a user "reader" who may SELECT.
pub struct Server {
    pub dialect: Dialect,
    pub port: u16,
    directory: tempfile::TempDir,
    more: Vec<String>,
    child: Child,
}

/// The folder of a server's programs. `CTWARDEN_DATABASES` is set by tests/run: then they must be there. Without them a
/// test says that it was not run.
fn programs(test: &str, dialect: Dialect) -> Option<PathBuf> {
    let found = match dialect {
        Dialect::Postgres => {
            let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
            let mut bins: Vec<PathBuf> = versions.map(|version| version.path().join("bin")).collect();
            bins.sort();
            bins.into_iter().rev().find(|bin| bin.join("initdb").exists())
        }
        Dialect::Mysql => Some(PathBuf::from("/usr/sbin")).filter(|bin| bin.join("mariadbd").exists()),
    };
    if found.is_none() {
        assert!(std::env::var_os("CTWARDEN_DATABASES").is_none(), "{test}: there is no {} server", dialect.word());
        println!("NOT RUN: {test}: no {} server is installed; tests/run installs it", dialect.word());
    }
    found
}

/// A command as the user that the server insists on, when the test is root.
fn command(program: &Path, user: &str) -> Command {
    let mut command = match is_root() {
        true => {
            let mut command = Command::new("setpriv");
            command.args([&format!("--reuid={user}"), &format!("--regid={user}"), "--clear-groups"]).arg(program);
            command
        }
        false => Command::new(program),
    };
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).env("LC_ALL", "C");
    command
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn own(path: &Path, user: &str) {
    if is_root() {
        assert!(
            Command::new("chown").arg("-R").arg(format!("{user}:{user}")).arg(path).status().expect("chown").success()
        );
    }
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port()
}

impl Server {
    /// Starts a server; `None` where it is not installed. `certificate` and `key` are PEM of its TLS.
    pub async fn start(test: &str, dialect: Dialect, tls: Option<(&str, &str)>) -> Option<Server> {
        let bin = programs(test, dialect)?;
        let directory = tempfile::tempdir().expect("a directory");
        let at = |name: &str| directory.path().join(name).to_string_lossy().into_owned();
        let (user, mut more) = match dialect {
            Dialect::Postgres => ("postgres", Vec::new()),
            Dialect::Mysql => ("mysql", Vec::new()),
        };
        if let Some((certificate, key)) = tls {
            std::fs::write(at("server.pem"), certificate).expect("written");
            std::fs::write(at("server.key"), key).expect("written");
            std::os::unix::fs::PermissionsExt::set_mode(
                &mut std::fs::metadata(at("server.key")).expect("it").permissions(),
                0o600,
            );
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
            std::fs::set_permissions(at("server.key"), mode).expect("its mode");
            more = match dialect {
                Dialect::Postgres => [
                    "ssl=on",
                    &format!("ssl_cert_file={}", at("server.pem")),
                    &format!("ssl_key_file={}", at("server.key")),
                ]
                .iter()
                .flat_map(|setting| ["-c".to_string(), setting.to_string()])
                .collect(),
                Dialect::Mysql => {
                    vec![format!("--ssl-cert={}", at("server.pem")), format!("--ssl-key={}", at("server.key"))]
                }
            };
        }
        let made = match dialect {
            Dialect::Postgres => {
                std::fs::write(at("password"), PASSWORD).expect("written");
                own(directory.path(), user);
                let mut initdb = command(&bin.join("initdb"), user);
                initdb.args(["--no-sync", "-A", "scram-sha-256", "-U", "owner", "-E", "UTF8", "--locale=C"]);
                initdb.arg(format!("--pwfile={}", at("password"))).args(["-D", &at("data")]).status()
            }
            Dialect::Mysql => {
                let users = format!(
                    "CREATE USER 'owner'@'%' IDENTIFIED BY '{PASSWORD}';\nGRANT ALL ON *.* TO 'owner'@'%' WITH GRANT OPTION;\n"
                );
                std::fs::write(at("users.sql"), users).expect("written");
                own(directory.path(), user);
                let mut install = command(Path::new("mariadb-install-db"), user);
                // A server that starts removes the temporary tables of others where it has its own.
                install.env("TMPDIR", directory.path());
                install.args(["--no-defaults", "--skip-test-db", "--auth-root-authentication-method=normal"]);
                let log = std::fs::File::create(at("made.log")).expect("a log");
                install.stdout(log.try_clone().expect("the log")).stderr(log);
                install.arg(format!("--datadir={}", at("data"))).status()
            }
        };
        let log = || std::fs::read_to_string(at("made.log")).unwrap_or_default();
        assert!(made.expect("it starts").success(), "no data directory for {}: {}", dialect.word(), log());
        let port = free_port();
        let child = launch(dialect, directory.path(), port, &more);
        let server = Server { dialect, port, directory, more, child };
        server.wait().await;
        server.make().await;
        Some(server)
    }

    async fn wait(&self) {
        let watch = Stopwatch::start();
        while let Err(error) = self.try_admin(self.system(), "SELECT 1").await {
            assert!(watch.elapsed() < Duration::from_secs(60), "{} does not start: {error}", self.dialect.word());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The database that is there from the start.
    fn system(&self) -> &'static str {
        match self.dialect {
            Dialect::Postgres => "postgres",
            Dialect::Mysql => "mysql",
        }
    }

    async fn make(&self) {
        match self.dialect {
            Dialect::Postgres => {
                self.system_admin("CREATE DATABASE ca").await;
                self.system_admin(&format!("CREATE ROLE reader LOGIN PASSWORD '{PASSWORD}'")).await;
                self.admin(&ddl(self.dialect)).await;
                self.admin("GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader").await;
            }
            Dialect::Mysql => {
                self.system_admin("CREATE DATABASE ca CHARACTER SET utf8mb4").await;
                self.admin(&ddl(self.dialect)).await;
                let user = format!(
                    "CREATE USER 'reader'@'%' IDENTIFIED BY '{PASSWORD}'; GRANT SELECT ON ca.* TO 'reader'@'%'"
                );
                self.admin(&user).await;
            }
        }
    }

    async fn system_admin(&self, sql: &str) {
        self.try_admin(self.system(), sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// Runs statements as the owner.
    pub async fn admin(&self, sql: &str) {
        self.try_admin("ca", sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    async fn try_admin(&self, database: &str, sql: &str) -> Result<(), String> {
        match self.dialect {
            Dialect::Postgres => {
                let line =
                    format!("host=127.0.0.1 port={} user=owner password='{PASSWORD}' dbname={database}", self.port);
                let connected = tokio_postgres::connect(&line, tokio_postgres::NoTls).await;
                let (client, connection) = connected.map_err(|error| format!("{error:?}"))?;
                let task = tokio::spawn(connection);
                let done = client.batch_execute(sql).await.map_err(|error| format!("{error:?}"));
                drop(client);
                let _ = task.await;
                done
            }
            Dialect::Mysql => {
                let options = mysql_async::OptsBuilder::default().ip_or_hostname("127.0.0.1").tcp_port(self.port);
                let options =
                    options.user(Some("owner")).pass(Some(PASSWORD)).db_name(Some(database)).prefer_socket(false);
                let mut connection = mysql_async::Conn::new(options).await.map_err(|error| format!("{error:?}"))?;
                connection
                    .query_drop("SET SESSION sql_mode = 'NO_BACKSLASH_ESCAPES,STRICT_ALL_TABLES'")
                    .await
                    .map_err(|e| e.to_string())?;
                let done = connection.query_drop(sql).await.map_err(|error| format!("{error:?}"));
                let _ = connection.disconnect().await;
                done
            }
        }
    }

    /// The reader's view with the preset `ctwarden`, without TLS.
    pub fn settings(&self) -> Settings {
        let preset = preset("ctwarden", self.dialect).expect("our own preset");
        Settings {
            dialect: self.dialect,
            host: "127.0.0.1".into(),
            port: self.port,
            database: "ca".into(),
            user: "reader".into(),
            password: Some(PASSWORD.into()),
            tls: Tls::NoneOnLoopback,
            connections: 2,
            statement_timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(30),
            texts: preset.texts,
            replica_time: None,
            serials: SerialForm::Hex,
            issuers: Vec::new(),
        }
    }

    /// Puts these rows of the feed in the place of all that is there.
    pub async fn fill(&self, rows: &[Value]) {
        let mut sql: String =
            ctwarden::issuance::feed_tables().map(|table| format!("DELETE FROM {table};\n")).collect();
        let mut seen = BTreeMap::new();
        for row in rows {
            let table = row["table"].as_str().expect("a table");
            let columns: Vec<(&String, &Value)> =
                row.as_object().expect("a row").iter().filter(|(name, _)| *name != "table").collect();
            let names: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
            let values: Vec<String> = columns.iter().map(|(name, value)| literal(table, name, value)).collect();
            let line = format!("INSERT INTO {table} ({}) VALUES ({});\n", names.join(", "), values.join(", "));
            // A feed may repeat a row; a database cannot.
            if seen.insert(line.clone(), ()).is_none() {
                sql.push_str(&line);
            }
        }
        self.admin(&sql).await;
    }

    /// Ends the server as a crash would.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it again on the same port with the same data.
    pub async fn restart(&mut self) {
        self.child = launch(self.dialect, self.directory.path(), self.port, &self.more);
        self.wait().await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // PostgreSQL has children that end when they are asked to; killed, it would leave them.
        if let (Dialect::Postgres, Some(pid)) = (self.dialect, rustix::process::Pid::from_raw(self.child.id() as i32)) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::QUIT);
            let _ = self.child.wait();
        }
        self.kill();
    }
}

fn launch(dialect: Dialect, directory: &Path, port: u16, more: &[String]) -> Child {
    let at = |name: &str| directory.join(name).to_string_lossy().into_owned();
    let bin = programs("again", dialect).expect("it was there");
    let mut server = match dialect {
        Dialect::Postgres => {
            let mut server = command(&bin.join("postgres"), "postgres");
            server.args(["-D", &at("data"), "-p", &port.to_string(), "-h", "127.0.0.1"]);
            for setting in ["unix_socket_directories=", "fsync=off", "shared_buffers=32MB", "max_connections=30"] {
                server.args(["-c", setting]);
            }
            server
        }
        Dialect::Mysql => {
            let mut server = command(&bin.join("mariadbd"), "mysql");
            server.env("TMPDIR", directory);
            server.args([
                "--no-defaults",
                "--bind-address=127.0.0.1",
                "--skip-log-bin",
                "--innodb-flush-log-at-trx-commit=0",
            ]);
            server.args(["--innodb-buffer-pool-size=64M", "--skip-name-resolve", &format!("--port={port}")]);
            server.args([
                format!("--datadir={}", at("data")),
                format!("--socket={}", at("socket")),
                format!("--pid-file={}", at("pid")),
            ]);
            let init = directory.join("users.sql");
            if !directory.join("made").exists() {
                std::fs::write(directory.join("made"), "").expect("written");
                server.arg(format!("--init-file={}", init.display()));
            }
            server
        }
    };
    let log = std::fs::File::options().create(true).append(true).open(directory.join("log")).expect("a log");
    server.args(more).stderr(log).spawn().expect("the server starts")
}

/// A value of the feed as a literal for our own schema.
fn literal(table: &str, column: &str, value: &Value) -> String {
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
    let is_time = column.ends_with("_at") || ["not_before", "not_after", "hour"].contains(&column);
    match value {
        Value::Null => "NULL".to_string(),
        Value::Bool(flag) => u8::from(*flag).to_string(),
        Value::String(text) if is_time && text.parse::<i64>().is_err() => {
            Timestamp::parse(text).unwrap_or_else(|| panic!("{table}.{column}: {text}")).seconds().to_string()
        }
        Value::String(text) if column == "serial" => quoted(&Serial::from_hex(text).expect("a serial").value_hex()),
        Value::String(text) if column == "adn" => quoted(&text.trim_start_matches("*.").to_ascii_lowercase()),
        Value::String(text)
            if column == "name" && ["order_names", "caa_checks", "san_authorisations"].contains(&table) =>
        {
            quoted(&text.to_ascii_lowercase())
        }
        Value::String(text) => quoted(text),
        // A number is good for a column of texts in both servers only as a text.
        Value::Number(number) if ["account_id", "applicant_id", "order_id"].contains(&column) => {
            quoted(&number.to_string())
        }
        other => other.to_string(),
    }
}

/// A connection that keeps everybody from reading some tables, for as long as it is held.
pub enum Lock {
    Postgres(tokio_postgres::Client),
    Mysql(mysql_async::Conn),
}

impl Server {
    /// Locks these tables.
    pub async fn lock(&self, tables: &[&str]) -> Lock {
        match self.dialect {
            Dialect::Postgres => {
                let line = format!("host=127.0.0.1 port={} user=owner password='{PASSWORD}' dbname=ca", self.port);
                let (client, connection) =
                    tokio_postgres::connect(&line, tokio_postgres::NoTls).await.expect("connected");
                tokio::spawn(connection);
                let lock = format!("BEGIN; LOCK TABLE {} IN ACCESS EXCLUSIVE MODE", tables.join(", "));
                client.batch_execute(&lock).await.expect("locked");
                Lock::Postgres(client)
            }
            Dialect::Mysql => {
                let options = mysql_async::OptsBuilder::default().ip_or_hostname("127.0.0.1").tcp_port(self.port);
                let options = options.user(Some("owner")).pass(Some(PASSWORD)).db_name(Some("ca")).prefer_socket(false);
                let mut connection = mysql_async::Conn::new(options).await.expect("connected");
                let lock = format!("LOCK TABLES {} WRITE", tables.join(" WRITE, "));
                connection.query_drop(lock).await.expect("locked");
                Lock::Mysql(connection)
            }
        }
    }

    /// A standby of this PostgreSQL that applies each change so late.
    pub async fn standby(&self, late: &str) -> Server {
        let directory = tempfile::tempdir().expect("a directory");
        own(directory.path(), "postgres");
        let bin = programs("standby", Dialect::Postgres).expect("it was there");
        // Something is written after the copy, so that there is a newest change.
        self.admin("ALTER ROLE owner REPLICATION").await;
        let mut copy = command(&bin.join("pg_basebackup"), "postgres");
        copy.env("PGPASSWORD", PASSWORD).args([
            "-h",
            "127.0.0.1",
            "-U",
            "owner",
            "-R",
            "-X",
            "stream",
            "-c",
            "fast",
            "--no-sync",
        ]);
        let copied =
            copy.args(["-p", &self.port.to_string(), "-D", &directory.path().join("data").to_string_lossy()]).status();
        assert!(copied.expect("it starts").success(), "no copy of the data");
        let (port, more) = (free_port(), vec!["-c".to_string(), format!("recovery_min_apply_delay={late}")]);
        let child = launch(Dialect::Postgres, directory.path(), port, &more);
        let standby = Server { dialect: Dialect::Postgres, port, directory, more, child };
        standby.wait().await;
        standby
    }

    /// How the server would run a statement, a line for each step.
    pub async fn explain(&self, sql: &str) -> String {
        let sql = format!("EXPLAIN {sql}");
        match self.dialect {
            Dialect::Postgres => {
                let line = format!("host=127.0.0.1 port={} user=owner password='{PASSWORD}' dbname=ca", self.port);
                let (client, connection) =
                    tokio_postgres::connect(&line, tokio_postgres::NoTls).await.expect("connected");
                tokio::spawn(connection);
                let rows = client.query(&sql, &[]).await.expect("a plan");
                rows.iter().map(|row| row.get::<_, String>(0) + "\n").collect()
            }
            Dialect::Mysql => {
                let options = mysql_async::OptsBuilder::default().ip_or_hostname("127.0.0.1").tcp_port(self.port);
                let options = options.user(Some("owner")).pass(Some(PASSWORD)).db_name(Some("ca")).prefer_socket(false);
                let mut connection = mysql_async::Conn::new(options).await.expect("connected");
                let rows: Vec<mysql_async::Row> = connection.query(sql).await.expect("a plan");
                let text = |row: mysql_async::Row| {
                    let cells: Vec<String> =
                        row.unwrap().iter().map(|value| value.as_sql(true).trim_matches('\'').to_string()).collect();
                    cells.join("\t") + "\n"
                };
                let plan = rows.into_iter().map(text).collect();
                let _ = connection.disconnect().await;
                plan
            }
        }
    }

    /// Runs a statement as the reader.
    pub async fn as_reader(&self, sql: &str) -> Result<(), String> {
        match self.dialect {
            Dialect::Postgres => {
                let line = format!("host=127.0.0.1 port={} user=reader password='{PASSWORD}' dbname=ca", self.port);
                let (client, connection) =
                    tokio_postgres::connect(&line, tokio_postgres::NoTls).await.expect("connected");
                tokio::spawn(connection);
                client.batch_execute(sql).await.map_err(|error| format!("{error:?}"))
            }
            Dialect::Mysql => {
                let options = mysql_async::OptsBuilder::default().ip_or_hostname("127.0.0.1").tcp_port(self.port);
                let options =
                    options.user(Some("reader")).pass(Some(PASSWORD)).db_name(Some("ca")).prefer_socket(false);
                let mut connection = mysql_async::Conn::new(options).await.expect("connected");
                let done = connection.query_drop(sql).await.map_err(|error| error.to_string());
                let _ = connection.disconnect().await;
                done
            }
        }
    }

    /// Gives the reader another password.
    pub async fn set_password(&self, password: &str) {
        self.admin(&match self.dialect {
            Dialect::Postgres => format!("ALTER ROLE reader PASSWORD '{password}'"),
            Dialect::Mysql => format!("SET PASSWORD FOR 'reader'@'%' = PASSWORD('{password}')"),
        })
        .await;
    }
}
