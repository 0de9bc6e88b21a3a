//! The program: words in, exit code out. Everything else is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    ctwarden::cli::report_panics();
    ctwarden::cli::run(std::env::args_os())
}
