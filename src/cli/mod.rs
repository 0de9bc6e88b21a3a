//! The words of the command line, and the exit code that each command ends with.

pub mod alert;
pub mod audit;
pub mod books;
pub mod config;
pub mod demo;
pub mod evidence;
pub mod format;
pub mod issuance;
pub mod issuance_check;
pub mod issuance_export;
pub mod lint;
mod progress;
pub mod rescan;
pub mod rules;
pub mod run;

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::clock::{Clock, Span, Timestamp};
use crate::config::{Config, Problems, parse_span};
use crate::issuance::{FileFormat, Followed};
use format::Format;

/// Version and commit, as `--version` prints them after the name.
pub const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("CTWARDEN_COMMIT"), ")");

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0: done, and nothing was found.
    Nothing,
    /// 1: done, and something was found.
    Findings,
    /// 2: the command line or the configuration is wrong.
    Usage,
    /// 3: it could not be done.
    Failed,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(match exit {
            Exit::Nothing => 0,
            Exit::Findings => 1,
            Exit::Usage => 2,
            Exit::Failed => 3,
        })
    }
}

/// Why a command could not be done.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The command line is wrong: exit code 2.
    #[error("{0}")]
    Usage(String),
    /// The configuration is wrong: exit code 2.
    #[error(transparent)]
    Config(#[from] Problems),
    /// Something failed; the text names the thing, the reason and the remedy: exit code 3.
    #[error("{0}")]
    Failed(String),
    /// The output could not be written: exit code 3, or a quiet end when its reader is gone.
    #[error("cannot write the output ({0}); free space or choose another place for it")]
    Output(#[from] io::Error),
}

impl From<crate::issuance::IssuanceError> for CliError {
    fn from(error: crate::issuance::IssuanceError) -> CliError {
        CliError::Failed(error.to_string())
    }
}

/// CT misissuance monitor for certificate authorities.
#[derive(Debug, Parser)]
#[command(name = "ctwarden", version = VERSION, about, max_term_width = 100, disable_help_subcommand = true)]
#[command(after_help = "Exit codes: 0 nothing found, 1 findings, 2 usage or configuration, 3 failed.")]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show a CA, two logs and the monitor at work on this machine
    Demo {
        /// End by itself after this time and tell whether every planted mistake was found
        #[arg(long = "for", value_name = "TIME", value_parser = parse_span)]
        limit: Option<Span>,
    },
    /// Follow the logs, judge, and tell people: the daemon
    Run {
        #[command(flatten)]
        #[allow(missing_docs)]
        config: ConfigFile,
        /// Read every log to the head it has now, finish all mails, and end
        #[arg(long)]
        until_caught_up: bool,
    },
    /// Print an example of the configuration, check one, or have the daemon read it again
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Show how far each log has been read
    Logs(Reading),
    /// List the cases, or show one with all that is known
    Cases {
        /// What to show; the list when left out.
        #[command(subcommand)]
        command: Option<CasesCommand>,
        #[command(flatten)]
        #[allow(missing_docs)]
        reading: Reading,
    },
    /// Judge certificates in files and folders by the rules that need no record
    Lint {
        #[command(flatten)]
        #[allow(missing_docs)]
        question: lint::Question,
        #[command(flatten)]
        #[allow(missing_docs)]
        output: Output,
    },
    /// Judge every certificate in the books again and show what is different from what is on record
    Rescan {
        /// Certificates logged since this time, RFC 3339 or YYYY-MM-DD [default: all]
        #[arg(long, value_name = "TIME", value_parser = parse_time)]
        since: Option<Timestamp>,
        /// Compare this rule only; may be repeated
        #[arg(long = "rule", value_name = "ID")]
        rules: Vec<String>,
        /// Have the daemon write cases for what is new, and tell people
        #[arg(long)]
        apply: bool,
        /// Do not go on where an earlier one was interrupted
        #[arg(long)]
        from_start: bool,
        #[command(flatten)]
        #[allow(missing_docs)]
        reading: Reading,
    },
    /// Judge every name in the CA's record by the evidence on which it rests
    Audit(Box<audit::Audit>),
    /// List the rules with their severities, sections and revocation clocks
    Rules {
        /// Print text for people, JSON for programs or Markdown for documents
        #[arg(
            long,
            value_enum,
            value_name = "text|json|markdown",
            default_value = "text",
            hide_possible_values = true
        )]
        format: rules::TableFormat,
    },
    /// Fill the CA's own record of what it issued, check where it is kept, or export it
    #[command(subcommand)]
    Issuance(issuance::IssuanceCommand),
    /// Send a test mail to every recipient
    TestAlert(Reading),
    /// Export what shows that a log misbehaved, or verify such a file
    #[command(subcommand)]
    Evidence(evidence::EvidenceCommand),
}

/// `ctwarden config`.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print a commented example; fill in the named values
    Example,
    /// Report every problem of a configuration at once
    Check {
        /// The configuration
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Check the configuration and have the running daemon read it again, as SIGHUP does
    Reload(Reading),
}

