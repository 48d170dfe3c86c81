//! Keys of the transport solvers.

use crate::runtime::options::{Default, Row, Type};

pub const METHODS: &[&str] = &["auto", "sinkhorn", "sns"];

const fn row(key: &'static str, of: Type, default: Default, methods: &'static [&'static str], sentence: &'static str) -> Row {
    Row { key, of, default, unit: "", methods, sentence }
}

const fn seconds(row: Row) -> Row {
    Row { unit: "s", ..row }
}

const POSITIVE: Type = Type::Real(0.0, f64::MAX);
const COUNT: Type = Type::Int(0, i64::MAX);

pub const SINKHORN: &[Row] = &[
    row("epsilon", POSITIVE, Default::Real(1e-2), &[], "regularisation: of the entropic term eps sum P (log P - 1); in units of the cost, or relative to it (epsilon_relative)"),
    row("epsilon_relative", Type::Word(&["no", "max", "mean", "median"]), Default::Text("no"), &[],
        "whether epsilon is multiplied by the largest, the mean or the median cost (of a sample beyond 10^6 entries)"),
    row("entropy", Type::Word(&["counting", "product"]), Default::Text("counting"), &[],
        "what the entropic term is relative to: counting, eps sum P (log P - 1); product, eps sum P log(P / (a b)) - P + a b; only primal and dual differ, and the plan where marginals are penalised"),
    row("tolerance", Type::Real(0.0, 2.0), Default::Real(1e-6), &[], "what the L1 errors of both marginals, divided by the mass, must come down to together"),
    row("max_passes", Type::Int(0, i64::MAX), Default::Int(100_000), &[], "limit of visits of all entries of the plan in one solve"),
    seconds(row("time_limit", POSITIVE, Default::Real(f64::MAX), &[], "limit of wall-clock time of one solve; runs then no longer repeat exactly")),
    row("start", Type::Word(&["auto", "zero", "previous", "extrapolated"]), Default::Text("auto"), &[],
        "potentials to start from: zero; those of the last solve of this shape; two of them continued in a line; auto is zero at first and then the previous ones"),
    row("target_gap", Type::Real(0.0, 1.0), Default::Real(0.0), &["auto"],
        "if positive, epsilon is walked down until the bounds of the exact cost differ by at most this share of the upper one; epsilon and tolerance are then not used"),
    row("transported_mass", Type::Real(0.0, f64::MAX), Default::Real(0.0), &[],
        "if positive, only this much mass moves, from where and to where it costs least (partial transport); masses of a and b may then differ"),
    row("penalty_a", POSITIVE, Default::Real(f64::MAX), &[],
        "price rho of a plan whose rows do not sum to a: rho sum r log(r / a) - r + a (unbalanced transport); the largest number stands for exact sums"),
    row("penalty_b", POSITIVE, Default::Real(f64::MAX), &[], "the same for columns and b"),
    row("relaxation", Type::Real(1.0, 1.95), Default::Real(1.0), &["sinkhorn"], "over-relaxation of the updates; 1 is Sinkhorn's own"),
    row("anderson", Type::Int(0, 50), Default::Int(0), &["sinkhorn"], "iterates that Anderson's acceleration mixes; 0 for none, 5 is usual"),
    row("warmup", COUNT, Default::Int(20), &["sns"], "Sinkhorn iterations before Newton's (N1)"),
    row("sparsity", Type::Real(0.0, 1.0), Default::Real(0.0), &["sns"], "share of the entries of the plan that stay in the Hessian (lambda); 0 is 2 / n"),
    row("derivative_tolerance", Type::Real(0.0, 1.0), Default::Real(1e-10), &[],
        "what the residual of the system behind derivatives must come down to, of its right-hand side, both scaled by the masses"),
    row("barycenter", Type::Word(&["entropic", "debiased"]), Default::Text("entropic"), &[],
        "barycentres on given points: as blurred as the entropy makes them, or with the blur taken out (where the cost is symmetric)"),
    row("movement", POSITIVE, Default::Real(1e-6), &[], "barycentres on moving points: how far the last step may move a point, as a share of the extent of the clouds"),
    row("max_steps", COUNT, Default::Int(1000), &[], "barycentres on moving points: limit of steps"),
    row("method", Type::Text, Default::Result, &[], "the method's name"),
    row("iterations", COUNT, Default::Result, &[], "Sinkhorn and Newton iterations of the last solve"),
    row("newton_steps", COUNT, Default::Result, &[], "Newton directions taken in the last solve"),
    row("cg_steps", COUNT, Default::Result, &[], "products with Hessians in the last solve"),
    row("levels", COUNT, Default::Result, &["auto"], "values of epsilon that the last solve went through"),
    row("passes", POSITIVE, Default::Result, &[], "visits of all entries of the plan with exponentials in the last solve, those over lists of active entries in shares; on a grid, sums along all axes for both marginals are one"),
    row("marginal_error", POSITIVE, Default::Result, &[], "L1 errors of both marginals, divided by the mass, at the potentials delivered, formed from the whole plan"),
    row("epsilon_used", POSITIVE, Default::Result, &[], "epsilon in units of the cost"),
    row("cost", Type::Real(-f64::MAX, f64::MAX), Default::Result, &[], "<C, P>, of the plan at the potentials delivered"),
    row("plan_mass", POSITIVE, Default::Result, &[], "sum P: of interest for partial and unbalanced transport"),
    row("primal", Type::Real(-f64::MAX, f64::MAX), Default::Result, &[], "<C, P> + the entropic term, eps sum P (log P - 1) or as `entropy` says, + prices of penalised marginals"),
    row("dual", Type::Real(-f64::MAX, f64::MAX), Default::Result, &[], "<a, f> + <b, g> - eps sum P, or as `entropy` and penalties have it; equal to `primal` at the solution, below elsewhere"),
    row("lower_bound", Type::Real(-f64::MAX, f64::MAX), Default::Result, &[], "no more than the exact cost: of the last solve with target_gap, or of rkn_sinkhorn_bracket; NaN before"),
    row("upper_bound", Type::Real(-f64::MAX, f64::MAX), Default::Result, &[], "no less than the exact cost; otherwise as lower_bound"),
    row("derivative_products", COUNT, Default::Result, &[], "products with the plan that the system of the last derivative took"),
    row("derivative_residual", POSITIVE, Default::Result, &[], "residual of that system, formed anew, of its right-hand side"),
    row("solves", COUNT, Default::Result, &[], "solves since creation"),
    row("status", Type::Int(i64::MIN, i64::MAX), Default::Result, &[], "status of the last solve"),
    seconds(row("solve_seconds", POSITIVE, Default::Result, &[], "wall-clock time of the last solve")),
    row("reason", Type::Text, Default::Result, &[], "how the last solve ended, in words"),
];
