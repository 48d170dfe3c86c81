//! Matrix Market files, good and bad.

use super::truth::{agree, operator, Matrix, C};
use crate::for_scalars;
use reknit::operator::matrix_market::{parse, read};
use reknit::runtime::{Result, Scalar};

fn matrix<T: Scalar>(text: &str) -> Result<reknit::operator::sparse::Compressed<T, i64>> {
    parse("test.mtx", text.len() as u64, text.as_bytes())
}

const fn z(re: f64, im: f64) -> C {
    C::new(re, im)
}

const O: C = z(0.0, 0.0);

/// Header, rest, rows, columns, entries by rows.
type Good = (&'static str, &'static str, usize, usize, &'static [C]);

const REAL: &[Good] = &[
    (
        "coordinate real general",
        "% a comment\n\n2 3 4\n1 1 1.5\n2 3 -2.5e-1\n%\n1 3 4\n\n1 1 1\n",
        2,
        3,
        &[z(2.5, 0.0), O, z(4.0, 0.0), O, O, z(-0.25, 0.0)],
    ),
    ("Coordinate INTEGER General", "2 2 2\r\n1 2 7\r\n2 1 -8\r\n", 2, 2, &[O, z(7.0, 0.0), z(-8.0, 0.0), O]),
    ("coordinate real general", "1 2 2\n1 1 1.5D+01\n1 2 -2.5d0", 1, 2, &[z(15.0, 0.0), z(-2.5, 0.0)]),
    ("coordinate pattern general", "2 2 2\n1 2\n2 2\n", 2, 2, &[O, z(1.0, 0.0), O, z(1.0, 0.0)]),
    ("coordinate pattern symmetric", "2 2 2\n2 1\n2 2\n", 2, 2, &[O, z(1.0, 0.0), z(1.0, 0.0), z(1.0, 0.0)]),
    ("coordinate real symmetric", "2 2 2\n1 1 2\n2 1 3\n", 2, 2, &[z(2.0, 0.0), z(3.0, 0.0), z(3.0, 0.0), O]),
    ("coordinate real skew-symmetric", "2 2 1\n2 1 3\n", 2, 2, &[O, z(-3.0, 0.0), z(3.0, 0.0), O]),
    ("coordinate real hermitian", "2 2 2\n1 1 2\n2 1 3\n", 2, 2, &[z(2.0, 0.0), z(3.0, 0.0), z(3.0, 0.0), O]),
    ("coordinate real general", "3 2 0\n", 3, 2, &[O; 6]),
    ("coordinate real general", "0 2 0\n", 0, 2, &[]),
    ("array real general", "2 2\n1\n2\n0\n4\n", 2, 2, &[z(1.0, 0.0), O, z(2.0, 0.0), z(4.0, 0.0)]),
    ("array integer symmetric", "2 2\n1\n2\n3\n", 2, 2, &[z(1.0, 0.0), z(2.0, 0.0), z(2.0, 0.0), z(3.0, 0.0)]),
    (
        "array real skew-symmetric",
        "3 3\n1\n2\n3\n",
        3,
        3,
        &[O, z(-1.0, 0.0), z(-2.0, 0.0), z(1.0, 0.0), O, z(-3.0, 0.0), z(2.0, 0.0), z(3.0, 0.0), O],
    ),
    ("array real skew-symmetric", "1 1\n", 1, 1, &[O]),
];

const COMPLEX: &[Good] = &[
    ("coordinate complex general", "2 2 2\n1 2 1 -2\n2 1 0 3\n", 2, 2, &[O, z(1.0, -2.0), z(0.0, 3.0), O]),
    ("coordinate complex symmetric", "2 2 2\n1 1 1 1\n2 1 0 3\n", 2, 2, &[z(1.0, 1.0), z(0.0, 3.0), z(0.0, 3.0), O]),
    ("coordinate complex hermitian", "2 2 2\n1 1 5 0\n2 1 1 3\n", 2, 2, &[z(5.0, 0.0), z(1.0, -3.0), z(1.0, 3.0), O]),
    ("coordinate complex skew-symmetric", "2 2 1\n2 1 1 3\n", 2, 2, &[O, z(-1.0, -3.0), z(1.0, 3.0), O]),
    ("array complex hermitian", "2 2\n1 0\n2 3\n4 0\n", 2, 2, &[z(1.0, 0.0), z(2.0, -3.0), z(2.0, 3.0), z(4.0, 0.0)]),
];

fn good<T: Scalar>() {
    for (cases, legal) in [(REAL, true), (COMPLEX, T::IS_COMPLEX)] {
        for (header, rest, m, n, entries) in cases {
            let text = format!("%%MatrixMarket matrix {header}\n{rest}");
            let matrix = matrix::<T>(&text);
            if !legal {
                let wanted = if T::EPSILON > 1e-9 { "c32, not f32" } else { "c64, not f64" };
                let error = matrix.err().expect("complex numbers do not fit");
                assert_eq!(error.status(), -4);
                assert_eq!(error.to_string(), format!("file 'test.mtx' holds complex numbers, which need {wanted}"));
                continue;
            }
            let want = Matrix { m: *m, n: *n, a: entries.to_vec() };
            agree(&operator(matrix.expect("a legal file")), &want, &text);
        }
    }
}

#[test]
fn legal_files() {
    for_scalars!(good);
}

/// Status, words after the file's name, header, rest.
const BAD: &[(i32, &str, &str, &str)] = &[
    (-33, "line 1 must be '%%MatrixMarket matrix <layout> <field> <symmetry>'", "coordinate real", "1 1 1\n1 1 1\n"),
    (-33, "line 1 has the layout 'list', must be coordinate or array", "list real general", ""),
    (-33, "line 1 has the field 'quaternion', must be real, integer, complex or pattern", "coordinate quaternion general", ""),
    (
        -33,
        "line 1 has the symmetry 'lopsided', must be general, symmetric, hermitian or skew-symmetric",
        "coordinate real lopsided",
        "",
    ),
    (-33, "line 1 has a pattern that is an array or general", "array pattern general", "1 1\n1\n"),
    (-33, "line 1 has a pattern that is an array or skew-symmetric", "coordinate pattern skew-symmetric", "1 1 0\n"),
    (-33, "line 3 is the end of the file before the sizes", "coordinate real general", "% only a comment\n"),
    (-33, "line 2 must be '<rows> <columns> <entries>'", "coordinate real general", "2 2\n"),
    (-33, "line 2 must be '<rows> <columns>'", "array real general", "2 2 4\n"),
    (-33, "line 2 has '-2' for the rows, must be an integer that is not negative", "coordinate real general", "-2 2 1\n"),
    (-33, "line 2 has 'x' for the entries, must be an integer that is not negative", "coordinate real general", "2 2 x\n"),
    (
        -33,
        "line 2 has '99999999999999999999' for the columns, must be an integer that is not negative",
        "coordinate real general",
        "1 99999999999999999999 1\n",
    ),
    (-33, "line 2 announces 1000 entries, more than the file can hold", "coordinate real general", "9 9 1000\n1 1 1\n"),
    (-33, "line 2 announces 16000000000000000000 entries, more than the file can hold", "array real general", "4000000000 4000000000\n1\n"),
    (
        -33,
        "line 2 announces 9223372036854775807 x 9223372036854775807 entries, more than the file can hold",
        "array real general",
        "9223372036854775807 9223372036854775807\n1\n",
    ),
    (-33, "line 2 has 2 rows and 3 columns, but a symmetric matrix is square", "coordinate real symmetric", "2 3 1\n1 1 1\n"),
    (-33, "line 4 is the end of the file after 1 of 2 entries", "coordinate real general", "2 2 2\n1 1 1\n"),
    (-33, "line 4 follows the last of 1 entries", "coordinate real general", "2 2 1\n1 1 1\n2 2 1\n"),
    (-33, "line 4 has 'five' for the column, must be an integer in 1..3", "coordinate real general", "3 3 2\n1 1 1\n2 five 1\n"),
    (-33, "line 3 has '3' for the row, must be an integer in 1..2", "coordinate real general", "2 2 1\n3 1 1\n"),
    (-33, "line 3 has '0' for the column, must be an integer in 1..2", "coordinate real general", "2 2 1\n1 0 1\n"),
    (-33, "line 3 has no column", "coordinate real general", "2 2 1\n1\n"),
    (-33, "line 3 has too few numbers", "coordinate real general", "2 2 1\n1 1\n"),
    (-33, "line 3 has 'one', must be a number", "coordinate real general", "2 2 1\n1 1 one\n"),
    (-33, "line 3 has '5' after its entry", "coordinate real general", "2 2 1\n1 1 1 5\n"),
    (-33, "line 3 has row 1, column 2: a symmetric file holds the lower triangle", "coordinate real symmetric", "2 2 1\n1 2 1\n"),
    (-33, "line 3 has 1 on the diagonal of a skew-symmetric matrix", "coordinate real skew-symmetric", "2 2 1\n1 1 1\n"),
    (-6, "line 3 has NaN, must be finite in f64", "coordinate real general", "2 2 1\n1 1 nan\n"),
    (-6, "line 3 has inf, must be finite in f64", "coordinate real general", "2 2 1\n1 1 1e999\n"),
    (-4, "", "coordinate complex general", "nonsense\n"),
];

#[test]
fn illegal_files() {
    for (status, words, header, rest) in BAD {
        let text = format!("%%MatrixMarket matrix {header}\n{rest}");
        let error = matrix::<f64>(&text).err().unwrap_or_else(|| panic!("accepted:\n{text}"));
        assert_eq!(error.status(), *status, "{error} for\n{text}");
        if !words.is_empty() {
            assert_eq!(error.to_string(), format!("file 'test.mtx', {words}"));
        }
    }
    for text in ["", "\n", "1 1 1\n1 1 1\n", "%%MatrixMarket tensor coordinate real general\n1 1 0\n"] {
        let error = matrix::<f64>(text).err().expect("no header");
        assert_eq!(error.to_string(), "file 'test.mtx', line 1 must be '%%MatrixMarket matrix <layout> <field> <symmetry>'");
    }
}

#[test]
fn numbers_must_fit_the_scalar() {
    let text = "%%MatrixMarket matrix coordinate real general\n1 1 1\n1 1 1e300\n";
    assert!(matrix::<f64>(text).is_ok());
    let error = matrix::<f32>(text).err().expect("too large");
    assert_eq!((error.status(), error.to_string().as_str()), (-6, "file 'test.mtx', line 3 has inf, must be finite in f32"));
}

#[test]
fn hermitian_diagonals_are_real() {
    let text = "%%MatrixMarket matrix coordinate complex hermitian\n1 1 1\n1 1 1 2\n";
    let error = matrix::<num_complex::Complex<f64>>(text).err().expect("not Hermitian");
    assert_eq!(error.to_string(), "file 'test.mtx', line 3 has 1+2i on the diagonal of a hermitian matrix");
}

#[test]
fn what_is_no_text_is_refused() {
    let bytes = b"%%MatrixMarket matrix coordinate real general\n2 2 1\n1 1 \xff\xfe\n";
    let error = parse::<f64>("test.mtx", bytes.len() as u64, &bytes[..]).err().expect("not UTF-8");
    assert_eq!(error.to_string(), "file 'test.mtx', line 3 has '\u{fffd}' for the row, must be an integer in 1..2");
    let endless = format!("%%MatrixMarket matrix coordinate real general\n%{}\n1 1 0\n", "x".repeat(10_000));
    let error = matrix::<f64>(&endless).err().expect("too long a line");
    assert_eq!(error.to_string(), "file 'test.mtx', line 2 is longer than 4096 bytes");
}

#[test]
fn a_large_shape_costs_memory_that_cannot_be_had() {
    let error = matrix::<f64>("%%MatrixMarket matrix coordinate real general\n9000000000000000 1 0\n").err().expect("too large");
    assert_eq!(error.status(), -31, "{error}");
}

#[test]
fn files_on_disk() {
    let path = std::env::temp_dir().join(format!("reknit-operator-{}.mtx", std::process::id()));
    let name = path.to_str().expect("a plain path");
    std::fs::write(&path, "%%MatrixMarket matrix coordinate real general\n1 2 1\n1 2 7\n").expect("a writable folder");
    let matrix = read::<f64>(name);
    std::fs::remove_file(&path).expect("the file is ours");
    agree(&operator(matrix.expect("a legal file")), &Matrix { m: 1, n: 2, a: vec![O, z(7.0, 0.0)] }, "file");
    let error = read::<f64>(name).err().expect("the file is gone");
    assert_eq!(error.status(), -32);
    assert!(error.to_string().starts_with(&format!("file '{name}' cannot be read: No such file")), "{error}");
    let error = read::<f64>("/").err().expect("a folder is no file");
    assert_eq!(error.status(), -32);
    assert!(error.to_string().starts_with("file '/' cannot be read: "), "{error}");
}
