//! Tests of the judge: what becomes of frames, by their grades, headers and poses alone.

use super::*;
use crate::align::motion::IDENTITY;
use crate::align::stars::Star;

fn rules() -> Rules {
    Rules { limits: Limits::default(), on_change: OnChange::Reject, new_target: 3, restart: false }
}

fn judge(rules: Rules) -> Judge {
    Judge::new(rules, (3000, 2000), 255.0)
}

fn good() -> Grade {
    Grade { stars: 160, fwhm: 3.0, elongation: 1.1, background: 16.0, gradient: 2.0, saturation: 0.001 }
}

fn pose(gain: f64) -> Result<Pose, String> {
    Ok(Pose { gain, ..Pose::given(IDENTITY, "predicted") })
}

fn taken(exposure_s: Option<f64>, iso: Option<f64>) -> Taken {
    Taken { exposure_s, iso, gain: None, pointing: None }
}

fn case<'a>(name: &'a str, grade: Grade, taken: Taken, pose: &'a Result<Pose, String>) -> Case<'a> {
    Case { path: Path::new(name), taken, grade: Some(grade), pose, shows: true }
}

/// A judge with `n` good frames stacked, taken as `t` says.
fn night(rules: Rules, n: usize, t: Taken) -> Judge {
    let mut judge = judge(rules);
    for _ in 0..n {
        let found = pose(1.0);
        let case = case("good", good(), t, &found);
        assert_eq!(judge.verdict(&case), Verdict::Stack);
        assert_eq!(judge.stacked(&case, found.as_ref().expect("pose"), false), None);
    }
    judge
}

/// Stars strewn by `seed`.
fn glimpse(seed: u64) -> Glimpse {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 40) as f64 / (1_u64 << 24) as f64
    };
    let star = |_| Star {
        x: 3000.0 * next(),
        y: 2000.0 * next(),
        flux: 1000.0,
        snr: 50.0,
        fwhm: 3.0,
        elongation: 1.0,
        angle: 0.0,
        peak: 9000.0,
    };
    Glimpse::Stars((0..40).map(star).collect())
}

#[test]
fn headers_tell_an_exposure_that_changed() {
    let stack = taken(Some(10.0), Some(6400.0));
    let night = |on_change| night(Rules { on_change, ..rules() }, 4, stack);
    let other = taken(Some(10.0), Some(3200.0));
    let found = pose(0.5);
    let frame = case("x", Grade { background: 8.0, ..good() }, other, &found);
    let why = "exposure changed: ISO 3200, the stack has ISO 6400";
    assert_eq!(night(OnChange::Reject).verdict(&frame), Verdict::Changed(why.into(), None));
    assert_eq!(night(OnChange::Scale).verdict(&frame), Verdict::Scale);
    assert_eq!(night(OnChange::Restart).verdict(&frame), Verdict::Restart(why.into()));
    let both = case("x", good(), taken(Some(5.0), Some(3200.0)), &found);
    let Verdict::Changed(why, None) = night(OnChange::Reject).verdict(&both) else { panic!("rejected") };
    assert_eq!(why, "exposure changed: 5 s, ISO 3200, the stack has 10 s, ISO 6400");
    // The header has the last word: a cloud that dims the stars is no exposure.
    let same = case("x", Grade { background: 8.0, ..good() }, stack, &found);
    assert_eq!(night(OnChange::Reject).verdict(&same), Verdict::Stack);
}

#[test]
fn without_a_header_stars_and_sky_tell() {
    let night = night(rules(), 4, Taken::default());
    let verdict = |gain, background| {
        let found = pose(gain);
        night.verdict(&case("x", Grade { background, ..good() }, Taken::default(), &found))
    };
    let Verdict::Changed(why, Some(0.49)) = verdict(0.49, 9.0) else { panic!("rejected") };
    assert_eq!(why, "exposure changed: stars and sky are 0.49 times as bright as in the stack's frames");
    assert!(matches!(verdict(2.0, 30.0), Verdict::Changed(_, _)));
    assert_eq!(verdict(0.6, 17.0), Verdict::Stack, "a thin cloud dims stars, not the sky");
    assert_eq!(verdict(1.1, 17.0), Verdict::Stack);
    // Fewer stars are what a shorter exposure shows.
    let found = pose(0.2);
    let short = case("x", Grade { stars: 20, background: 4.0, ..good() }, Taken::default(), &found);
    let Verdict::Changed(why, _) = night.verdict(&short) else { panic!("rejected") };
    assert!(why.starts_with("exposure changed"), "{why}");
}

