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
        if seen > 0.0 { s + (i - s) / seen } else { s }
    }
}
