//! The command line of the original script, rewritten to livestack's own before it is parsed.
//!
//! `-input_dir in -mode LOOP` becomes `watch --out=output in`: flags with one dash, no subcommand, values in upper or
//! lower case. Flags with two dashes may stand among them and go through as they are. What does not begin with a dash,
//! and what names none of the old flags, is left alone.

use crate::error::{Error, Result};
use std::ffi::{OsStr, OsString};

/// The old flags; each has a value.
const FLAGS: [&str; 8] =
    ["input_dir", "output_dir", "dark_dir", "output_image", "method", "mode", "number", "reload"];
/// Where `-input_dir` is not given.
const INPUT: &str = "input";
/// Where `-output_dir` is not given.
const OUTPUT: &str = "output";
/// Extensions of a picture's name, and the format that each stands for; none: the default.
const EXTENSIONS: [(&str, Option<&str>); 8] = [
    (".png", Some("png")),
    (".tif", Some("tiff16")),
    (".tiff", Some("tiff16")),
    (".fits", Some("fits")),
    (".fit", Some("fits")),
    (".jpg", None),
    (".jpeg", None),
    (".bmp", None),
];
/// Where a usage error points.
const TABLE: &str = "see the table in README.md, Coming from the original script";

/// The arguments in livestack's own form.
///
/// * `args` - the program's name first, as [`std::env::args_os`] gives them.
/// * returns them untouched where they are not in the old form.
///
/// # Errors
/// [`Error::Usage`] naming the flag: one that the original script did not have, one without its value, or with a value
/// that it does not take.
pub fn rewrite(args: Vec<OsString>) -> Result<Vec<OsString>> {
    let dashed = args.get(1).is_some_and(|first| first.as_encoded_bytes().starts_with(b"-"));
    if !dashed || !args[1..].iter().any(|arg| old_flag(arg).is_some()) {
        return Ok(args);
    }
    let mut args = args.into_iter();
    let program = args.next().unwrap_or_default();
    let old = Old::read(args)?;
    let mut new = vec![program];
    new.extend(old.renewed()?);
    Ok(new)
}

/// The old flag that `arg` is, and its value where it follows after `=`.
fn old_flag(arg: &OsStr) -> Option<(&'static str, Option<OsString>)> {
    // Paths are not always UTF-8, names of flags are.
    let Some(text) = arg.to_str() else { return not_utf8(arg) };
    let (name, value) = match text.strip_prefix('-')?.split_once('=') {
        Some((name, value)) => (name, Some(OsString::from(value))),
        None => (text.strip_prefix('-')?, None),
    };
    FLAGS.into_iter().find(|&flag| flag == name).map(|flag| (flag, value))
}

/// The same for an `arg` that is not UTF-8: the value may be any bytes of a path.
#[cfg(unix)]
fn not_utf8(arg: &OsStr) -> Option<(&'static str, Option<OsString>)> {
    use std::os::unix::ffi::{OsStrExt, OsStringExt};

    let bytes = arg.as_bytes().strip_prefix(b"-")?;
    let end = bytes.iter().position(|&b| b == b'=')?;
    let flag = FLAGS.into_iter().find(|flag| flag.as_bytes() == &bytes[..end])?;
    Some((flag, Some(OsString::from_vec(bytes[end + 1..].to_vec()))))
}

/// The same: elsewhere such an argument is no flag.
#[cfg(not(unix))]
fn not_utf8(_: &OsStr) -> Option<(&'static str, Option<OsString>)> {
    None
}

/// An old command line.
#[derive(Default)]
struct Old {
    /// In the order of [`FLAGS`]; the last of several counts.
    values: [Option<OsString>; FLAGS.len()],
    /// New flags with their values.
    rest: Vec<OsString>,
}

impl Old {
    fn read(args: impl Iterator<Item = OsString>) -> Result<Self> {
        let mut old = Old::default();
        let mut args = args.peekable();
        while let Some(arg) = args.next() {
            if let Some((flag, value)) = old_flag(&arg) {
                let value = value.or_else(|| args.next_if(|next| old_flag(next).is_none()));
                let value = value
                    .ok_or_else(|| Error::Usage(format!("-{flag} expects a value, got none: {TABLE}")))?;
                for (known, place) in FLAGS.into_iter().zip(&mut old.values) {
                    if known == flag {
                        *place = Some(value.clone());
                    }
                }
            } else if arg.as_encoded_bytes().starts_with(b"--") {
                old.rest.push(arg);
                // Its value, if it has one: the old form has no words of its own.
                let word = |next: &OsString| !next.as_encoded_bytes().starts_with(b"-");
                old.rest.extend(args.next_if(word));
            } else {
                return Err(Error::Usage(format!(
                    "unknown flag among those of the original script: {}: {TABLE}",
                    arg.display()
                )));
            }
        }
        Ok(old)
    }

