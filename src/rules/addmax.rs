//! `addmax`: the brightest sample: s = max(s, i).

use super::{Rule, Step};

/// The rule.
pub struct AddMax;

impl Rule for AddMax {
    const NAME: &'static str = "addmax";
    const HELP: &'static str = "brightest sample (star trails)";
    const SOURCE: &'static str = include_str!("../../shaders/rules/addmax.wgsl");

    #[inline(always)]
    fn update(s: f32, i: f32, seen: f32, step: &Step) -> f32 {
        let _ = (seen, step);
        if i > s { i } else { s }
    }
}
