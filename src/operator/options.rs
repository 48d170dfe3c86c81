//! The keys of an operator.

use crate::runtime::options::{Default, Row, Type};

const COUNT: Type = Type::Int(0, i64::MAX);

const fn result(key: &'static str, of: Type, sentence: &'static str) -> Row {
    Row { key, of, default: Default::Result, unit: "", methods: &[], sentence }
}

pub static OPERATOR: &[Row] = &[
    Row {
        key: "hermitian",
        of: Type::Int(0, 1),
        default: Default::Int(0),
        unit: "",
        methods: &[],
        sentence: "1: the caller's word that A = A^H, which is not checked; known from the start for symmetric formats",
    },
    result("products", COUNT, "columns that the operator was applied to since creation"),
    result("version", COUNT, "rises whenever the operator's numbers changed"),
    result("entries", COUNT, "stored entries (of the factors, for a preconditioner)"),
    result("values", COUNT, "numbers that rkn_operator_set_values takes"),
    result("rebuilds", COUNT, "set-ups of a preconditioner since creation, the first included"),
    result("levels", COUNT, "levels of the hierarchy of an amg preconditioner"),
    result("level_entries", COUNT, "entries of the matrices on all its levels; divided by those of the matrix, the operator complexity"),
    result("callback_status", Type::Int(i64::MIN, i64::MAX), "what the last apply callback returned"),
];
