//! Checks and conversions of arguments.

use crate::operator::Array;
use crate::runtime::options::Value;
use crate::runtime::{memory, Error, Kind, Result, Scalar};
use std::ffi::{c_char, c_void, CStr, CString};
use std::ops::Deref;

pub fn not_null<P>(pointer: *const P, name: &'static str) -> Result<()> {
    if pointer.is_null() { Err(Error::Null(name)) } else { Ok(()) }
}

/// A pointer to a result, set to NULL or left alone until success.
pub fn out<'a, P>(pointer: *mut P, name: &'static str) -> Result<&'a mut P> {
    not_null(pointer, name)?;
    aligned(pointer, name)?;
    // SAFETY: the caller hands a pointer that can be written.
    Ok(unsafe { &mut *pointer })
}

/// The same of a result that may not be wanted.
pub fn optional_out<'a, P>(pointer: *mut P, name: &'static str) -> Result<Option<&'a mut P>> {
    if pointer.is_null() { Ok(None) } else { out(pointer, name).map(Some) }
}

/// A handle's out pointer: NULL until the call succeeds.
pub fn out_handle<'a, H>(pointer: *mut *mut H) -> Result<&'a mut *mut H> {
    let slot = out(pointer, "out")?;
    *slot = std::ptr::null_mut();
    Ok(slot)
}

pub fn length(value: i64, name: &'static str) -> Result<usize> {
    usize::try_from(value).map_err(|_| Error::size(name, value, "be at least 0"))
}

/// A text argument.
pub fn text<'a>(pointer: *const c_char, name: &'static str) -> Result<&'a str> {
    not_null(pointer, name)?;
    // SAFETY: the caller's strings end with NUL.
    unsafe { CStr::from_ptr(pointer) }
        .to_str()
        .map_err(|_| Error::argument(name, "not UTF-8", "be UTF-8 text"))
}

/// One of the constants 0, 1, 2, ... of a family.
pub fn choice<C: Copy>(value: i32, name: &'static str, family: &str, choices: &[C]) -> Result<C> {
    usize::try_from(value)
        .ok()
        .and_then(|i| choices.get(i).copied())
        .ok_or_else(|| Error::argument(name, value, format!("be one of {family}")))
}

pub fn kind(value: i32) -> Result<Kind> {
    choice(value, "scalar", "RKN_F32, RKN_F64, RKN_C32, RKN_C64", &[Kind::F32, Kind::F64, Kind::C32, Kind::C64])
}

/// `count` items behind a pointer; nothing at all needs no pointer.
pub fn slice<'a, P>(pointer: *const c_void, count: usize, name: &'static str) -> Result<&'a [P]> {
    if count == 0 {
        return Ok(&[]);
    }
    check_array::<P>(pointer, count, name)?;
    // SAFETY: the caller's array has `count` items; alignment and total size are checked.
    Ok(unsafe { std::slice::from_raw_parts(pointer.cast(), count) })
}

pub fn slice_mut<'a, P>(pointer: *mut c_void, count: usize, name: &'static str) -> Result<&'a mut [P]> {
    if count == 0 {
        return Ok(&mut []);
    }
    check_array::<P>(pointer, count, name)?;
    // SAFETY: as in `slice`; numbers have no invalid bit patterns, and outputs are written before
    // they are read unless documented as inputs.
    Ok(unsafe { std::slice::from_raw_parts_mut(pointer.cast(), count) })
}

fn check_array<P>(pointer: *const c_void, count: usize, name: &'static str) -> Result<()> {
    not_null(pointer, name)?;
    aligned(pointer.cast::<P>(), name)?;
    match count.checked_mul(std::mem::size_of::<P>()) {
        Some(bytes) if bytes <= isize::MAX as usize => Ok(()),
        _ => Err(Error::size(name, count, "fit the address space")),
    }
}

