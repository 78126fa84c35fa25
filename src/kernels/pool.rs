//! A few threads that share out the parts of one loop.
//!
//! Made for the steps of a network, of some ten to some hundred microseconds each: a worker that has just had work
//! looks for more for `LOOK` turns (some ten microseconds) before it sleeps, so threads that have nothing to do take
//! no power. Whoever has work takes part in it and never waits for a worker to wake: parts are taken one by one by
//! whoever is there.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread::JoinHandle;

/// Turns of a loop for which a thread waits awake.
const LOOK: u32 = 4000;
/// Most threads of a pool.
pub const MAX_THREADS: usize = 16;

type Work<'a> = dyn Fn(usize) + Sync + 'a;

/// Work that is being shared out.
#[derive(Clone, Copy)]
struct Job {
    work: *const Work<'static>,
    parts: usize,
}

// SAFETY: the pointer is followed only by workers that were counted in `active` while `Pool::run` holds the reference
// it was made from, and what it points to may be called from several threads.
unsafe impl Send for Job {}

#[derive(Default)]
struct State {
    job: Option<Job>,
    closed: bool,
    panicked: bool,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    wake: Condvar,
    done: Condvar,
    /// Counts jobs.
    round: AtomicUsize,
    /// The next part to take.
    next: AtomicUsize,
    /// Workers inside a job.
    active: AtomicUsize,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // No code that can panic runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_parts(&self, parts: usize, work: &Work<'_>) {
        loop {
            let part = self.next.fetch_add(1, Ordering::Relaxed);
            if part >= parts {
                return;
            }
            work(part);
        }
    }

    /// What a worker does until the pool is dropped.
    fn serve(&self) {
        let mut seen = 0;
        loop {
            for _ in 0..LOOK {
                if self.round.load(Ordering::Relaxed) != seen {
                    break;
                }
                std::hint::spin_loop();
            }
            let mut state = self.lock();
            while !state.closed && self.round.load(Ordering::Relaxed) == seen {
                state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            if state.closed {
                return;
            }
            seen = self.round.load(Ordering::Relaxed);
            // A job that came and went: look for the next.
            let Some(job) = state.job else { continue };
            // Under the lock: whoever ends the job afterwards sees it.
            self.active.fetch_add(1, Ordering::Relaxed);
            drop(state);
            // SAFETY: `Pool::run` neither returns nor unwinds while `active` counts this worker, so what it borrowed
            // still lives.
            let work = unsafe { &*job.work };
            let panicked = catch_unwind(AssertUnwindSafe(|| self.take_parts(job.parts, work))).is_err();
            if panicked {
                self.lock().panicked = true;
            }
            if self.active.fetch_sub(1, Ordering::Release) == 1 {
                let state = self.lock();
                self.done.notify_all();
                drop(state);
            }
        }
    }
}

/// Threads that help the one that calls [`run`](Self::run). Any number of threads may share a pool: while it helps
/// one, the others do their work alone.
pub struct Pool {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    turn: Mutex<()>,
}

impl Pool {
    /// A pool in which `threads` threads work at once, the caller's included: at least 1, at most [`MAX_THREADS`].
    /// Fewer if the system refuses to start as many.
    pub fn new(threads: usize) -> Self {
        let shared = Arc::new(Shared::default());
        let start = |_| {
            let shared = shared.clone();
            let builder = std::thread::Builder::new().name("shelfsight".into()).stack_size(256 << 10);
            builder.spawn(move || shared.serve()).ok()
        };
        let workers = (1..threads.min(MAX_THREADS)).map_while(start).collect();
        Self { shared, workers, turn: Mutex::new(()) }
    }

