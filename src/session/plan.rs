//! From a command line to a session that this program holds.

use super::journal::{self, Entry, Journal};
use super::lock::{Holder, Lock};
use super::settings::{self as own, Settings};
use super::{Error, Live, Result, inbox, settings};
use crate::cli::live::{AddArgs, WatchArgs};
use crate::cli::{Cli, Command};
use crate::config::Config;
use crate::config::live::only_path;
use crate::{checkpoint, io, outputs};
use clap::Parser;
use serde_json::{Value, json};
use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Who adds files waits so long for another that does.
const PATIENCE: Duration = Duration::from_secs(120);
/// Time between two looks.
const LOOK: Duration = Duration::from_millis(20);
/// A holder that has not said who it is yet is given so long.
const NAMELESS: Duration = Duration::from_secs(2);

/// A session that this program holds.
pub struct Plan {
    /// How frames are stacked.
    pub config: Config,
    pub(crate) live: Live,
    /// What began the session: arguments, and the folder they were given in.
    pub(crate) about: Value,
    pub(crate) settings: Settings,
    /// Only what is handed over is stacked, then it ends.
    pub(crate) once: bool,
    /// Whether the first backend has been tried: the next one goes on, whatever `--fresh` says.
    pub(crate) begun: Cell<bool>,
    pub(crate) lock: Lock,
}

/// What `add` comes to.
pub enum Start {
    /// This program stacks the files.
    Run(Box<Plan>),
    /// Another one does, as this line says.
    Handed(String),
}

impl Plan {
    /// For `watch`, given as `command` (the arguments after the program's name) in the folder `cwd`.
    ///
    /// # Errors
    /// [`Error::InUse`] where another program holds the session, or where its settings differ; those of wrong usage;
    /// [`Error::NoFolder`] where the input folder does not exist.
    pub fn watch(args: WatchArgs, command: &[String], cwd: &Path) -> Result<Plan> {
        let reload = args.live.reload;
        let darks = args.live.fresh || usual_darks(&cwd.join(&args.out));
        let (config, live) = settings(args, cwd, darks)?;
        let begun = super::folder(&config.out).join(journal::NAME).exists();
        if reload && !begun {
            return Err(no_session(&config.out));
        }
        // A session that goes on waits for its folder: its share may be away.
        if let Some(folder) = live.folder.as_ref().filter(|f| !f.is_dir() && !begun) {
            return Err(Error::NoFolder { what: "input", path: folder.clone() });
        }
        let folder = create(&config.out)?;
        let start = Instant::now();
        let lock = loop {
            match Lock::take(&folder, "watch")? {
                Ok(lock) => break lock,
                // It has a frame or two in hand.
                Err(holder) if holder.what == "add" && start.elapsed() < PATIENCE => std::thread::sleep(LOOK),
                Err(holder) => return Err(in_use(&holder, &folder)),
            }
        };
        Plan::new(config, live, command, cwd, lock, false)
    }

    /// For `add`: hands the files to whoever holds the session, or takes it.
    ///
    /// # Errors
    /// [`Error::NoSession`] where there is none and one is asked for; as [`Plan::watch`].
    pub fn add(args: AddArgs, command: &[String], cwd: &Path) -> Result<Start> {
        let out = cwd.join(&args.session);
        let folder = super::folder(&out);
        if args.reload && !folder.join(journal::NAME).exists() {
            return Err(no_session(&out));
        }
        let files = files(&args, &out, cwd)?;
        // Flags that are none are said before anything is done.
        from(Command::Add(Box::new(args.clone())), &out, cwd)?;
        create(&out)?;
        let request = inbox::put(&folder, &files)?;
        let plan = Plan::adding(&args, (&folder, &out), &request, command, cwd);
        if plan.is_err() {
            // Nobody is to stack later what was refused now.
            let _ = std::fs::remove_file(&request);
        }
        plan
    }

    fn adding(
        args: &AddArgs,
        (folder, out): (&Path, &Path),
        request: &Path,
        command: &[String],
        cwd: &Path,
    ) -> Result<Start> {
        let lock = match acquire(folder, request)? {
            Ok(lock) => lock,
            Err(line) => return Ok(Start::Handed(line)),
        };
        let (mut config, mut live, command, origin) = reopened(args, folder, out, command, cwd)?;
        config.json = args.flags.json;
        config.timings = args.flags.timings;
        (live.folder, live.fresh, live.max_frames) = (None, false, None);
        Plan::new(config, live, &command, &origin, lock, true).map(|plan| Start::Run(Box::new(plan)))
    }

