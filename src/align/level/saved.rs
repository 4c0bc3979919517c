//! A level of the template in stored values. Its pixels on the device are those that the host holds too.

use super::{Level, Mean, Plane};
use crate::align::select::CAPACITY;
use crate::backend::Backend;
use crate::error::Result;
use crate::kernels::sample::AREA;
use serde::{Deserialize, Serialize};

/// What is stored of a [`Level`]; its plane follows from the frames' size.
#[derive(Serialize, Deserialize)]
pub(in crate::align) struct SavedLevel {
    centres: Vec<(i32, i32)>,
    window: f32,
    mean: Mean,
    off: Vec<bool>,
}

impl SavedLevel {
    /// Why it cannot be a level, if so: its lists must be as long as it has patches, which must fit the device's buffers.
    fn fault(&self) -> Option<&'static str> {
        let SavedLevel { centres, window: _, mean: Mean { px, sums, counts }, off } = self;
        let count = centres.len();
        if count > CAPACITY {
            return Some("the template has too many patches");
        }
        let whole = px.len() == count * AREA && sums.len() == px.len() && counts.len() == count;
        (!whole || off.len() > count).then_some("the template's patches do not go together")
    }
}

impl<B: Backend> Level<B> {
    /// What is stored of it.
    pub(in crate::align) fn saved(&self) -> SavedLevel {
        let Level { plane: _, centres, window, template_px: _, mean, off } = self;
        SavedLevel { centres: centres.clone(), window: *window, mean: mean.clone(), off: off.clone() }
    }

    /// The level that `saved` was of, of `plane`; or why it is none.
    ///
    /// # Errors
    /// Where the device fails.
    pub(in crate::align) fn restored(
        backend: &mut B,
        plane: Plane,
        saved: SavedLevel,
    ) -> Result<std::result::Result<Self, &'static str>> {
        if let Some(why) = saved.fault() {
            return Ok(Err(why));
        }
        let SavedLevel { centres, window, mean, off } = saved;
        let template_px = backend.alloc("template", mean.px.len().max(AREA))?;
        let mut level = Level { plane, centres, window, template_px, mean, off };
        level.publish(backend)?;
        Ok(Ok(level))
    }
}
