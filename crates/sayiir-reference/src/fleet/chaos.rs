//! The worker processes of a fleet, and what befalls them.

use std::path::PathBuf;
use std::pin::pin;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;
use fastrand::Rng;
use rustix::process::{Pid, Signal, kill_process};

use super::FleetOptions;
use super::place::Place;
use super::worker::LEASE;

/// How long nothing befalls the fleet, at most.
const PEACE: u64 = 400;
/// A process is frozen for longer than its leases last: somebody has taken over by then.
const FROZEN: Duration = LEASE.saturating_mul(2);
/// How often it is looked whether one has been frozen for long enough.
const THAW: Duration = Duration::from_millis(50);

/// The processes, which end with their owner.
pub(super) struct Processes {
    command: Box<dyn Fn(usize) -> Command>,
    living: Vec<Process>,
    begun: usize,
    kills: u64,
    freezes: u64,
    disturbed: bool,
    next: Instant,
}

struct Process {
    child: Child,
    number: usize,
    frozen_until: Option<Instant>,
}

impl Processes {
    /// Starts the workers.
    pub(super) fn begin(options: &FleetOptions, place: &Place) -> anyhow::Result<Self> {
        let own = std::env::current_exe().context("this program cannot find itself")?;
        let (address, logs) = (place.address().to_owned(), place.logs().to_owned());
        let (seed, cases) = (options.seed.to_string(), options.cases.to_string());
        let command = move |number: usize| {
            let mut command = Command::new(&own);
            command.args(["--serve", &address, "--seed", &seed, "--cases", &cases, "--log"]).arg(log_of(&logs, number));
            command.stdin(Stdio::null()).stdout(Stdio::null());
            command
        };
        let mut processes = Self {
            command: Box::new(command),
            living: Vec::new(),
            begun: 0,
            kills: 0,
            freezes: 0,
            disturbed: options.disturbed,
            next: Instant::now(),
        };
        for _ in 0..options.workers.max(1) {
            processes.start()?;
        }
        Ok(processes)
    }

    fn start(&mut self) -> anyhow::Result<()> {
        self.begun += 1;
        let child = (self.command)(self.begun).spawn().context("a worker cannot be started")?;
        self.living.push(Process { child, number: self.begun, frozen_until: None });
        Ok(())
    }

    /// Waits for an answer of the store, and lets frozen processes go on when it is time: one of them may hold the store's lock.
    pub(super) async fn meanwhile<T>(&mut self, asked: impl Future<Output = T>) -> anyhow::Result<T> {
        let mut asked = pin!(asked);
        loop {
            tokio::select! {
                answer = &mut asked => return Ok(answer),
                () = tokio::time::sleep(THAW) => self.thaw()?,
            }
        }
    }

    /// Lets those go on that were frozen for long enough.
    fn thaw(&mut self) -> anyhow::Result<()> {
        let is_over = |process: &&mut Process| process.frozen_until.is_some_and(|until| until <= Instant::now());
        self.living.iter_mut().filter(is_over).try_for_each(Process::thaw)
    }

    /// Kills or freezes one of them, if it is time for it, and lets frozen ones go on.
    pub(super) fn befall(&mut self, rng: &mut Rng) -> anyhow::Result<()> {
        self.thaw()?;
        for process in &mut self.living {
            if let Some(status) = process.child.try_wait()? {
                anyhow::bail!("worker {} ended by itself with {status}", process.number);
            }
        }
        if !self.disturbed || self.next > Instant::now() {
            return Ok(());
        }
        self.next = Instant::now() + Duration::from_millis(rng.u64(..PEACE));
        let victim = rng.usize(..self.living.len());
        let Some(process) = self.living.get_mut(victim) else { return Ok(()) };
        if rng.bool() {
            if process.frozen_until.is_none() {
                process.signal(Signal::STOP)?;
                process.frozen_until = Some(Instant::now() + FROZEN);
                self.freezes += 1;
            }
            return Ok(());
        }
        let mut dead = self.living.swap_remove(victim);
        dead.kill()?;
        self.kills += 1;
        self.start()
    }

    /// Ends all of them; how many were killed and frozen before.
    pub(super) fn end(mut self) -> anyhow::Result<(u64, u64)> {
        for mut process in self.living.drain(..) {
            process.kill()?;
        }
        Ok((self.kills, self.freezes))
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        for process in &mut self.living {
            // It may have ended by itself.
            let _ = process.kill();
        }
    }
}

impl Process {
    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).context("a process without an id")?;
        kill_process(pid, signal).with_context(|| format!("worker {} cannot be sent a signal", self.number))
    }

    fn thaw(&mut self) -> anyhow::Result<()> {
        self.signal(Signal::CONT)?;
        self.frozen_until = None;
        Ok(())
    }

    /// As by `kill -9`.
    fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

fn log_of(logs: &std::path::Path, number: usize) -> PathBuf {
    logs.join(format!("{number}.log"))
}
