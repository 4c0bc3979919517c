//! `addmax2`: the state of `addmax`, shown divided by its own maximum.

use super::{Rule, Step};

/// The rule.
pub struct AddMax2;

impl Rule for AddMax2 {
    const NAME: &'static str = "addmax2";
    const HELP: &'static str = "brightest sample, shown divided by its maximum";
    const SOURCE: &'static str = include_str!("../../shaders/rules/addmax.wgsl");
    const SHOWN_BY_MAX: bool = true;

    #[inline(always)]
    fn update(s: f32, i: f32, seen: f32, step: &Step) -> f32 {
        super::addmax::AddMax::update(s, i, seen, step)
    }
}
