//! What the room sees: `latest.jpg` and a page that shows it, `latest.html`, rewritten with each publication.
//!
//! The page needs nothing but the picture beside it, and notices a new one by itself, from a disk or from any web server.
//! A page opened from a disk may read no files. But it may open itself in a hidden frame, and what is opened there, the
//! newest page, may post what it says to the one around it. So every page carries its own text as data, and asks for its
//! own address again and again.

use crate::error::Result;
use crate::io;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

mod shrink;

/// Name of the picture in the folder of outputs.
pub const PICTURE: &str = "latest.jpg";
/// Name of the page in the folder of outputs.
pub const PAGE: &str = "latest.html";

/// The page, with marks for what changes.
const TEMPLATE: &str = include_str!("page.html");
/// Where the data go: an object of JavaScript.
const DATA_MARK: &str = "{{data}}";
/// Where the caption goes for browsers without scripts.
const CAPTION_MARK: &str = "{{caption}}";
/// Long side of the picture, px: as much as screens in a room show, and still a few hundred kB.
const LONG_SIDE: usize = 2048;
/// Of JPEG, 1 to 100: without visible blocks in a dark sky.
const QUALITY: u8 = 90;
/// Between parts of the caption.
const SEPARATOR: &str = " \u{b7} ";
const MINUTE_S: u64 = 60;
const HOUR_S: u64 = 3600;
/// Shorter exposures are written with a decimal, s.
const SHORT_S: f64 = 10.0;

/// What the page says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Shown {
    /// Frames in the stack.
    pub stacked: usize,
    /// Frames rejected.
    pub rejected: usize,
    /// Total exposure of the stack, s; 0: unknown.
    pub exposure_s: f64,
    /// The last file's name and what became of it, or the last reason of rejection; one line.
    pub last: Option<String>,
    /// What the stack shows.
    pub target: Option<String>,
    /// Number of the publication: the page takes up what has another one.
    pub number: u64,
}

/// Writes [`PICTURE`] and then [`PAGE`] into the folder `out`, each in one step.
///
/// * `picture` - 8-bit samples `[height][width][channels]`, turned upright, as they are to look; then width, height and
///   channels (1 or 3). It is made smaller where its long side exceeds 2048 px, never larger.
///
/// # Errors
/// [`crate::error::Error::Io`] naming the file that cannot be written; the old one is still whole then. A page is never
/// newer than its picture.
pub fn publish(out: &Path, picture: (&[u8], usize, usize, usize), shown: &Shown) -> Result<()> {
    let (data, width, height, channels) = picture;
    let path = out.join(PICTURE);
    io::check(&path, width, height, channels, data.len())?;
    let (data, width, height) = shrink::shrink(data, (width, height, channels), LONG_SIDE);
    io::write_jpeg8(&path, width, height, channels, &data, QUALITY)?;
    io::write_text(&out.join(PAGE), &page(shown))
}

/// The page as text.
fn page(shown: &Shown) -> String {
    let (facts, last) = (facts(shown), shown.last.as_deref().unwrap_or_default());
    // Tells publications apart that have the same number: those of two runs.
    let written = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
    let data = serde_json::json!({
        "livestack": 1,
        "publication": format!("{}-{written}", shown.number),
        "facts": facts,
        "last": last,
    });
    // The caption first: it may hold anything, a mark too, and the data hold no mark that was not there before.
    let (head, rest) = TEMPLATE.split_once(DATA_MARK).unwrap_or((TEMPLATE, ""));
    let (middle, tail) = rest.split_once(CAPTION_MARK).unwrap_or((rest, ""));
    let caption = markup(&format!("{facts}\n{last}"));
    format!("{head}{}{middle}{caption}{tail}", script(&data.to_string()))
}

/// Frames, exposure and target, in one line.
fn facts(shown: &Shown) -> String {
    let frames = if shown.stacked == 1 { "frame" } else { "frames" };
    let mut parts: Vec<String> = shown.target.iter().cloned().collect();
    parts.push(format!("{} {frames}", shown.stacked));
    parts.extend(exposure(shown.exposure_s));
    if shown.rejected > 0 {
        parts.push(format!("{} rejected", shown.rejected));
    }
    parts.join(SEPARATOR)
}

/// A time of `seconds` as people say it: `2.5 s`, `12 min 30 s`, `1 h 11 min`; `None` where it is unknown.
fn exposure(seconds: f64) -> Option<String> {
    if !(seconds.is_finite() && seconds > 0.0) {
        return None;
    }
    let whole = seconds.round() as u64;
    Some(match whole {
        _ if seconds < SHORT_S => format!("{} s", (seconds * 10.0).round() / 10.0),
        _ if whole < MINUTE_S => format!("{whole} s"),
        _ if whole < HOUR_S => format!("{} min {} s", whole / MINUTE_S, whole % MINUTE_S),
        _ => format!("{} h {} min", whole / HOUR_S, whole % HOUR_S / MINUTE_S),
    })
}