#[test]
fn strangers_that_agree_are_a_new_target() {
    let mut night = night(rules(), 10, Taken::default());
    assert_eq!(night.stranger(Path::new("a"), glimpse(1)), Row::Wait);
    assert_eq!(night.stranger(Path::new("b"), glimpse(2)), Row::Wait, "they do not agree");
    assert_eq!(night.stranger(Path::new("c"), glimpse(2)), Row::Wait);
    assert_eq!(night.stranger(Path::new("d"), glimpse(2)), Row::Warn(3));
    assert_eq!(night.stranger(Path::new("e"), glimpse(2)), Row::Wait, "one warning");
    let mut night = self::night(Rules { restart: true, new_target: 2, ..rules() }, 10, Taken::default());
    assert_eq!(night.stranger(Path::new("a"), glimpse(1)), Row::Wait);
    let paths = vec![PathBuf::from("a"), PathBuf::from("b")];
    assert_eq!(night.stranger(Path::new("b"), glimpse(1)), Row::Restart(paths));
}

#[test]
fn a_stacked_frame_ends_the_row_of_strangers() {
    let mut night = night(rules(), 10, Taken::default());
    for _ in 0..5 {
        assert_eq!(night.stranger(Path::new("a"), glimpse(1)), Row::Wait);
        assert_eq!(night.stranger(Path::new("b"), glimpse(1)), Row::Wait);
        let found = pose(1.0);
        night.stacked(&case("good", good(), Taken::default(), &found), found.as_ref().expect("pose"), false);
    }
}

#[test]
fn a_young_stack_gives_way_to_what_follows_it() {
    let mut one = night(rules(), 1, Taken::default());
    assert_eq!(one.stranger(Path::new("a"), glimpse(1)), Row::Wait);
    let paths = vec![PathBuf::from("a"), PathBuf::from("b")];
    assert_eq!(one.stranger(Path::new("b"), glimpse(1)), Row::Replace(paths));
    // Not for ever: two fields that take turns.
    for _ in 0..REPLACEMENTS {
        one.restart(true);
    }
    let found = pose(1.0);
    one.stacked(&case("good", good(), Taken::default(), &found), found.as_ref().expect("pose"), false);
    assert_eq!(one.stranger(Path::new("a"), glimpse(1)), Row::Wait);
    assert_eq!(one.stranger(Path::new("b"), glimpse(1)), Row::Wait);
}

#[test]
fn a_blurred_reference_is_replaced_on_the_word_of_two() {
    let mut judge = judge(rules());
    let found = pose(1.0);
    let stacked = |judge: &mut Judge, name: &str, fwhm: f64| {
        let case = case(name, Grade { fwhm, ..good() }, Taken::default(), &found);
        judge.stacked(&case, found.as_ref().expect("pose"), false)
    };
    assert_eq!(stacked(&mut judge, "blurred", 7.5), None);
    assert_eq!(stacked(&mut judge, "a", 3.0), None);
    assert_eq!(stacked(&mut judge, "b", 3.0), Some(vec!["a".into(), "b".into()]));
    // A focus that was found late is no reason to throw a night away.
    let mut late = night(rules(), 1, Taken::default());
    for _ in 0..8 {
        assert_eq!(stacked(&mut late, "same", 3.0), None);
    }
    assert_eq!(stacked(&mut late, "sharp", 1.5), None);
    assert_eq!(stacked(&mut late, "sharp", 1.5), None);
}

#[test]
fn a_telescope_that_moved_is_believed_at_once() {
    let at = |ra_deg| Taken { pointing: Some(Pointing { ra_deg, dec_deg: 60.0 }), ..Taken::default() };
    let lost = Err("no alignment found".to_owned());
    let night = |restart| night(Rules { restart, ..rules() }, 5, at(10.0));
    // 0.5 degrees of right ascension are a quarter of a degree at 60 degrees of declination.
    let moved = case("x", good(), at(10.5), &lost);
    assert!(matches!(night(true).verdict(&moved), Verdict::Restart(_)));
    assert!(matches!(night(false).verdict(&moved), Verdict::Stranger(_)));
    assert!(matches!(night(true).verdict(&case("x", good(), at(10.1), &lost)), Verdict::Stranger(_)));
}

