// Solving by requests: the same answers as by callables, and what the header itself refuses.
#include "check.hpp"

static void illegal() {
    CHECK_THROWS(rkn::Operator::by_request(-1, 3), RKN_ERR_SIZE, "'nrows'");
    CHECK_THROWS(rkn::Operator::by_request(3, 3, RKN_REQUEST_REDUCE), RKN_ERR_ARGUMENT, "'kind'");
    rkn::Krylov s{"cg"};
    CHECK_THROWS(s.next(), RKN_ERR_STATE, "rkn_krylov_start");
    const auto A = rkn::Operator::by_request(3, 3);
    auto M = rkn::Operator::by_request(3, 3, RKN_REQUEST_PRECONDITION);
    std::vector<double> b(3, 1.0), x(3), longer(4);
    std::vector<float> f(3);
    CHECK_THROWS(s.start(A, longer, x), RKN_ERR_SIZE, "rkn::Krylov::start: argument 'b' has size 4, must be 3");
    CHECK_THROWS(s.start(A, f, f), RKN_ERR_SCALAR, "element type");
    CHECK_THROWS(s.start(A, x, x), RKN_ERR_ARGUMENT, "'x'");
    CHECK_THROWS(s.solve(A, b, x), RKN_ERR_STATE, "rkn_krylov_start");
    s.start(A, M, b, x);
    CHECK_THROWS(s.next(4), RKN_ERR_ARGUMENT, "'failed'");
    CHECK_THROWS(s.forget(), RKN_ERR_BUSY, "'s'");
    const auto r = s.next();
    CHECK_THROWS(r.x<float>(), RKN_ERR_SCALAR, "element type");
    CHECK(r.x().rows() == 3 && r.x().cols() == 1 && r.y().ld() >= 3 && r.op() == rkn::trans::N);
    s.cancel();
    s.cancel();
    CHECK_THROWS(s.next(), RKN_ERR_STATE, "rkn_krylov_start");
    const auto taken = std::move(M);
    CHECK_THROWS(s.start(A, M, b, x), RKN_ERR_NULL, "'M' was moved from");
    CHECK_THROWS(s.start_prepare(A, M), RKN_ERR_NULL, "'M' was moved from");
}

// Serves a product of the 1-D Laplacian, column by column.
template <class T> static void serve(const rkn::request &r) {
    const auto x = r.x<T>();
    const auto y = r.y<T>();
    for (std::int64_t j = 0; j < x.cols(); ++j) {
        auto column = y.column(j);
        laplace(x.column(j), column);
    }
}

template <class T> static void same_bits(const char *method) {
    const std::int64_t n = 40;
    const auto F = rkn::Operator::from<T>(n, n, [](auto in, auto out) { laplace(in, out); });
    const auto A = rkn::Operator::by_request<T>(n, n);
    rkn::Krylov s{method}, t{method};
    for (int step = 0; step < 3; ++step) {
        std::vector<T> b(static_cast<std::size_t>(n), T(1)), x(b.size()), y(b.size());
        b[static_cast<std::size_t>(step)] = T(3);
        const auto result = s.solve(F, b, x);
        t.start(A, b, y);
        rkn::request r = t.next();
        for (; !r.done(); r = t.next()) serve<T>(r);
        CHECK(r.status() == result.status && x == y && t.get_int("iterations") == result.iterations);
    }
}

// One rank that is told to sum by request; a monitor that throws, from next().
static void beside() {
    const poisson P(20);
    rkn::Context ctx;
    ctx.set_reduce_request();
    const auto A = rkn::Operator::csr(P.n, P.n, P.ptr, P.ind, P.val, rkn::borrow, 0, ctx);
    const auto M = rkn::Operator::by_request(P.n, P.n, RKN_REQUEST_PRECONDITION, ctx);
    rkn::Krylov s{"gmres", ctx};
    auto x = P.zeros();
    int sums = 0, products = 0;
    const auto to_the_end = [&] {
        rkn::request r = s.next();
        for (; !r.done(); r = s.next())
            if (r.kind() == RKN_REQUEST_REDUCE) {
                sums += r.reduction() == rkn::reduction::sum && r.inout().size() > 0;
                CHECK_THROWS(r.x(), RKN_ERR_STATE, "product");
            } else {
                CHECK(r.kind() == RKN_REQUEST_PRECONDITION);
                for (std::int64_t i = 0; i < P.n; ++i) r.y()(i, 0) = r.x()(i, 0) / 2;
                ++products;
            }
        return r.status();
    };
    s.start_prepare(A, M);
    CHECK(to_the_end() == RKN_OK && sums > 0 && products == 0);
    s.start(A, M, P.b, x);
    CHECK(to_the_end() == RKN_OK && products > 3 && poisson_off(x) < 1e-5);
    s.set_monitor([](const rkn_progress &p) {
        if (p.iteration == 2) throw oops{"enough"};
    });
    s.start(A, M, P.b, x);
    CHECK_CARRIES(oops, to_the_end(), "enough");
    s.clear_monitor();
    s.start(A, M, P.b, x);
    CHECK(to_the_end() == RKN_OK);
    s.start(A, M, P.b, x);    // and goes out of scope in the middle
    (void)s.next();
}

int main() {
    illegal();
    for (const char *method : {"cg", "minres", "gmres", "bicgstab", "gcrodr", "auto"}) {
        same_bits<double>(method);
        same_bits<std::complex<float>>(method);
    }
    beside();
    return done();
}
