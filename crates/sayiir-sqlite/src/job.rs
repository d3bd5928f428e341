//! A request on its way through a store's thread: work that can be run again, and somebody who waits for the answer.

use futures_channel::oneshot;
use sayiir_persistence::StoreError;

use crate::fault::Outcome;

/// Work for a thread that hands each job a `Scope`: the writer's transaction or a reader's snapshot.
pub(crate) trait Job<Scope: ?Sized>: Send {
    /// Does the work. Must be able to do it again after a rollback.
    fn run(&mut self, scope: &mut Scope) -> Outcome<()>;

    /// Answers: with what the last run gave, or with this error.
    fn answer(self: Box<Self>, result: Result<(), StoreError>);

    /// How many payload bytes it brings.
    fn cost(&self) -> usize;
}

/// The job of one request.
pub(crate) struct Request<T, F> {
    work: F,
    done: Option<T>,
    reply: oneshot::Sender<Result<T, StoreError>>,
    cost: usize,
}

impl<T, F> Request<T, F> {
    pub(crate) fn new(cost: usize, work: F) -> (Self, oneshot::Receiver<Result<T, StoreError>>) {
        let (reply, answer) = oneshot::channel();
        (Self { work, done: None, reply, cost }, answer)
    }
}

impl<Scope: ?Sized, T: Send, F: FnMut(&mut Scope) -> Outcome<T> + Send> Job<Scope> for Request<T, F> {
    fn run(&mut self, scope: &mut Scope) -> Outcome<()> {
        self.done = Some((self.work)(scope)?);
        Ok(())
    }

    fn answer(self: Box<Self>, result: Result<(), StoreError>) {
        let Self { work: _, done, reply, cost: _ } = *self;
        let answer = result.and_then(|()| done.ok_or_else(|| StoreError::misused("a request was answered before it ran")));
        // Nobody waits any more: what was written stays written.
        let _ = reply.send(answer);
    }

    fn cost(&self) -> usize {
        self.cost
    }
}
