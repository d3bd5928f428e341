//! Panics: told to JavaScript, which fails what is on its way; the next call finds a fresh instance.

use std::cell::RefCell;
use std::sync::Once;

use js_sys::Function;
use wasm_bindgen::prelude::*;

thread_local! {
    static HANDLER: RefCell<Option<Function>> = const { RefCell::new(None) };
}

static HOOK: Once = Once::new();

/// Has `handler` called with the text of a panic.
#[wasm_bindgen(js_name = onPanic)]
pub fn on_panic(handler: Function) {
    HANDLER.with_borrow_mut(|slot| *slot = Some(handler));
    HOOK.call_once(|| {
        std::panic::set_hook(Box::new(|panic| {
            let text = JsValue::from_str(&panic.to_string());
            let handler = HANDLER.with(|slot| slot.try_borrow().ok().and_then(|slot| slot.clone()));
            if let Some(handler) = handler {
                // Whatever it says: this instance ends here.
                let _ = handler.call1(&JsValue::NULL, &text);
            }
            wasm_bindgen::handler::schedule_reinit();
        }));
    });
}

/// Has the next call find a fresh instance.
#[wasm_bindgen]
pub fn restart() {
    wasm_bindgen::handler::schedule_reinit();
}

/// Panics, to show what comes of it.
///
/// # Panics
///
/// Always.
#[wasm_bindgen(js_name = failByPanic)]
#[allow(clippy::panic, reason = "its only purpose")]
pub fn fail_by_panic(text: &str) {
    panic!("{text}");
}
