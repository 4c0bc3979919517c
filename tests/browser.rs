//! The page that the room sees, in a real browser: it shows the newest picture and its caption without being told, from
//! a disk and from a web server. `LIVESTACK_TEST_BROWSER=skip` runs without a browser, and says so;
//! `LIVESTACK_SCREENSHOT=FILE` leaves a picture of it.

mod common;

use common::Place;
use common::browser::{Browser, found};
use livestack::page::{PAGE, Shown, publish};
use serde_json::json;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

const RED: [u8; 3] = [180, 40, 20];
const GREEN: [u8; 3] = [20, 160, 60];
const BLUE: [u8; 3] = [30, 50, 190];
/// Counts the moments at which the page has no whole picture.
const WATCH: &str = "window.bare = 0; window.moments = 0; (function look() {
    const p = document.querySelector('img');
    window.moments += 1;
    if (!p || !p.complete || !p.naturalWidth) window.bare += 1;
    requestAnimationFrame(look);
})()";
/// As long as the page takes for two looks at least.
const TWO_LOOKS: Duration = Duration::from_secs(5);
/// A name that would be three kinds of trouble if it were taken for markup, script or several lines.
const NAME: &str = "<b>&amp; \"ü'</script>.jpg: stacked";

/// Publishes a picture of one colour.
fn put(out: &Path, colour: [u8; 3], number: u64, last: &str) {
    let data: Vec<u8> = std::iter::repeat_n(colour, 2400 * 1600).flatten().collect();
    let shown = Shown {
        stacked: number as usize,
        rejected: 2,
        exposure_s: 30.0 * number as f64,
        last: Some(last.to_owned()),
        target: Some("M 45".to_owned()),
        number,
    };
    publish(out, (&data, 2400, 1600, 3), &shown).expect("published");
}

/// A web server of a folder, the least that can be one.
struct Server {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    fn start(folder: PathBuf, address: &str) -> Server {
        let listener = TcpListener::bind(address).expect("a port");
        let address = listener.local_addr().expect("an address");
        let stop = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if seen.load(Ordering::Relaxed) {
                    return;
                }
                let folder = folder.clone();
                // A browser opens connections that it does not use at once.
                std::thread::spawn(move || stream.and_then(|stream| answer(stream, &folder)));
            }
        });
        Server { address, stop, thread: Some(thread) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Answers one request, `GET /name?query HTTP/1.1`.
fn answer(mut stream: TcpStream, folder: &Path) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    let name = request.split([' ', '?']).nth(1).unwrap_or_default().trim_start_matches('/');
    let kind = if name.ends_with(".html") { "text/html; charset=utf-8" } else { "image/jpeg" };
    let (status, body) = match std::fs::read(folder.join(name)) {
        Ok(body) if !name.is_empty() => ("200 OK", body),
        _ => ("404 Not Found", Vec::new()),
    };
    // Long-lived, as servers say of pictures: the page must not be served from the browser's memory for that.
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nCache-Control: max-age=3600\r\n\
         Connection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(&body)
}

/// Opens the page at `url` and changes what it shows, without telling it.
fn follows(browser: &mut Browser, out: &Path, url: &str) {
    put(out, RED, 1, NAME);
    browser.open(url);
    browser.waits_for("M 45 · 1 frame · 30 s · 2 rejected", RED);
    browser.waits_for(NAME, RED);
    browser.value(WATCH);
    let history = browser.value("history.length");
    put(out, GREEN, 142, "IMG_0142.CR2: too few stars: 3");
    browser.waits_for("M 45 · 142 frames · 1 h 11 min · 2 rejected", GREEN);
    browser.waits_for("IMG_0142.CR2: too few stars: 3", GREEN);
    // The same number again, as after a new start of the program.
    put(out, BLUE, 142, "line one\nline two");
    browser.waits_for("line one line two", BLUE);
    assert_eq!(browser.value("window.bare"), 0, "it flickered");
    assert!(browser.value("window.moments").as_u64() > Some(10), "nobody watched");
    assert_eq!(browser.value("history.length"), history, "the tab's history grows");
    assert_eq!(browser.value("document.querySelectorAll('iframe').length"), 1);
    assert_eq!(browser.value("document.title"), "M 45 · 142 frames · 1 h 11 min · 2 rejected - livestack");
}

