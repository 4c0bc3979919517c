//! A frame's planes into the stacks: all rules together, channel by channel.

use super::Engine;
use crate::align::motion::Mat3;
use crate::backend::Backend;
use crate::error::Result;
use crate::frame::Shape;
use crate::kernels::accumulate::{self as acc, AccumulateParams, accumulate};
use crate::kernels::coverage::{CoverageParams, coverage};
use crate::kernels::stride;
use crate::photometry::Tone;
use crate::rules::Method;

/// Pedestal of the six rules on signed data, as a share of white.
const PEDESTAL: f32 = 0.05;

impl<B: Backend> Engine<B> {
    /// Adds the planes at hand to the stacks of all rules, warped by `homography`, with the `tones` of their channels.
    pub(super) fn accumulate(&mut self, homography: &Mat3, tones: &[Tone]) -> Result<()> {
        let Shape { width, height, channels, .. } = self.setup.shape;
        let white = self.setup.white;
        self.stacked += 1;
        let pose = acc::Pose::new(homography, width, height);
        let signed = self.plan.signed;
        // `mean` takes no pedestal, the others do: rules that differ in it go in passes of their own.
        for (pedestal, counted) in [(if signed { PEDESTAL * white } else { 0.0 }, false), (0.0, true)] {
            let alike = |m: Method| !signed && !counted || signed && m.coverage() == counted;
            let chosen: Vec<Method> = self.states.iter().map(|s| s.method).filter(|m| alike(*m)).collect();
            for slots in chosen.chunks(acc::SLOTS) {
                let mut op = [0; acc::SLOTS];
                op.iter_mut().zip(slots).for_each(|(o, m)| *o = *m as u32);
                let p = AccumulateParams {
                    row0: 0,
                    rows: 0,
                    width: width as u32,
                    height: height as u32,
                    stride: stride(width) as u32,
                    store: self.plan.format.store as u32,
                    slots: slots.len() as u32,
                    unit: self.plan.format.unit,
                    n: self.stacked as f32,
                    white,
                    pedestal,
                    op,
                    pad: [0; 3],
                    pose,
                };
                for (c, tone) in tones.iter().enumerate().take(channels) {
                    let p = AccumulateParams {
                        unit: p.unit * tone.gain as f32,
                        pedestal: p.pedestal + tone.offset as f32,
                        ..p
                    };
                    let states = self
                        .states
                        .iter_mut()
                        .filter(|s| slots.contains(&s.method))
                        .map(|s| &mut s.planes[c]);
                    accumulate(&mut self.backend, &p, &self.planes[c], self.coverage.as_ref(), states)?;
                }
            }
        }
        let Some(counts) = &mut self.coverage else { return Ok(()) };
        let p = CoverageParams {
            row0: 0,
            rows: 0,
            width: width as u32,
            height: height as u32,
            stride: stride(width) as u32,
            pad: [0; 3],
            pose,
        };
        coverage(&mut self.backend, &p, counts)
    }
}