    fn value(&self, flag: &str) -> Option<&OsStr> {
        let at = FLAGS.iter().position(|&known| known == flag)?;
        self.values[at].as_deref()
    }

    /// The value of a flag that is a word, in lower case.
    fn word(&self, flag: &str) -> Option<String> {
        Some(self.value(flag)?.to_string_lossy().trim().to_lowercase())
    }

    /// The same command in the new form, without the program's name.
    fn renewed(self) -> Result<Vec<OsString>> {
        let number = match self.word("number") {
            None => 0,
            Some(text) => text.parse::<usize>().map_err(|_| {
                Error::Usage(format!("-number expects a whole number, 0 for all, got {text:?}: {TABLE}"))
            })?,
        };
        let wrong = |flag: &str, choices: &str, got: &str| {
            Err(Error::Usage(format!("-{flag} expects {choices}, got {got:?}: {TABLE}")))
        };
        let reload = match self.word("reload").as_deref() {
            None | Some("no") => false,
            Some("yes") => true,
            Some(other) => return wrong("reload", "YES or NO", other),
        };
        let input = self.value("input_dir").unwrap_or(OsStr::new(INPUT));
        let output = self.value("output_dir").unwrap_or(OsStr::new(OUTPUT));
        let mut new: Vec<OsString> = match (self.word("mode").as_deref(), reload) {
            // It resumes by itself.
            (Some("loop"), true) => vec!["watch".into(), joined("--out", output), "--reload".into()],
            (Some("loop"), false) => vec!["watch".into(), joined("--out", output)],
            (None | Some("1"), false) => vec!["stack".into(), joined("--out", output)],
            (None | Some("1"), true) => {
                vec!["add".into(), joined("--newest", input), joined("--session", output), "--reload".into()]
            }
            (Some(other), _) => return wrong("mode", "1 or LOOP", other),
        };
        let adds = new[0] == "add";
        // The newest one is what `add --newest` takes unless it is told otherwise.
        if adds && number != 1 || !adds && number > 0 {
            new.push(format!("--last={number}").into());
        }
        new.extend(self.settings());
        if !adds {
            new.push(positional(input));
        }
        Ok(new)
    }

    /// What the three subcommands take alike.
    fn settings(&self) -> Vec<OsString> {
        let mut new: Vec<OsString> = Vec::new();
        new.extend(self.value("dark_dir").map(|dir| joined("--dark", dir)));
        if let Some(methods) = self.word("method") {
            let methods: Vec<&str> = methods.split(',').map(str::trim).collect();
            new.push(format!("--method={}", methods.join(",")).into());
        }
        if let Some(name) = self.value("output_image") {
            let (stem, format) = picture(name);
            new.push(joined("--name", &stem));
            new.extend(format.map(|format| format!("--format={format}").into()));
        }
        new.extend(self.rest.iter().cloned());
        new
    }
}

/// `flag=value`: a value may begin with a dash.
fn joined(flag: &str, value: &OsStr) -> OsString {
    let mut arg = OsString::from(flag);
    arg.push("=");
    arg.push(value);
    arg
}

/// A path that is not taken for a flag.
fn positional(path: &OsStr) -> OsString {
    let mut arg = OsString::new();
    if path.as_encoded_bytes().starts_with(b"-") {
        arg.push("./");
    }
    arg.push(path);
    arg
}

