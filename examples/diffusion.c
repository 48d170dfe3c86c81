/* Diffusion as a walk downhill: steps of a gradient flow in the distance of transport.
 *
 * A density r that drifts down a potential V and spreads, dr/dt = div(r grad V) + div grad r, descends the free energy
 * F(r) = sum r log(r / exp(-V)) most steeply, if lengths are those of transport at the squared distance (Jordan, Kinderlehrer and
 * Otto 1998). An implicit step of length tau takes r to the density that minimises
 *
 *   OT(r, next) / (2 tau) + F(next)
 *
 * Times 2 tau that is one solve: transport from r to b = exp(-V) whose columns need not sum to b, at the price penalty_b = 2 tau
 * ("unbalanced"). The sums that they have are the next density (Peyre 2015, arXiv 1502.06216).
 *
 * The entropy of the solve spreads the density too, in each step. It should be that of half the cost from `next` to itself less,
 * as in Sinkhorn's divergence, and for small epsilon that half is epsilon / 2 sum next log next and a constant: a part of F.
 * So the price is 2 tau - epsilon / 2 here, with b = exp(-V) to the power 2 tau / price, so that V keeps its weight. What is
 * left of the blur is of second order: with 48 cells variances are off by 0.0016 at most, and by 0.18 at the price 2 tau.
 *
 * V = x^2 / 2 + y^2, and a bell at first. It stays a bell, with means and variances that are known, for the equation ("exact") and
 * for its implicit steps without blur ("steps", which are off by the order of tau). The energy is F less its least value.
 *
 * Two solvers of the same method and tolerance, side by side:
 *   cold   begins at zero at every step
 *   warm   begins with the potentials of the step before, continued in a line from the third step on
 *
 * Usage: diffusion [cells a side, 48] [steps, 20]
 */
#include <reknit.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const double half_side = 5.0, tau = 0.05;
static const double stiffness[2] = {1.0, 2.0};           /* V = sum of stiffness x^2 / 2 */
static const double mean_before[2] = {2.0, -1.0}, variance_before[2] = {0.25, 0.36};

/* Ends the program with the library's message if a call failed or stopped short. */
static void check(rkn_status status) {
    if (status != RKN_OK) {
        fprintf(stderr, "%s\n", rkn_last_error());
        exit(1);
    }
}

static double *allocate(size_t count) {
    double *p = calloc(count, sizeof *p);
    if (!p) {
        fprintf(stderr, "out of memory\n");
        exit(1);
    }
    return p;
}

/* The middle of cell i along an axis. */
static double centre(int n, int i) { return half_side * ((2.0 * i + 1.0) / n - 1.0); }

/* Masses of a bell on n x n cells; their sum is 1. */
static void bell(int n, const double *mean, const double *variance, double *r) {
    double sum = 0.0;
    for (int i = 0; i < n; ++i)
        for (int j = 0; j < n; ++j) {
            const double x = centre(n, i) - mean[0], y = centre(n, j) - mean[1];
            sum += r[i * n + j] = exp(-0.5 * (x * x / variance[0] + y * y / variance[1]));
        }
    for (int c = 0; c < n * n; ++c) r[c] /= sum;
}

/* Means and variances along both axes. */
static void moments(int n, const double *r, double *mean, double *variance) {
    double sum = 0.0, first[2] = {0.0, 0.0}, second[2] = {0.0, 0.0};
    for (int i = 0; i < n; ++i)
        for (int j = 0; j < n; ++j) {
            const double mass = r[i * n + j], at[2] = {centre(n, i), centre(n, j)};
            sum += mass;
            for (int k = 0; k < 2; ++k) {
                first[k] += mass * at[k];
                second[k] += mass * at[k] * at[k];
            }
        }
    for (int k = 0; k < 2; ++k) {
        mean[k] = first[k] / sum;
        variance[k] = second[k] / sum - mean[k] * mean[k];
    }
}

/* F less its least value, which is that of the density at rest. */
static double energy(int n, const double *r, const double *rest) {
    double sum = 0.0;
    for (int c = 0; c < n * n; ++c)
        if (r[c] > 0.0) sum += r[c] * log(r[c] / rest[c]);
    return sum;
}

/* An unblurred step of a bell, along one axis: (next - width) / tau + k next - 1 / next = 0. */
static void step_of_bell(double k, double *mean, double *variance) {
    const double shrink = 1.0 + k * tau;
    const double next = (sqrt(*variance) + sqrt(*variance + 4.0 * tau * shrink)) / (2.0 * shrink);
    *mean /= shrink;
    *variance = next * next;
}

