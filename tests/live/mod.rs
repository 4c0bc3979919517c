//! A night stacked through the library, frame by frame, as the program does it; put away and taken up again.

#![allow(dead_code, reason = "every test file uses its own part of this module")]

pub(crate) mod nights;

use livestack::align::Pose;
use livestack::align::motion::{IDENTITY, Mat3};
use livestack::backend::Backend;
use livestack::checkpoint::{self, NAMES, Reader};
use livestack::engine::{Engine, Examined};
use livestack::error::Result;
use livestack::frame::Frame;
use livestack::judge::{Case, Judge, Row, Taken, Verdict};
use nights::Night;
use std::path::Path;

/// A stack under way.
pub(crate) struct Live<B: Backend> {
    pub(crate) engine: Engine<B>,
    pub(crate) judge: Judge,
    /// What was decided of each frame: verdict, pose, tones, rows, to the last bit.
    pub(crate) log: Vec<String>,
    /// Where each frame was stacked.
    pub(crate) poses: Vec<Option<Mat3>>,
    night: Night,
}

impl<B: Backend> Live<B> {
    /// Before the first frame.
    pub(crate) fn new(backend: B, night: &Night) -> Live<B> {
        let (setup, plan) = night.setup();
        let engine = Engine::new(backend, setup, plan).map_err(|refused| refused.why).expect("an engine");
        Live {
            engine,
            judge: night.judge(),
            log: Vec::new(),
            poses: Vec::new(),
            night: night.without_frames(),
        }
    }

    /// Decides a frame.
    pub(crate) fn step(&mut self, frame: &Frame) {
        let (examined, _) = self.engine.examine(frame.clone(), None).expect("examined");
        let case = case(frame, &examined);
        let verdict = self.judge.verdict(&case);
        self.poses.push(None);
        let mut said = format!("{} {verdict:?} {:?}", frame.path.display(), examined.pose);
        let glimpse = match (&verdict, &examined.view) {
            (Verdict::Faulty(_) | Verdict::Stranger(_), Some(view)) => {
                self.engine.glimpse(view).expect("a glimpse")
            }
            _ => None,
        };
        let row = match (verdict, glimpse) {
            (Verdict::Stack, _) => self.accept(&case, &examined, false, &mut said),
            (Verdict::Scale, _) => self.accept(&case, &examined, true, &mut said),
            (Verdict::Restart(_), _) => {
                self.again(false);
                self.accept(&case, &examined, false, &mut said)
            }
            (Verdict::Changed(_, factor), _) => self.judge.changed(case.path, factor),
            (Verdict::Faulty(_), Some(glimpse)) => self.judge.faulty(case.path, glimpse),
            (Verdict::Stranger(_), Some(glimpse)) => self.judge.stranger(case.path, glimpse),
            _ => Row::Wait,
        };
        match &row {
            Row::Replace(_) => self.again(true),
            Row::Restart(_) => self.again(false),
            Row::Wait | Row::Warn(_) => {}
        }
        self.log.push(format!("{said} {row:?}"));
    }

    fn again(&mut self, replaced: bool) {
        self.engine.restart().expect("restarted");
        self.judge.restart(replaced);
    }

    fn accept(&mut self, case: &Case, examined: &Examined, scaled: bool, said: &mut String) -> Row {
        let pose = match &examined.pose {
            _ if self.engine.stacked() == 0 => Pose::given(IDENTITY, "reference"),
            Ok(pose) => pose.clone(),
            Err(_) => return Row::Wait,
        };
        let tones = self.engine.stack(examined, &pose, scaled).expect("stacked");
        said.push_str(&format!(" {tones:?}"));
        if let Some(last) = self.poses.last_mut() {
            *last = Some(pose.homography);
        }
        self.judge.stacked(case, &pose, scaled).map_or(Row::Wait, Row::Replace)
    }

    /// Puts it away in `folder`.
    pub(crate) fn store(&mut self, folder: &Path) -> Result<()> {
        checkpoint::store(folder, |to| {
            self.engine.save(to)?;
            self.judge.save(to)
        })
        .map(|_| ())
    }

    /// Takes up what the checkpoint `path` holds.
    pub(crate) fn load(&mut self, path: &Path) -> Result<()> {
        let mut from = Reader::open(path)?;
        self.engine.load(&mut from)?;
        let judge = self.night.restored(&mut from).and_then(|judge| from.end().map(|()| judge));
        if judge.is_err() {
            self.engine.forget()?;
        }
        self.judge = judge?;
        Ok(())
    }

    /// The bits of all that it would write.
    pub(crate) fn outputs(&mut self) -> Vec<Vec<u32>> {
        let methods = self.night.methods.clone();
        let bits = |v: Vec<f32>| v.into_iter().map(f32::to_bits).collect();
        methods.iter().map(|m| bits(self.engine.linear(*m).expect("values"))).collect()
    }
}

fn case<'a>(frame: &'a Frame, examined: &'a Examined) -> Case<'a> {
    Case {
        path: &frame.path,
        taken: Taken::of(&frame.tags),
        grade: examined.view.as_ref().map(livestack::align::View::grade),
        pose: &examined.pose,
        shows: examined.view.as_ref().is_some_and(|v| v.shows_too_little().is_none()),
    }
}

/// The newest checkpoint in `folder`.
pub(crate) fn newest(folder: &Path) -> Vec<u8> {
    std::fs::read(folder.join(NAMES[0])).expect("a checkpoint")
}
