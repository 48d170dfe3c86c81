//! Panics inside the library must not print: their text becomes an error message.

use once_cell::sync::Lazy;
use std::cell::{Cell, RefCell};

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
    static TEXT: RefCell<String> = const { RefCell::new(String::new()) };
}

/// The process's hook is wrapped once; outside the library it acts as before.
static HOOK: Lazy<()> = Lazy::new(|| {
    let previous = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if QUIET.try_with(|quiet| quiet.get()).unwrap_or(false) {
            let _ = TEXT.try_with(|text| *text.borrow_mut() = info.to_string());
        } else {
            previous(info);
        }
    }));
});

/// Makes panics of this thread quiet, or loud again; returns what it was.
pub fn set_quiet(quiet: bool) -> bool {
    Lazy::force(&HOOK);
    QUIET.with(|q| q.replace(quiet))
}

/// The text of this thread's last quiet panic.
pub fn take_text() -> String {
    TEXT.with(|text| std::mem::take(&mut *text.borrow_mut()))
}
