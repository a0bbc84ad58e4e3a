//! The library's clients, held so that letting one go holds up nobody: the library waits for its threads then, for seconds
//! where the brokers are away, and no worker of the runtime must.

use std::ops::Deref;

use tokio::runtime::Handle;

/// A client of the library. It ends beside the runtime's workers, wherever it is let go.
pub struct Client<T: Send + 'static>(Option<T>);

impl<T: Send + 'static> Client<T> {
    /// Holds one.
    pub const fn new(library: T) -> Self {
        Self(Some(library))
    }

    /// Has it do something that may block, and lets it go; returns when it has ended.
    pub async fn end(mut self, last: impl FnOnce(&T) + Send + 'static) {
        if let Some(library) = self.0.take() {
            let ended = tokio::task::spawn_blocking(move || last(&library));
            let _ = ended.await; // it cannot be broken off
        }
    }
}

impl<T: Send + 'static> Deref for Client<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_ref().expect("it is there until it is let go")
    }
}

impl<T: Send + 'static> Drop for Client<T> {
    fn drop(&mut self) {
        let Some(library) = self.0.take() else { return };
        match Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(move || drop(library))),
            Err(_) => drop(library), // this thread is none of a runtime's
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread::{self, ThreadId};

    use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

    use super::*;

    /// Says where it is used and where it ends.
    struct Library(UnboundedSender<ThreadId>);

    impl Library {
        fn say(&self) {
            self.0.send(thread::current().id()).unwrap();
        }
    }

    impl Drop for Library {
        fn drop(&mut self) {
            self.say();
        }
    }

    #[tokio::test]
    async fn no_worker_of_the_runtime_waits_for_a_client_that_is_let_go() {
        let (said, mut places) = unbounded_channel();
        drop(Client::new(Library(said)));
        assert_ne!(places.recv().await.unwrap(), thread::current().id());
    }

    #[tokio::test]
    async fn one_whose_end_is_waited_for_has_ended_after_its_last_use() {
        let (said, mut places) = unbounded_channel();
        Client::new(Library(said)).end(Library::say).await;
        let (used, ended) = (places.try_recv().unwrap(), places.try_recv().unwrap());
        assert!(used == ended && ended != thread::current().id());
    }

    #[test]
    fn beyond_a_runtime_it_ends_where_it_is_let_go() {
        let (said, mut places) = unbounded_channel();
        drop(Client::new(Library(said)));
        assert_eq!(places.try_recv(), Ok(thread::current().id()));
    }
}
