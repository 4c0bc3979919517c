//! Rows of a mosaic with a margin, for the CPU twins of the kernels that look two pixels far.

/// Pixels of the margin on each side.
pub(super) const MARGIN: usize = 2;

/// Index `i` of a line of `n` samples, mirrored about the samples at its ends: colours stay in their places.
#[inline(always)]
pub(super) fn mirror(i: isize, n: usize) -> usize {
    let last = n as isize - 1;
    (last - (last - i.abs()).abs()).clamp(0, last) as usize
}

/// Five rows, from two above to two below the current one, each with a mirrored margin.
pub(super) struct Window<'a> {
    mosaic: &'a [f32],
    width: usize,
    height: usize,
    stride: usize,
    next: isize,
    /// The rows; pixel x stands at x + [`MARGIN`].
    pub(super) rows: [Vec<f32>; 5],
}

impl<'a> Window<'a> {
    /// The window of row `y` of `mosaic`.
    pub(super) fn new(mosaic: &'a [f32], (width, height, stride): (usize, usize, usize), y: usize) -> Self {
        let rows = std::array::from_fn(|_| vec![0.0; width + 2 * MARGIN]);
        let mut window = Window { mosaic, width, height, stride, next: y as isize - MARGIN as isize, rows };
        for _ in 0..5 {
            window.advance();
        }
        window
    }

    /// Moves one row down.
    #[inline(always)]
    pub(super) fn advance(&mut self) {
        self.rows.rotate_left(1);
        let y = mirror(self.next, self.height);
        self.next += 1;
        let (w, from) = (self.width, &self.mosaic[y * self.stride..][..self.width]);
        let to = &mut self.rows[4];
        to[MARGIN..][..w].copy_from_slice(from);
        for k in 1..=MARGIN as isize {
            to[(MARGIN as isize - k) as usize] = from[mirror(-k, w)];
            to[MARGIN + w - 1 + k as usize] = from[mirror(w as isize - 1 + k, w)];
        }
    }
}
