//! Medians and what lies around them.

use serde::Serialize;

/// Median and quartiles of some values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(super) struct Spread {
    /// Half of the values are at most this.
    pub(super) median: f64,
    /// A quarter is.
    pub(super) q1: f64,
    /// Three quarters are.
    pub(super) q3: f64,
}

impl Spread {
    /// Of `values`; all 0 where there are none.
    pub(super) fn of(mut values: Vec<f64>) -> Spread {
        values.sort_by(f64::total_cmp);
        // Between two values the quantile is on the line from one to the other.
        let at = |share: f64| {
            let place = share * values.len().saturating_sub(1) as f64;
            let value = |k: usize| values.get(k).copied().unwrap_or(0.0);
            let (low, rest) = (place as usize, place.fract());
            let high = value((low + 1).min(values.len().saturating_sub(1)));
            value(low) + rest * (high - value(low))
        };
        Spread { median: at(0.5), q1: at(0.25), q3: at(0.75) }
    }

    /// That of the two with the higher median.
    pub(super) fn higher(self, other: Spread) -> Spread {
        if other.median > self.median { other } else { self }
    }

    /// Every value through `f`, which may turn their order round.
    pub(super) fn map(self, f: impl Fn(f64) -> f64) -> Spread {
        let (a, b) = (f(self.q1), f(self.q3));
        Spread { median: f(self.median), q1: a.min(b), q3: a.max(b) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles_are_those_of_the_sorted_values() {
        let five = Spread::of(vec![5.0, 1.0, 4.0, 2.0, 3.0]);
        assert_eq!(five, Spread { median: 3.0, q1: 2.0, q3: 4.0 });
        let four = Spread::of(vec![4.0, 1.0, 2.0, 3.0]);
        assert_eq!(four, Spread { median: 2.5, q1: 1.75, q3: 3.25 });
        assert_eq!(Spread::of(vec![7.0]), Spread { median: 7.0, q1: 7.0, q3: 7.0 });
        assert_eq!(Spread::of(Vec::new()), Spread::default());
        assert_eq!((five.higher(four), four.higher(five)), (five, five));
        let rates = five.map(|v| 12.0 / v);
        assert_eq!(rates, Spread { median: 4.0, q1: 3.0, q3: 6.0 });
    }
}
