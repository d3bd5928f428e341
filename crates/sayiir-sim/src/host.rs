//! A process of the made-up world, as the driver sees it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use sayiir_core::future::BoxFuture;
use sayiir_driver::{AbortTask, Host};
use sayiir_persistence::Process;

use crate::world::{ProcessId, World, lock};

/// The processes that are alive, by number.
pub(crate) type Alive = Arc<Mutex<Vec<ProcessId>>>;

/// One process.
pub(crate) struct SimHost {
    pub(crate) world: Arc<World>,
    pub(crate) process: ProcessId,
    /// The name of its machine: processes of one machine see each other die.
    pub(crate) machine: String,
    pub(crate) alive: Alive,
}

struct Spawned {
    world: Arc<World>,
    task: u64,
}

impl AbortTask for Spawned {
    fn abort(&self) {
        self.world.abort(self.task);
    }
}

impl Host for SimHost {
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.world.sleep(duration)
    }

    fn spawn(&self, future: BoxFuture<'static, ()>) -> Box<dyn AbortTask> {
        let task = self.world.spawn(self.process, future);
        Box::new(Spawned { world: Arc::clone(&self.world), task })
    }

    fn process(&self) -> Process {
        Process { host: self.machine.clone(), pid: self.process, started: u64::from(self.process), worker_id: format!("w{}", self.process) }
    }

    fn is_alive(&self, process: &Process) -> Option<bool> {
        (process.host == self.machine).then(|| lock(&self.alive).contains(&process.pid))
    }
}
