//! `add2`: the sum where it stays under white: s + i < 1 ? s + i : s.

use super::{Rule, Step};

/// The rule.
pub struct Add2;

impl Rule for Add2 {
    const NAME: &'static str = "add2";
    const HELP: &'static str = "sum, as long as it stays under white";
    const SOURCE: &'static str = include_str!("../../shaders/rules/add2.wgsl");

    #[inline(always)]
    fn update(s: f32, i: f32, seen: f32, step: &Step) -> f32 {
        let _ = seen;
        if s + i < step.white { s + i } else { s }
    }
}