    fn new(
        config: Config,
        live: Live,
        command: &[String],
        cwd: &Path,
        lock: Lock,
        once: bool,
    ) -> Result<Plan> {
        let settings = own::of(&config)?;
        let about = json!({
            "version": journal::VERSION,
            "id": format!("{:x}-{:x}", super::stamp(), std::process::id()),
            "started": super::clock(),
            "program": crate::summary::software(),
            "command": command,
            "cwd": cwd.to_string_lossy(),
            "settings": settings,
        });
        let plan = Plan { config, live, about, settings, once, begun: Cell::new(false), lock };
        plan.check()?;
        Ok(plan)
    }

    /// Refuses a session that was begun with other settings.
    fn check(&self) -> Result<()> {
        let folder = super::folder(&self.config.out);
        if self.live.fresh {
            return Ok(());
        }
        let entries = journal::valid(Journal::open(&folder)?.entries);
        let Some(about) = entries.iter().find_map(|(_, e)| match e {
            Entry::Session(about) => Some(about),
            _ => None,
        }) else {
            return Ok(());
        };
        let wrong = |what: String| Error::InUse { what, path: folder.clone() };
        if about["version"].as_u64() > Some(journal::VERSION) {
            return Err(wrong(
                "the session is of a newer livestack: use that, or begin anew with watch --fresh".into(),
            ));
        }
        let session: Settings = serde_json::from_value(about["settings"].clone()).unwrap_or_default();
        let differences = own::differences(&session, &self.settings, usual_rules(&entries));
        if differences.is_empty() {
            return Ok(());
        }
        let what = format!(
            "the session was begun with other settings: {}: use its own, or begin anew with watch --fresh",
            differences.join("; ")
        );
        Err(wrong(what))
    }

    /// Puts what an older session left aside, once: its journal stays under a number, its checkpoints go.
    pub(crate) fn clear(&self) -> Result<()> {
        let folder = super::folder(&self.config.out);
        if !self.live.fresh || self.begun.replace(true) {
            return Ok(());
        }
        let path = folder.join(journal::NAME);
        if path.exists() {
            let free = (1..).map(|k| folder.join(format!("journal-{k}.jsonl"))).find(|p| !p.exists());
            if let Some(aside) = free {
                let cannot = |e| Error::io("cannot put the older journal aside", &path, e);
                std::fs::rename(&path, aside).map_err(cannot)?;
            }
        }
        for name in checkpoint::NAMES {
            let _ = std::fs::remove_file(folder.join(name));
        }
        Ok(())
    }
}

fn create(out: &Path) -> Result<PathBuf> {
    let folder = super::folder(out);
    std::fs::create_dir_all(&folder)
        .map_err(|e| Error::io("cannot create the folder of the session", &folder, e))?;
    Ok(folder)
}

fn no_session(out: &Path) -> Error {
    let what = "no session to go on with: begin one with livestack watch, or livestack add".into();
    Error::NoSession { what, path: out.to_owned() }
}

pub(super) fn in_use(holder: &Holder, folder: &Path) -> Error {
    Error::InUse {
        what: format!("the session is in use by {holder}: stop it first, or choose another --out"),
        path: folder.to_owned(),
    }
}

/// The lock, or a line about who takes the files of `request`.
fn acquire(folder: &Path, request: &Path) -> Result<std::result::Result<Lock, String>> {
    let start = Instant::now();
    loop {
        let holder = match Lock::take(folder, "add")? {
            Ok(lock) => return Ok(Ok(lock)),
            Err(holder) => holder,
        };
        let watched = holder.what == "watch" || holder.what.is_empty() && start.elapsed() > NAMELESS;
        if watched || !request.exists() || start.elapsed() > PATIENCE {
            return Ok(Err(format!("handed to {holder}")));
        }
        std::thread::sleep(LOOK);
    }
}

/// The files that `add` is about, with whole paths.
fn files(args: &AddArgs, out: &Path, cwd: &Path) -> Result<Vec<PathBuf>> {
    let Some(newest) = &args.newest else {
        if args.files.is_empty() {
            return Err(Error::Usage("no frame given: name one or more files to add".into()));
        }
        return Ok(args.files.iter().map(|file| only_path(&cwd.join(file))).collect());
    };
    let dir = only_path(&cwd.join(newest));
    if !dir.is_dir() {
        return Err(Error::NoFolder { what: "input", path: dir });
    }
    let own = |path: &Path| outputs::is_output(out, args.flags.name.as_deref(), path);
    let mut timed: Vec<_> = io::list_images(&dir)?
        .images
        .into_iter()
        .filter(|path| !own(path))
        .map(|path| (std::fs::metadata(&path).and_then(|m| m.modified()).ok(), path))
        .collect();
    // Listed by name already: files of one moment keep that order.
    timed.sort_by_key(|(time, _)| *time);
    let skip = match args.flags.last.unwrap_or(1) {
        0 => 0,
        count => timed.len().saturating_sub(count),
    };
    let files: Vec<PathBuf> = timed.into_iter().skip(skip).map(|(_, path)| path).collect();
    if files.is_empty() {
        return Err(Error::NothingStacked(format!("no frames found to add: {}", dir.display())));
    }
    Ok(files)
}

