//! The convergence study: how often, how fast and how closely ECC finds a map that is known, ours beside plain ECC written
//! independently. `cargo bench --bench convergence` prints the table of `benches/README.md`.

#[path = "../tests/common/mod.rs"]
mod common;
#[path = "../tests/study/mod.rs"]
mod study;

use study::oracle::Sampling;
use study::ours::Mistake;
use study::{CONDITIONS, RUNS, SIGMAS, Side, UPDATES, median_error, msd, poc, runs, scene};

const SIDES: [Side; 3] =
    [Side::Ours(Mistake::None), Side::Oracle(Sampling::Spline), Side::Oracle(Sampling::Bilinear)];
/// Updates after which the mean square error is printed.
const AFTER: [usize; 3] = [3, 5, UPDATES];

fn main() {
    let scene = scene();
    println!("{RUNS} runs a row; ours, the oracle that samples alike, the bilinear one\n");
    println!("| condition | sigma, px | converged, % | | | median error, px | | | dB after {AFTER:?} | | |");
    println!("|---|---|---|---|---|---|---|---|---|---|---|");
    for condition in CONDITIONS {
        for sigma in SIGMAS {
            let sides = runs(&scene, condition, sigma, &SIDES);
            let squares = AFTER.map(|updates| msd(&sides, updates));
            let converged = sides.iter().map(|s| format!("{:.1}", poc(s)));
            let errors = sides.iter().map(|s| format!("{:.1e}", median_error(s)));
            let each = |k: usize| squares.each_ref().map(|s| format!("{:.0}", s[k])).join(" ");
            let cells: Vec<String> = converged.chain(errors).chain((0..SIDES.len()).map(each)).collect();
            println!("| {condition:?} | {sigma} | {} |", cells.join(" | "));
        }
    }
}
