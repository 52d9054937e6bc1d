//! How often a request is made again, and how long it takes until then.

use std::sync::Arc;
use std::time::Duration;

use layerlift_archive::{Error as ArchiveError, Observer};

use super::error::RegistryError;

/// How often something is tried.
const TRIES: u32 = 5;

/// The same of a host that says nothing: each try takes as long as anyone waits for it.
const SILENT: u32 = 2;

/// The waits that nobody asked for, in all.
const OWN: Duration = Duration::from_secs(60);

/// The longest wait that a registry may ask for, at once and in all.
const ASKED: Duration = Duration::from_secs(300);
const ASKED_IN_ALL: Duration = Duration::from_secs(900);

/// How often a wait looks whether it has been cancelled.
const SLICE: Duration = Duration::from_millis(50);

/// The tries of one request.
pub(super) struct Patience<'o> {
    tries: u32,
    silent: u32,
    pause: Duration,
    own: Duration,
    asked: Duration,
    observer: &'o dyn Observer,
}

impl<'o> Patience<'o> {
    /// `pause` is the first wait; each is twice as long as the one before it.
    pub(super) fn new(pause: Duration, observer: &'o dyn Observer) -> Self {
        Patience { tries: 1, silent: 0, pause, own: Duration::ZERO, asked: Duration::ZERO, observer }
    }

    /// Something has come of the last try, so the next ones count again from the first.
    pub(super) fn progressed(&mut self) {
        (self.tries, self.silent) = (1, 0);
    }

    /// Waits for the next try; returns the error if another try is of no use.
    pub(super) fn again(&mut self, error: RegistryError) -> Result<(), RegistryError> {
        if !error.is_temporary() {
            return Err(error);
        }
        let gave_up = |tries, source| RegistryError::GaveUp { tries, source: Arc::new(source) };
        self.silent += u32::from(matches!(error, RegistryError::Silent { .. }));
        if self.tries >= TRIES || self.silent >= SILENT {
            return Err(gave_up(self.tries, error));
        }
        let wait = match &error {
            RegistryError::Status { host, retry_after: Some(after), .. } => {
                self.asked += *after;
                if *after > ASKED || self.asked > ASKED_IN_ALL {
                    return Err(RegistryError::Busy { host: host.clone(), seconds: after.as_secs() });
                }
                *after
            }
            _ => {
                self.own += self.pause;
                if self.own > OWN {
                    return Err(gave_up(self.tries, error));
                }
                self.pause
            }
        };
        self.tries += 1;
        self.pause *= 2;
        self.wait(wait)
    }

    fn wait(&self, mut left: Duration) -> Result<(), RegistryError> {
        loop {
            if self.observer.cancelled() {
                return Err(RegistryError::Content(ArchiveError::Cancelled));
            }
            if left.is_zero() {
                return Ok(());
            }
            let slice = left.min(SLICE);
            std::thread::sleep(slice);
            left -= slice;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: u16, retry_after: Option<u64>) -> RegistryError {
        RegistryError::Status {
            host: "r.example".to_owned(),
            status,
            asked: "HEAD /v2/".to_owned(),
            detail: String::new(),
            retry_after: retry_after.map(Duration::from_secs),
        }
    }

    #[test]
    fn five_tries() {
        let mut patience = Patience::new(Duration::ZERO, &());
        for _ in 1..TRIES {
            patience.again(answered(503, None)).unwrap();
        }
        let error = patience.again(answered(503, None)).unwrap_err();
        assert!(matches!(error, RegistryError::GaveUp { tries: TRIES, .. }));
    }

    #[test]
    fn a_host_that_says_nothing_is_asked_twice() {
        let mut patience = Patience::new(Duration::ZERO, &());
        let silent = || RegistryError::Silent { host: "r.example".to_owned() };
        patience.again(silent()).unwrap();
        let error = patience.again(silent()).unwrap_err();
        assert!(matches!(error, RegistryError::GaveUp { tries: 2, .. }), "{error}");
    }

    #[test]
    fn what_does_not_pass_is_tried_once() {
        for status in [400, 401, 403, 404, 405, 413, 416, 501, 505] {
            let mut patience = Patience::new(Duration::ZERO, &());
            assert_eq!(patience.again(answered(status, Some(0))).unwrap_err().status(), Some(status));
        }
    }

    #[test]
    fn a_wait_has_its_bounds() {
        let mut patience = Patience::new(OWN + SLICE, &());
        assert!(matches!(patience.again(answered(500, None)), Err(RegistryError::GaveUp { tries: 1, .. })));
        let mut patience = Patience::new(Duration::ZERO, &());
        let error = patience.again(answered(429, Some(301))).unwrap_err();
        assert!(matches!(error, RegistryError::Busy { seconds: 301, .. }), "{error}");
    }
}