/// `ctwarden cases`.
#[derive(Debug, Subcommand)]
pub enum CasesCommand {
    /// One line per case
    List,
    /// Everything that is known about one case
    Show {
        /// CASE-YYYY-NNNN, or the number alone
        id: String,
    },
    /// Anything else: most often a case whose `show` was forgotten.
    #[command(external_subcommand)]
    Other(Vec<String>),
}

/// Where the configuration is.
#[derive(Clone, Debug, Args)]
pub struct ConfigFile {
    /// The configuration
    #[arg(long, global = true, value_name = "FILE", env = "CTWARDEN_CONFIG", default_value = "ctwarden.toml")]
    pub config: PathBuf,
}

/// The form of the output.
#[derive(Clone, Copy, Debug, Args)]
pub struct Output {
    /// Print text for people or JSON for programs
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "text|json",
        default_value = "text",
        hide_possible_values = true
    )]
    pub format: Format,
}

/// A command that reads the configuration and prints.
#[derive(Clone, Debug, Args)]
pub struct Reading {
    /// Where the configuration is.
    #[command(flatten)]
    pub config: ConfigFile,
    /// The form of the output.
    #[command(flatten)]
    pub output: Output,
}

/// Does what the command line says and returns the exit code. Errors are one sentence on standard error.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // A reader that is gone misses nothing: clap has only help, version and usage to say.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage } else { Exit::Nothing }.into();
        }
    };
    let mut out = io::stdout().lock();
    let done = dispatch(cli.command, &mut out).and_then(|exit| {
        out.flush()?;
        Ok(exit)
    });
    finish(done, &mut io::stderr()).into()
}

