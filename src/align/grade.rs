//! How good a frame is: what the star list and the tile table say of sky and focus, and which frames are too bad to
//! stack.

use super::background::{Background, median};
use super::stars::{SATURATED, StarList};
use crate::kernels::gray::{PEDESTAL, SPAN};
use crate::kernels::tiles::Tile;
use serde::{Deserialize, Serialize};

/// Accepted frames that "usual" is the median of.
const RECENT: usize = 20;
/// A frame with less than this share of the usual stars is clouded.
const STARS: f64 = 0.3;
/// With fewer usual stars than this, a share of them says nothing.
const LEAST_STARS: f64 = 4.0;
/// A frame whose stars are so much wider than usual (their short axis) is blurred: seeing alone makes 1.3.
const FWHM: f64 = 1.6;
/// A frame whose stars are so much longer than usual is trailed ...
const ELONGATION: f64 = 1.6;
/// ... unless they are still this round: faint stars look a little long from their noise.
const ROUND: f64 = 1.6;
/// With fewer stars than this their size is nobody's.
const SIZED: usize = 3;

/// The grade of a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Grade {
    /// Stars that stand out.
    pub stars: usize,
    /// Median FWHM of the clearest stars, px; 0 with fewer than three.
    pub fwhm: f64,
    /// Median elongation of the clearest stars, long axis over short; 0 with fewer than three.
    pub elongation: f64,
    /// Median background, level units.
    pub background: f64,
    /// How much the background changes from one corner to another, at most, level units: a plane fitted to it.
    pub gradient: f64,
    /// Share of the 16x16 tiles that hold a pixel at white.
    pub saturation: f64,
}

impl Grade {
    /// Of the frame with the star `list`; `white` is the level of white.
    #[must_use]
    pub fn new(list: &StarList, table: &[Tile], sky: &Background, white: f64) -> Grade {
        let clipped = table.iter().filter(|t| f64::from(t.peak()) >= SATURATED).count();
        let (level, gradient) = sky.plane();
        let unit = white / f64::from(SPAN);
        let sized = |v: f64| if list.stars.len() >= SIZED { v } else { 0.0 };
        Grade {
            stars: list.count,
            fwhm: sized(list.fwhm),
            elongation: sized(list.elongation),
            background: (level - f64::from(PEDESTAL)) * unit,
            gradient: gradient * unit,
            saturation: clipped as f64 / table.len().max(1) as f64,
        }
    }
}

/// What a frame must reach.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits {
    /// Take every frame that can be aligned.
    pub accept_all: bool,
    /// Fewest stars.
    pub min_stars: Option<usize>,
    /// Largest FWHM, px.
    pub max_fwhm: Option<f64>,
    /// Largest elongation.
    pub max_elongation: Option<f64>,
}

/// Why a frame is too bad.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// Stars too wide, or too long.
    Shape(String),
    /// Too few stars: a cloud, or an exposure that is much shorter.
    Stars(String),
    /// Beyond a limit that the user set.
    Limit(String),
}

impl Fault {
    /// The reason, for the user.
    #[must_use]
    pub fn reason(self) -> String {
        match self {
            Fault::Shape(why) | Fault::Stars(why) | Fault::Limit(why) => why,
        }
    }
}

/// The grades of the last accepted frames.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Grades {
    recent: Vec<Grade>,
}

impl Grades {
    /// Adds an accepted frame.
    pub fn push(&mut self, grade: Grade) {
        self.recent.push(grade);
        if self.recent.len() > RECENT {
            self.recent.remove(0);
        }
    }

    /// The median of `f` over the last accepted frames that have it; `None` where none has.
    #[must_use]
    pub fn usual(&self, f: impl Fn(&Grade) -> f64) -> Option<f64> {
        let mut values: Vec<f32> = self.recent.iter().map(|g| f(g) as f32).filter(|v| *v > 0.0).collect();
        (!values.is_empty()).then(|| f64::from(median(&mut values)))
    }

    /// What is wrong with a frame of grade `g`, if anything.
    #[must_use]
    pub fn fault(&self, g: &Grade, limits: &Limits) -> Option<Fault> {
        if limits.accept_all {
            return None;
        }
        let limit = beyond(g, limits).map(Fault::Limit);
        limit.or_else(|| self.shape(g).map(Fault::Shape)).or_else(|| self.stars(g).map(Fault::Stars))
    }

