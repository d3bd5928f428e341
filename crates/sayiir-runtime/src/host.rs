//! The driver's world on tokio: its timers, its tasks, and this process among others of the host.

use std::sync::{Arc, Mutex, OnceLock, PoisonError, mpsc};
use std::time::Duration;

use sayiir_core::future::BoxFuture;
use sayiir_driver::{AbortTask, Host};
use sayiir_persistence::Process;
use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};
use tokio::runtime::Handle;

/// The longest sleep that tokio's timer takes well.
const LONGEST_SLEEP: Duration = Duration::from_hours(24 * 365);

/// Tokio, as the driver sees it.
pub(crate) struct TokioHost {
    handle: Handle,
    worker_id: String,
}

impl TokioHost {
    /// The runtime that the caller runs in.
    pub(crate) fn current(worker_id: Option<String>) -> Self {
        let worker_id = worker_id.unwrap_or_else(|| format!("{}-{}", host_name(), std::process::id()));
        Self { handle: Handle::current(), worker_id }
    }
}

/// A runtime on a thread of its own, one for the process: no user's task ever runs there, so none can hold it up.
fn runtime_apart() -> Option<&'static Handle> {
    static APART: OnceLock<Option<Handle>> = OnceLock::new();
    let begin = || {
        let (tell, told) = mpsc::channel();
        let run = move || {
            let built = tokio::runtime::Builder::new_current_thread().enable_all().build();
            match built {
                Ok(runtime) => {
                    // Nobody waits for it any more only if the thread that asked was killed.
                    let _ = tell.send(runtime.handle().clone());
                    runtime.block_on(std::future::pending::<()>());
                }
                Err(error) => tracing::warn!(%error, "leases are kept on the runtime that runs the tasks"),
            }
        };
        let thread = std::thread::Builder::new().name("sayiir-keeper".to_owned()).spawn(run);
        thread.ok().and_then(|_| told.recv().ok())
    };
    APART.get_or_init(begin).as_ref()
}

struct Spawned(tokio::task::AbortHandle);

impl AbortTask for Spawned {
    fn abort(&self) {
        self.0.abort();
    }
}

impl Host for TokioHost {
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let _inside = self.handle.enter();
        Box::pin(tokio::time::sleep(duration.min(LONGEST_SLEEP)))
    }

    fn spawn(&self, future: BoxFuture<'static, ()>) -> Box<dyn AbortTask> {
        Box::new(Spawned(self.handle.spawn(future).abort_handle()))
    }

    fn apart(&self) -> Option<Arc<dyn Host>> {
        let handle = runtime_apart()?.clone();
        Some(Arc::new(Self { handle, worker_id: self.worker_id.clone() }))
    }

    #[cfg(feature = "otel")]
    fn continue_trace(&self, span: &tracing::Span, traceparent: &str) {
        crate::trace_context::continue_trace(span, traceparent);
    }

    fn process(&self) -> Process {
        let pid = std::process::id();
        Process { host: host_identity().to_owned(), pid, started: own_start(), worker_id: self.worker_id.clone() }
    }

    fn is_alive(&self, process: &Process) -> Option<bool> {
        if process.host != *host_identity() {
            return None;
        }
        if process.started == 0 || own_start() == 0 {
            // This system does not tell when a process started, so its id proves nothing.
            return None;
        }
        Some(start_of(process.pid) == Some(process.started))
    }
}

fn host_name() -> String {
    System::host_name().unwrap_or_else(|| "localhost".to_owned())
}

/// What tells this host and its process namespace from others: two containers of one name do not see
/// each other's processes and must not judge them.
fn host_identity() -> &'static String {
    static IDENTITY: OnceLock<String> = OnceLock::new();
    IDENTITY.get_or_init(|| {
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let namespace = std::fs::read_link("/proc/self/ns/pid").map(|link| link.to_string_lossy().into_owned()).unwrap_or_default();
        format!("{}/{}/{namespace}", host_name(), boot.trim())
    })
}

fn own_start() -> u64 {
    static START: OnceLock<u64> = OnceLock::new();
    *START.get_or_init(|| start_of(std::process::id()).unwrap_or(0))
}

/// When the process with this id started; `None` if there is none, or only the remains of one.
fn start_of(pid: u32) -> Option<u64> {
    static SYSTEM: OnceLock<Mutex<System>> = OnceLock::new();
    let mut system = SYSTEM.get_or_init(|| Mutex::new(System::new())).lock().unwrap_or_else(PoisonError::into_inner);
    let pid = Pid::from_u32(pid);
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), true, ProcessRefreshKind::nothing());
    let process = system.process(pid)?;
    let ended = matches!(process.status(), sysinfo::ProcessStatus::Zombie | sysinfo::ProcessStatus::Dead);
    (!ended).then(|| process.start_time())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_process_is_told_alive_from_dead_and_from_a_later_one_with_its_id() {
        let host = TokioHost::current(None);
        let me = host.process();
        assert_eq!(host.is_alive(&me), Some(true));
        assert_eq!(host.is_alive(&Process { started: me.started + 1, ..me.clone() }), Some(false));
        assert_eq!(host.is_alive(&Process { host: "elsewhere".to_owned(), ..me.clone() }), None);
        let mut child = std::process::Command::new("sleep").arg("60").spawn().expect("a child process");
        let started = start_of(child.id()).expect("the child's start");
        let its = Process { pid: child.id(), started, ..me };
        assert_eq!(host.is_alive(&its), Some(true));
        child.kill().expect("to kill the child");
        // It is a zombie until it is waited for, and that counts as dead.
        assert!((0..1000).any(|_| host.is_alive(&its) == Some(false) || {
            std::thread::yield_now();
            std::thread::sleep(Duration::from_millis(1));
            false
        }));
        child.wait().expect("to reap the child");
        assert_eq!(host.is_alive(&its), Some(false));
    }
}
