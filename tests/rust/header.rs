//! The checked-in header is what cbindgen makes of the sources, and reads like C.

use std::path::Path;

fn checked_in() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("include/reknit.h")
}

fn generated() -> String {
    std::fs::read_to_string(env!("REKNIT_HEADER")).expect("the build makes a header")
}

#[test]
fn the_checked_in_header_is_current() {
    let current = std::fs::read_to_string(checked_in()).unwrap_or_default();
    assert!(current == generated(), "include/reknit.h is stale: run `make header` and look at the change");
}

#[test]
fn the_header_speaks_c() {
    for (i, line) in generated().lines().enumerate() {
        for slip in ["crate::", "](", "Option<", "Struct ", "[`"] {
            assert!(!line.contains(slip), "line {}: '{slip}' in: {line}", i + 1);
        }
        assert!(line.len() <= 132, "line {} is longer than 132 columns: {line}", i + 1);
    }
}
