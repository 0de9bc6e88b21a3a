//! `ctwarden run`: the daemon in the foreground.

use tokio::sync::mpsc;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::time::FormatTime;

use super::{CliError, Exit};
use crate::clock::Clock;
use crate::config::{Config, LogConfig, LogFormat};
use crate::daemon::{Daemon, DaemonError};
use crate::pipeline::Until;

/// Runs until a signal, or until everything is read.
///
/// # Errors
/// What kept the daemon from starting, or stopped it.
pub fn run(config: Config, until_caught_up: bool) -> Result<Exit, CliError> {
    start_tracing(config.log);
    let until = if until_caught_up { Until::CaughtUp } else { Until::Stopped };
    let done = runtime()?.block_on(async {
        let reloads = hangups();
        let mut daemon = Daemon::open(config, Clock::System).await?;
        daemon.reload_on(reloads);
        daemon.run(until, signal()).await
    });
    match done {
        Ok(()) => Ok(Exit::Nothing),
        // What only a change of the configuration can mend is a matter of the configuration.
        Err(error @ (DaemonError::LogList { .. } | DaemonError::Issuer { .. } | DaemonError::Mail(_))) => {
            Err(CliError::Usage(error.to_string()))
        }
        Err(error) => Err(CliError::Failed(error.to_string())),
    }
}

/// The runtime of every command that talks to somebody.
///
/// # Errors
/// When the system gives no threads.
pub fn runtime() -> Result<tokio::runtime::Runtime, CliError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.map_err(|e| CliError::Failed(format!("no threads can be started ({e}); raise the limit of processes")))
}

/// One message for each SIGHUP; those that come while one waits are one with it.
fn hangups() -> mpsc::Receiver<()> {
    let (sender, receiver) = mpsc::channel(1);
    if let Ok(mut hangup) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup()) {
        tokio::spawn(async move {
            while hangup.recv().await.is_some() {
                let _ = sender.try_send(());
            }
        });
    }
    receiver
}

/// Completes with SIGINT or SIGTERM.
pub async fn signal() {
    let interrupt = tokio::signal::ctrl_c();
    match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        Ok(mut terminate) => tokio::select! {
            _ = interrupt => {}
            _ = terminate.recv() => {}
        },
        Err(_) => drop(interrupt.await),
    }
}

struct Utc;

impl FormatTime for Utc {
    fn format_time(&self, w: &mut tracing_subscriber::fmt::format::Writer<'_>) -> std::fmt::Result {
        write!(w, "{}", Clock::System.now())
    }
}

/// What the program says about itself goes to standard error; RUST_LOG overrides the configured level.
fn start_tracing(log: LogConfig) {
    let quiet = format!("{},sled=warn,hyper=warn,h2=warn,rustls=warn,lettre=warn", log.level);
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(quiet));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_timer(Utc);
    // A second start in one process (tests) keeps the first.
    let _ = match log.format {
        LogFormat::Json => builder.json().flatten_event(true).with_target(false).try_init(),
        LogFormat::Human => {
            builder.with_target(false).with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).try_init()
        }
    };
}
