//! The end of a session: everything on the disk.

use super::live::Session;
use super::{Wake, inbox};
use crate::backend::Backend;
use crate::error::{Error, Result};
use serde_json::json;
use std::time::Duration;

/// Outputs and checkpoint may take so long to write.
const WRITES: Duration = Duration::from_secs(600);
/// Time between two signs of life meanwhile.
const SIGN: Duration = Duration::from_millis(100);

impl<B: Backend> Session<'_, B> {
    /// Writes everything, and ends.
    pub(super) fn finish(mut self) -> Result<()> {
        self.service.stopping("writing the outputs");
        self.service.busy(WRITES);
        if self.replay.is_empty() && self.tasks.is_empty() {
            self.caught_up()?;
        }
        self.watcher = None;
        self.wait_for_publisher();
        let night = self.run.night.as_ref().is_some_and(|n| n.engine.stacked() > 0);
        let mut failed = None;
        // Stopped while frames were read again, the pictures on the disk show more than the stack.
        if night && self.settled() {
            self.publish(true)?;
        }
        // Beside the pictures.
        if self.run.night.is_some() && (self.run.ledger.applied > self.pump.saved) {
            self.checkpoint()?;
            failed = self.pump.troubles.get("checkpoint").cloned();
        }
        self.wait_for_publisher();
        failed = self.pump.troubles.get("picture").cloned().or(failed);
        if let Err(e) = self.run.ledger.sync() {
            failed = Some(e.to_string());
        }
        self.close_requests();
        self.write_status("ended");
        let (stacked, rejected) = (self.run.report.stacked, self.run.report.rejected);
        let lag =
            self.latency().map_or(String::new(), |ms| format!("; from file to picture {ms:.0} ms (median)"));
        self.run.report.line(&format!("{stacked} stacked, {rejected} rejected{lag}"));
        if stacked == 0 {
            self.run.report.line("nothing was stacked: no picture was written");
        }
        if self.plan.config.timings
            && let Some(night) = self.run.night.as_mut()
        {
            let mut all = night.engine.timings();
            all.merge(&self.run.timings);
            self.run.report.event("timings", crate::stack::spans(&all, night.need));
            self.run.report.line(&all.table((stacked + rejected) as u64));
            self.run.report.line(&crate::stack::peaks(night.need));
        }
        self.run.report.event(
            "done",
            json!({ "stacked": stacked, "rejected": rejected, "waiting": inbox::look(&self.folder).len() }),
        );
        failed.map_or(Ok(()), |why| Err(Error::Output(why)))
    }

    fn wait_for_publisher(&mut self) {
        while self.publisher.busy {
            self.service.alive();
            match self.wake.recv_timeout(SIGN) {
                Ok(Wake::Published(done)) => self.published(done),
                Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => return,
                _ => {}
            }
        }
    }
}
