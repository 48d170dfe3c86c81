use super::args;
use super::guard::{guard, last_error};
use super::status::*;
use crate::krylov::options::KRYLOV;
use crate::operator::options::OPERATOR;
use crate::operator::precond::PRECONDITIONER;
use crate::runtime::context::CONTEXT;
use crate::runtime::options::{reference, unknown, Row};
use crate::sequence::options::SEQUENCE;
use crate::transport::options::SINKHORN;
use std::ffi::c_char;

pub const RKN_VERSION_MAJOR: i32 = 0;
pub const RKN_VERSION_MINOR: i32 = 1;
pub const RKN_VERSION_PATCH: i32 = 0;

/// 10000 major + 100 minor + patch.
pub const RKN_VERSION_NUMBER: i32 = 100;

/// Rises when a program compiled against an older header would no longer work; compare with
/// rkn_abi() after loading.
pub const RKN_ABI: i32 = 1;

/// The version of the running library, "0.1.0". Static text.
#[no_mangle]
pub extern "C" fn rkn_version() -> *const c_char {
    c"0.1.0".as_ptr()
}

/// RKN_VERSION_NUMBER of the running library.
#[no_mangle]
pub extern "C" fn rkn_version_number() -> i32 {
    RKN_VERSION_NUMBER
}

/// RKN_ABI of the running library.
#[no_mangle]
pub extern "C" fn rkn_abi() -> i32 {
    RKN_ABI
}

/// Architecture, system and build profile of the running library. Static text.
#[no_mangle]
pub extern "C" fn rkn_build_info() -> *const c_char {
    concat!("reknit ", env!("CARGO_PKG_VERSION"), " for ", env!("REKNIT_TARGET"), ", ", env!("REKNIT_PROFILE"), "\0").as_ptr().cast()
}

/// The name of a status, "RKN_ERR_SIZE"; "RKN_UNKNOWN" for numbers that are none. Static text.
#[no_mangle]
pub extern "C" fn rkn_status_name(status: rkn_status) -> *const c_char {
    let name = match status {
        RKN_OK => c"RKN_OK",
        RKN_STOP_ITERATIONS => c"RKN_STOP_ITERATIONS",
        RKN_STOP_TIME => c"RKN_STOP_TIME",
        RKN_STOP_STAGNATION => c"RKN_STOP_STAGNATION",
        RKN_STOP_MONITOR => c"RKN_STOP_MONITOR",
        RKN_STOP_INTERRUPT => c"RKN_STOP_INTERRUPT",
        RKN_STOP_BREAKDOWN => c"RKN_STOP_BREAKDOWN",
        RKN_STOP_INFEASIBLE => c"RKN_STOP_INFEASIBLE",
        RKN_STOP_PRECISION => c"RKN_STOP_PRECISION",
        RKN_ERR_NULL => c"RKN_ERR_NULL",
        RKN_ERR_ARGUMENT => c"RKN_ERR_ARGUMENT",
        RKN_ERR_SIZE => c"RKN_ERR_SIZE",
        RKN_ERR_SCALAR => c"RKN_ERR_SCALAR",
        RKN_ERR_INDEX => c"RKN_ERR_INDEX",
        RKN_ERR_NONFINITE => c"RKN_ERR_NONFINITE",
        RKN_ERR_KEY => c"RKN_ERR_KEY",
        RKN_ERR_HANDLE => c"RKN_ERR_HANDLE",
        RKN_ERR_BUSY => c"RKN_ERR_BUSY",
        RKN_ERR_STATE => c"RKN_ERR_STATE",
        RKN_ERR_SINGULAR => c"RKN_ERR_SINGULAR",
        RKN_ERR_INDEFINITE => c"RKN_ERR_INDEFINITE",
        RKN_ERR_UNSUPPORTED => c"RKN_ERR_UNSUPPORTED",
        RKN_ERR_CALLBACK => c"RKN_ERR_CALLBACK",
        RKN_ERR_MEMORY => c"RKN_ERR_MEMORY",
        RKN_ERR_FILE => c"RKN_ERR_FILE",
        RKN_ERR_FORMAT => c"RKN_ERR_FORMAT",
        RKN_ERR_THREADS => c"RKN_ERR_THREADS",
        RKN_ERR_INTERNAL => c"RKN_ERR_INTERNAL",
        _ => c"RKN_UNKNOWN",
    };
    name.as_ptr()
}

/// The message of this thread's last call that returned a nonzero status, "" if there was none:
/// the function, the argument, what it was and what it may be. Valid until the thread's next such
/// call.
#[no_mangle]
pub extern "C" fn rkn_last_error() -> *const c_char {
    last_error()
}

/// The reference page of all options and results of one noun, as Markdown.
///
/// noun: "context", "operator", "preconditioner", "krylov", "sequence" or "sinkhorn".
/// buf: gets at most `cap` bytes, the closing NUL included; may be NULL if cap is 0.
/// need: gets the bytes wanted, NUL included, also if cap is too small; may be NULL. With cap 0 and need
/// given the call only measures.
/// Errors: RKN_ERR_NULL, RKN_ERR_KEY (unknown noun), RKN_ERR_SIZE (cap is too small).
#[no_mangle]
pub unsafe extern "C" fn rkn_option_reference(noun: *const c_char, buf: *mut c_char, cap: i64, need: *mut i64) -> rkn_status {
    guard("rkn_option_reference", || {
        let noun = args::text(noun, "noun")?;
        let nouns: [(&'static str, &[Row]); 6] = [
            ("context", CONTEXT),
            ("operator", OPERATOR),
            ("preconditioner", PRECONDITIONER),
            ("krylov", KRYLOV),
            ("sequence", SEQUENCE),
            ("sinkhorn", SINKHORN),
        ];
        let (title, table) =
            nouns.iter().find(|(name, _)| *name == noun).ok_or_else(|| unknown("noun", noun, nouns.iter().map(|(name, _)| *name)))?;
        let mut page = String::new();
        reference(title, table, &mut page);
        args::write_text(&page, buf, cap, need)
    })
}