/// Says why a command could not be done, and chooses the exit code.
fn finish(done: Result<Exit, CliError>, err: &mut dyn Write) -> Exit {
    let error = match done {
        Ok(exit) => return exit,
        Err(CliError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => return Exit::Nothing,
        Err(error) => error,
    };
    // Problems of a configuration name their file themselves. When standard error is gone, the code still tells.
    let _ = match &error {
        CliError::Config(problems) => writeln!(err, "{problems}"),
        other => writeln!(err, "ctwarden: {other}"),
    };
    match error {
        CliError::Usage(_) | CliError::Config(_) => Exit::Usage,
        CliError::Failed(_) | CliError::Output(_) => Exit::Failed,
    }
}

fn dispatch(command: Command, out: &mut dyn Write) -> Result<Exit, CliError> {
    match command {
        Command::Config(ConfigCommand::Example) => config::example(out),
        Command::Config(ConfigCommand::Check { file }) => config::check(&file, out),
        Command::Config(ConfigCommand::Reload(reading)) => {
            config::reload(&load(&reading.config)?, reading.output.format, out)
        }
        Command::Demo { limit } => demo::demo(limit),
        Command::Run { config, until_caught_up } => run::run(load(&config)?, until_caught_up),
        Command::Logs(reading) => books::logs(&load(&reading.config)?, reading.output.format, out),
        Command::Cases { command, reading } => {
            let (config, format) = (load(&reading.config)?, reading.output.format);
            match command {
                None | Some(CasesCommand::List) => books::list(&config, format, out),
                Some(CasesCommand::Show { id }) => books::show(&config, &id, format, out),
                Some(CasesCommand::Other(words)) => Err(books::no_command(&words)),
            }
        }
        Command::Lint { question, output } => match lint::lint(&question, output.format, out) {
            Ok(true) => Ok(Exit::Findings),
            Ok(false) => Ok(Exit::Nothing),
            Err(lint::LintError::Output(error)) => Err(CliError::Output(error)),
            Err(lint::LintError::Config(problems)) => Err(CliError::Config(problems)),
            Err(error) => Err(CliError::Failed(error.to_string())),
        },
        Command::Rescan { since, rules, apply, from_start, reading } => {
            let question = rescan::Question { since, rules, apply };
            rescan::rescan(&load(&reading.config)?, question, from_start, reading.output.format, out)
        }
        Command::Audit(asked) => audit::audit(&asked, out),
        Command::Rules { format } => {
            rules::rules(&crate::exam::rules(), format, out)?;
            Ok(Exit::Nothing)
        }
        Command::Issuance(issuance::IssuanceCommand::Import { file, table, input, reading }) => {
            let config = load(&reading.config)?;
            let directory = &config.data_directory;
            let json = reading.output.format == Format::Json;
            let now = Clock::System.now();
            let outcome = match (file.is_dir(), input, &table) {
                (true, FileFormat::Rows, None) => issuance::import_directory(&file, directory, now, json, out)?,
                (false, FileFormat::Rows, table) => {
                    issuance::import(&file, table.as_deref(), directory, now, json, out)?
                }
                (false, format, None) => {
                    let followed = Followed { path: file, format };
                    issuance::import_log(followed, config.known_issuers(), directory, now, json, out)?
                }
                (_, _, Some(_)) => {
                    let sentence = "--table has no meaning with a directory or an audit log: name a file of rows";
                    return Err(CliError::Usage(sentence.to_string()));
                }
                (true, ..) => return Err(CliError::Usage("an audit log is a file: name it".to_string())),
            };
            Ok(match outcome {
                issuance::Outcome::Imported => Exit::Nothing,
                issuance::Outcome::Refused => Exit::Usage,
                issuance::Outcome::Failed => Exit::Failed,
            })
        }
        Command::Issuance(issuance::IssuanceCommand::Check(reading)) => {
            issuance_check::check(&load(&reading.config)?, reading.output.format, Clock::System.now(), out)
        }
        Command::Issuance(issuance::IssuanceCommand::Export { out: directory, resume, reading }) => {
            issuance_export::export(&load(&reading.config)?, &directory, resume, reading.output.format, out)
        }
        Command::Issuance(issuance::IssuanceCommand::Ddl { dialect }) => issuance_check::ddl(dialect, out),
        Command::Issuance(issuance::IssuanceCommand::Refused { forget, reading }) => {
            let directory = load(&reading.config)?.data_directory;
            issuance::refused(&directory, forget, reading.output.format == Format::Json, out)?;
            Ok(Exit::Nothing)
        }
        Command::Evidence(evidence::EvidenceCommand::Export { log, kind, config }) => {
            evidence::export(&load(&config)?, &log, &kind, out)
        }
        Command::Evidence(evidence::EvidenceCommand::Verify { file, output }) => {
            evidence::check(&file, output.format, out)
        }
        Command::TestAlert(reading) => alert::test(&load(&reading.config)?, reading.output.format, out),
    }
}

fn load(file: &ConfigFile) -> Result<Config, CliError> {
    Ok(crate::config::load(&file.config)?)
}

fn parse_time(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse(text)
        .ok_or_else(|| "not a time; write for instance 2026-03-15 or 2026-03-15T12:00:00Z".to_string())
}

/// Makes a panic one sentence instead of a stack trace. Rooms that read foreign bytes catch the panic itself.
pub fn report_panics() {
    std::panic::set_hook(Box::new(|info| {
        let payload = info.payload();
        let text = payload.downcast_ref::<&str>().copied();
        let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no text");
        let text = crate::finding::escape(text.as_bytes(), 300);
        let place = info.location().map_or(String::new(), |place| format!(" at {}:{}", place.file(), place.line()));
        if tracing::dispatcher::has_been_set() {
            tracing::error!("internal error{place}: {text}");
        } else {
            eprintln!("ctwarden: internal error{place}: {text}");
        }
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Command, clap::Error> {
        Cli::try_parse_from(line.split(' ')).map(|cli| cli.command)
    }

    #[test]
    fn the_words_are_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn options_may_stand_on_either_side_of_a_subcommand() {
        let list = parse("ctwarden cases --format json --config x.toml").unwrap();
        assert!(matches!(list, Command::Cases { command: None, reading } if reading.output.format == Format::Json));
        for line in ["ctwarden cases show 42 --config y.toml", "ctwarden cases --config y.toml show 42"] {
            let Command::Cases { command: Some(CasesCommand::Show { id }), reading } = parse(line).unwrap() else {
                panic!()
            };
            assert_eq!((id.as_str(), reading.config.config.to_str()), ("42", Some("y.toml")), "{line}");
        }
        let import = parse("ctwarden issuance import a.csv --table orders --format json").unwrap();
        let Command::Issuance(issuance::IssuanceCommand::Import { table, reading, .. }) = import else { panic!() };
        assert_eq!((table.as_deref(), reading.output.format), (Some("orders"), Format::Json));
    }

    #[test]
    fn times_are_parsed_with_the_line() {
        let demo = parse("ctwarden demo --for 60s").unwrap();
        assert!(matches!(demo, Command::Demo { limit: Some(limit) } if limit == Span::from_seconds(60)));
        let lint = parse("ctwarden lint a.pem b.der --issued-at 2026-03-15").unwrap();
        assert!(matches!(lint, Command::Lint { question, .. }
            if question.files.len() == 2 && question.issued_at == Some(crate::clock::date(2026, 3, 15))));
        for bad in
            ["ctwarden demo --for soon", "ctwarden lint", "ctwarden lint a --issued-at now", "ctwarden", "ctwarden x"]
        {
            assert!(parse(bad).is_err_and(|error| error.use_stderr()), "{bad}");
        }
    }

    #[test]
    fn every_end_has_its_code() {
        let broken = |kind| CliError::Output(io::Error::new(kind, "x"));
        let cases = [
            (Ok(Exit::Findings), Exit::Findings, ""),
            (Err(CliError::Usage("a".to_string())), Exit::Usage, "ctwarden: a\n"),
            (Err(CliError::Failed("b".to_string())), Exit::Failed, "ctwarden: b\n"),
            (Err(broken(io::ErrorKind::BrokenPipe)), Exit::Nothing, ""),
            (Err(broken(io::ErrorKind::StorageFull)), Exit::Failed, "ctwarden: cannot write the output (x); "),
        ];
        for (done, exit, said) in cases {
            let mut err = Vec::new();
            assert_eq!(finish(done, &mut err), exit);
            assert!(String::from_utf8(err).unwrap().starts_with(said));
        }
    }
}
