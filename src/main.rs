//! Parses the arguments and runs the command. The only file that prints or exits.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use safelight::allocator;
use safelight::cli;
use safelight::cli::{Arguments, Command, ServerAddresses};
use tokio::runtime::Runtime;

fn main() -> ExitCode {
    allocator::set_up();
    let command = Arguments::parse().command.unwrap_or(Command::Serve {
        config: PathBuf::from("config.toml"),
    });
    let done = match command {
        Command::Serve { config } => {
            let runtime = match runtime() {
                Ok(runtime) => runtime,
                Err(error) => return print_error(&error),
            };
            let served = runtime.block_on(cli::serve(&config, print_addresses));
            // The process does not wait for renders that nobody waits for.
            runtime.shutdown_background();
            served
        }
        Command::Purge(arguments) => match runtime() {
            Ok(runtime) => runtime.block_on(cli::purge(&arguments)).map(print),
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
        Command::Transform {
            input,
            options,
            output,
            config,
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

#[expect(clippy::print_stdout, reason = "the output of a command")]
fn print_addresses(serving: ServerAddresses) {
    let ServerAddresses {
        public,
        admin,
        shows_examples,
    } = serving;
    println!("safelight serves pictures on http://{public} and metrics on http://{admin}/metrics");
    if shows_examples {
        println!("open one of these:");
        for path in [
            "width=800,format=auto/dandelion.jpg",
            "width=400,height=400,fit=cover,gravity=0.5x0.3,format=auto/dogs.jpg",
            "width=500,height=500,fit=pad,background=%23f4e9d8,format=webp/fig.png",
        ] {
            println!("  http://{public}/cdn-cgi/image/{path}");
        }
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
