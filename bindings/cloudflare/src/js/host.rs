//! The driver's world in an isolate: its timers, its microtasks, its clock.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::future::{AbortHandle, abortable};
use sayiir_core::future::BoxFuture;
use sayiir_core::time::{Clock, Timestamp};
use sayiir_driver::{AbortTask, Host};
use sayiir_persistence::Process;
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_name = setTimeout)]
    fn set_timeout(callback: &Closure<dyn FnMut()>, ms: f64) -> JsValue;
    #[wasm_bindgen(js_name = clearTimeout)]
    fn clear_timeout(id: &JsValue);
    #[wasm_bindgen(js_namespace = crypto, js_name = getRandomValues)]
    fn get_random_values(bytes: &mut [u8]) -> JsValue;
}

/// The longest time that a timer of JavaScript takes.
const LONGEST_TIMER: Duration = Duration::from_millis(i32::MAX as u64);

/// A number that no other start has.
pub(super) fn random() -> u128 {
    let mut bytes = [0; 16];
    get_random_values(&mut bytes);
    u128::from_le_bytes(bytes)
}

/// The isolate's clock, which stands still while it computes.
pub(super) struct IsolateClock;

impl Clock for IsolateClock {
    #[allow(clippy::cast_possible_truncation, reason = "milliseconds of this age of the world")]
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(js_sys::Date::now() as i64 * 1000)
    }
}

/// The isolate, as the driver sees it.
pub(super) struct Isolate;

impl Host for Isolate {
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let mut left = duration;
            while left > LONGEST_TIMER {
                Timer::new(LONGEST_TIMER).await;
                left -= LONGEST_TIMER;
            }
            Timer::new(left).await;
        })
    }

    fn spawn(&self, future: BoxFuture<'static, ()>) -> Box<dyn AbortTask> {
        let (future, handle) = abortable(future);
        wasm_bindgen_futures::spawn_local(async move {
            // Ended or dropped: whoever cares was told by what the future did.
            let _ = future.await;
        });
        Box::new(Spawned(handle))
    }

    fn process(&self) -> Process {
        Process { host: "worker".to_owned(), pid: 0, started: 0, worker_id: "worker".to_owned() }
    }

    fn is_alive(&self, _process: &Process) -> Option<bool> {
        // Nobody can tell whether another isolate is there; its leases end.
        None
    }
}

struct Spawned(AbortHandle);

impl AbortTask for Spawned {
    fn abort(&self) {
        self.0.abort();
    }
}

/// A timer; dropping it clears it, so that it keeps no isolate awake.
struct Timer {
    id: JsValue,
    rung: Rc<Cell<bool>>,
    waker: Rc<RefCell<Option<Waker>>>,
    _callback: Closure<dyn FnMut()>,
}

impl Timer {
    fn new(duration: Duration) -> Self {
        let (rung, waker) = (Rc::new(Cell::new(false)), Rc::new(RefCell::<Option<Waker>>::default()));
        let (its_rung, its_waker) = (Rc::clone(&rung), Rc::clone(&waker));
        let callback = Closure::<dyn FnMut()>::new(move || {
            its_rung.set(true);
            if let Some(waker) = its_waker.borrow_mut().take() {
                waker.wake();
            }
        });
        // Rounded up: who sleeps until a time must not wake before it.
        let ms = duration.as_micros().div_ceil(1000);
        #[allow(clippy::cast_precision_loss, reason = "at most 2^31")]
        let id = set_timeout(&callback, ms as f64);
        Self { id, rung, waker, _callback: callback }
    }
}

impl Future for Timer {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.rung.get() {
            return Poll::Ready(());
        }
        *self.waker.borrow_mut() = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        if !self.rung.get() {
            clear_timeout(&self.id);
        }
    }
}
