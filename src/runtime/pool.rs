//! One thread pool per context. Only kernels enter it; solver loops and callbacks stay on the
//! thread that called us. How work is cut depends on its size alone, never on the threads.

use super::{Error, Result};
use rayon::prelude::*;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// Below this many touched elements a dispatch (some 13 microseconds) costs more than it gains.
const WORTHWHILE: usize = 100_000;

pub const MAX_THREADS: usize = 1024;

pub struct Pool {
    threads: AtomicUsize,
    started: Mutex<Option<Arc<Started>>>,
}

struct Started {
    pool: Option<rayon::ThreadPool>,
    threads: usize,
    process: u32,
    joins: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

impl Drop for Started {
    fn drop(&mut self) {
        if self.process != std::process::id() {
            // The threads belong to the parent of a fork: neither stop nor join them here.
            std::mem::forget(self.pool.take());
            return;
        }
        drop(self.pool.take());
        for join in self.joins.lock().unwrap_or_else(|e| e.into_inner()).drain(..) {
            let _ = join.join();
        }
    }
}

impl Started {
    fn new(threads: usize) -> Result<Self> {
        let joins = Arc::new(Mutex::new(Vec::with_capacity(threads)));
        let keep = joins.clone();
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .spawn_handler(move |worker| {
                let name = format!("reknit-{}", worker.index());
                let join = std::thread::Builder::new().name(name).spawn(|| {
                    super::panics::set_quiet(true);
                    worker.run()
                })?;
                keep.lock().unwrap_or_else(|e| e.into_inner()).push(join);
                Ok(())
            })
            .build()
            .map_err(|e| Error::Threads(format!("{threads} threads cannot be started: {e}")))?;
        Ok(Started { pool: Some(pool), threads, process: std::process::id(), joins })
    }
}

impl Started {
    fn pool(&self) -> &rayon::ThreadPool {
        self.pool.as_ref().expect("present until dropped")
    }

    fn chunks<T: Send>(&self, data: &mut [T], chunk: usize, body: &(dyn Fn(usize, &mut [T]) + Sync)) {
        self.pool().install(|| data.par_chunks_mut(chunk).enumerate().for_each(|(i, c)| body(i, c)));
    }

    fn chunks2<T: Send, U: Send>(
        &self,
        a: &mut [T],
        a_chunk: usize,
        b: &mut [U],
        b_chunk: usize,
        body: &(dyn Fn(usize, &mut [T], &mut [U]) + Sync),
    ) {
        self.pool().install(|| {
            a.par_chunks_mut(a_chunk).zip(b.par_chunks_mut(b_chunk)).enumerate().for_each(|(i, (x, y))| body(i, x, y))
        });
    }

    fn parts<P: Send>(&self, parts: Vec<P>, body: &(dyn Fn(usize, P) + Sync)) {
        self.pool().install(|| parts.into_par_iter().enumerate().for_each(|(i, part)| body(i, part)));
    }
}

impl Pool {
    pub fn new() -> Self {
        Pool { threads: AtomicUsize::new(1), started: Mutex::new(None) }
    }

    pub fn threads(&self) -> usize {
        self.threads.load(Ordering::Relaxed)
    }

    /// Takes effect at the next kernel; the threads start when first needed.
    pub fn set_threads(&self, threads: usize) {
        self.threads.store(threads.clamp(1, MAX_THREADS), Ordering::Relaxed);
    }

    /// The running pool, if more than one thread is wanted and `work` elements are worth it.
    /// Threads that cannot be had are no error here: the kernel runs on the caller's thread and
    /// gives the same bits.
    fn parallel(&self, work: usize) -> Option<Arc<Started>> {
        let threads = self.threads();
        if threads < 2 || work < WORTHWHILE {
            return None;
        }
        let mut started = self.started.lock().unwrap_or_else(|e| e.into_inner());
        let usable = |s: &Arc<Started>| s.threads == threads && s.process == std::process::id();
        if !started.as_ref().is_some_and(usable) {
            *started = Started::new(threads).ok().map(Arc::new);
        }
        started.clone()
    }

    /// `body(i, chunk)` for each chunk of `chunk` items of `data`; `work` is the number of
    /// elements touched in all. The body is passed on by reference, so that rayon's machinery is
    /// compiled once a type of item and not once a kernel.
    pub fn chunks<T: Send>(&self, work: usize, data: &mut [T], chunk: usize, body: impl Fn(usize, &mut [T]) + Sync) {
        match self.parallel(work) {
            Some(started) => started.chunks(data, chunk, &body),
            None => data.chunks_mut(chunk).enumerate().for_each(|(i, c)| body(i, c)),
        }
    }

    /// As [`Pool::chunks`], over two arrays with chunks of their own lengths.
    pub fn chunks2<T: Send, U: Send>(
        &self,
        work: usize,
        (a, a_chunk): (&mut [T], usize),
        (b, b_chunk): (&mut [U], usize),
        body: impl Fn(usize, &mut [T], &mut [U]) + Sync,
    ) {
        match self.parallel(work) {
            Some(started) => started.chunks2(a, a_chunk, b, b_chunk, &body),
            None => a.chunks_mut(a_chunk).zip(b.chunks_mut(b_chunk)).enumerate().for_each(|(i, (x, y))| body(i, x, y)),
        }
    }

    /// As [`Pool::chunks`], over `K` arrays of equal length cut alike.
    pub fn columns<T: Send, const K: usize>(
        &self,
        work: usize,
        data: [&mut [T]; K],
        chunk: usize,
        body: impl Fn(usize, [&mut [T]; K]) + Sync,
    ) {
        let started = self.parallel(work);
        let mut rest = data.map(|column| column.chunks_mut(chunk));
        let parts = (0..rest[0].len()).map(|_| rest.each_mut().map(|chunks| chunks.next().expect("columns of equal length")));
        match started {
            Some(started) => started.parts(parts.collect(), &body),
            None => parts.enumerate().for_each(|(i, part)| body(i, part)),
        }
    }
}

impl Default for Pool {
    fn default() -> Self {
        Pool::new()
    }
}
