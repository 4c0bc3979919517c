//! `addcomp`: the running mean over the stacked frames: s + (i - s) / n.

use super::{Rule, Step};

/// The rule.
pub struct AddComp;

impl Rule for AddComp {
    const NAME: &'static str = "addcomp";
    const HELP: &'static str = "running mean over all frames";
    const SOURCE: &'static str = include_str!("../../shaders/rules/addcomp.wgsl");

    #[inline(always)]
    fn update(s: f32, i: f32, seen: f32, step: &Step) -> f32 {
        let _ = seen;
        s + (i - s) / step.n
    }
}
