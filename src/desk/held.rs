//! People about whom new decisions wait a moment, because a withdrawal of theirs keeps finding that something was recorded
//! since it looked. Only so that it comes through under load: that nothing rests on an ended consent is the commit's.

use std::sync::Arc;

use ahash::HashMap;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::domain::subject::SubjectId;

/// Whose decisions wait, and for whom.
#[derive(Debug, Default)]
pub(super) struct Held(Mutex<HashMap<SubjectId, watch::Receiver<()>>>);

/// While it lives, new decisions about the person wait. It never waits itself, so that nobody waits for ever.
#[derive(Debug)]
pub(super) struct Hold {
    held: Arc<Held>,
    subject: SubjectId,
    /// Whose receivers learn that it was dropped.
    _release: watch::Sender<()>,
}

impl Held {
    /// Holds up new decisions about `subject`.
    pub(super) fn hold(self: &Arc<Self>, subject: SubjectId) -> Hold {
        let (release, released) = watch::channel(());
        // Of two withdrawals at once the later one's hold counts; each works without it.
        self.0.lock().insert(subject, released);
        Hold { held: Arc::clone(self), subject, _release: release }
    }

    /// Waits while somebody holds `subject`. `true`: it waited, so that what was read of the person is old.
    pub(super) async fn wait(&self, subject: SubjectId) -> bool {
        let released = self.0.lock().get(&subject).cloned();
        let Some(mut released) = released else { return false };
        while released.changed().await.is_ok() {}
        true
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.held.0.lock().remove(&self.subject);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn decisions_about_one_person_wait_until_the_hold_is_dropped_and_nobody_else_s_do() {
        let held = Arc::new(Held::default());
        let (one, other) = (SubjectId([1; 16]), SubjectId([2; 16]));
        let hold = held.hold(one);
        assert!(!held.wait(other).await);
        let mut waiting = Box::pin(held.wait(one));
        assert!((&mut waiting).now_or_never().is_none());
        drop(hold);
        assert!(waiting.await);
        assert!(!held.wait(one).await && held.0.lock().is_empty());
    }
}