    /// Threads that work at once.
    pub fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Calls `work` once with every number below `parts`, in any order, on any of the threads, and returns when all
    /// calls have returned.
    ///
    /// # Panics
    /// If `work` does.
    pub fn run(&self, parts: usize, work: &(dyn Fn(usize) + Sync)) {
        let turn = match self.turn.try_lock() {
            Ok(turn) => Some(turn),
            // Somebody's work panicked; nothing is kept under this lock.
            Err(TryLockError::Poisoned(turn)) => Some(turn.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        };
        if turn.is_none() || self.workers.is_empty() || parts < 2 {
            (0..parts).for_each(work);
            return;
        }
        // SAFETY: only the lifetime changes. `Job`s are handed out under the lock while `state.job` is set; the end of
        // this function takes it back and then waits for everyone who got it, even if `work` panics here.
        let work_for_all = unsafe { std::mem::transmute::<&Work<'_>, &'static Work<'static>>(work) };
        let job = Job { work: work_for_all, parts };
        let shared = &*self.shared;
        shared.next.store(0, Ordering::Relaxed);
        let mut state = shared.lock();
        state.job = Some(job);
        shared.round.fetch_add(1, Ordering::Release);
        drop(state);
        shared.wake.notify_all();
        let own = catch_unwind(AssertUnwindSafe(|| shared.take_parts(parts, work)));
        let mut state = shared.lock();
        state.job = None;
        if shared.active.load(Ordering::Acquire) != 0 {
            drop(state);
            for _ in 0..LOOK {
                if shared.active.load(Ordering::Acquire) == 0 {
                    break;
                }
                std::hint::spin_loop();
            }
            state = shared.lock();
            while shared.active.load(Ordering::Acquire) != 0 {
                state = shared.done.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
        let panicked = std::mem::take(&mut state.panicked);
        drop(state);
        if let Err(panic) = own {
            resume_unwind(panic);
        }
        assert!(!panicked, "a part of the work panicked");
    }

    /// Calls `work(first, rows)` with stretches of whole rows that together are `out`: `unit` values a row, stretches
    /// of a multiple of `step` rows but for the last, at most `parts` of them.
    ///
    /// # Panics
    /// If `work` does, or `out` is not whole rows.
    pub fn rows<T: Send>(
        &self,
        out: &mut [T],
        unit: usize,
        step: usize,
        parts: usize,
        work: &(dyn Fn(usize, usize, &mut [T]) + Sync),
    ) {
        assert!(unit > 0 && step > 0 && out.len().is_multiple_of(unit));
        let rows = out.len() / unit;
        let each = rows.div_ceil(parts.clamp(1, MAX_PARTS)).next_multiple_of(step);
        if self.workers.is_empty() || each >= rows {
            work(0, 0, out);
            return;
        }
        let mut stretches = out.chunks_mut(each * unit);
        let places: [_; MAX_PARTS] = std::array::from_fn(|_| Mutex::new(stretches.next()));
        self.run(rows.div_ceil(each), &|part| {
            let mut place = places[part].lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(stretch) = place.as_mut() {
                work(part, part * each, stretch);
            }
        });
    }
}

/// Most stretches of [`Pool::rows`].
pub const MAX_PARTS: usize = 32;

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.round.fetch_add(1, Ordering::Relaxed);
        self.shared.wake.notify_all();
        for worker in self.workers.drain(..) {
            // A worker catches what its work throws, so there is nothing to pass on.
            let _ = worker.join();
        }
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool").field("threads", &self.threads()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn every_part_is_done_once() {
        for threads in 1..5 {
            let pool = Pool::new(threads);
            for round in 0..2000usize {
                let parts = round % 40;
                let done: Vec<AtomicUsize> = (0..parts).map(|_| AtomicUsize::new(0)).collect();
                pool.run(parts, &|part| {
                    done[part].fetch_add(1, Ordering::Relaxed);
                });
                assert!(
                    done.iter().all(|d| d.load(Ordering::Relaxed) == 1),
                    "{threads} threads, {parts} parts"
                );
                if round % 500 == 0 {
                    // Long enough for the workers to fall asleep.
                    std::thread::sleep(Duration::from_millis(2));
                }
            }
        }
    }

    #[test]
    fn rows_are_cut_without_gaps() {
        let pool = Pool::new(3);
        for (rows, unit, step, parts) in
            [(1, 5, 1, 4), (7, 3, 1, 4), (100, 2, 8, 9), (33, 1, 4, 100), (0, 4, 1, 3)]
        {
            let mut out = vec![usize::MAX; rows * unit];
            pool.rows(&mut out, unit, step, parts, &|part, first, out| {
                assert!(first.is_multiple_of(step) && part < MAX_PARTS);
                for (i, row) in out.chunks_exact_mut(unit).enumerate() {
                    row.fill(first + i);
                }
            });
            assert!(out.chunks_exact(unit).enumerate().all(|(i, row)| row.iter().all(|&v| v == i)));
        }
    }

    #[test]
    fn many_callers_share_a_pool() {
        let pool = Pool::new(3);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..500 {
                        let sum = AtomicUsize::new(0);
                        pool.run(10, &|part| {
                            sum.fetch_add(part, Ordering::Relaxed);
                        });
                        assert_eq!(sum.into_inner(), 45);
                    }
                });
            }
        });
    }

    #[test]
    fn work_within_work_is_done_by_its_caller() {
        let pool = Pool::new(2);
        let sum = AtomicUsize::new(0);
        pool.run(4, &|_| {
            pool.run(3, &|part| {
                sum.fetch_add(part, Ordering::Relaxed);
            });
        });
        assert_eq!(sum.into_inner(), 12);
    }

    #[test]
    fn a_panic_reaches_the_caller_and_the_pool_goes_on() {
        let pool = Pool::new(3);
        for bad in 0..6 {
            let caught = catch_unwind(AssertUnwindSafe(|| {
                pool.run(6, &|part| {
                    std::thread::sleep(Duration::from_micros(100));
                    assert_ne!(part, bad);
                });
            }));
            assert!(caught.is_err());
        }
        let sum = AtomicUsize::new(0);
        pool.run(100, &|part| {
            sum.fetch_add(part, Ordering::Relaxed);
        });
        assert_eq!(sum.into_inner(), 4950);
    }
}
