//! A service under systemd: says that it is ready, alive, and what it is doing, by systemd's notify protocol. Where
//! nobody listens, and on other systems, nothing happens.
//!
//! Source: `sd_notify(3)`, `sd_watchdog_enabled(3)`. No message is worth a frame: what cannot be sent is dropped, the next
//! one is tried again.

use std::time::{Duration, Instant};

/// Signs of life in one interval of the watchdog; two are advised, one may be late.
const SIGNS: u32 = 3;
/// Longest status line, characters: the journal and `systemctl status` show one line.
const STATUS_CHARS: usize = 200;

/// The connection to the service manager.
#[derive(Debug)]
pub struct Service {
    /// Whether somebody listens.
    listened: bool,
    /// Time between two signs of life; `None`: nobody wants any.
    every: Option<Duration>,
    last: Option<Instant>,
}

impl Default for Service {
    fn default() -> Self {
        Self::new()
    }
}

impl Service {
    /// Reads `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID`. They stay in the environment: taking them out of it is
    /// not safe once there are threads, and no program is started that would inherit them.
    #[must_use]
    pub fn new() -> Self {
        Service { listened: link::listened(), every: link::watchdog().map(|whole| whole / SIGNS), last: None }
    }

    /// Start-up is finished; `status` as for [`Self::status`].
    pub fn ready(&self, status: &str) {
        self.send(&format!("READY=1\nSTATUS={}", line(status)));
    }

    /// A sign of life: sent where the watchdog wants one, at most every third of its interval, so that it may be called at
    /// each turn of a loop.
    pub fn alive(&mut self) {
        let Some(every) = self.every else { return };
        if self.last.is_none_or(|last| last.elapsed() >= every) {
            self.last = Some(Instant::now());
            self.send("WATCHDOG=1");
        }
    }

    /// What it is doing: one line, which `systemctl status` shows. Control characters become spaces.
    pub fn status(&self, text: &str) {
        self.send(&format!("STATUS={}", line(text)));
    }

    /// The end has begun; `status` as for [`Self::status`].
    pub fn stopping(&self, status: &str) {
        self.send(&format!("STOPPING=1\nSTATUS={}", line(status)));
    }

    /// Start-up or end takes up to `time` from now: the manager waits that long. While it runs, this says nothing to the
    /// watchdog: that needs [`Self::alive`].
    pub fn busy(&self, time: Duration) {
        self.send(&format!("EXTEND_TIMEOUT_USEC={}", time.as_micros()));
    }

    fn send(&self, message: &str) {
        if self.listened {
            link::send(message);
        }
    }
}

/// Text as one line of a message: a line break in a file's name must not become a message of its own.
fn line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(STATUS_CHARS).collect()
}

#[cfg(target_os = "linux")]
mod link {
    use std::time::Duration;

    pub(super) fn listened() -> bool {
        std::env::var_os("NOTIFY_SOCKET").is_some_and(|socket| !socket.is_empty())
    }

    pub(super) fn watchdog() -> Option<Duration> {
        sd_notify::watchdog_enabled().filter(|whole| !whole.is_zero())
    }

    pub(super) fn send(message: &str) {
        // An error: nobody listens any more, or the manager is busy. Neither is a reason to stop.
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Custom(message)]);
    }
}

#[cfg(not(target_os = "linux"))]
mod link {
    use std::time::Duration;

    pub(super) fn listened() -> bool {
        false
    }

    pub(super) fn watchdog() -> Option<Duration> {
        None
    }

    pub(super) fn send(_: &str) {}
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::os::unix::net::UnixDatagram;
    use std::process::Command;

    /// Says to the test below that it is to speak, not to listen.
    const SPEAKER: &str = "LIVESTACK_TEST_SERVICE";

    /// Everything that a service says, in a process of its own: the environment of this one belongs to all tests.
    #[test]
    fn speaker() {
        if std::env::var_os(SPEAKER).is_none() {
            return;
        }
        let mut service = Service::new();
        service.busy(Duration::from_secs(90));
        service.ready("waiting");
        // Few enough to wait in the socket all together: nobody reads before the end.
        for _ in 0..3 {
            service.alive();
        }
        std::thread::sleep(service.every.unwrap_or_default());
        service.alive();
        service.status(&format!("a\nREADY=1\u{85}b\u{1b}[m{}", "\u{e4}".repeat(STATUS_CHARS)));
        service.stopping("writing");
    }

    /// What is received from a speaker whose environment `set` (of a shell) completes.
    fn heard(set: &str) -> Vec<String> {
        let dir = tempfile::tempdir().expect("folder");
        let path = dir.path().join("notify");
        let socket = UnixDatagram::bind(&path).expect("socket");
        let test = std::env::current_exe().expect("this program");
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!(r#"{set} exec "$0" --exact service::tests::speaker"#)]).arg(test);
        shell
            .env(SPEAKER, "1")
            .env("NOTIFY_SOCKET", &path)
            .env_remove("WATCHDOG_USEC")
            .env_remove("WATCHDOG_PID");
        let speaker = shell.output().expect("it runs");
        assert!(speaker.status.success(), "{speaker:?}");
        socket.set_nonblocking(true).expect("socket");
        let mut bytes = [0; 4096];
        let next = || socket.recv(&mut bytes).ok().map(|n| String::from_utf8_lossy(&bytes[..n]).into_owned());
        std::iter::from_fn(next).collect()
    }

    #[test]
    fn systemd_hears_it_all_and_every_message_is_one() {
        let got = heard("export WATCHDOG_USEC=900000 WATCHDOG_PID=$$;");
        let long =
            format!("STATUS=a READY=1 b [m{}\n", "\u{e4}".repeat(STATUS_CHARS - "a READY=1 b [m".len()));
        let want = [
            "EXTEND_TIMEOUT_USEC=90000000\n",
            "READY=1\nSTATUS=waiting\n",
            "WATCHDOG=1\n",
            "WATCHDOG=1\n",
            &long,
            "STOPPING=1\nSTATUS=writing\n",
        ];
        assert_eq!(got, want);
    }

    #[test]
    fn no_sign_of_life_goes_where_none_is_wanted() {
        for set in [
            "",
            "export WATCHDOG_USEC=900000 WATCHDOG_PID=1;",
            "export WATCHDOG_USEC=0;",
            "export WATCHDOG_USEC=x;",
        ] {
            let got = heard(set);
            assert_eq!(got.len(), 4, "{set}: {got:?}");
            assert!(got.iter().all(|m| !m.contains("WATCHDOG=1")), "{set}: {got:?}");
        }
    }

    #[test]
    fn nobody_listens() {
        assert_eq!(heard("export WATCHDOG_USEC=900000; unset NOTIFY_SOCKET;"), [""; 0]);
        assert_eq!(heard("export WATCHDOG_USEC=900000 NOTIFY_SOCKET=/nowhere/at/all;"), [""; 0]);
        assert_eq!(heard("export NOTIFY_SOCKET=;"), [""; 0]);
    }
}
