//! Parses the arguments and runs the command. The only file that prints or exits.

use std::io;
use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser;
use safelight::allocator;
use safelight::cli;
use safelight::cli::{Arguments, Command};
use tokio::runtime::Runtime;

fn main() -> ExitCode {
    allocator::set_up(cli::memory());
    let command = Arguments::parse().into_command();
    let done = match command {
        Command::Serve(arguments) => {
            let runtime = match runtime() {
                Ok(runtime) => runtime,
                Err(error) => return print_error(&error),
            };
            let served = runtime.block_on(cli::serve(&arguments, print_welcome));
            // The process does not wait for renders that nobody waits for.
            runtime.shutdown_background();
            served
        }
        Command::Purge(arguments) => match runtime() {
            Ok(runtime) => runtime.block_on(cli::purge(&arguments)).map(print),
            Err(error) => return print_error(&error),
        },
        Command::Health(arguments) => match runtime() {
            Ok(runtime) => runtime.block_on(cli::health(&arguments)).map(print),
            Err(error) => return print_error(&error),
        },
        Command::Check(arguments) => match runtime() {
            Ok(runtime) => match runtime.block_on(cli::check(&arguments)) {
                Ok(outcome) => {
                    print(outcome.lines);
                    return ExitCode::from(u8::from(!outcome.is_admitted));
                }
                Err(failure) => {
                    print_error(&failure);
                    return ExitCode::from(2);
                }
            },
            Err(error) => return print_error(&error),
        },
        Command::Warm(arguments) => match runtime() {
            Ok(runtime) => match runtime.block_on(cli::warm(&arguments, print_progress)) {
                Ok(report) => {
                    print(report.lines);
                    return ExitCode::from(u8::from(!report.is_complete));
                }
                Err(failure) => {
                    print_error(&failure);
                    return ExitCode::from(2);
                }
            },
            Err(error) => return print_error(&error),
        },
        Command::Images(arguments) => match runtime() {
            Ok(runtime) => {
                let done = runtime.block_on(cli::images(&arguments, print_line, print_progress));
                // Uploads that were interrupted are not waited for.
                runtime.shutdown_background();
                match done {
                    Ok(is_complete) => return ExitCode::from(u8::from(!is_complete)),
                    Err(failure) => {
                        print_error(&failure);
                        return ExitCode::from(2);
                    }
                }
            }
            Err(error) => return print_error(&error),
        },
        Command::Sign(arguments) => cli::sign(&arguments).map(print),
        Command::Worker => cli::serve_jobs().map(|()| Vec::new()).map(print),
        Command::Transform {
            input,
            options,
            output,
            batch,
            config,
        } if batch.is_for(&input) => match runtime() {
            Ok(runtime) => {
                let config = config.as_deref();
                let work = cli::batch(&batch, &input, &options, &output, config);
                match runtime.block_on(work) {
                    Ok(outcome) => {
                        print(outcome.lines);
                        return ExitCode::from(u8::from(!outcome.is_complete));
                    }
                    Err(failure) => {
                        print_error(&failure);
                        return ExitCode::from(2);
                    }
                }
            }
            Err(error) => return print_error(&error),
        },
        Command::Transform {
            input,
            options,
            output,
            config,
            ..
        } => cli::transform(&input, &options, &output, config.as_deref()).map(print),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => print_error(&failure),
    }
}

fn runtime() -> io::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
}

#[expect(clippy::print_stdout, reason = "the output of a command")]
fn print(lines: Vec<String>) {
    lines.iter().for_each(|line| println!("{line}"));
}

/// Prints a line of the output. A reader that has gone ends nothing: `head` is one.
fn print_line(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// Prints what a server says at its start. It serves also where nobody reads that.
fn print_welcome(lines: Vec<String>) {
    let mut out = io::stdout().lock();
    for line in lines {
        let _ = writeln!(out, "{line}");
    }
}

#[expect(
    clippy::print_stderr,
    reason = "progress is for people, and standard output for programs"
)]
fn print_progress(line: &str) {
    eprintln!("{line}");
}

#[expect(clippy::print_stderr, reason = "the last message of the process")]
fn print_error(failure: &dyn std::error::Error) -> ExitCode {
    for line in failure.to_string().lines() {
        eprintln!("safelight: {line}");
    }
    ExitCode::FAILURE
}
