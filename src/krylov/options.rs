//! The options and results of the Krylov solvers.

use crate::runtime::options::{Default, Options, Row, Type};
use crate::runtime::{Error, Result};

pub static METHODS: &[&str] = &["auto", "cg", "minres", "gmres", "bicgstab", "gcrodr", "rbicgstab", "rcg", "eigcg", "rminres", "idr", "cocg", "cocr"];

const ARNOLDI: &[&str] = &["gmres", "gcrodr", "auto"];
/// Methods that know how to search one space for several right-hand sides.
pub const BLOCK_METHODS: &[&str] = &["cg", "gmres", "gcrodr"];
pub const RECYCLING: &[&str] = &["gcrodr", "rbicgstab", "rcg", "eigcg", "rminres", "auto"];

const fn row(key: &'static str, of: Type, default: Default, methods: &'static [&'static str], sentence: &'static str) -> Row {
    Row { key, of, default, unit: "", methods, sentence }
}

const fn seconds(row: Row) -> Row {
    Row { unit: "s", ..row }
}

const COUNT: Type = Type::Int(0, i64::MAX);
const POSITIVE: Type = Type::Real(0.0, f64::MAX);

pub static KRYLOV: &[Row] = &[
    row("rtol", Type::Real(0.0, 1.0), Default::Real(1e-8), &[], "tolerance relative to the reference norm"),
    row("atol", POSITIVE, Default::Real(0.0), &[], "absolute tolerance; the larger of both targets counts"),
    row("reference", Type::Word(&["rhs", "initial", "none"]), Default::Text("rhs"), &[],
        "what rtol is relative to: the right-hand side, the initial residual, or nothing (atol alone counts)"),
    row("norm", Type::Word(&["true", "preconditioned", "weighted"]), Default::Text("true"), &[],
        "the residual norm that is tested: of b - A x; of the preconditioned residual; of the residual scaled from the left (rkn_krylov_set_scaling)"),
    row("verify", Type::Word(&["always", "near", "never"]), Default::Text("always"), &[],
        "when the true residual b - A x is formed before a solve calls itself converged: always; only if the recurrence lies within a factor ten of the target; never"),
    row("max_iterations", Type::Int(0, i64::MAX), Default::Int(10_000), &[], "limit of iterations of one solve"),
    seconds(row("time_limit", POSITIVE, Default::Real(f64::MAX), &[], "limit of wall-clock time of one solve; runs then no longer repeat exactly")),
    row("initial_guess", Type::Word(&["zero", "x", "previous", "project", "pod"]), Default::Text("zero"), &[],
        "start from zero (x may be uninitialised), from what x holds, from this solver's last solution, from the combination of its last solutions that leaves the least residual (auto does so by default), or from that of their leading modes, fewer vectors to multiply where A changed"),
    row("window", Type::Int(1, 100), Default::Int(4), &[], "solutions that initial_guess=project and pod combine; an apply each (pod: a mode) where A changed"),
    row("preconditioner", Type::Text, Default::Text(""), &[],
        "one that the solver builds and keeps fresh itself, options in the same text: 'ilu levels=1'; not together with an M of the caller"),
    row("probe", Type::Word(&["off", "on"]), Default::Text("off"), &["gcrodr", "rbicgstab", "eigcg", "auto"],
        "spend one apply to find out whether an operator announced as changed has changed at all; if not, A U is not renewed (auto does so by default)"),
    row("setup_cost", POSITIVE, Default::Real(10.0), &["auto"],
        "what a refresh of the caller's preconditioner costs, in iterations: how far auto lets it lag (rkn_operator_set_refresh)"),
    row("side", Type::Word(&["left", "right", "flexible"]), Default::Text("right"), ARNOLDI,
        "where the preconditioner stands; flexible lets it change from one iteration to the next"),
    row("restart", Type::Int(2, 1000), Default::Int(50), &["gmres", "gcrodr", "rbicgstab", "rcg", "eigcg", "rminres", "auto"],
        "vectors in a cycle (gcrodr, rbicgstab: recycled ones included); rcg, eigcg, rminres: directions from which recycled vectors are extracted at a time"),
    row("recycle", Type::Int(1, 499), Default::Int(10), RECYCLING,
        "vectors kept from cycle to cycle (rcg, rminres: of directions; eigcg: of the window) and from solve to solve; at most half of restart; eigcg gains half as many a solve"),
    row("shadow", Type::Int(1, 100), Default::Int(4), &["idr"], "s, the dimension of the shadow space: more is closer to GMRES in iterations, and costs memory and time"),
    row("blocking", Type::Word(&["pseudo", "block"]), Default::Text("pseudo"), &["cg", "gmres", "gcrodr", "auto"],
        "several right-hand sides (rkn_krylov_solve_block): each searches its own Krylov space, in lockstep with the others; or all search one space, whose restart counts vectors of each, with one recycled space: fewer steps, more work on the basis"),
    row("test_basis", Type::Word(&["krylov", "search"]), Default::Text("krylov"), &["gcrodr", "rbicgstab", "auto"],
        "against what harmonic Ritz vectors are tested: the Krylov space (slow modes of the preconditioned operator) or the search space (slow modes of A)"),
    row("basis", Type::Word(&["auto", "full", "single"]), Default::Text("auto"), ARNOLDI,
        "precision in which basis vectors are stored; single halves the memory traffic, true residuals keep the accuracy of the solution; auto is single for gcrodr on one rank where reading the basis costs most of a step"),
    row("orthogonalization", Type::Word(&["delayed", "once"]), Default::Text("delayed"), &["gmres", "gcrodr", "rbicgstab", "auto"],
        "classical Gram-Schmidt: twice, the second pass in the sweep of the next step's first (orthogonal to the rounding of the stored precision), or once (a little cheaper; nothing is promised)"),
    row("diagnostics", Type::Word(&["off", "on"]), Default::Text("off"), &["gmres", "gcrodr", "rbicgstab", "rcg", "rminres", "auto"],
        "measure the orthogonality of the basis, Ritz values and principal angles between successive spaces (rkn_krylov_ritz_values, rkn_krylov_angles); gmres, gcrodr: products of all pairs of basis vectors once more; rbicgstab: in the solves that GCRO-DR makes"),
    row("policy_costs", Type::Word(&["counts", "measured"]), Default::Text("counts"), &["auto"],
        "what auto weighs: counts of bytes, flops and iterations, the same in each run; or seconds as measured, the largest of all ranks"),
    row("profile", Type::Word(&["off", "on"]), Default::Text("off"), &[],
        "measure calls, seconds, flops and bytes by phase for rkn_krylov_report; flops and bytes of the caller's own operators and inner products are not known and count as none"),
    row("method", Type::Text, Default::Result, &[], "the method's name"),
    row("chosen_method", Type::Text, Default::Result, &[], "the method that ran in the last solve: what auto chose"),
    row("chosen_preconditioner", Type::Text, Default::Result, &["auto"], "the preconditioner that auto chose and built for the last solve"),
    row("iterations", COUNT, Default::Result, &[], "iterations of the last solve"),
    row("applies", COUNT, Default::Result, &[], "columns that the operator was applied to in the last solve, all purposes"),
    row("recycle_applies", COUNT, Default::Result, &[], "those of them spent on renewing A U"),
    row("verify_applies", COUNT, Default::Result, &[], "those of them spent on true residuals"),
    row("preconditioner_applies", COUNT, Default::Result, &[], "columns that the preconditioner was applied to in the last solve"),
    row("reductions", COUNT, Default::Result, &[], "sums over all ranks in the last solve"),
    row("restarts", COUNT, Default::Result, &[], "cycles begun after the first, or residual replacements, in the last solve"),
    row("recycled", COUNT, Default::Result, &[], "vectors held for the next solve"),
    row("reorthogonalizations", COUNT, Default::Result, &[], "passes of Gram-Schmidt made at once because a vector had lost nearly all of its length, in the last solve"),
    row("orthogonality_loss", POSITIVE, Default::Result, &["gmres", "gcrodr", "rbicgstab", "auto"], "with diagnostics=on: the largest inner product of two basis vectors, or excess of a length over 1, in the last solve"),
    row("solves", COUNT, Default::Result, &[], "solves since creation"),
    row("rebuilds", COUNT, Default::Result, &[], "set-ups of the solver's own preconditioner since creation"),
    row("status", Type::Int(i64::MIN, i64::MAX), Default::Result, &[], "status of the last solve"),
    row("callback_status", Type::Int(i64::MIN, i64::MAX), Default::Result, &[], "what the callback that ended the last solve returned, else 0"),
    row("residual_norm", POSITIVE, Default::Result, &[], "||b - A x|| at the point delivered (the tested norm if verify is never)"),
    row("relative_residual", POSITIVE, Default::Result, &[], "the same divided by ||b||"),
    row("tested_norm", POSITIVE, Default::Result, &[], "the norm that was tested, of b - A x at the point delivered unless verify is never"),
    row("recurrence_norm", POSITIVE, Default::Result, &[], "the residual norm that the method's own recurrence arrived at"),
    row("target", POSITIVE, Default::Result, &[], "what the tested norm had to fall to"),
    seconds(row("setup_seconds", POSITIVE, Default::Result, &[], "wall-clock time of preparing the last solve, preconditioner included")),
    seconds(row("solve_seconds", POSITIVE, Default::Result, &[], "wall-clock time of the iterations of the last solve")),
    seconds(row("apply_seconds", POSITIVE, Default::Result, &[], "with profile=on or events: wall-clock time of products with A in the last solve")),
    seconds(row("precondition_seconds", POSITIVE, Default::Result, &[], "with profile=on or events: that of uses of M")),
    seconds(row("inner_seconds", POSITIVE, Default::Result, &[], "with profile=on or events: that of this rank's inner products")),
    seconds(row("reduce_seconds", POSITIVE, Default::Result, &[], "with profile=on or events: that of sums over ranks, waiting included")),
    row("flops", COUNT, Default::Result, &[], "with profile=on or events: floating-point operations of the library in the last solve, set-ups left out"),
    row("bytes", COUNT, Default::Result, &[], "with profile=on or events: bytes of vectors and matrices that they read and wrote, each pass counted"),
    row("reason", Type::Text, Default::Result, &[], "how the last solve ended, in words"),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reference {
    Rhs,
    Initial,
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Norm {
    True,
    Preconditioned,
    Weighted,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verify {
    Always,
    Near,
    Never,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guess {
    Zero,
    X,
    Previous,
    Project,
    Pod,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Left,
    Right,
    Flexible,
}

/// What the stopping test and the set-up need, read from the options once a solve.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    pub rtol: f64,
    pub atol: f64,
    pub reference: Reference,
    pub norm: Norm,
    pub verify: Verify,
    pub max_iterations: usize,
    pub time_limit: f64,
    pub guess: Guess,
    pub place: Place,
    pub diagnostics: bool,
    pub probe: bool,
}

impl Settings {
    pub fn read(o: &Options) -> Result<Self> {
        let settings = Settings {
            rtol: o.real("rtol"),
            atol: o.real("atol"),
            reference: match o.text("reference") {
                "rhs" => Reference::Rhs,
                "initial" => Reference::Initial,
                _ => Reference::None,
            },
            norm: match o.text("norm") {
                "true" => Norm::True,
                "preconditioned" => Norm::Preconditioned,
                _ => Norm::Weighted,
            },
            verify: match o.text("verify") {
                "always" => Verify::Always,
                "near" => Verify::Near,
                _ => Verify::Never,
            },
            max_iterations: o.count("max_iterations"),
            time_limit: o.real("time_limit"),
            guess: match o.text("initial_guess") {
                "x" => Guess::X,
                "previous" => Guess::Previous,
                "project" => Guess::Project,
                "pod" => Guess::Pod,
                _ => Guess::Zero,
            },
            place: match o.text("side") {
                "left" => Place::Left,
                "right" => Place::Right,
                _ => Place::Flexible,
            },
            diagnostics: o.text("diagnostics") == "on",
            probe: o.text("probe") == "on",
        };
        if settings.reference == Reference::None && settings.atol == 0.0 {
            return Err(Error::State("reference is none, so atol must be positive".to_string()));
        }
        Ok(settings)
    }
}
