//! What of the settings changes the result: a session goes on only with its own.

use crate::calibration;
use crate::config::Config;
use crate::error::Result;
use crate::judge::Rules;
use crate::master::Wishes;
use crate::rules::Method;
use std::collections::BTreeMap;

/// Setting and value.
pub(crate) type Settings = BTreeMap<String, String>;

/// The rules where nobody names any.
pub(crate) const USUAL: &str = "the usual";
/// A setting that is not there.
const NONE: &str = "none";
/// The setting that names the rules.
const METHOD: &str = "--method";

/// The settings of `config` that change what is stacked.
///
/// # Errors
/// [`crate::error::Error::NoFolder`] where masters are missing.
pub(crate) fn of(config: &Config) -> Result<Settings> {
    let c = &config.calibration;
    let mut all: Settings = calibration::identities(config)?
        .into_iter()
        .map(|(kind, text)| (format!("--{}", kind.name().replace(' ', "-")), text))
        .collect();
    let mut set = |name: &str, value: String| {
        all.insert(name.to_owned(), value);
    };
    set(METHOD, config.methods.as_deref().map_or(USUAL.into(), names));
    set("--motion", config.motion.name().into());
    set("--align-to", format!("{:?}", config.align_to).to_lowercase());
    set("--no-align", (!config.align).to_string());
    set("--poses", config.poses.as_ref().map_or(NONE.into(), |p| format!("a file with CRC {:08x}", p.crc())));
    let Rules { limits, on_change, new_target, restart } = config.rules;
    set("--accept-all", limits.accept_all.to_string());
    set("--min-stars", told(limits.min_stars));
    set("--max-fwhm", told(limits.max_fwhm));
    set("--max-elongation", told(limits.max_elongation));
    set("--on-change", format!("{on_change:?}").to_lowercase());
    set("--restart-on-new-target", told(restart.then_some(new_target)));
    let Wishes { dark_rule, demosaic: _, balance, repair, bin } = c.wishes;
    set("--dark-rule", dark_rule.map_or(USUAL.into(), |rule| format!("{rule:?}").to_lowercase()));
    set("--demosaic", c.wishes.colours().name().into());
    // Sessions that were begun before there was such a setting have none.
    set("--bin", told(Some(bin).filter(|bin| *bin != 1)));
    set("--colour", if balance { "camera" } else { "sensor" }.into());
    set("--keep-hot-pixels", (!repair).to_string());
    set("--bayer", told(config.wish.bayer.map(|bayer| bayer.map_or(NONE, |bayer| bayer.name()))));
    set("--white", told(config.wish.white));
    Ok(all)
}

/// A value, or that there is none.
fn told<T: std::fmt::Display>(value: Option<T>) -> String {
    value.map_or_else(|| NONE.to_owned(), |value| value.to_string())
}

/// Names with commas between.
pub(crate) fn names(methods: &[Method]) -> String {
    methods.iter().map(|m| m.name()).collect::<Vec<_>>().join(",")
}

/// What differs between a session's settings and `own`, for the user; `usual`: what the usual rules are for the session's
/// frames, where it has some.
pub(crate) fn differences(session: &Settings, own: &Settings, usual: Option<&str>) -> Vec<String> {
    let said = |settings: &Settings, name: &str| {
        let value = settings.get(name).map_or(NONE, String::as_str);
        match (name, value, usual) {
            (METHOD, USUAL, Some(usual)) => usual.to_owned(),
            _ => value.to_owned(),
        }
    };
    let mut all: Vec<&String> = session.keys().chain(own.keys()).collect();
    all.sort();
    all.dedup();
    let pairs = all.into_iter().map(|name| (name, said(session, name), said(own, name)));
    pairs
        .filter(|(_, a, b)| a != b)
        .map(|(name, a, b)| format!("{name}: the session has {a}, now {b}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_rules_are_those_of_the_first_frame() {
        let of = |method: &str| Settings::from([(METHOD.to_owned(), method.to_owned())]);
        assert!(differences(&of(USUAL), &of("mean"), Some("mean")).is_empty());
        assert!(differences(&of("mean"), &of(USUAL), Some("mean")).is_empty());
        assert_eq!(differences(&of("mean"), &of(USUAL), Some("addcomp")).len(), 1);
        let mut dark = of("mean");
        dark.insert("--dark".into(), "darks".into());
        assert_eq!(differences(&of("mean"), &dark, None), ["--dark: the session has none, now darks"]);
    }
}
