//! What a night costs when nothing runs beside anything else, as one JSON line: `benches/bars.sh` asks for it.
//!
//!     apart decode FILE...
//!     apart stack [--dark FILE]... [--method LIST] FILE...
//!
//! `decode`: the files one after the other on one thread, as the program decodes them. `stack`: each frame is decoded, then
//! stacked on the CPU backend; milliseconds of each stage, a list over the frames. `RAYON_NUM_THREADS` sets the threads.

#[path = "../benches/common/night.rs"]
mod night;

use livestack::backend::cpu::Cpu;
use livestack::decode::{self, Wish};
use livestack::error::{Error, Result};
use livestack::rules::Method;
use livestack::timing::Timings;
use serde_json::{Map, Value, json};
use std::path::PathBuf;
use std::time::Instant;

const USAGE: &str =
    "expected: apart decode FILE..., or: apart stack [--dark FILE]... [--method LIST] FILE...";

/// What the command line says.
struct Asked {
    darks: Vec<PathBuf>,
    methods: Vec<Method>,
    files: Vec<PathBuf>,
}

fn asked(mut words: impl Iterator<Item = String>) -> Result<Asked> {
    let mut asked = Asked { darks: Vec::new(), methods: vec![Method::AddComp], files: Vec::new() };
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| Error::Usage(USAGE.into()));
        match word.as_str() {
            "--dark" => asked.darks.push(value()?.into()),
            "--method" => asked.methods = Method::parse_list(&value()?)?,
            _ => asked.files.push(word.into()),
        }
    }
    if asked.files.is_empty() { Err(Error::Usage(USAGE.into())) } else { Ok(asked) }
}

/// Decodes `files`; milliseconds of each.
fn decode(files: &[PathBuf]) -> Result<Value> {
    let (mut buffer, mut ms) = (Vec::new(), Vec::new());
    for path in files {
        let start = Instant::now();
        buffer = decode::read(path, buffer, &Wish::default())?.words;
        ms.push(start.elapsed().as_secs_f64() * 1e3);
    }
    Ok(json!({ "files": files.len(), "decode": ms }))
}

/// Milliseconds that each stage took between two states of the clock, and the kernels in all.
fn between(before: &Timings, after: &Timings) -> Vec<(&'static str, f64)> {
    let spent = |name: &'static str| (name, after.ms(name) - before.ms(name));
    let all: Vec<_> = after.spans().iter().map(|s| spent(s.name)).collect();
    let kernels = after.spans().iter().filter(|s| s.kernel).map(|s| spent(s.name).1).sum();
    [vec![("kernels", kernels)], all].concat()
}

/// Stacks `files`; milliseconds of each stage, frame by frame.
fn stack(asked: &Asked) -> Result<Value> {
    let masters = night::masters(&asked.darks)?;
    let mut night = None;
    let mut buffer = Vec::new();
    let mut columns: Map<String, Value> = Map::new();
    for (k, path) in asked.files.iter().enumerate() {
        let start = Instant::now();
        let frame = decode::read(path, buffer, &Wish::default())?;
        let decoded = start.elapsed().as_secs_f64() * 1e3;
        let engine = match &mut night {
            Some(engine) => engine,
            none => none.insert(night::engine(Cpu::default(), &frame, &masters, &asked.methods)?),
        };
        let before = engine.timings();
        buffer = night::stack(engine, frame)?;
        for (stage, ms) in [vec![("decode", decoded)], between(&before, &engine.timings())].concat() {
            let column = columns.entry(stage).or_insert_with(|| json!(vec![0.0; k]));
            if let Value::Array(column) = column {
                column.push(json!(ms));
            }
        }
    }
    columns.insert("files".into(), json!(asked.files.len()));
    Ok(Value::Object(columns))
}

fn main() -> Result<()> {
    let mut words = std::env::args().skip(1);
    let line = match words.next().as_deref() {
        Some("decode") => decode(&asked(words)?.files)?,
        Some("stack") => stack(&asked(words)?)?,
        _ => return Err(Error::Usage(USAGE.into())),
    };
    println!("{line}");
    Ok(())
}