/// The name of a picture without its extension, and the format that the extension stands for.
fn picture(name: &OsStr) -> (OsString, Option<&'static str>) {
    let Some(text) = name.to_str() else { return (name.to_owned(), None) };
    let lower = text.to_ascii_lowercase();
    let known = EXTENSIONS.into_iter().find(|(e, _)| lower.len() > e.len() && lower.ends_with(e));
    known.map_or((name.to_owned(), None), |(e, format)| (text[..text.len() - e.len()].into(), format))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(line: &str) -> Result<String> {
        let args = std::iter::once("livestack").chain(line.split_whitespace()).map(OsString::from);
        let new = rewrite(args.collect())?;
        let words: Vec<_> = new.iter().map(|arg| arg.to_string_lossy().into_owned()).collect();
        Ok(words[1..].join(" "))
    }

    #[test]
    fn every_row_of_the_table() {
        let rows = [
            ("-mode 1", "stack --out=output input"),
            ("-input_dir a", "stack --out=output a"),
            ("-output_dir b", "stack --out=b input"),
            ("-dark_dir d", "stack --out=output --dark=d input"),
            ("-output_image M45", "stack --out=output --name=M45 input"),
            ("-output_image M45.png", "stack --out=output --name=M45 --format=png input"),
            ("-output_image M45.TIF", "stack --out=output --name=M45 --format=tiff16 input"),
            ("-output_image M45.fits", "stack --out=output --name=M45 --format=fits input"),
            ("-output_image M45.jpg", "stack --out=output --name=M45 input"),
            ("-output_image 2026.11.22", "stack --out=output --name=2026.11.22 input"),
            ("-output_image .png", "stack --out=output --name=.png input"),
            ("-method ADDCOMP,MEAN", "stack --out=output --method=addcomp,mean input"),
            ("-method ALL", "stack --out=output --method=all input"),
            ("-number 0", "stack --out=output input"),
            ("-number 5 -reload NO", "stack --out=output --last=5 input"),
            ("-mode LOOP", "watch --out=output input"),
            ("-mode loop -number 5", "watch --out=output --last=5 input"),
            ("-mode LOOP -reload YES", "watch --out=output --reload input"),
            ("-number 1 -reload YES", "add --newest=input --session=output --reload"),
            ("-number 3 -reload yes", "add --newest=input --session=output --reload --last=3"),
            ("-reload YES", "add --newest=input --session=output --reload --last=0"),
        ];
        for (old, new) in rows {
            assert_eq!(rewritten(old).expect(old), new, "{old}");
        }
    }

    #[test]
    fn values_after_an_equals_sign_and_any_order() {
        let new = rewritten("-reload=YES -input_dir=a=b -number=1 -method=Add -output_dir=-x -dark_dir -d");
        assert_eq!(new.expect("old"), "add --newest=a=b --session=-x --reload --dark=-d --method=add");
        assert_eq!(rewritten("-mode 1 -input_dir -x").expect("old"), "stack --out=output ./-x");
        assert_eq!(
            rewritten("-mode 1 -mode LOOP").expect("old"),
            "watch --out=output input",
            "the last counts"
        );
    }

    #[test]
    fn new_flags_go_through() {
        let new = rewritten("-mode LOOP --backend cpu --json -number 2 --poll=3").expect("old");
        assert_eq!(new, "watch --out=output --last=2 --backend cpu --json --poll=3 input");
    }

    #[test]
    fn what_is_not_in_the_old_form_is_left_alone() {
        for line in
            ["", "stack in -o out", "stack -mode", "--help", "-h", "-V", "devices --json", "-x", "--mode 1"]
        {
            assert_eq!(rewritten(line).expect(line), line);
        }
        assert!(rewrite(Vec::new()).expect("no program").is_empty());
    }

    #[test]
    fn mistakes_are_named() {
        for (line, named) in [
            ("-mode 2", "-mode expects 1 or LOOP, got \"2\""),
            ("-number -1", "-number expects a whole number, 0 for all, got \"-1\""),
            ("-number 1.5", "-number"),
            ("-reload maybe", "-reload expects YES or NO, got \"maybe\""),
            ("-mode", "-mode expects a value"),
            ("-output_image -method ADD", "-output_image expects a value"),
            ("-mode 1 -fancy 3", "unknown flag among those of the original script: -fancy"),
            ("-fancy -mode 1", "-fancy"),
            ("-mode 1 stray", "stray"),
        ] {
            let error = rewritten(line).expect_err(line);
            assert_eq!(error.exit_code(), crate::error::exit::USAGE);
            let text = error.to_string();
            assert!(text.contains(named) && text.contains("README"), "{line}: {text}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn paths_of_any_bytes_survive() {
        use std::os::unix::ffi::OsStringExt;

        let path = |start: &[u8]| OsString::from_vec([start, b"n\xff\xfe"].concat());
        let args = vec!["livestack".into(), path(b"-input_dir="), "-dark_dir".into(), path(b"")];
        let new = rewrite(args).expect("old");
        assert_eq!(new[1..], ["stack".into(), "--out=output".into(), path(b"--dark="), path(b"")]);
    }
}
