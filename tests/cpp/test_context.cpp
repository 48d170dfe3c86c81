// The library as such, and contexts.
#include "check.hpp"
#include <thread>

static void illegal() {
    rkn::Context ctx;
    CHECK_THROWS(ctx.set("threds", 2), RKN_ERR_KEY, "did you mean 'threads'?");
    CHECK_THROWS(ctx.set("threads", 0), RKN_ERR_ARGUMENT, "rkn_context_set_int: argument 'threads'");
    CHECK_THROWS(ctx.set(static_cast<const char *>(nullptr), 2), RKN_ERR_NULL, "'key'");
    CHECK_THROWS(ctx.get_int("seeds"), RKN_ERR_KEY, "seeds");
    CHECK_THROWS(rkn::option_reference("sinkhole"), RKN_ERR_KEY, "sinkhole");
    rkn::Context other = std::move(ctx);
    CHECK(ctx.get() == nullptr);
    CHECK_THROWS(ctx.set("threads", 2), RKN_ERR_NULL, "'ctx'");
    CHECK_THROWS(rkn::Krylov("cg", ctx), RKN_ERR_NULL, "moved from");
    ctx.interrupt();    // harmless
    other.set("threads", 2);
    CHECK(other.get_int("threads") == 2);
    ctx = std::move(other);
    CHECK(ctx.get_int("threads") == 2 && other.get() == nullptr);
    rkn_context *raw = ctx.release();
    CHECK(raw && !ctx.get());
    const rkn::Context back = rkn::Context::adopt(raw);
    CHECK(back.get_int("threads") == 2);
    try {
        other.set("seed", 1);
        CHECK(false);
    } catch (const std::exception &e) {    // an rkn::error is a std::exception
        CHECK(std::string(e.what()) == rkn::last_error());
    }
}

static void library() {
    CHECK(rkn::version() == "0.1.0" && rkn::version_number() == RKN_VERSION_NUMBER && rkn::abi() == RKN_ABI);
    CHECK(!rkn::build_info().empty());
    CHECK(rkn::status_name(RKN_ERR_SIZE) == "RKN_ERR_SIZE");
    CHECK(rkn::option_reference("krylov").find("recycle") != std::string::npos);
    CHECK(rkn::option_reference(std::string("context")).find("threads") != std::string::npos);
    CHECK(rkn::scalar_of<std::complex<float>> == rkn::scalar::c32);
}

// Counts its copies that are alive, to see when a callable is destroyed.
struct token {
    int *alive;
    explicit token(int *p) : alive(p) { ++*alive; }
    token(const token &o) : alive(o.alive) { ++*alive; }
    token(token &&o) noexcept : alive(o.alive) { ++*alive; }
    ~token() { --*alive; }
};

static void hooks() {
    const poisson P(40);
    const auto A = rkn::Operator::csr(P.n, P.n, P.ptr, P.ind, P.val, rkn::borrow);
    auto x = P.zeros();
    int alive = 0, sums = 0, lines = 0;
    {
        rkn::Context ctx;
        ctx.set_reduce(
            [t = token(&alive), &sums](rkn::reduction op, rkn::span<double> v) { sums += op == rkn::reduction::sum && !v.empty(); });
        ctx.set_log([&](int level, const char *line) { lines += level >= 1 && std::strlen(line) > 0; });
        ctx.set("log_level", 3);
        rkn::Krylov s("gmres", ctx);
        s.set("restart", 10);
        CHECK(alive == 1);
        CHECK(s.solve(A, P.b, x).converged());
        CHECK(sums > 0 && lines > 0 && poisson_off(x) < 1e-6);

        // an integer that is not 0 ends the solve
        ctx.set_reduce([](rkn::reduction, rkn::span<double>) { return 12; });
        CHECK(alive == 0);
        CHECK_THROWS(s.solve(A, P.b, x), RKN_ERR_CALLBACK, "12");
        CHECK(s.get_int("callback_status") == 12);

        // and so does an exception, which comes out as it was
        ctx.set_reduce([n = 0](rkn::reduction, rkn::span<double>) mutable {
            if (++n == 3) throw oops{"reduce"};
        });
        CHECK_CARRIES(oops, s.solve(A, P.b, x), "reduce");
        ctx.clear_reduce();
        CHECK(s.solve(A, P.b, x).converged());

        // a log sink cannot end a solve, but its exception is not lost
        ctx.set_log([](int, const char *) { throw oops{"log"}; });
        s.forget();
        CHECK_CARRIES(oops, s.solve(A, P.b, x), "log");
        CHECK(poisson_off(x) < 1e-6);
        ctx.clear_log();
        CHECK(s.solve(A, P.b, x).converged());
        ctx.set_log([t = token(&alive)](int, const char *) {});
        CHECK(alive == 1);
    }
    CHECK(alive == 0);

    // a refused hook is destroyed at once
    rkn::Context gone;
    rkn::Context taker = std::move(gone);
    CHECK_THROWS(gone.set_log([t = token(&alive)](int, const char *) {}), RKN_ERR_NULL, "'ctx'");
    CHECK(alive == 0);
}

static void interrupting() {
    const poisson P(60);
    const auto A = rkn::Operator::csr(P.n, P.n, P.ptr, P.ind, P.val, rkn::borrow);
    auto x = P.zeros();
    rkn::Context ctx;
    rkn::Krylov s("gmres", ctx);
    s.set_monitor([&](const rkn_progress &p) {
        if (p.iteration == 2) std::thread([&] { ctx.interrupt(); }).join();
    });
    const auto r = s.solve(A, P.b, x);
    CHECK(!r.converged() && !r && r.status == RKN_STOP_INTERRUPT && !r.message.empty() && std::string(r.name()) == "RKN_STOP_INTERRUPT");
    s.clear_monitor();
    CHECK(s.solve(A, P.b, x).converged());
}

// The context goes first; what was made with it lives on.
static void any_order() {
    const poisson P(20);
    auto ctx = std::make_unique<rkn::Context>();
    ctx->set("threads", 2);
    auto A = std::make_unique<rkn::Operator>(rkn::Operator::csr(P.n, P.n, P.ptr, P.ind, P.val, rkn::copy, 0, *ctx));
    rkn::Krylov s("cg", *ctx);
    const auto M = rkn::Operator::preconditioner(*A, "ic0", *ctx);
    auto x = P.zeros();
    ctx.reset();
    CHECK(s.solve(*A, M, P.b, x).converged());
    A.reset();
    M.apply(P.b, x);
    CHECK(poisson_off(x) < 1e-6);    // IC(0) of a tridiagonal matrix is exact
}

int main() {
    illegal();
    library();
    hooks();
    interrupting();
    any_order();
    return done();
}