fn aligned<P>(pointer: *const P, name: &'static str) -> Result<()> {
    let align = std::mem::align_of::<P>();
    match pointer as usize % align {
        0 => Ok(()),
        _ => Err(Error::argument(name, format!("{pointer:p}"), format!("be aligned to {align} bytes"))),
    }
}

/// Whether two arrays share memory.
pub fn overlap<P, Q>(a: &[P], b: &[Q]) -> bool {
    let (a, b) = (a.as_ptr_range(), b.as_ptr_range());
    (a.start as usize) < b.end as usize && (b.start as usize) < a.end as usize
}

/// Entries spanned by `ncols` columns of `nrows` with leading dimension `ld`.
pub fn panel_len(nrows: usize, ncols: usize, ld: usize, name: &'static str) -> Result<usize> {
    if ncols == 0 || nrows == 0 {
        return Ok(0);
    }
    if ld < nrows {
        return Err(Error::size(name, ld, format!("be at least {nrows}, the rows of a column")));
    }
    (ncols - 1)
        .checked_mul(ld)
        .and_then(|v| v.checked_add(nrows))
        .ok_or_else(|| Error::size(name, ld, "give an array that fits the address space"))
}

/// The leading dimension of a panel: columns without rows need no storage to be apart in.
pub fn stride(nrows: usize, ld: usize) -> usize {
    if nrows == 0 { 0 } else { ld }
}

/// An array of the caller's that outlives the operator.
struct Lent<P> {
    pointer: *const P,
    len: usize,
}

impl<P> Deref for Lent<P> {
    type Target = [P];
    fn deref(&self) -> &[P] {
        // SAFETY: RKN_BORROW promises that the array outlives every use; checked when taken.
        unsafe { std::slice::from_raw_parts(self.pointer, self.len) }
    }
}

/// A copy of the caller's array, or a loan of it.
pub fn array<P: Copy + 'static>(pointer: *const c_void, count: usize, name: &'static str, copy: bool) -> Result<Array<P>> {
    let items = slice::<P>(pointer, count, name)?;
    Ok(if copy {
        Box::new(memory::copied(items, "matrix")?)
    } else {
        Box::new(Lent { pointer: items.as_ptr(), len: items.len() })
    })
}

/// One scalar behind a pointer.
pub fn scalar<T: Scalar>(pointer: *const c_void, name: &'static str) -> Result<T> {
    let value = slice::<T>(pointer, 1, name)?[0];
    if value.finite() {
        Ok(value)
    } else {
        Err(Error::NonFinite(format!("argument '{name}' is {value}, must be finite")))
    }
}

/// Text into a caller's buffer of `cap` bytes; `need` gets the bytes wanted, NUL included.
pub fn write_text(text: &str, buf: *mut c_char, cap: i64, need: *mut i64) -> Result<()> {
    let bytes = CString::new(text.replace('\0', "?")).unwrap_or_default().into_bytes_with_nul();
    let cap = length(cap, "cap")?;
    if !need.is_null() {
        *out(need, "need")? = bytes.len() as i64;
    }
    if cap == 0 && !need.is_null() {
        return Ok(());
    }
    if cap < bytes.len() {
        return Err(Error::size("cap", cap, format!("be at least {}", bytes.len())));
    }
    slice_mut::<u8>(buf.cast(), bytes.len(), "buf")?.copy_from_slice(&bytes);
    Ok(())
}

pub fn as_int(key: &str, value: &Value) -> Result<i64> {
    match value {
        Value::Int(v) => Ok(*v),
        _ => Err(Error::Key(format!("'{key}' is no int"))),
    }
}

pub fn as_real(key: &str, value: &Value) -> Result<f64> {
    match value {
        Value::Int(v) => Ok(*v as f64),
        Value::Real(v) => Ok(*v),
        Value::Text(_) => Err(Error::Key(format!("'{key}' is no number"))),
    }
}

pub fn as_text(value: &Value) -> String {
    match value {
        Value::Int(v) => v.to_string(),
        Value::Real(v) => format!("{v:e}"),
        Value::Text(v) => v.clone(),
    }
}
