//! `livestack master`: one master from a folder of frames.

use crate::calibration::Build;
use crate::cli::{MasterArgs, MasterKindArg};
use crate::config::{master_rule, wish};
use crate::error::{Error, Result};
use crate::master::{MasterRule, cache};
use crate::report::Report;
use crate::tags::Kind;
use std::sync::atomic::AtomicBool;

/// Builds what `args` say, until `stop` is set.
///
/// # Errors
/// [`Error::Usage`] for flags that make no sense; as [`Build::run`]; [`Error::Io`] where the master cannot be written.
pub fn run(args: &MasterArgs, stop: &AtomicBool) -> Result<()> {
    let kind = match args.kind {
        MasterKindArg::Dark => Kind::Dark,
        MasterKindArg::Flat => Kind::Flat,
        MasterKindArg::Bias => Kind::Bias,
    };
    let name = args.out.to_string_lossy().to_ascii_lowercase();
    if ![".fits", ".fit", ".fts"].iter().any(|end| name.ends_with(end)) {
        return Err(Error::Usage(format!(
            "a master is a FITS file: end its name in .fits: {}",
            args.out.display()
        )));
    }
    let rule = args.master.map(master_rule).or((kind != Kind::Dark).then_some(MasterRule::Mean));
    let report = Report::new(0, false);
    let build =
        Build { kind, path: &args.dir, rule, place: None, pictures: None, wish: wish(&args.reading)? };
    let (Some(master), _) = build.run(&report, stop, Vec::new())? else {
        report.line("stopped: no master was written");
        return Ok(());
    };
    cache::write(&args.out, None, kind, &master)?;
    report.line(&format!("wrote {}", args.out.display()));
    Ok(())
}