#[test]
fn a_dark_sky_says_nothing_of_exposures() {
    let mut night = judge(rules());
    let dark = Grade { background: 0.5, ..good() };
    for _ in 0..4 {
        let found = pose(1.0);
        night.stacked(&case("good", dark, Taken::default(), &found), found.as_ref().expect("pose"), false);
    }
    let verdict = |gain| {
        let found = pose(gain);
        night.verdict(&case("x", dark, Taken::default(), &found))
    };
    assert_eq!(verdict(0.7), Verdict::Stack, "a cloud");
    let Verdict::Changed(why, _) = verdict(0.5) else { panic!("rejected") };
    assert!(!why.contains("sky"), "{why}");
}

#[test]
fn without_a_header_two_frames_must_agree_on_a_restart() {
    let on_change = OnChange::Restart;
    let mut night = night(Rules { on_change, ..rules() }, 6, Taken::default());
    assert_eq!(night.changed(Path::new("a"), Some(0.5)), Row::Wait);
    assert_eq!(night.changed(Path::new("b"), Some(0.7)), Row::Wait, "a cloud that comes and goes");
    assert_eq!(night.changed(Path::new("c"), Some(0.71)), Row::Restart(vec!["b".into(), "c".into()]));
}

#[test]
fn a_first_frame_of_another_exposure_gives_way() {
    let mut one = night(rules(), 1, taken(Some(40.0), None));
    assert_eq!(one.changed(Path::new("a"), None), Row::Wait);
    assert_eq!(one.changed(Path::new("b"), None), Row::Replace(vec!["a".into(), "b".into()]));
    let mut old = night(rules(), 9, taken(Some(40.0), None));
    let rows: Vec<Row> = (0..5).map(|_| old.changed(Path::new("a"), None)).collect();
    assert_eq!(rows, [Row::Wait, Row::Wait, Row::Warn(3), Row::Wait, Row::Wait], "said once");
}

#[test]
fn frames_that_stay_worse_than_the_first_replace_it_or_are_spoken_of() {
    // Satellites passed for stars in the first frame.
    let rich = Grade { stars: 900, ..good() };
    let found = pose(1.0);
    let mut judge = judge(rules());
    judge.stacked(&case("rich", rich, Taken::default(), &found), found.as_ref().expect("pose"), false);
    let frame = case("x", good(), Taken::default(), &found);
    assert!(matches!(judge.verdict(&frame), Verdict::Faulty(_)));
    assert_eq!(judge.faulty(Path::new("a"), glimpse(1)), Row::Wait);
    assert_eq!(judge.faulty(Path::new("b"), glimpse(1)), Row::Wait);
    assert!(matches!(judge.faulty(Path::new("c"), glimpse(1)), Row::Replace(files) if files.len() == 3));
    let mut old = night(rules(), 9, Taken::default());
    let rows: Vec<Row> = (0..4).map(|_| old.faulty(Path::new("a"), glimpse(1))).collect();
    assert_eq!(rows, [Row::Wait, Row::Wait, Row::Warn(3), Row::Wait]);
}

#[test]
fn another_field_is_another_field_whatever_its_exposure_or_its_stars() {
    let lost = Err("no alignment found".to_owned());
    let night = night(rules(), 6, taken(Some(10.0), None));
    let other = case("x", Grade { stars: 20, ..good() }, taken(Some(5.0), None), &lost);
    assert!(matches!(night.verdict(&other), Verdict::Stranger(why) if why.starts_with("exposure changed")));
    let poor = case("x", Grade { stars: 20, ..good() }, taken(Some(10.0), None), &lost);
    assert!(matches!(night.verdict(&poor), Verdict::Stranger(why) if why.starts_with("too few stars")));
}

#[test]
fn another_gain_is_another_exposure() {
    let stack = Taken { gain: Some(100.0), ..taken(Some(10.0), None) };
    let change = |gain: f64| Taken { gain: Some(gain), ..stack }.change(&stack);
    assert_eq!(change(101.0), Some(None));
    assert_eq!(change(200.0), Some(Some("exposure changed: gain 200, the stack has gain 100".into())));
    let both = Taken { gain: Some(50.0), ..taken(Some(20.0), None) };
    let text = "exposure changed: 20 s, gain 50, the stack has 10 s, gain 100";
    assert_eq!(both.change(&stack), Some(Some(text.into())));
}