/// Settings, the command that stands for them and where it was given: those of the session, where there is one, else the
/// flags of `add` itself.
fn reopened(
    args: &AddArgs,
    folder: &Path,
    out: &Path,
    command: &[String],
    cwd: &Path,
) -> Result<(Config, Live, Vec<String>, PathBuf)> {
    let entries = journal::valid(Journal::open(folder)?.entries);
    let about = entries.iter().find_map(|(_, e)| match e {
        Entry::Session(about) => Some(about.clone()),
        _ => None,
    });
    let given = || from(Command::Add(Box::new(args.clone())), out, cwd);
    let Some(about) = about else {
        let (config, live) = given()?;
        return Ok((config, live, command.to_owned(), cwd.to_owned()));
    };
    let words: Vec<String> = serde_json::from_value(about["command"].clone()).unwrap_or_default();
    let origin = PathBuf::from(about["cwd"].as_str().unwrap_or_default());
    let broken = |e: String| Error::InUse {
        what: format!("the session's own settings cannot be read: {e}: begin anew with watch --fresh"),
        path: folder.to_owned(),
    };
    let argv = std::iter::once("livestack".to_owned()).chain(words.iter().cloned());
    let cli = Cli::try_parse_from(argv).map_err(|e| broken(e.kind().to_string()))?;
    let (config, live) = from(cli.command, out, &origin)?;
    // Flags may be left out after the first call; those of the stack, if given, must be the session's.
    let bare = AddArgs { flags: bare_flags()?, ..args.clone() };
    let usual = from(Command::Add(Box::new(bare)), out, cwd)?.0;
    let (given, its) = given()?;
    let stack = own::of(&given)?;
    let differs = || Ok(!own::differences(&own::of(&config)?, &stack, usual_rules(&entries)).is_empty());
    if stack != own::of(&usual)? && differs()? {
        return Ok((given, its, words, origin));
    }
    Ok((overlaid(config, given, &usual), live, words, origin))
}

/// Whether a folder of darks in the usual place counts: not where a session was begun without it.
fn usual_darks(out: &Path) -> bool {
    let folder = super::folder(out);
    if !folder.join(journal::NAME).exists() {
        return true;
    }
    let entries = Journal::open(&folder).map(|found| found.entries).unwrap_or_default();
    let about =
        entries.iter().find_map(|(_, e)| if let Entry::Session(about) = e { Some(about) } else { None });
    about.is_none_or(|about| about["settings"]["--dark"].is_string())
}

/// What the usual rules are for the frames of a session that has some.
fn usual_rules(entries: &[(u64, Entry)]) -> Option<&str> {
    entries.iter().rev().find_map(|(_, e)| match e {
        Entry::Begun(about) => about["usual"].as_str(),
        _ => None,
    })
}

/// The flags of `add` where none is given.
fn bare_flags() -> Result<crate::cli::StackFlags> {
    match Cli::try_parse_from(["livestack", "add", "frame"]).map(|cli| cli.command) {
        Ok(Command::Add(args)) => Ok(args.flags),
        _ => Err(Error::Usage("add: it cannot do without flags".into())),
    }
}

/// The settings of a session, with those of `given` that change nothing of the stack and are not `usual`.
fn overlaid(session: Config, given: Config, usual: &Config) -> Config {
    macro_rules! chosen {
        ($($field:ident),*) => {
            Config { $($field: if given.$field == usual.$field { session.$field } else { given.$field },)* ..session }
        };
    }
    chosen!(name, formats, stretch, linked, gain, backend, adapter, debug_frames)
}

fn from(command: Command, out: &Path, cwd: &Path) -> Result<(Config, Live)> {
    let args = match command {
        Command::Watch(args) => WatchArgs { out: out.to_owned(), ..*args },
        Command::Add(args) => {
            let cli = Cli::try_parse_from(["livestack", "watch"]);
            match cli.map(|cli| cli.command) {
                Ok(Command::Watch(watch)) => WatchArgs { out: out.to_owned(), flags: args.flags, ..*watch },
                _ => return Err(Error::Usage("add: its flags make no session".into())),
            }
        }
        _ => return Err(Error::Usage("the session was begun by neither watch nor add".into())),
    };
    settings(args, cwd, usual_darks(out))
}
