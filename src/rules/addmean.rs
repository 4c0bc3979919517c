//! `addmean`: the mean of stack and frame: i > 0 ? (s + i) / 2 : s.

use super::{Rule, Step};

/// The rule.
pub struct AddMean;

impl Rule for AddMean {
    const NAME: &'static str = "addmean";
    const HELP: &'static str = "mean of the stack and the frame: the newest weighs half";
    const SOURCE: &'static str = include_str!("../../shaders/rules/addmean.wgsl");

    #[inline(always)]
    fn update(s: f32, i: f32, seen: f32, step: &Step) -> f32 {
        let _ = (seen, step);
        if i > 0.0 { (s + i) / 2.0 } else { s }
    }
}
