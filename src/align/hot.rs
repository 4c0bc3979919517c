//! Spots that stand still on the sensor: hot pixels that a camera's own processing has spread over their neighbours look
//! like stars, and agree that nothing moved.

use super::asterism::{Meeting, find, meet};
use super::level::Level;
use super::motion::{IDENTITY, Mat3, apply};
use super::pairs::{Index, shifted};
use super::stars::Star;
use super::{Aligner, Template, View};
use crate::backend::Backend;

/// A spot seen twice within this distance, px, has not moved.
const STILL: f64 = 0.6;
/// Spots that have not moved, of which it is worth asking whether they are stars.
const LEAST: usize = 3;
/// Stars that must have moved, all alike, for the others to be hot pixels; and their share of those that could have.
const MOVED: (usize, f64) = (5, 0.3);
/// The stars' motion must carry a spot that stands still away from there, px.
const AWAY: f64 = 1.0;
/// Spots that are remembered.
pub(super) const MOST: usize = 4096;

/// A start that the moving stars give, and the spots that stood still meanwhile.
pub(super) struct Unfixed {
    pub(super) map: Mat3,
    pub(super) predicted: bool,
    pub(super) still: Vec<(f64, f64)>,
}

/// What is left of `list` without the stars numbered in `out`.
fn without(list: &[Star], out: impl Iterator<Item = usize>) -> Vec<Star> {
    let out: std::collections::HashSet<usize> = out.collect();
    list.iter().enumerate().filter(|(k, _)| !out.contains(k)).map(|(_, s)| *s).collect()
}

impl<B: Backend> Aligner<B> {
    /// The motion of the stars that moved, where some moved and others did not.
    pub(super) fn unfixed(&self, view: &View, template: &Template<B>, expected: &Mat3) -> Option<Unfixed> {
        if !(template.stars && view.field.stars) {
            return None;
        }
        let (first, second, size) = (&template.list.stars, &view.list.stars, (self.width, self.height));
        let still = Index::new(second, STILL).pairs(first, &IDENTITY);
        if still.len() < LEAST {
            return None;
        }
        let (a, b) = (without(first, still.iter().map(|p| p.0)), without(second, still.iter().map(|p| p.1)));
        let enough =
            |m: &Meeting| m.pairs.len() >= MOVED.0 && m.pairs.len() as f64 >= MOVED.1 * m.common as f64;
        let places: Vec<(f64, f64)> = still.iter().map(|p| (second[p.1].x, second[p.1].y)).collect();
        let carries = |m: &Meeting| {
            let away = |&&(x, y): &&(f64, f64)| {
                let (u, v) = apply(&m.map, x, y);
                (u - x).hypot(v - y) >= AWAY
            };
            places.iter().filter(away).count() * 2 > places.len()
        };
        let near = shifted(&a, &b, expected)
            .and_then(|(map, _)| meet(&a, &b, &map, size, self.motion))
            .filter(|m| enough(m) && carries(m));
        let predicted = near.is_some();
        let found = near.or_else(|| find(&a, &b, size, self.motion).filter(|m| enough(m) && carries(m)))?;
        Some(Unfixed { map: found.map, predicted, still: places })
    }

    /// Remembers hot spots, px of the sensor.
    pub(super) fn remember(&mut self, still: &[(f64, f64)]) {
        let room = MOST.saturating_sub(self.hot.len());
        self.hot.extend(still.iter().take(room));
    }

    /// `stars` without those that stand where a hot spot is known.
    pub(super) fn cold(&self, mut stars: Vec<Option<Star>>) -> Vec<Option<Star>> {
        if !self.hot.is_empty() {
            let cells: std::collections::HashSet<(i32, i32)> =
                self.hot.iter().map(|&(x, y)| (x.round() as i32, y.round() as i32)).collect();
            for star in &mut stars {
                let near = |s: &Star| {
                    let (x, y) = (s.x.round() as i32, s.y.round() as i32);
                    (y - 1..=y + 1).any(|v| (x - 1..=x + 1).any(|u| cells.contains(&(u, v))))
                        && self.hot.iter().any(|h| (h.0 - s.x).hypot(h.1 - s.y) <= STILL)
                };
                if star.as_ref().is_some_and(near) {
                    *star = None;
                }
            }
        }
        stars
    }
}

impl<B: Backend> Level<B> {
    /// Leaves the patches around `places` (px of this level) out; gives back what was left out before.
    pub(super) fn leave_out(&mut self, places: &[(f64, f64)]) -> Vec<bool> {
        let before = self.off.clone();
        self.off.resize(self.centres.len(), false);
        for (off, &(x, y)) in self.off.iter_mut().zip(&self.centres) {
            let hit = |p: &(f64, f64)| (p.0 - f64::from(x)).abs() <= 1.0 && (p.1 - f64::from(y)).abs() <= 1.0;
            *off |= places.iter().any(hit);
        }
        before
    }

    /// Leaves out what was left out `before`.
    pub(super) fn restore(&mut self, before: Vec<bool>) {
        self.off = before;
    }
}