static double passes_of(const rkn_sinkhorn *s) {
    double value;
    check(rkn_sinkhorn_get_real(s, "passes", &value));
    return value;
}

static rkn_sinkhorn *solver(const char *start, double epsilon, double price) {
    rkn_sinkhorn *s;
    check(rkn_sinkhorn_create(NULL, "auto", &s));
    check(rkn_sinkhorn_set_options(s, "tolerance=1e-9"));
    check(rkn_sinkhorn_set_string(s, "start", start));
    check(rkn_sinkhorn_set_real(s, "epsilon", epsilon));
    check(rkn_sinkhorn_set_real(s, "penalty_b", price));
    return s;
}

int main(int argc, char **argv) {
    const int n = argc > 1 ? atoi(argv[1]) : 48;
    const int steps = argc > 2 ? atoi(argv[2]) : 20;
    if (n < 32 || n > 200 || steps < 1) {
        fprintf(stderr, "usage: diffusion [cells a side, 32 to 200] [steps]\n");
        return 2;
    }
    const int cells = n * n;
    const int64_t size[2] = {n, n};
    const double side = 2.0 * half_side / n, h[2] = {side, side};
    const double epsilon = side * side, price = 2.0 * tau - 0.5 * epsilon;
    double *r = allocate((size_t)cells), *b = allocate((size_t)cells);
    double *rest = allocate((size_t)cells), *ones = allocate((size_t)cells);
    double at_rest[2], of_target[2], mean[2], variance[2], expected[2], spread[2];
    for (int k = 0; k < 2; ++k) {
        at_rest[k] = 1.0 / stiffness[k];
        of_target[k] = at_rest[k] * price / (2.0 * tau);
        expected[k] = mean_before[k];
        spread[k] = variance_before[k];
    }
    const double origin[2] = {0.0, 0.0};
    bell(n, origin, at_rest, rest);
    bell(n, origin, of_target, b);
    bell(n, mean_before, variance_before, r);
    for (int c = 0; c < cells; ++c) ones[c] = 1.0;

    rkn_geometry *G;
    check(rkn_geometry_create_grid(NULL, 2, size, h, NULL, 2.0, &G));
    rkn_sinkhorn *cold = solver("zero", epsilon, price), *warm = solver("extrapolated", epsilon, price);

    printf("a bell diffuses, %d x %d cells, %d steps of %.2f, epsilon %.4f\n", n, n, steps, tau, epsilon);
    printf("     |     passes    |         mean of x          |       variance of x        |       variance of y        |\n");
    printf("step |   cold   warm |             exact    steps |             exact    steps |             exact    steps |"
           "   energy\n");
    double total[2] = {0.0, 0.0};
    for (int step = 1; step <= steps; ++step) {
        check(rkn_sinkhorn_solve(cold, G, r, b));
        check(rkn_sinkhorn_solve(warm, G, r, b));
        const double passes[2] = {passes_of(cold), passes_of(warm)};
        /* The next density. */
        check(rkn_sinkhorn_plan_apply(warm, RKN_T, 1, ones, cells, r, cells));
        moments(n, r, mean, variance);
        double exact_mean[2], exact_variance[2];
        for (int k = 0; k < 2; ++k) {
            const double decay = exp(-stiffness[k] * tau * step);
            exact_mean[k] = mean_before[k] * decay;
            exact_variance[k] = at_rest[k] + (variance_before[k] - at_rest[k]) * decay * decay;
            step_of_bell(stiffness[k], &expected[k], &spread[k]);
        }
        printf("%4d |%7.1f%7.1f |%9.6f%9.6f%9.6f |%9.6f%9.6f%9.6f |%9.6f%9.6f%9.6f |%9.6f\n", step, passes[0], passes[1], mean[0],
               exact_mean[0], expected[0], variance[0], exact_variance[0], spread[0], variance[1], exact_variance[1], spread[1],
               energy(n, r, rest));
        fflush(stdout);
        total[0] += passes[0];
        total[1] += passes[1];
    }
    printf(" all |%7.1f%7.1f |\n", total[0], total[1]);

    rkn_sinkhorn_destroy(warm);
    rkn_sinkhorn_destroy(cold);
    rkn_geometry_destroy(G);
    free(ones);
    free(rest);
    free(b);
    free(r);
    return 0;
}