#[test]
fn opened_from_the_disk_it_shows_the_newest_picture_by_itself() {
    let Some(program) = found() else { return };
    let place = Place::new();
    let out = place.folder("out of the night #1");
    let mut browser = Browser::start(&program, &place.folder("profile"));
    let url = format!("file://{}/{PAGE}", out.display()).replace(' ', "%20").replace('#', "%23");
    follows(&mut browser, &out, &url);
    if let Some(path) = std::env::var_os("LIVESTACK_SCREENSHOT") {
        std::fs::write(path, browser.screenshot()).expect("screenshot");
    }
}

#[test]
fn opened_from_a_server_it_does_so_too_and_keeps_the_last_picture_while_there_is_none() {
    let Some(program) = found() else { return };
    let place = Place::new();
    let out = place.folder("out");
    let mut browser = Browser::start(&program, &place.folder("profile"));
    let server = Server::start(out.clone(), "127.0.0.1:0");
    let address = server.address.to_string();
    follows(&mut browser, &out, &format!("http://{address}/{PAGE}"));

    // The server goes away, then half of the folder, then both are back.
    drop(server);
    put(&out, RED, 143, "unheard of");
    std::thread::sleep(TWO_LOOKS);
    browser.waits_for("line one line two", BLUE);
    std::fs::rename(out.join("latest.jpg"), out.join("away.jpg")).expect("renamed");
    let _server = Server::start(out.clone(), &address);
    std::thread::sleep(TWO_LOOKS);
    browser.waits_for("line one line two", BLUE);
    assert_eq!(browser.value("window.bare"), 0, "the picture was lost");
    std::fs::rename(out.join("away.jpg"), out.join("latest.jpg")).expect("renamed");
    browser.waits_for("unheard of", RED);
}

#[test]
fn the_picture_fills_the_window_and_a_click_the_screen() {
    let Some(program) = found() else { return };
    let place = Place::new();
    let out = place.folder("out");
    put(&out, GREEN, 7, "a name as long as the night ".repeat(40).trim());
    let mut browser = Browser::start(&program, &place.folder("profile"));
    browser.open(&format!("file://{}/{PAGE}", out.display()));
    browser.waits_for("7 frames", GREEN);
    // Three to two: as wide as the window, black above and below.
    let png = browser.screenshot();
    let picture = image::load_from_memory(&png).expect("a PNG").to_rgb8();
    let (w, h) = picture.dimensions();
    let (left, right) = (picture.get_pixel(1, h / 2).0, picture.get_pixel(w - 2, h / 2).0);
    assert!([left, right].iter().all(|p| p[1] > 150 && p[0] < 40), "{left:?} {right:?}");
    assert_eq!(picture.get_pixel(w / 2, 1).0, [0, 0, 0]);
    // However long the name is, the caption is a few lines at the bottom.
    let height = browser.value("document.getElementById('caption').offsetHeight / innerHeight");
    assert!(height.as_f64().is_some_and(|height| height > 0.01 && height < 0.2), "{height}");
    assert_eq!(browser.value("document.fullscreenElement === null"), true);
    for kind in ["mousePressed", "mouseReleased"] {
        let at = json!({ "type": kind, "x": 200, "y": 200, "button": "left", "clickCount": 1 });
        browser.call("Input.dispatchMouseEvent", at);
    }
    std::thread::sleep(TWO_LOOKS);
    assert_eq!(browser.value("document.fullscreenElement !== null"), true);
}
