//! The livestack program: parse, choose the backend, run, exit code.

use clap::Parser;
use livestack::cli::{Cli, Command};
use livestack::config::Config;
use livestack::error::{Error, Result};
use livestack::session::{self, Plan, Start};
use livestack::signals::Signals;
use livestack::{backend, bench, build_master, report, start};
use std::process::ExitCode;

fn run() -> Result<()> {
    let argv = livestack::legacy::rewrite(std::env::args_os().collect())?;
    // What begins a session is kept with it.
    let words: Vec<String> = argv.iter().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    let here =
        || std::env::current_dir().map_err(|e| Error::io("cannot find the current folder", ".".as_ref(), e));
    match Cli::parse_from(argv).command {
        Command::Stack(args) => {
            let config = Config::new(args.input, args.out, args.flags)?;
            start::start(&config, &start::Stack(&config), &Signals::listen(false)?)
        }
        Command::Watch(args) => {
            let signals = Signals::listen(true)?;
            let plan = Plan::watch(*args, &words, &here()?)?;
            start::start(&plan.config, &plan, &signals)
        }
        Command::Add(args) => {
            let signals = Signals::listen(false)?;
            match Plan::add(*args, &words, &here()?)? {
                Start::Run(plan) => start::start(&plan.config, &*plan, &signals),
                Start::Handed(line) => {
                    // The files are handed over, whether somebody reads that or not.
                    let _ = report::say(&line);
                    Ok(())
                }
            }
        }
        Command::Status(args) => report::say(&session::status(&args.dir, args.json)?),
        Command::Master(args) => build_master::run(&args, &Signals::listen(false)?.stop),
        Command::Bench(args) => bench::run(args, &Signals::listen(false)?.stop),
        Command::Devices { json } => report::say(&report::devices(&backend::devices(), json)),
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            report::fail(&e);
            ExitCode::from(e.exit_code())
        }
    }
}
