//! `add`: the sum, clipped at white: s = min(1, s + i).

use super::{Rule, Step};

/// The rule.
pub struct Add;

impl Rule for Add {
    const NAME: &'static str = "add";
    const HELP: &'static str = "sum, clipped at white";
    const SOURCE: &'static str = include_str!("../../shaders/rules/add.wgsl");

    #[inline(always)]
    fn update(s: f32, i: f32, seen: f32, step: &Step) -> f32 {
        let _ = seen;
        (s + i).min(step.white)
    }
}
