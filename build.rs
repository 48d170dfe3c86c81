//! Makes the C header from `src/ffi` into OUT_DIR and sets the soname. The checked-in header is
//! written only on request (`make header`); a test compares the two.

use std::path::{Path, PathBuf};

/// One pass a noun, so that types and functions stand together.
const NOUNS: &[(&str, &str)] = &[
    ("status.rs", "Statuses and tags"),
    ("library.rs", "The library"),
    ("callback.rs", "Callbacks: user first; 0 is fine"),
    ("context.rs", "Context"),
    ("operator.rs", "Operators and preconditioners"),
    ("krylov.rs", "Krylov solvers with memory"),
    ("learned.rs", "What a Krylov solver has learned"),
    ("reverse.rs", "Solving by requests (reverse communication)"),
    ("sequence.rs", "The order of a sequence"),
    ("geometry.rs", "What transport costs"),
    ("sinkhorn.rs", "Entropic optimal transport"),
    ("bracket.rs", "What a transport plan gives: bounds, rounding, rows, saved states"),
    ("line.rs", "Exact transport in one dimension"),
    ("derivative.rs", "Derivatives of transport"),
    ("membership.rs", "Doubly stochastic membership and coding rates"),
    ("barycenter.rs", "Barycentres"),
    ("batch.rs", "Several transport problems at once"),
];

const HEAD: &str = include_str!("include/reknit.h.head");

fn main() {
    println!("cargo:rerun-if-changed=src/ffi");
    println!("cargo:rerun-if-changed=include/reknit.h.head");
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-env=REKNIT_TARGET={}", std::env::var("TARGET").expect("cargo sets TARGET"));
    println!("cargo:rustc-env=REKNIT_PROFILE={}", std::env::var("PROFILE").expect("cargo sets PROFILE"));
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
        println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libreknit.so.0.1");
        println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    }
    let root = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets the manifest folder"));
    let out = PathBuf::from(std::env::var("OUT_DIR").expect("cargo sets OUT_DIR")).join("reknit.h");
    std::fs::write(&out, header(&root, &out.with_file_name("section.rs"))).expect("OUT_DIR can be written");
    println!("cargo:rustc-env=REKNIT_HEADER={}", out.display());
    println!("cargo:rerun-if-env-changed=REKNIT_WRITE_HEADER");
    if std::env::var_os("REKNIT_WRITE_HEADER").is_some() {
        std::fs::copy(&out, root.join("include/reknit.h")).expect("include can be written");
    }
}

fn header(root: &Path, scratch: &Path) -> String {
    let mut text = HEAD.to_string();
    for &(file, title) in NOUNS {
        text.push_str(&format!("\n/* ---- {title} {} */\n\n", "-".repeat(88 - title.len())));
        let source = std::fs::read_to_string(root.join("src/ffi").join(file)).expect("a source file of the boundary");
        if file == "status.rs" {
            // cbindgen puts constants before types: a pass for each family keeps them together.
            for family in source.split("\n\n") {
                text.push_str(&type_first(section(family, scratch).trim()));
                text.push_str("\n\n");
            }
        } else {
            text.push_str(section(&source, scratch).trim());
            text.push('\n');
        }
    }
    text.push_str("\n#ifdef __cplusplus\n}\n#endif\n\n#endif /* REKNIT_H */\n");
    text
}

/// One pass of cbindgen over a piece of source.
fn section(source: &str, scratch: &Path) -> String {
    std::fs::write(scratch, source).expect("OUT_DIR can be written");
    let mut config = cbindgen::Config {
        language: cbindgen::Language::C,
        no_includes: true,
        documentation_style: cbindgen::DocumentationStyle::C99,
        line_length: 110,
        style: cbindgen::Style::Both,
        sort_by: cbindgen::SortKey::None,
        ..Default::default()
    };
    // Types that no function of the piece mentions are wanted as well.
    let names = source.lines().filter_map(|line| line.strip_prefix("pub type ").or(line.strip_prefix("pub struct ")));
    config.export.include = names.filter_map(|rest| rest.split([' ', '{']).next()).map(str::to_string).collect();
    config.function.args = cbindgen::Layout::Auto;
    let bindings = cbindgen::Builder::new().with_config(config).with_src(scratch).generate().expect("source that cbindgen understands");
    let mut bytes = Vec::new();
    bindings.write(&mut bytes);
    let text = String::from_utf8(bytes).expect("a header is text");
    // Every struct has its typedef: arguments need no second keyword.
    let untagged = |line: &str| if line.starts_with("typedef") { line.to_string() } else { line.replace("struct rkn_", "rkn_") };
    text.lines().map(untagged).collect::<Vec<_>>().join("\n")
}

/// The typedef of a family before its constants, those without blank lines, negative ones in
/// parentheses.
fn type_first(family: &str) -> String {
    let (constants, rest): (Vec<&str>, Vec<&str>) =
        family.lines().filter(|line| !line.is_empty()).partition(|line| line.starts_with("#define"));
    let constants = constants.into_iter().map(|line| match line.rsplit_once(' ') {
        Some((name, value)) if value.starts_with('-') => format!("{name} ({value})"),
        _ => line.to_string(),
    });
    rest.into_iter().map(str::to_string).chain(constants).collect::<Vec<_>>().join("\n")
}
