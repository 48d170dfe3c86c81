use super::args;
use super::callback::{rkn_log_fn, rkn_reduce_fn, rkn_release_fn, HostLog, HostReduce, User};
use super::guard::{guard, guard_void};
use super::handle::{self, Busy, Handle, Kind};
use super::reverse::RequestReduce;
use super::status::*;
use crate::runtime::context::{Context, CONTEXT};
use crate::runtime::options::Options;
use crate::runtime::Result;
use std::ffi::{c_char, c_void};
use std::sync::Arc;

/// Threads, seed, log sink, reduction hook and interrupt flag of the handles made with it. NULL is
/// a valid context everywhere: one thread, seed 0, silent, no reduction. Operators and solvers
/// keep what they need of it, so it may be destroyed first.
pub struct rkn_context {
    magic: u64,
    busy: Busy,
    context: Arc<Context>,
}

impl Handle for rkn_context {
    const KIND: Kind = Kind::Context;
    fn busy(&self) -> &Busy {
        &self.busy
    }
}

const MAGIC: u64 = 0x7265_6b6e_6974_0001;

impl Drop for rkn_context {
    fn drop(&mut self) {
        self.magic = 0;
    }
}

/// The context behind a pointer that may be NULL.
#[allow(clippy::arc_with_non_send_sync)]
pub fn context_or_default(ctx: *const rkn_context) -> Result<Arc<Context>> {
    Ok(match handle::shared_or_null(ctx, "ctx")? {
        Some(ctx) => ctx.context.clone(),
        None => Arc::new(Context::new()),
    })
}

/// Makes a context: one thread, seed 0, silent, no reduction.
///
/// out: gets the handle, to be freed by rkn_context_destroy; NULL on failure.
/// Errors: RKN_ERR_NULL.
#[no_mangle]
#[allow(clippy::arc_with_non_send_sync)]
pub unsafe extern "C" fn rkn_context_create(out: *mut *mut rkn_context) -> rkn_status {
    guard("rkn_context_create", || {
        let out = args::out_handle(out)?;
        *out = handle::publish(rkn_context { magic: MAGIC, busy: Busy::default(), context: Arc::new(Context::new()) });
        Ok(())
    })
}

/// Frees a context. NULL and dead handles are ignored; handles made with the context live on.
#[no_mangle]
pub unsafe extern "C" fn rkn_context_destroy(ctx: *mut rkn_context) {
    guard_void(|| handle::destroy(ctx));
}

/// Sets an integer option: "threads", "seed", "log_level" (rkn_option_reference("context", ...)).
///
/// Errors: RKN_ERR_NULL, RKN_ERR_KEY (unknown key), RKN_ERR_ARGUMENT (out of range), RKN_ERR_BUSY.
#[no_mangle]
pub unsafe extern "C" fn rkn_context_set_int(ctx: *mut rkn_context, key: *const c_char, value: i64) -> rkn_status {
    guard("rkn_context_set_int", || {
        let ctx = handle::exclusive(ctx, "ctx")?;
        let key = args::text(key, "key")?;
        Options::new(CONTEXT, "context").set_int(key, value)?;
        match key {
            "threads" => ctx.context.pool.set_threads(value as usize),
            "seed" => ctx.context.set_seed(value as u64),
            _ => ctx.context.set_log_level(value),
        }
        Ok(())
    })
}

/// Reads an integer option.
///
/// value: written on success only.
/// Errors: RKN_ERR_NULL, RKN_ERR_KEY.
#[no_mangle]
pub unsafe extern "C" fn rkn_context_get_int(ctx: *const rkn_context, key: *const c_char, value: *mut i64) -> rkn_status {
    guard("rkn_context_get_int", || {
        let ctx = handle::inspect(ctx, "ctx")?;
        let key = args::text(key, "key")?;
        let value = args::out(value, "value")?;
        Options::new(CONTEXT, "context").get(key)?;
        *value = match key {
            "threads" => ctx.context.pool.threads() as i64,
            "seed" => ctx.context.seed() as i64,
            _ => ctx.context.log_level(),
        };
        Ok(())
    })
}

/// Sets the sum over ranks: all that crosses ranks in a distributed solve. Vectors are then each
/// rank's local entries. Every rank must call the same functions in the same order; a failure on
/// one rank ends the solve on all of them.
///
/// reduce: NULL takes the hook away. user: passed back to it. release: called once with `user`
/// when the hook is let go, not if this call fails; may be NULL.
/// Errors: RKN_ERR_NULL, RKN_ERR_BUSY.
#[no_mangle]
pub unsafe extern "C" fn rkn_context_set_reduce(
    ctx: *mut rkn_context,
    reduce: rkn_reduce_fn,
    user: *mut c_void,
    release: rkn_release_fn,
) -> rkn_status {
    guard("rkn_context_set_reduce", || {
        let ctx = handle::exclusive(ctx, "ctx")?;
        let host = reduce.map(|function| Arc::new(HostReduce { function, user: User::new(user, None) }));
        ctx.context.set_reduce(host.clone().map(|host| host as Arc<_>))?;
        if let Some(host) = host {
            host.user.release_with(release);
        }
        Ok(())
    })
}

/// Makes the sum over ranks a request: rkn_krylov_next hands out RKN_REQUEST_REDUCE where the hook of
/// rkn_context_set_reduce would be called, and the host sees to the sum in its own time. Solves with such
/// a context are begun by rkn_krylov_start; rkn_krylov_solve has nobody to ask and fails with RKN_ERR_STATE.
/// rkn_context_set_reduce(ctx, NULL, ...) takes it away.
///
/// Errors: RKN_ERR_NULL, RKN_ERR_BUSY.
#[no_mangle]
pub unsafe extern "C" fn rkn_context_set_reduce_request(ctx: *mut rkn_context) -> rkn_status {
    guard("rkn_context_set_reduce_request", || {
        let ctx = handle::exclusive(ctx, "ctx")?;
        ctx.context.set_reduce(Some(Arc::new(RequestReduce)))
    })
}

/// Sets the log sink; without one the library prints nothing, ever.
///
/// log: NULL takes the sink away. user, release: as in rkn_context_set_reduce.
/// Errors: RKN_ERR_NULL, RKN_ERR_BUSY.
#[no_mangle]
pub unsafe extern "C" fn rkn_context_set_log(ctx: *mut rkn_context, log: rkn_log_fn, user: *mut c_void, release: rkn_release_fn) -> rkn_status {
    guard("rkn_context_set_log", || {
        let ctx = handle::exclusive(ctx, "ctx")?;
        let host = log.map(|function| Arc::new(HostLog { function, user: User::new(user, None) }));
        ctx.context.set_log(host.clone().map(|host| host as Arc<_>))?;
        if let Some(host) = host {
            host.user.release_with(release);
        }
        Ok(())
    })
}

/// Asks the running solve of this context, or its next one, to stop with RKN_STOP_INTERRUPT. The
/// one function that may be called from any thread and from a signal handler; the context must be
/// alive. Sets no message.
///
/// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE.
#[no_mangle]
pub unsafe extern "C" fn rkn_context_interrupt(ctx: *mut rkn_context) -> rkn_status {
    if ctx.is_null() {
        return RKN_ERR_NULL;
    }
    if ctx as usize % std::mem::align_of::<rkn_context>() != 0 || (*ctx).magic != MAGIC {
        return RKN_ERR_HANDLE;
    }
    (*ctx).context.interrupt();
    RKN_OK
}
