//! Nights in memory: what a stack can live through, on small frames.

use crate::common::geometry::{IDENTITY, Map, about_centre, compose, shift, similarity};
use crate::common::mosaic::mosaiced;
use crate::common::night::{Moon, Shot, turned};
use crate::common::picture::Picture;
use crate::common::sky::{Rng, Sky, eight, sixteen};
use livestack::align::AlignTo;
use livestack::align::grade::Limits;
use livestack::align::motion::Motion;
use livestack::checkpoint::Reader;
use livestack::engine::Setup;
use livestack::error::Result;
use livestack::frame::{Frame, SampleType, Shape};
use livestack::judge::{Judge, OnChange, Rules};
use livestack::master::{Masters, Plan, Wishes};
use livestack::rules::Method;
use livestack::sensor::{Bayer, Sensor};
use livestack::tags::Tags;

/// A night.
pub(crate) struct Night {
    pub(crate) name: &'static str,
    pub(crate) frames: Vec<Frame>,
    pub(crate) methods: Vec<Method>,
    pub(crate) align_to: AlignTo,
    pub(crate) rules: Rules,
    first: (Shape, Sensor, f32),
}

/// What the judge does where nothing else is said.
const RULES: Rules = Rules {
    limits: Limits { accept_all: false, min_stars: None, max_fwhm: None, max_elongation: None },
    on_change: OnChange::Reject,
    new_target: 3,
    restart: false,
};

impl Night {
    fn new(name: &'static str, frames: Vec<Frame>) -> Night {
        let first = (frames[0].shape, frames[0].sensor, frames[0].white());
        let methods = vec![Method::AddComp];
        Night { name, frames, methods, align_to: AlignTo::Previous, rules: RULES, first }
    }

    /// All but the frames.
    pub(crate) fn without_frames(&self) -> Night {
        let Night { name, methods, align_to, rules, first, .. } = self;
        let (methods, align_to, rules, first) = (methods.clone(), *align_to, *rules, *first);
        Night { name, frames: Vec::new(), methods, align_to, rules, first }
    }

    pub(crate) fn setup(&self) -> (Setup, Plan) {
        let (frame, sensor, white) = self.first;
        let plan = Plan::new((frame, &sensor), white, &Masters::default(), &Wishes::USUAL).expect("a plan");
        let setup = Setup {
            frame,
            shape: plan.canvas,
            white,
            methods: self.methods.clone(),
            align: true,
            motion: Motion::Homography,
            align_to: self.align_to,
            matrix: sensor.matrix,
            tones: self.rules.on_change == OnChange::Scale,
        };
        (setup, plan)
    }

    fn canvas(&self) -> ((usize, usize), f64) {
        let (Setup { shape, white, .. }, _) = self.setup();
        ((shape.width, shape.height), f64::from(white))
    }

    pub(crate) fn judge(&self) -> Judge {
        let (size, white) = self.canvas();
        Judge::new(self.rules, size, white)
    }

    pub(crate) fn restored(&self, from: &mut Reader) -> Result<Judge> {
        let (size, white) = self.canvas();
        Judge::restored(self.rules, size, white, from)
    }
}

/// A frame of `samples`, native-endian, in words.
fn frame<T: bytemuck::Pod>(k: usize, p: &Picture<T>, sample: SampleType, mosaic: Option<Bayer>) -> Frame {
    let shape = Shape { width: p.width, height: p.height, channels: p.channels, sample, mosaic };
    let mut bytes: Vec<u8> = bytemuck::cast_slice(&p.data).to_vec();
    bytes.resize(shape.words() * 4, 0);
    let words = bytes.chunks_exact(4).map(|b| u32::from_ne_bytes([b[0], b[1], b[2], b[3]])).collect();
    let sensor = if sample == SampleType::U8 { Sensor::DISPLAY } else { Sensor::LINEAR };
    Frame { path: format!("light_{k}").into(), shape, words, sensor, tags: Tags::default(), beside: 0 }
}

fn rgb(k: usize, p: &Picture<f32>) -> Frame {
    frame(k, &eight(p), SampleType::U8, None)
}

/// A drift over nearly half of the frame, with some unrest and field rotation, about the middle of the sky.
fn wander(count: usize, size: (usize, usize), seed: u64) -> Vec<Map> {
    const FAR: f64 = 0.21;
    let mut rng = Rng::new(seed);
    let mut map = |k: usize| {
        let t = 1.0 - 2.0 * k as f64 / (count - 1) as f64;
        let (w, h) = (size.0 as f64, size.1 as f64);
        let (dx, dy) = (FAR * w * t + rng.within(-0.7, 0.7), FAR * h * t + rng.within(-0.7, 0.7));
        about_centre(&similarity(0.05 * k as f64, 1.0, dx, dy), size)
    };
    (0..count).map(&mut map).collect()
}

/// Adds `count` spots that stand still on the sensor and look like stars.
fn spots(p: &mut Picture<f32>, count: usize, seed: u64) {
    let mut rng = Rng::new(seed);
    for _ in 0..count {
        let (x, y) = (20 + rng.below(p.width - 40), 20 + rng.below(p.height - 40));
        let level = rng.within(30.0, 140.0) as f32;
        for n in 0..9 {
            let share = if n == 4 { 1.0 } else { 0.5 };
            for c in 0..3 {
                p.data[((y + n / 3) * p.width + x + n % 3) * 3 + c] += share * level;
            }
        }
    }
}

