//! The `zmtpscope` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    zmtpscope::cli::run(std::env::args_os())
}
