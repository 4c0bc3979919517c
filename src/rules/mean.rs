//! `mean`: the running mean over the frames that cover the pixel: s + (i - s) / seen.

use super::{Rule, Step};

/// The rule.
pub struct Mean;

impl Rule for Mean {
    const NAME: &'static str = "mean";
    const HELP: &'static str = "running mean over the frames that cover the pixel: no dark borders";
    const SOURCE: &'static str = include_str!("../../shaders/rules/mean.wgsl");
    const COVERAGE: bool = true;

    #[inline(always)]
    fn update(s: f32, i: f32, seen: f32, step: &Step) -> f32 {
        let _ = step;
        // A step of 0 rather than none: a choice of values, not of whether to store, is what vector units do well.
        let (step, seen) = if seen > 0.0 { (i - s, seen) } else { (0.0, 1.0) };
        s + step / seen
    }
}
