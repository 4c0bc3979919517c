//! Floats to whole numbers in vectors: the language's own conversion saturates, which vector units cannot do, so that a loop
//! with it runs a pixel at a time.

/// From here on, 2^23, the floats' unit in the last place is 1.
const WHOLE: f32 = 8_388_608.0;

/// The whole part of `v`, 0 to 2^22.
#[inline(always)]
pub(super) fn whole(v: f32) -> u32 {
    let nearest = v + WHOLE;
    let above = u32::from(nearest - WHOLE > v);
    nearest.to_bits().wrapping_sub(WHOLE.to_bits()).wrapping_sub(above)
}

/// The whole part of `v`, of 0 where it is less, of `most` (at most 2^22) where it is more; 0 of what is no number.
#[inline(always)]
pub(super) fn clamped(v: f32, most: f32) -> u32 {
    let v = if v > 0.0 { v } else { 0.0 };
    whole(if v < most { v } else { most })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_conversion() {
        let steps = (0..=262_144).map(|k| k as f32 / 4.0);
        let near = (0..=65_535).flat_map(|k| {
            let v = k as f32;
            [v, v.next_up(), if k > 0 { v.next_down() } else { v }]
        });
        for v in steps.chain(near) {
            assert_eq!(whole(v), v as u32, "{v}");
            assert_eq!(clamped(v, 255.0), v.clamp(0.0, 255.0) as u32, "{v}");
        }
        assert_eq!(whole(4_194_303.5), 4_194_303);
        for (v, expected) in
            [(-3.5, 0), (f32::NAN, 0), (f32::INFINITY, 255), (f32::NEG_INFINITY, 0), (-0.0, 0), (1e30, 255)]
        {
            assert_eq!(clamped(v, 255.0), expected, "{v}");
        }
    }
}