    fn shape(&self, g: &Grade) -> Option<String> {
        // The short axis: a trail is long, not wide.
        let wide = |g: &Grade| g.fwhm / g.elongation.max(1.0).sqrt();
        if let Some(usual) = self.usual(wide).filter(|usual| wide(g) > FWHM * usual) {
            let usual = self.usual(|g| g.fwhm).unwrap_or(usual);
            return Some(format!("blurred: FWHM {:.1} px, the stack's frames have {usual:.1}", g.fwhm));
        }
        let long = |usual: &f64| g.elongation > ELONGATION * usual && g.elongation > ROUND;
        self.usual(|g| g.elongation).filter(long).map(|usual| {
            format!("trailed: elongation {:.2}, the stack's frames have {usual:.2}", g.elongation)
        })
    }

    fn stars(&self, g: &Grade) -> Option<String> {
        let few = |usual: &f64| *usual >= LEAST_STARS && (g.stars as f64) < STARS * usual;
        self.usual(|g| g.stars as f64)
            .filter(few)
            .map(|usual| format!("too few stars (cloud?): {}, the stack's frames have {usual:.0}", g.stars))
    }
}

/// Which limit of the user's a frame is beyond.
fn beyond(g: &Grade, limits: &Limits) -> Option<String> {
    if let Some(most) = limits.max_fwhm.filter(|most| g.fwhm > *most) {
        return Some(format!("blurred: FWHM {:.1} px, --max-fwhm {most}", g.fwhm));
    }
    if let Some(most) = limits.max_elongation.filter(|most| g.elongation > *most) {
        return Some(format!("trailed: elongation {:.2}, --max-elongation {most}", g.elongation));
    }
    let least = limits.min_stars.filter(|least| g.stars < *least)?;
    Some(format!("too few stars: {}, --min-stars {least}", g.stars))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Grade {
        Grade { stars: 160, fwhm: 3.0, elongation: 1.1, background: 16.0, gradient: 2.0, saturation: 0.001 }
    }

    fn night() -> Grades {
        let mut grades = Grades::default();
        for k in 0..30 {
            grades.push(Grade { fwhm: 3.0 + 0.01 * f64::from(k), ..good() });
        }
        grades
    }

    #[test]
    fn a_frame_is_held_against_the_usual() {
        let (night, limits) = (night(), Limits::default());
        let fault = |g: Grade| night.fault(&g, &limits).map(Fault::reason);
        assert_eq!(fault(good()), None);
        assert_eq!(fault(Grade { fwhm: 4.2, stars: 60, ..good() }), None, "seeing");
        let blurred = fault(Grade { fwhm: 7.4, stars: 30, ..good() });
        assert_eq!(blurred.as_deref(), Some("blurred: FWHM 7.4 px, the stack's frames have 3.2"));
        let trailed = fault(Grade { elongation: 3.0, ..good() });
        assert_eq!(trailed.as_deref(), Some("trailed: elongation 3.00, the stack's frames have 1.10"));
        let clouded = fault(Grade { stars: 2, fwhm: 0.0, elongation: 0.0, ..good() });
        assert_eq!(clouded.as_deref(), Some("too few stars (cloud?): 2, the stack's frames have 160"));
    }

    #[test]
    fn limits_hold_for_the_first_frame_and_accept_all_switches_grading_off() {
        let none = Grades::default();
        assert_eq!(none.fault(&good(), &Limits::default()), None);
        let bound = |limits: Limits| none.fault(&good(), &limits).map(Fault::reason);
        let stars = Limits { min_stars: Some(161), ..Limits::default() };
        assert_eq!(bound(stars).as_deref(), Some("too few stars: 160, --min-stars 161"));
        let fwhm = Limits { max_fwhm: Some(2.9), ..Limits::default() };
        assert_eq!(bound(fwhm).as_deref(), Some("blurred: FWHM 3.0 px, --max-fwhm 2.9"));
        let long = Limits { max_elongation: Some(1.05), ..Limits::default() };
        assert_eq!(bound(long).as_deref(), Some("trailed: elongation 1.10, --max-elongation 1.05"));
        let all = Limits { accept_all: true, ..Limits::default() };
        assert_eq!(night().fault(&Grade::default(), &all), None);
    }
}
