//! Golden tests: the numbers agree with the reference's (`testdata/golden`), on every backend. Each comparison is
//! shown to fail on a planted mistake.

mod common;

use common::geometry::{self, Map};
use common::picture::{
    Difference, Picture, difference, read_npy, read_png8, read_tiff, same_picture, same_stack,
};
use common::rules::SIX;
use common::{Place, backends, golden};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Largest difference of f32 stacks, white = 1.
const STACK_TOLERANCE: f64 = 2e-6;
/// Share of the samples of aligned pictures that may be off by more than one level.
const STRAYS: f64 = 1e-3;

/// Stacks a golden sequence with all six rules, and returns where.
fn stack(backend: &str, frames: &str, flags: &str) -> Place {
    let place = Place::new();
    let input = golden().join(frames).join("input");
    let mut args = vec!["stack", "--backend", backend, "--out", "out", "--format", "png,tiff"];
    args.extend(flags.split_whitespace());
    place.run(args.iter().map(PathBuf::from).chain([input])).exits(0);
    place
}

fn dark_flag(frames: &str, folder: &str) -> String {
    if folder == "plain" {
        return String::new();
    }
    format!("--dark {}", golden().join(frames).join("dark").display())
}

/// Promise: all six rules, on lossless 8- and 16-bit frames with and without darks: f32 stacks equal to 2e-6 of
/// white on every sample, 8-bit outputs within 1 level everywhere and equal on 99.9 %, on every backend.
#[test]
fn rules_and_master_agree_with_the_reference() {
    for backend in backends() {
        for frames in ["level8", "level16"] {
            for folder in ["plain", "calibrated"] {
                let flags = format!("--no-align {}", dark_flag(frames, folder));
                let place = stack(backend, frames, &flags);
                let want = golden().join(frames).join(folder);
                for rule in SIX {
                    let case = format!("{backend} {frames} {folder} {rule}");
                    let got = read_tiff(&place.path(format!("out/{rule}.tiff")));
                    let reference = read_npy(&want.join(format!("{rule}.npy")));
                    let d = difference(&got, &reference, STACK_TOLERANCE, |_, _| true);
                    assert!(same_stack(&got, &reference, STACK_TOLERANCE), "{case}: {d:?}");
                    let got = read_png8(&place.path(format!("out/{rule}.png")));
                    let reference = read_png8(&want.join(format!("{rule}.png")));
                    assert!(
                        same_picture(&got, &reference),
                        "{case}: {:?}",
                        difference(&got, &reference, 0.0, |_, _| true)
                    );
                }
            }
        }
    }
}

/// Control: one sample off by four millionths of white, one 8-bit sample off by two levels, four samples off by
/// one, or the output of any other rule, and the comparison of the test above fails.
#[test]
fn control_planted_mistakes_are_seen() {
    let folder = golden().join("level8/calibrated");
    for rule in SIX {
        let stack = read_npy(&folder.join(format!("{rule}.npy")));
        let mut wrong = stack.clone();
        wrong.data[1234] += 4e-6;
        assert!(same_stack(&stack, &stack, STACK_TOLERANCE));
        assert!(!same_stack(&stack, &wrong, STACK_TOLERANCE));
        wrong.data[1234] = f32::NAN;
        assert!(!same_stack(&stack, &wrong, STACK_TOLERANCE));
        let picture = read_png8(&folder.join(format!("{rule}.png")));
        let plant = |count: usize, levels: f32| {
            let mut wrong = picture.clone();
            wrong.data[7..7 + count].iter_mut().for_each(|v| *v += levels);
            wrong
        };
        assert!(same_picture(&picture, &plant(3, 1.0)));
        assert!(!same_picture(&picture, &plant(4, 1.0)));
        assert!(!same_picture(&picture, &plant(1, 2.0)));
        for other in SIX.into_iter().filter(|o| *o != rule) {
            let other = read_npy(&folder.join(format!("{other}.npy")));
            assert!(!same_stack(&stack, &other, STACK_TOLERANCE));
        }
        let without = read_npy(&golden().join(format!("level8/plain/{rule}.npy")));
        assert!(!same_stack(&stack, &without, STACK_TOLERANCE), "{rule}: darks make no difference");
    }
}

/// Poses as the reference wrote them.
fn reference_poses(frames: &str) -> (PathBuf, Vec<Value>) {
    let path = golden().join(frames).join("reference/frames.jsonl");
    let text = std::fs::read_to_string(&path).expect("poses");
    let records = text.lines().map(|l| serde_json::from_str(l).expect("record")).collect();
    (path, records)
}

/// Whether every frame covers a pixel. Within a thousandth of a pixel of the edge the two may differ on it.
fn covered_by_all(maps: &[Map], size: (usize, usize)) -> impl Fn(usize, usize) -> bool {
    const EDGE: f64 = 1e-3;
    move |x, y| {
        maps.iter().all(|m| {
            let (u, v) = geometry::apply(m, x as f64, y as f64);
            let inside = |at: f64, side: usize| at == 0.0 || (EDGE..=side as f64 - 1.0 - EDGE).contains(&at);
            inside(u, size.0) && inside(v, size.1)
        })
    }
}