/// JSON as it may stand in a script: nothing in it ends the script or a line of it.
fn script(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => text.push_str(&format!("\\u{:04x}", c as u32)),
            c => text.push(c),
        }
    }
    text
}

/// Text as it may stand between tags.
fn markup(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The data that a page carries.
    fn data(page: &str) -> serde_json::Value {
        let start = page.find("const data = ").expect("data") + "const data = ".len();
        let end = page[start..].find(";\n").expect("the end of the data");
        serde_json::from_str(&page[start..start + end]).expect("JSON")
    }

    #[test]
    fn names_of_any_kind_stand_as_they_are_and_break_nothing() {
        let name = "a\"b'c&d<e>\n</script><!-- {{caption}} {{data}} \u{2028}\u{2029}\\ \u{1f30c}: stacked";
        let shown =
            Shown { stacked: 1, last: Some(name.into()), target: Some("<b>".into()), ..Shown::default() };
        let page = page(&shown);
        assert_eq!(data(&page)["last"], name);
        assert_eq!(data(&page)["facts"], "<b> \u{b7} 1 frame");
        assert_eq!(page.matches("</script>").count(), TEMPLATE.matches("</script>").count());
        assert!(!page.contains("<!-- {{") && !page.contains("<b>"), "{page}");
        assert!(page.contains("&lt;/script&gt;&lt;!-- {{caption}}"), "the caption without scripts: {page}");
        let script = &page[page.find("const data").expect("data")..page.find("</script>").expect("script")];
        assert!(!script.contains(['\u{2028}', '\u{2029}']), "a line of the script is broken");
    }

    #[test]
    fn the_template_holds_each_mark_once_and_refers_to_nothing_elsewhere() {
        assert_eq!((TEMPLATE.matches(DATA_MARK).count(), TEMPLATE.matches(CAPTION_MARK).count()), (1, 1));
        assert!(TEMPLATE.find(DATA_MARK) < TEMPLATE.find(CAPTION_MARK));
        assert!(!TEMPLATE.contains("//") && TEMPLATE.contains(PICTURE));
    }

    #[test]
    fn exposures_are_written_as_people_say_them() {
        let cases = [
            (0.25, "0.3 s"),
            (2.5, "2.5 s"),
            (45.0, "45 s"),
            (59.7, "1 min 0 s"),
            (750.0, "12 min 30 s"),
            (3599.6, "1 h 0 min"),
            (4260.0, "1 h 11 min"),
            (90_000.0, "25 h 0 min"),
        ];
        for (seconds, text) in cases {
            assert_eq!(exposure(seconds).as_deref(), Some(text), "{seconds}");
        }
        for unknown in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(exposure(unknown), None, "{unknown}");
        }
        let shown = Shown {
            stacked: 142,
            rejected: 3,
            exposure_s: 4260.0,
            target: Some("M 45".into()),
            ..Shown::default()
        };
        assert_eq!(facts(&shown), "M 45 \u{b7} 142 frames \u{b7} 1 h 11 min \u{b7} 3 rejected");
    }

    #[test]
    fn a_large_picture_is_published_small_and_whole() {
        let dir = tempfile::tempdir().expect("folder");
        let data: Vec<u8> = (0..3000 * 1500).flat_map(|_| [200, 30, 90]).collect();
        publish(dir.path(), (&data, 3000, 1500, 3), &Shown::default()).expect("published");
        let picture = image::open(dir.path().join(PICTURE)).expect("a JPEG").to_rgb8();
        assert_eq!(picture.dimensions(), (2048, 1024));
        let pixel = picture.get_pixel(1000, 500).0;
        assert!(pixel.iter().zip([200, 30, 90]).all(|(&got, want)| got.abs_diff(want) < 4), "{pixel:?}");
        let names: Vec<_> =
            std::fs::read_dir(dir.path()).expect("folder").flatten().map(|e| e.file_name()).collect();
        assert_eq!(names.len(), 2, "{names:?}");
    }

    #[test]
    fn what_is_no_picture_is_refused() {
        let dir = tempfile::tempdir().expect("folder");
        for picture in
            [(&[0u8; 5][..], 2, 3, 1), (&[], 0, 0, 1), (&[0; 8], 2, 2, 2), (&[0; 6], usize::MAX, 2, 3)]
        {
            publish(dir.path(), picture, &Shown::default()).expect_err("no picture");
        }
        let gone =
            publish(&dir.path().join("gone"), (&[1], 1, 1, 1), &Shown::default()).expect_err("no folder");
        assert!(gone.to_string().ends_with("gone/latest.jpg"), "{gone}");
    }
}
