//! A real browser without a window, steered through the DevTools protocol, over a pipe.

use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Once;
use std::time::{Duration, Instant};

/// Said once, past the test harness, which hides what passing tests print.
static SKIPPED: Once = Once::new();
/// Names that Chromium goes by.
const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "chrome"];
/// The page looks every 2 s; a machine at work takes longer.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at the page.
const PAUSE: Duration = Duration::from_millis(100);

/// The browser's program; `None` where the environment says `LIVESTACK_TEST_BROWSER=skip`. No browser is a failure.
pub(crate) fn found() -> Option<PathBuf> {
    if std::env::var_os("LIVESTACK_TEST_BROWSER").is_some_and(|v| v == "skip") {
        SKIPPED.call_once(|| {
            let text = "\n*** LIVESTACK_TEST_BROWSER=skip: THE PAGE IS TESTED IN NO BROWSER ***";
            let _ = writeln!(std::io::stderr(), "{text}");
        });
        return None;
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let all = std::env::split_paths(&path).flat_map(|dir| NAMES.map(|name| dir.join(name)));
    let found = all.into_iter().find(|program| program.is_file());
    Some(found.expect("no Chromium on the PATH: install it, or set LIVESTACK_TEST_BROWSER=skip"))
}

/// A browser with one tab.
pub(crate) struct Browser {
    process: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    /// Of the tab.
    session: Option<String>,
    number: u64,
}

impl Browser {
    /// Starts `program`, which keeps what it keeps in `folder`.
    pub(crate) fn start(program: &Path, folder: &Path) -> Browser {
        // It reads from descriptor 3 and writes to 4: the shell makes them of the pipes that a child can be given.
        let mut process = Command::new("sh")
            .args(["-c", r#"exec "$@" 3<&0 4>&1 </dev/null >/dev/null"#, "sh"])
            .arg(program)
            .args([
                "--headless=new",
                "--remote-debugging-pipe",
                "--no-sandbox",
                "--disable-gpu",
                "--no-first-run",
            ])
            .args(["--disable-dev-shm-usage", "--window-size=1000,900", "--hide-scrollbars"])
            .arg(format!("--user-data-dir={}", folder.display()))
            .arg("about:blank")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the browser starts");
        let to = process.stdin.take().expect("a pipe");
        let from = BufReader::new(process.stdout.take().expect("a pipe"));
        let mut browser = Browser { process, to, from, session: None, number: 0 };
        let target = browser.call("Target.createTarget", json!({ "url": "about:blank" }));
        let attached =
            browser.call("Target.attachToTarget", json!({ "targetId": target["targetId"], "flatten": true }));
        browser.session = attached["sessionId"].as_str().map(str::to_owned);
        browser
    }

    /// Calls a method and waits for its result.
    #[track_caller]
    pub(crate) fn call(&mut self, method: &str, params: Value) -> Value {
        self.number += 1;
        let mut message = json!({ "id": self.number, "method": method, "params": params });
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        self.to.write_all(format!("{message}\0").as_bytes()).expect("the browser lives");
        loop {
            let mut bytes = Vec::new();
            self.from.read_until(0, &mut bytes).expect("the browser answers");
            assert!(bytes.pop().is_some(), "the browser has ended");
            let answer: Value = serde_json::from_slice(&bytes).expect("JSON");
            if answer["id"] == self.number {
                assert!(answer["error"].is_null(), "{method}: {answer}");
                return answer["result"].clone();
            }
        }
    }

    /// Opens a page.
    pub(crate) fn open(&mut self, url: &str) {
        self.call("Page.navigate", json!({ "url": url }));
    }

    /// The value of an expression in the page, as if the user had typed a key.
    #[track_caller]
    pub(crate) fn value(&mut self, expression: &str) -> Value {
        let params = json!({ "expression": expression, "returnByValue": true, "userGesture": true });
        let got = self.call("Runtime.evaluate", params);
        assert!(got["exceptionDetails"].is_null(), "{expression}: {got}");
        got["result"]["value"].clone()
    }

    /// What the tab shows: PNG.
    pub(crate) fn screenshot(&mut self) -> Vec<u8> {
        let got = self.call("Page.captureScreenshot", json!({ "format": "png" }));
        base64(got["data"].as_str().expect("a picture"))
    }

    /// The colour in the middle of what the tab shows.
    pub(crate) fn colour(&mut self) -> [u8; 3] {
        let png = self.screenshot();
        let picture = image::load_from_memory(&png).expect("a PNG").to_rgb8();
        picture.get_pixel(picture.width() / 2, picture.height() / 2).0
    }

    /// Waits until the page shows `text` and about `colour` in its middle.
    #[track_caller]
    pub(crate) fn waits_for(&mut self, text: &str, colour: [u8; 3]) {
        let start = Instant::now();
        loop {
            let shown = self.value("document.body ? document.body.innerText : ''");
            let seen = self.colour();
            let near = seen.iter().zip(colour).all(|(&a, b)| a.abs_diff(b) < 8);
            if near && shown.as_str().is_some_and(|shown| shown.contains(text)) {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "not {text:?} on {colour:?} but {shown:?} on {seen:?}");
            std::thread::sleep(PAUSE);
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It ends itself, and with it all its processes; without the pipe it would do so too.
        let _ = self.to.write_all(b"{\"id\":0,\"method\":\"Browser.close\"}\0");
        let start = Instant::now();
        while matches!(self.process.try_wait(), Ok(None)) && start.elapsed() < PATIENCE {
            std::thread::sleep(PAUSE);
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Decodes base64 (RFC 4648, section 4).
fn base64(text: &str) -> Vec<u8> {
    let digit = |c: u8| match c {
        b'A'..=b'Z' => c - b'A',
        b'a'..=b'z' => c - b'a' + 26,
        b'0'..=b'9' => c - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let digits: Vec<u8> = text.bytes().filter(|&c| c != b'=').map(digit).collect();
    let bytes = digits.chunks(4).flat_map(|four| {
        let bits = (0..4).fold(0u32, |bits, k| bits << 6 | u32::from(*four.get(k).unwrap_or(&0)));
        bits.to_be_bytes()[1..four.len()].to_vec()
    });
    bytes.collect()
}
