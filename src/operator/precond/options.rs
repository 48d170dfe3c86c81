//! The keys of a preconditioner, given behind its kind: "ilu levels=2 shift=1e-3".

use crate::runtime::options::{Default, Options, Row, Type, Value};
use crate::runtime::{Error, Result};
use std::fmt::Write;

const FACTORS: &[&str] = &["ilu", "ilu0", "ic", "ic0", "ilut", "ict", "lu", "llt", "ldlt"];
const BY_SIZE: &[&str] = &["ilut", "ict"];
const COMPLETE: &[&str] = &["lu", "llt", "ldlt"];
const ROUNDABLE: &[&str] = &["ssor", "ilu", "ilu0", "ic", "ic0", "ilut", "ict", "amg", "lu", "llt", "ldlt"];

const fn row(key: &'static str, of: Type, default: Default, methods: &'static [&'static str], sentence: &'static str) -> Row {
    Row { key, of, default, unit: "", methods, sentence }
}

pub static PRECONDITIONER: &[Row] = &[
    row(
        "levels",
        Type::Int(0, i64::MAX),
        Default::Int(0),
        &["ilu", "ic"],
        "entries up to this level of fill stay in the factor; 0 keeps the pattern of the matrix",
    ),
    row(
        "shift",
        Type::Real(0.0, f64::MAX),
        Default::Real(0.0),
        FACTORS,
        "before factoring, each diagonal entry a becomes a + shift |a| (ilu, ilut, lu, ldlt: away from zero)",
    ),
    row(
        "pivot_tolerance",
        Type::Real(0.0, 1.0),
        Default::Real(0.0),
        FACTORS,
        "a pivot that is no larger than this times the largest entry of its row is a breakdown (ldlt: is replaced; lu: a reciprocal condition number below this is one)",
    ),
    row(
        "drop_tolerance",
        Type::Real(0.0, f64::MAX),
        Default::Real(1e-3),
        BY_SIZE,
        "entries smaller than this times the 2-norm of their row (ict: column) of the matrix are dropped",
    ),
    row(
        "fill",
        Type::Int(0, i64::MAX),
        Default::Int(10),
        BY_SIZE,
        "how many entries more than the matrix a row (ict: column) of each triangular factor may have; the largest stay",
    ),
    row(
        "omega",
        Type::Real(0.0, 2.0),
        Default::Real(1.0),
        &["ssor", "amg"],
        "relaxation factor, strictly between 0 and 2",
    ),
    row("sweeps", Type::Int(1, 1000), Default::Int(1), &["ssor", "amg"], "symmetric sweeps an apply; amg: sweeps before and after the coarse correction"),
    row(
        "block",
        Type::Int(1, 1024),
        Default::Int(4),
        &["block_jacobi"],
        "rows of a diagonal block; the last block may be smaller",
    ),
    row(
        "degree",
        Type::Int(1, 1000),
        Default::Int(4),
        &["chebyshev", "amg"],
        "degree of the Chebyshev polynomial; an apply costs one product with the matrix less (amg: 2 where nothing is given)",
    ),
    row(
        "ratio",
        Type::Real(1.0, f64::MAX),
        Default::Real(30.0),
        &["chebyshev", "amg"],
        "eigenvalues between lambda_max / ratio and lambda_max are damped (amg: degree^2 + 1 where nothing is given)",
    ),
    row(
        "lambda_max",
        Type::Real(0.0, f64::MAX),
        Default::Real(0.0),
        &["chebyshev"],
        "largest eigenvalue of D^-1 A (of A, where it has no entries); 0: estimated at each set-up",
    ),
    row(
        "strength",
        Type::Real(0.0, 1.0),
        Default::Real(0.08),
        &["amg"],
        "unknowns i and j are coupled strongly when |a_ij| > strength sqrt(|a_ii a_jj|); halved from level to level",
    ),
    row(
        "smoother",
        Type::Word(&["chebyshev", "ssor"]),
        Default::Text("chebyshev"),
        &["amg"],
        "relaxation before and after the coarse correction: a polynomial, or forward and backward sweeps",
    ),
    row("max_levels", Type::Int(1, 100), Default::Int(20), &["amg"], "levels at most; the last one is factored"),
    row("coarse_size", Type::Int(1, i64::MAX), Default::Int(200), &["amg"], "a level with no more rows than this is factored"),
    row("block_size", Type::Int(1, 64), Default::Int(1), &["amg"], "unknowns a node, numbered one after the other"),
    row(
        "ordering",
        Type::Word(&["auto", "amd", "nd", "natural"]),
        Default::Text("auto"),
        COMPLETE,
        "order of elimination: approximate minimum degree, nested dissection, that of the matrix, or (auto) the one of the first two that needs fewer operations",
    ),
    row(
        "refinements",
        Type::Int(0, 100),
        Default::Int(0),
        COMPLETE,
        "steps of iterative refinement an apply, each with one product with the matrix",
    ),
    row(
        "precision",
        Type::Word(&["full", "single"]),
        Default::Text("full"),
        ROUNDABLE,
        "in which factors are made, kept and applied; single halves memory and time for a few iterations more",
    ),
];

/// Ranges that the table cannot state.
pub fn check(kind: &str, options: &Options) -> Result<()> {
    if options.count("refinements") > 0 && options.text("precision") == "single" {
        return Err(Error::argument("refinements", options.count("refinements"), "be 0 with precision=single"));
    }
    let omega = options.real("omega");
    if omega <= 0.0 || omega >= 2.0 {
        return Err(Error::argument("omega", omega, "lie in (0, 2)"));
    }
    if options.real("ratio") <= 1.0 {
        return Err(Error::argument("ratio", options.real("ratio"), "be larger than 1"));
    }
    if kind == "amg" {
        let smoother = options.text("smoother");
        let unused: &[&str] = if smoother == "ssor" { &["degree", "ratio"] } else { &["omega", "sweeps"] };
        if let Some(key) = unused.iter().find(|key| options.is_given(key)) {
            return Err(Error::Key(format!("option '{key}' is not used by 'amg' with smoother={smoother}")));
        }
    }
    Ok(())
}

/// "ilu levels=0 shift=0.001": the levels of fill, and what was given.
pub fn describe(kind: &'static str, options: &Options) -> String {
    let mut text = kind.trim_end_matches('0').to_string();
    for row in PRECONDITIONER {
        let levels = row.key == "levels" && (text == "ilu" || text == "ic");
        if !levels && !options.is_given(row.key) {
            continue;
        }
        let _ = match options.get(row.key) {
            Ok(Value::Int(v)) => write!(text, " {}={v}", row.key),
            Ok(Value::Real(v)) => write!(text, " {}={v:?}", row.key),
            Ok(Value::Text(v)) => write!(text, " {}={v}", row.key),
            Err(_) => Ok(()),
        };
    }
    text
}
