//! From a calibrated mosaic to colour planes: the stage between `calibrate` and everything else.

use crate::backend::Backend;
use crate::error::Result;
use crate::frame::Shape;
use crate::kernels::demosaic::{DemosaicParams, Method, demosaic};
use crate::kernels::repair::{RepairParams, list_words, repair};
use crate::kernels::stride;
use crate::master::Mosaic;

/// The buffers of the stage.
pub(crate) struct Colours<B: Backend> {
    /// What colours are interpolated from, f32 `[height][stride]`.
    mosaic: B::Buffer,
    /// The mosaic before its hot pixels are repaired, where the first colour plane is too small to lend its room.
    before: Option<B::Buffer>,
    /// Hot pixels that the dark has.
    hot: Option<B::Buffer>,
}

/// What decides how much memory the stage takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    /// Cells become pixels.
    pub(crate) superpixel: bool,
    repairs: bool,
    listed: bool,
}

impl Size {
    pub(crate) fn of(mosaic: &Mosaic) -> Size {
        Size {
            superpixel: mosaic.method == Method::Superpixel,
            repairs: repairs(mosaic),
            listed: mosaic.hot.is_some(),
        }
    }

    /// Words that [`Colours::new`] allocates.
    pub(crate) fn words(&self, frame: &Shape) -> usize {
        let planes = 1 + usize::from(self.repairs && self.superpixel);
        let list = if self.listed { list_words(frame.width) * frame.height } else { 0 };
        planes * stride(frame.width) * frame.height + list
    }
}

/// Whether hot pixels are looked for, or known.
fn repairs(mosaic: &Mosaic) -> bool {
    mosaic.find || mosaic.hot.is_some()
}

impl<B: Backend> Colours<B> {
    /// For frames of shape `frame`.
    ///
    /// # Errors
    /// Where the device has not enough memory.
    pub(crate) fn new(backend: &mut B, frame: &Shape, mosaic: &Mosaic) -> Result<Self> {
        let words = stride(frame.width) * frame.height;
        let lent = mosaic.method != Method::Superpixel;
        Ok(Colours {
            mosaic: backend.alloc("mosaic", words)?,
            before: if repairs(mosaic) && !lent { Some(backend.alloc("raw mosaic", words)?) } else { None },
            hot: match &mosaic.hot {
                Some(_) => Some(backend.alloc("hot pixels", list_words(frame.width) * frame.height)?),
                None => None,
            },
        })
    }

    /// Moves the list of hot pixels to the device.
    ///
    /// # Errors
    /// Where the device fails.
    pub(crate) fn list(&mut self, backend: &mut B, mosaic: &mut Mosaic) -> Result<()> {
        if let (Some(buffer), Some(hot)) = (&mut self.hot, &mut mosaic.hot) {
            backend.upload(buffer, std::mem::take(&mut hot.words))?;
        }
        Ok(())
    }

    /// Where the calibrated mosaic goes: one buffer.
    pub(crate) fn input<'a>(
        &'a mut self,
        planes: &'a mut [B::Buffer],
        mosaic: &Mosaic,
    ) -> &'a mut [B::Buffer] {
        match &mut self.before {
            Some(before) => std::slice::from_mut(before),
            None if repairs(mosaic) => &mut planes[..1],
            None => std::slice::from_mut(&mut self.mosaic),
        }
    }

    /// Makes the colour `planes` of the mosaic of `size` that [`Colours::input`] was filled with.
    ///
    /// # Errors
    /// Where the device fails.
    pub(crate) fn make(
        &mut self,
        backend: &mut B,
        size: (usize, usize),
        mosaic: &Mosaic,
        planes: &mut [B::Buffer],
    ) -> Result<()> {
        if repairs(mosaic) {
            let p = RepairParams::new(size, mosaic.find);
            let before = self.before.as_ref().unwrap_or(&planes[0]);
            repair(backend, &p, before, self.hot.as_ref(), &mut self.mosaic)?;
        }
        let p = DemosaicParams::new(size, mosaic.pattern, mosaic.method);
        demosaic(backend, &p, &self.mosaic, planes)
    }
}