/// A field that is left so far that the template grows, settles and hands over; hot spots; a bump; frames of another
/// field, blurred ones, and one under a cloud. All rules.
pub(crate) fn wandering(align_to: AlignTo) -> Night {
    let size = (440, 300);
    let (sky, other) = (Sky::new(size, 130, 71), Sky::new(size, 90, 72));
    let maps = wander(34, size, 73);
    let mut frames = Vec::new();
    for (k, map) in maps.iter().enumerate() {
        let clear = Shot::new(*map, k as u64);
        let shot = match k {
            9 => Shot { map: compose(&shift(31.0, -22.0), map), ..clear },
            12 | 13 => Shot { blur: 2.4, ..clear },
            // Where the template would hand over, were there as many stars as it has.
            18 => Shot { clear: 0.42, ..clear },
            _ => clear,
        };
        let field = if (20..22).contains(&k) { &other } else { &sky };
        let mut picture = field.shoot(&shot);
        spots(&mut picture, 25, 74);
        frames.push(rgb(k, &picture));
    }
    let methods = [Method::SIX, &[Method::Mean]].concat();
    Night { methods, align_to, ..Night::new("wandering", frames) }
}

/// Gray frames of 16 bits.
pub(crate) fn mono() -> Night {
    let size = (390, 270);
    let sky = Sky::new(size, 110, 81);
    let gray =
        |p: &Picture<f32>| Picture::new(p.width, p.height, 1, p.data.chunks_exact(3).map(|c| c[1]).collect());
    let shoot =
        |(k, map): (usize, &Map)| frame(k, &sixteen(&gray(&sky.light(map, k as u64))), SampleType::U16, None);
    let frames = wander(16, size, 82).iter().enumerate().map(shoot).collect();
    Night { methods: vec![Method::Mean], ..Night::new("mono", frames) }
}

/// Mosaics of 16 bits.
pub(crate) fn mosaic() -> Night {
    let size = (400, 280);
    let sky = Sky::new(size, 110, 91);
    let shoot = |(k, map): (usize, &Map)| {
        let picture = mosaiced(&sky.light(map, k as u64), Bayer::Grbg);
        frame(k, &sixteen(&picture), SampleType::U16, Some(Bayer::Grbg))
    };
    let frames = wander(14, size, 92).iter().enumerate().map(shoot).collect();
    Night { methods: vec![Method::Mean, Method::AddMax2], ..Night::new("mosaic", frames) }
}

/// The Moon: no stars. It trembles, jumps and is turned once; some exposures are shorter, and scaled by contrast and sky.
pub(crate) fn moon() -> Night {
    let size = (600, 400);
    let moon = Moon::new(size, 300, 58);
    let mut rng = Rng::new(101);
    let frames = (0..12).map(|k| {
        let (dx, dy) = (rng.within(-5.0, 5.0), rng.within(-5.0, 5.0));
        let map = match k {
            0 => IDENTITY,
            4 => shift(130.0 + dx, 30.0 + dy),
            7.. => turned(180.0, dx, dy, size),
            _ => shift(dx, dy),
        };
        let gain = if matches!(k, 2 | 6 | 9) { 0.6 } else { 1.0 };
        let mut frame = rgb(k as usize, &moon.light(&map, k).map(|v| gain * v));
        frame.tags.exposure_s = Some(f64::from(gain));
        frame
    });
    let rules = Rules { on_change: OnChange::Scale, ..RULES };
    Night { rules, ..Night::new("moon", frames.collect()) }
}

/// Exposures that change, brought to the stack's levels: told by headers or by stars and sky.
pub(crate) fn tones(headers: bool) -> Night {
    let size = (360, 260);
    let sky = Sky::new(size, 110, 111);
    let shoot = |(k, map): (usize, &Map)| {
        let gain = [1.0, 0.5, 1.6][k / 3 % 3];
        let shot = Shot { gain, ramp: 2.0 * k as f32, ..Shot::new(*map, k as u64) };
        let mut frame = rgb(k, &sky.shoot(&shot));
        frame.tags.exposure_s = headers.then_some(f64::from(10.0 * gain));
        frame
    };
    let frames = wander(16, size, 112).iter().enumerate().map(shoot).collect();
    let rules = Rules { on_change: OnChange::Scale, ..RULES };
    let methods = vec![Method::Mean, Method::AddComp];
    Night { methods, rules, ..Night::new("tones", frames) }
}

/// Targets and exposures that change, and a stack that begins again for it: hot spots are remembered over that.
pub(crate) fn restarts() -> Night {
    let size = (400, 280);
    let skies = [Sky::new(size, 100, 121), Sky::new(size, 120, 122)];
    let frames = (0..26_usize).map(|k| {
        let map = shift(1.7 * k as f64 - 20.0, 12.0 - 1.1 * k as f64);
        let gain = if (5..9).contains(&k) { 0.5 } else { 1.0 };
        let shot = Shot { gain, ..Shot::new(map, k as u64) };
        let mut picture = skies[usize::from((12..19).contains(&k))].shoot(&shot);
        spots(&mut picture, 30, 123);
        rgb(k, &picture)
    });
    let rules = Rules { on_change: OnChange::Restart, restart: true, ..RULES };
    Night { rules, ..Night::new("restarts", frames.collect()) }
}

/// A small one, quickly stored.
pub(crate) fn small(size: (usize, usize), count: usize) -> Night {
    let sky = Sky::new(size, 40, 131);
    let shoot = |k: usize| rgb(k, &sky.light(&shift(1.3 * k as f64, -0.9 * k as f64), k as u64));
    let rules = Rules { on_change: OnChange::Scale, ..RULES };
    Night { rules, methods: vec![Method::Mean], ..Night::new("small", (0..count).map(shoot).collect()) }
}
