//! The livestack program: parse, choose the backend, run, exit code.

use clap::Parser;
use livestack::backend::cpu::Cpu;
use livestack::backend::{Choice, Opened, devices, open};
use livestack::cli::{Cli, Command};
use livestack::config::Config;
use livestack::error::{Error, Result, exit};
use livestack::report;
use livestack::stack::stack;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

fn run(cli: Cli) -> Result<()> {
    match cli.command {
        Command::Stack(args) => {
            let config = Config::new(*args)?;
            let stop = interrupts();
            match open(config.backend, config.adapter.as_deref(), config.timings)? {
                Opened::Cpu(why) => stack(&config, Cpu::default(), &why, &stop),
                Opened::Gpu(gpu, why) => match stack(&config, *gpu, &why, &stop) {
                    // The frames are all still there: nothing is lost by starting again on the CPU.
                    Err(Error::Gpu(e)) if config.backend == Choice::Auto && !stop.load(Ordering::Relaxed) => {
                        stack(&config, Cpu::default(), &format!("the GPU failed: {e}"), &stop)
                    }
                    done => done,
                },
            }
        }
        Command::Master(args) => livestack::build_master::run(&args, &interrupts()),
        Command::Devices { json } => {
            report::devices(&devices(), json);
            Ok(())
        }
    }
}

/// Set by the first Ctrl-C or SIGTERM; the second ends the program at once.
fn interrupts() -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&stop);
    let handler = move || {
        if seen.swap(true, Ordering::Relaxed) {
            std::process::exit(exit::INTERRUPTED);
        }
    };
    if let Err(e) = ctrlc::set_handler(handler) {
        report::fail(&format!("Ctrl-C will end the program without writing: {e}"));
    }
    stop
}

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            report::fail(&e);
            ExitCode::from(e.exit_code())
        }
    }
}
