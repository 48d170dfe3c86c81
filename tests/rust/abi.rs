//! The C ABI under random calls, right and wrong ones, with a model beside it.
//!
//! Each seed is a sequence of calls in one world: contexts, operators, geometries, solvers and hooks that come
//! and go. The model knows which handles live, what shape they have, and (`truth`) which matrix an
//! operator stands for, or which cost a geometry. After each call it holds (`judge`):
//! a status that include/reknit.h names for the function; success if every argument was right, the
//! status of a wrong argument if one was wrong; a message that begins with the function's name;
//! outputs untouched by a failure; products and solutions that agree with the matrix, and plans, costs and
//! bounds that agree with loops over all entries or all permutations. In between and at the end solvers must
//! give the closed forms of two small systems.
//!
//! REKNIT_ABI_SEEDS (how many sequences), REKNIT_ABI_FIRST (the first of them), REKNIT_ABI_STEPS
//! (calls in one) and REKNIT_ABI_TRACE (print each call) are for longer runs and for replays.

#[path = "abi/documented.rs"]
mod documented;
#[path = "abi/exact.rs"]
mod exact;
#[path = "abi/hooks.rs"]
mod hooks;
#[path = "abi/making.rs"]
mod making;
#[path = "abi/numbers.rs"]
mod numbers;
#[path = "abi/solving.rs"]
mod solving;
#[path = "abi/transport.rs"]
mod transport;
#[path = "abi/transport_hooks.rs"]
mod transport_hooks;
#[path = "abi/transport_solving.rs"]
mod transport_solving;
#[path = "abi/transport_pinned.rs"]
mod transport_pinned;
#[path = "abi/truth.rs"]
mod truth;
#[path = "abi/using.rs"]
mod using;
#[path = "abi/world.rs"]
mod world;

use documented::Documented;
use world::World;

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[test]
fn random_calls_keep_the_promises() {
    let documented = Documented::read();
    let (first, steps) = (number("REKNIT_ABI_FIRST", 0), number("REKNIT_ABI_STEPS", 300));
    let mut tally = Default::default();
    for seed in first..first + number("REKNIT_ABI_SEEDS", 300) {
        let mut world = World::new(seed, &documented, tally);
        for _ in 0..steps {
            world.step();
        }
        tally = world.end();
    }
    tally.report();
}

/// What the random calls once found, in few lines.
mod pinned {
    use reknit::ffi::krylov::*;
    use reknit::ffi::operator::*;
    use reknit::ffi::status::*;
    use std::ffi::c_void;
    use std::ptr::{null, null_mut};

    fn message() -> String {
        // SAFETY: valid until this thread's next failing call.
        unsafe { std::ffi::CStr::from_ptr(reknit::ffi::library::rkn_last_error()) }.to_string_lossy().into_owned()
    }

    #[test]
    fn a_wrong_tag_is_told_by_its_own_value() {
        for trans in [i32::MIN, -1, 0, 3, i32::MAX] {
            let mut out = null_mut();
            // SAFETY: the tag is refused before the operator is looked at.
            let status = unsafe { rkn_operator_create_adjoint(null(), trans, null(), &mut out) };
            assert_eq!((status, out), (RKN_ERR_ARGUMENT, null_mut()));
            assert!(message().contains(&format!("'trans' is {trans},")), "{}", message());
        }
    }

    /// BLAS wants a leading dimension of at least 1, so hosts give 1 for vectors without entries.
    #[test]
    fn columns_without_rows_may_lie_apart() {
        let (ptr, x, mut y, mut a) = ([0i32], [1f64; 6], [5f64; 6], null_mut());
        // SAFETY: arrays as documented.
        unsafe {
            assert_eq!(rkn_operator_create_csr(null(), RKN_F64, 0, 3, RKN_I32, 0, ptr.as_ptr().cast(), null(), null(), RKN_COPY, &mut a), 0);
            assert_eq!(rkn_operator_apply(a, RKN_N, 2, x.as_ptr().cast(), 3, y.as_mut_ptr().cast(), 1), 0, "{}", message());
            assert_eq!(rkn_operator_apply(a, RKN_T, 2, x.as_ptr().cast(), 1, y.as_mut_ptr().cast(), 3), 0, "{}", message());
            assert_eq!(y, [0.0; 6]);
            assert_eq!(rkn_operator_set_nullspace(a, RKN_LEFT, 2, x.as_ptr().cast(), 1), 0, "{}", message());
            rkn_operator_destroy(a);
        }
    }

    unsafe extern "C" fn nothing(_: *mut c_void, _: i32, _: i64, _: *const c_void, _: i64, y: *mut c_void, _: i64) -> i32 {
        *y.cast::<f64>() = f64::NAN;
        0
    }

    /// NaN has no norm, and no norm is not zero.
    #[test]
    fn a_residual_of_nan_is_no_solution() {
        for method in super::making::METHODS {
            let (b, mut x, mut a, mut s) = ([1f64], [1f64], null_mut(), null_mut());
            let method = std::ffi::CString::new(method).expect("no NUL");
            // SAFETY: arrays as documented.
            unsafe {
                assert_eq!(rkn_operator_create_callback(null(), RKN_F64, 1, 1, Some(nothing), null_mut(), None, &mut a), 0);
                assert_eq!(rkn_krylov_create(null(), method.as_ptr(), &mut s), 0);
                assert_eq!(rkn_krylov_set_options(s, c"initial_guess=x".as_ptr()), 0);
                let status = rkn_krylov_solve(s, a, null(), b.as_ptr().cast(), x.as_mut_ptr().cast());
                assert_eq!(status, RKN_ERR_NONFINITE, "{method:?}");
                rkn_krylov_destroy(s);
                rkn_operator_destroy(a);
            }
        }
    }
}
