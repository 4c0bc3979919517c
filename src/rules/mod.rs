//! The accumulation rules: how an aligned, calibrated sample i joins the stack s.
//!
//! A rule is one file here, one under `shaders/rules/` and one line in `rules!`. Values are in level units; n is
//! the number of stacked frames with this one included. The first stacked frame is the stack, whatever the rule.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

pub mod add;
pub mod add2;
pub mod addcomp;
pub mod addmax;
pub mod addmax2;
pub mod addmean;
pub mod mean;

/// What a rule may use besides s and i.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// Stacked frames, this one included.
    pub n: f32,
    /// The level that stands for 1.
    pub white: f32,
}

/// An accumulation rule.
pub trait Rule {
    /// The rule's name on the command line; upper case it names the outputs.
    const NAME: &'static str;
    /// One line of help.
    const HELP: &'static str;
    /// Its WGSL: `fn rule_NAME(s: f32, i: f32, seen: f32, n: f32, white: f32) -> f32`.
    const SOURCE: &'static str;
    /// Whether it treats a pixel that the frame does not cover as missing (`mean`) or as i = 0 (the others).
    const COVERAGE: bool = false;
    /// Whether what is shown is divided by its own maximum.
    const SHOWN_BY_MAX: bool = false;
    /// The new s. `seen` is the number of frames that cover the pixel, this one included; 0 where it does not.
    fn update(s: f32, i: f32, seen: f32, step: &Step) -> f32;
}

/// Applies rule `R` to a span of a row: `s` and `i` in level units, `seen` as in [`Rule::update`].
#[inline(always)]
fn span<R: Rule>(s: &mut [f32], i: &[f32], seen: &[f32], step: &Step) {
    if step.n <= 1.0 {
        s.copy_from_slice(i);
        return;
    }
    if R::COVERAGE {
        for ((s, &i), &seen) in s.iter_mut().zip(i).zip(seen) {
            *s = R::update(*s, i, seen, step);
        }
    } else {
        for (s, &i) in s.iter_mut().zip(i) {
            *s = R::update(*s, i, 0.0, step);
        }
    }
}

macro_rules! rules {
    ($($variant:ident = $code:literal in $module:ident, state $state:ident;)*) => {
        /// An accumulation rule by name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[repr(u32)]
        pub enum Method {
            $(#[doc = concat!("The rule `", stringify!($module), "`.")] $variant = $code,)*
        }

        impl Method {
            /// Every rule, in the table's order.
            pub const ALL: &'static [Method] = &[$(Method::$variant),*];

            /// Name on the command line.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Method::$variant => $module::$variant::NAME,)* }
            }

            /// One line of help.
            #[must_use]
            pub fn help(self) -> &'static str {
                match self { $(Method::$variant => $module::$variant::HELP,)* }
            }

            /// Whether it counts the frames that cover a pixel.
            #[must_use]
            pub fn coverage(self) -> bool {
                match self { $(Method::$variant => $module::$variant::COVERAGE,)* }
            }

            /// Whether what is shown is divided by its own maximum.
            #[must_use]
            pub fn shown_by_max(self) -> bool {
                match self { $(Method::$variant => $module::$variant::SHOWN_BY_MAX,)* }
            }

            /// The rule whose state this one shows: rules that differ only in how they are shown share it.
            #[must_use]
            pub fn state(self) -> Method {
                match self { $(Method::$variant => Method::$state,)* }
            }

            /// The rule with code `code`, the number that the shader knows it by.
            #[must_use]
            pub fn from_code(code: u32) -> Option<Method> {
                Method::ALL.iter().copied().find(|m| *m as u32 == code)
            }

            /// WGSL of every rule that has a state of its own, and the function that chooses among them: by selection,
            /// since branches cost the smallest GPUs more than a few operations in vain.
            #[must_use]
            pub fn shader() -> String {
                let mut text = String::new();
                let mut cases = String::new();
                for m in Method::ALL.iter().copied().filter(|m| m.state() == *m) {
                    let (name, source) = match m { $(Method::$variant => ($module::$variant::NAME, $module::$variant::SOURCE),)* };
                    text.push_str(source);
                    cases.push_str(&format!("    v = select(v, rule_{name}(s, i, seen, n, white), rule == {}u);\n", m as u32));
                }
                format!("{text}\nfn apply_rule(rule: u32, s: f32, i: f32, seen: f32, n: f32, white: f32) -> f32 {{\n    var v = s;\n{cases}    return v;\n}}\n")
            }

            /// Applies the rule to a span of a row, all in level units; `seen` as in [`Rule::update`].
            #[inline(always)]
            pub fn apply(self, s: &mut [f32], i: &[f32], seen: &[f32], step: &Step) {
                match self { $(Method::$variant => span::<$module::$variant>(s, i, seen, step),)* }
            }
        }
    };
}

rules! {
    Add = 0 in add, state Add;
    Add2 = 1 in add2, state Add2;
    AddMax = 2 in addmax, state AddMax;
    AddMax2 = 3 in addmax2, state AddMax;
    AddMean = 4 in addmean, state AddMean;
    AddComp = 5 in addcomp, state AddComp;
    Mean = 6 in mean, state Mean;
}

impl Method {
    /// What `all` stands for: the six published rules.
    pub const SIX: &'static [Method] =
        &[Method::Add, Method::Add2, Method::AddMax, Method::AddMax2, Method::AddMean, Method::AddComp];

    /// The rules named in `list` (comma or space separated, any case, `all` allowed), each once, in that order.
    ///
    /// # Errors
    /// [`Error::Usage`] naming the word that is no rule.
    pub fn parse_list(list: &str) -> Result<Vec<Method>> {
        let mut out: Vec<Method> = Vec::new();
        for word in list.split([',', ' ']).filter(|w| !w.is_empty()) {
            let found = match word.to_ascii_lowercase().as_str() {
                "all" => Method::SIX.to_vec(),
                w => Method::ALL.iter().copied().filter(|m| m.name() == w).collect(),
            };
            if found.is_empty() {
                let names: Vec<_> = Method::ALL.iter().map(|m| m.name()).collect();
                return Err(Error::Usage(format!(
                    "unknown method: {word}: choose from {} or all",
                    names.join(" ")
                )));
            }
            out.extend(found.into_iter().filter(|m| !out.contains(m)).collect::<Vec<_>>());
        }
        if out.is_empty() {
            return Err(Error::Usage("no method given: name one, for instance addcomp".into()));
        }
        Ok(out)
    }

    /// The distinct states that `methods` need, in order of first use.
    #[must_use]
    pub fn states(methods: &[Method]) -> Vec<Method> {
        let mut out: Vec<Method> = Vec::new();
        for m in methods {
            if !out.contains(&m.state()) {
                out.push(m.state());
            }
        }
        out
    }
}
