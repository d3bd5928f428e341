//! What a running task asks of its driver, as JavaScript asks it: sub-steps, progress, search attributes.

use std::sync::Arc;

use bytes::Bytes;
use js_sys::Promise;
use sayiir_core::attribute::SearchAttributes;
use sayiir_core::context::{AttemptServices, TaskExecutionContext};
use serde_json::{Value, json};
use wasm_bindgen::prelude::*;

use super::engine::answer;
use super::error::EdgeError;

/// An attempt at a task, for as long as it runs.
#[wasm_bindgen]
pub struct Attempt {
    services: Arc<dyn AttemptServices>,
}

impl Attempt {
    /// Of the task that runs; outside of a drive there is none.
    pub(super) fn of(context: &TaskExecutionContext) -> Option<Self> {
        context.services().map(|services| Self { services: Arc::clone(services) })
    }
}

#[wasm_bindgen]
impl Attempt {
    /// The stored result of a sub-step, as a text of JSON; null if it is not stored.
    #[wasm_bindgen(js_name = subStep)]
    pub fn sub_step(&self, name: String) -> Promise {
        let services = Arc::clone(&self.services);
        answer(async move {
            let stored = services.sub_step(Arc::from(name)).await?;
            Ok(stored.map_or(Value::Null, |stored| json!(String::from_utf8_lossy(&stored))))
        })
    }

    /// Stores the result of a sub-step.
    #[wasm_bindgen(js_name = storeSubStep)]
    pub fn store_sub_step(&self, name: String, output: String) -> Promise {
        let services = Arc::clone(&self.services);
        answer(async move {
            services.store_sub_step(Arc::from(name), Bytes::from(output)).await?;
            Ok(Value::Null)
        })
    }

    /// Keeps the latest progress, a text of JSON.
    #[wasm_bindgen(js_name = reportProgress)]
    pub fn report_progress(&self, progress: String) -> Promise {
        let services = Arc::clone(&self.services);
        answer(async move {
            services.report_progress(Bytes::from(progress)).await?;
            Ok(Value::Null)
        })
    }

    /// Sets search attributes, which are an object of JSON.
    #[wasm_bindgen(js_name = setSearchAttributes)]
    pub fn set_search_attributes(&self, attributes: &str) -> Promise {
        let services = Arc::clone(&self.services);
        let attributes: Result<SearchAttributes, _> = serde_json::from_str(attributes).map_err(|error| EdgeError::Wrong(error.into()));
        answer(async move {
            services.set_search_attributes(attributes?).await?;
            Ok(Value::Null)
        })
    }
}
