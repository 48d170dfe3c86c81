//! docs/options.md is the reference page that the registry prints.

use reknit::krylov::options::KRYLOV;
use reknit::operator::options::OPERATOR;
use reknit::operator::precond::PRECONDITIONER;
use reknit::runtime::context::CONTEXT;
use reknit::runtime::options::{reference, Row};
use reknit::sequence::options::SEQUENCE;
use reknit::transport::options::SINKHORN;

fn page() -> String {
    let mut page = String::from(
        "# Options and results\n\nPrinted from the library's option registry (rkn_option_reference); `make docs` writes this file.\n\n",
    );
    let nouns: [(&str, &[Row]); 6] = [
        ("rkn_context", CONTEXT),
        ("rkn_operator", OPERATOR),
        ("Preconditioners", PRECONDITIONER),
        ("rkn_krylov", KRYLOV),
        ("rkn_sequence_order", SEQUENCE),
        ("rkn_sinkhorn", SINKHORN),
    ];
    for (title, table) in nouns {
        reference(title, table, &mut page);
    }
    page.trim_end().to_string() + "\n"
}

#[test]
fn the_reference_page_is_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/options.md");
    if std::env::var_os("REKNIT_WRITE_DOCS").is_some() {
        std::fs::write(path, page()).expect("docs can be written");
    }
    assert!(std::fs::read_to_string(path).unwrap_or_default() == page(), "docs/options.md is stale: run `make docs`");
}

#[test]
fn every_row_is_complete() {
    for table in [CONTEXT, OPERATOR, PRECONDITIONER, KRYLOV, SEQUENCE, SINKHORN] {
        for (i, row) in table.iter().enumerate() {
            assert!(!row.sentence.is_empty(), "{}", row.key);
            assert!(table[..i].iter().all(|other| other.key != row.key), "{} stands twice", row.key);
            assert!(row.key.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{}", row.key);
        }
    }
}