/// The picture of `rule` under the poses in `poses` against the reference's.
fn aligned(backend: &str, frames: &str, poses: &Path, maps: &[Map]) -> Vec<(&'static str, Difference)> {
    let place = stack(backend, frames, &format!("--poses {}", poses.display()));
    let compare = |rule| {
        let got = read_png8(&place.path(format!("out/{rule}.png")));
        let want = read_png8(&golden().join(frames).join(format!("reference/{rule}.png")));
        let size = (got.width, got.height);
        (rule, difference(&got, &want, 1.0, covered_by_all(maps, size)))
    };
    SIX.into_iter().map(compare).collect()
}

/// Promise: with the reference's own poses through `--poses`, the 8-bit outputs of all six rules are within 1
/// level on 99.9 % of the samples of those pixels that every frame covers; 8 and 16 bit, every backend.
/// Control: one pose shifted by 0.3 px, and no rule agrees any more.
#[test]
fn aligned_stacks_agree_with_the_reference() {
    for frames in ["aligned8", "aligned16"] {
        let (path, mut records) = reference_poses(frames);
        let maps: Vec<Map> = records.iter().map(geometry::homography).collect();
        for backend in backends() {
            for (rule, d) in aligned(backend, frames, &path, &maps) {
                assert!(d.samples > 128 * 96 * 3 * 85 / 100, "{d:?}: hardly any pixel is compared");
                assert!(d.beyond <= STRAYS, "{backend} {frames} {rule}: {d:?}");
            }
        }
        let mut moved = maps[2];
        moved[2] += 0.3;
        records[2]["homography"] = json!(moved);
        let place = Place::new();
        let planted = place.path("planted.jsonl");
        let lines: Vec<String> = records.iter().map(Value::to_string).collect();
        std::fs::write(&planted, lines.join("\n")).expect("write");
        for (rule, d) in aligned("cpu", frames, &planted, &maps) {
            assert!(d.beyond > 10.0 * STRAYS, "{frames} {rule}: a pose off by 0.3 px is not seen: {d:?}");
        }
    }
}

/// Control: another rule's output does not pass for the aligned one.
#[test]
fn control_another_rule_is_seen_in_aligned_stacks() {
    for frames in ["aligned8", "aligned16"] {
        let picture = |rule: &str| read_png8(&golden().join(frames).join(format!("reference/{rule}.png")));
        for (k, rule) in SIX.into_iter().enumerate() {
            for other in &SIX[k + 1..] {
                let d = difference(&picture(rule), &picture(other), 1.0, |_, _| true);
                assert!(d.beyond > STRAYS, "{frames}: {rule} passes for {other}: {d:?}");
            }
        }
    }
}

/// Promise: the six rules do not care which backend or how many rules run at once: `all` gives the bytes that each
/// rule alone gives.
#[test]
fn one_rule_alone_gives_the_same_bytes_as_all_together() {
    for backend in backends() {
        let together = stack(backend, "aligned8", "--method all,mean");
        for rule in SIX.into_iter().chain(["MEAN"]) {
            let alone = stack(backend, "aligned8", &format!("--method {rule}"));
            for name in [format!("out/{rule}.png"), format!("out/{rule}.tiff")] {
                assert!(alone.bytes(&name) == together.bytes(&name), "{backend}: {name} differs");
            }
            assert_eq!(alone.names("out").len(), 3, "only this rule's files and frames.jsonl");
        }
    }
}

/// Promise: the data of a gray sequence is that of a colour one of equal channels: one channel in, one out.
#[test]
fn gray_frames_stack_like_equal_channels() {
    use common::picture::{write_png8, write_png16};
    for backend in backends() {
        let place = Place::new();
        for kind in ["gray8", "colour8", "gray16", "colour16"] {
            place.folder(kind);
        }
        for k in 1..=4 {
            let (light, _) =
                common::picture::read_png(&golden().join(format!("level16/input/light_{k}.png")));
            let (w, h, _) = light.shape();
            let gray: Vec<u16> = light.data.iter().step_by(3).map(|v| *v as u16).collect();
            let triple: Vec<u16> = gray.iter().flat_map(|v| [*v; 3]).collect();
            let (gray, triple) = (Picture::new(w, h, 1, gray), Picture::new(w, h, 3, triple));
            write_png16(&place.path(format!("gray16/{k}.png")), &gray);
            write_png16(&place.path(format!("colour16/{k}.png")), &triple);
            write_png8(&place.path(format!("gray8/{k}.png")), &gray.map(|v| (v >> 8) as u8));
            write_png8(&place.path(format!("colour8/{k}.png")), &triple.map(|v| (v >> 8) as u8));
        }
        for depth in ["8", "16"] {
            for kind in ["gray", "colour"] {
                let flags = format!("{kind}{depth} --no-align --out {kind} --format tiff --method all,mean");
                place.stack_on(backend, &flags).exits(0);
            }
            for rule in SIX.into_iter().chain(["MEAN"]) {
                let gray = read_tiff(&place.path(format!("gray/{rule}.tiff")));
                let colour = read_tiff(&place.path(format!("colour/{rule}.tiff")));
                assert_eq!((gray.channels, colour.channels), (1, 3));
                let first: Vec<f32> = colour.data.iter().step_by(3).copied().collect();
                assert_eq!(gray.data, first, "{backend} {depth} bit {rule}");
            }
        }
    }
}
