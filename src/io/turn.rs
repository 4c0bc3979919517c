//! Turning a picture upright, on output only.

use crate::frame::Orientation;

/// Side of the squares that a picture is turned by, px: rows of one and columns of the other picture stay in
/// the first-level cache together.
const BLOCK: usize = 32;

/// Turns a picture by the EXIF orientation `o`, so that its first row is the visual top; values outside 1..=8
/// leave it as it is.
///
/// * `data` - samples `[height][width][channels]`; more than those are ignored.
/// * returns the turned samples, and their width and height: swapped for the orientations 5 to 8.
///
/// # Panics
/// When `data` is shorter than `width * height * channels`.
///
/// Source: CIPA DC-008-2023 (Exif 3.0), 4.6.5.1.6.
#[must_use]
pub fn turn<T: Copy>(
    data: &[T],
    width: usize,
    height: usize,
    channels: usize,
    o: Orientation,
) -> (Vec<T>, usize, usize) {
    let data = &data[..width * height * channels];
    if data.is_empty() || !(2..=8).contains(&o.0) {
        return (data.to_vec(), width, height);
    }
    let walk = Walk::of(width, height, o);
    let turned = match channels {
        // Whole pixels as values: the compiler then moves them in one go.
        1 => by_blocks(data, &walk),
        3 => by_blocks(data.as_chunks::<3>().0, &walk).into_flattened(),
        _ => by_planes(data, channels, &walk),
    };
    (turned, walk.width, walk.height)
}

/// How the pixels of the turned picture walk through the original: its pixel (x, y) is the original's number
/// `start + x * step_x + y * step_y`.
struct Walk {
    width: usize,
    height: usize,
    start: isize,
    step_x: isize,
    step_y: isize,
}

impl Walk {
    fn of(width: usize, height: usize, o: Orientation) -> Walk {
        let (w, h) = (width as isize, height as isize);
        let (left, right) = (0, w - 1);
        let bottom = (h - 1) * w;
        // The corner that the turned picture begins with, then the way along its rows and down its columns.
        let (start, step_x, step_y) = match o.0 {
            2 => (right, -1, w),
            3 => (bottom + right, -1, -w),
            4 => (bottom, 1, -w),
            5 => (left, w, 1),
            6 => (bottom, -w, 1),
            7 => (bottom + right, -w, -1),
            8 => (right, w, -1),
            _ => (left, 1, w),
        };
        let (width, height) = if o.0 >= 5 { (height, width) } else { (width, height) };
        Walk { width, height, start, step_x, step_y }
    }
}

/// The turned picture, square by square.
fn by_blocks<P: Copy>(pixels: &[P], walk: &Walk) -> Vec<P> {
    let mut turned = vec![pixels[0]; pixels.len()];
    for top in (0..walk.height).step_by(BLOCK) {
        for left in (0..walk.width).step_by(BLOCK) {
            let end = walk.width.min(left + BLOCK);
            for y in top..walk.height.min(top + BLOCK) {
                let mut from = walk.start + left as isize * walk.step_x + y as isize * walk.step_y;
                for pixel in &mut turned[y * walk.width + left..y * walk.width + end] {
                    *pixel = pixels[from as usize];
                    from += walk.step_x;
                }
            }
        }
    }
    turned
}

/// The turned picture for any other number of channels, one channel after the other.
fn by_planes<T: Copy>(data: &[T], channels: usize, walk: &Walk) -> Vec<T> {
    let mut turned = data.to_vec();
    for channel in 0..channels {
        let plane: Vec<T> = data.iter().skip(channel).step_by(channels).copied().collect();
        let plane = by_blocks(&plane, walk);
        turned.iter_mut().skip(channel).step_by(channels).zip(plane).for_each(|(to, from)| *to = from);
    }
    turned
}
