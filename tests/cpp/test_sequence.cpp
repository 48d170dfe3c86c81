// The order of a sequence.
#include <algorithm>
#include <cstdint>
#include <limits>
#include <numeric>
#include "check.hpp"

using indices = std::vector<std::int64_t>;

static std::vector<double> numbers(std::size_t count) {
    std::vector<double> p(count);
    std::uint32_t state = 1;
    for (double &x : p) {
        state = state * 1664525u + 1013904223u;
        x = static_cast<double>(state >> 8) / 16777216.0;
    }
    return p;
}

static double distance(rkn::columns<const double> p, std::int64_t a, std::int64_t b) {
    double sum = 0;
    for (std::int64_t k = 0; k < p.rows(); ++k) sum += (p(k, a) - p(k, b)) * (p(k, a) - p(k, b));
    return std::sqrt(sum);
}

static void illegal() {
    std::vector<double> p = numbers(20);
    CHECK_THROWS(rkn::sequence_order({p.data(), 4, 5}, "methd=chain"), RKN_ERR_KEY, "did you mean 'method'?");
    CHECK_THROWS(rkn::sequence_order({p.data(), 4, 5}, "start=5"), RKN_ERR_ARGUMENT, "'start' is 5");
    CHECK_THROWS(rkn::sequence_order({p.data(), 4, 5, 3}), RKN_ERR_SIZE, "'ld'");
    CHECK_THROWS(rkn::sequence_order({p.data(), 4, -5}), RKN_ERR_SIZE, "'count'");
    CHECK_THROWS(rkn::sequence_order({nullptr, 4, 5}), RKN_ERR_NULL, "'parameters'");
    CHECK_THROWS(rkn::sequence_length({p.data(), 4, 5}, indices{0, 1}), RKN_ERR_SIZE, "'order' has size 2, must be 5");
    CHECK_THROWS(rkn::sequence_length({p.data(), 4, 5}, indices{0, 1, 2, 3, 5}), RKN_ERR_INDEX, "has 5 at position 4");
    p[6] = std::numeric_limits<double>::quiet_NaN();
    CHECK_THROWS(rkn::sequence_order({p.data(), 4, 5}), RKN_ERR_NONFINITE, "row 2 of column 1");
    CHECK_THROWS(rkn::sequence_length({p.data(), 4, 5}), RKN_ERR_NONFINITE, "row 2 of column 1");
}

// The nearest of those left, found by std::min_element.
static indices chain_by_search(rkn::columns<const double> p) {
    indices left(static_cast<std::size_t>(p.cols() - 1)), path{0};
    std::iota(left.begin(), left.end(), 1);
    while (!left.empty()) {
        const auto nearer = [&](auto a, auto b) { return distance(p, path.back(), a) < distance(p, path.back(), b); };
        const auto best = std::min_element(left.begin(), left.end(), nearer);
        path.push_back(*best);
        left.erase(best);
    }
    return path;
}

static void chain() {
    const std::vector<double> p = numbers(4 * 300);
    const rkn::columns<const double> systems(p.data(), 3, 300, 4);
    const indices want = chain_by_search(systems);
    rkn::Context ctx;
    ctx.set("threads", 2);
    CHECK(rkn::sequence_order(systems) == want);
    CHECK(rkn::sequence_order(systems, std::string("method=chain start=0"), ctx) == want);
    double sum = 0;
    for (std::size_t i = 1; i < want.size(); ++i) sum += distance(systems, want[i - 1], want[i]);
    CHECK(std::abs(rkn::sequence_length(systems, want, ctx) - sum) < 1e-12 * sum);
    indices natural(300);
    std::iota(natural.begin(), natural.end(), 0);
    CHECK(rkn::sequence_length(systems) == rkn::sequence_length(systems, natural));
    CHECK(rkn::sequence_length(systems) > 2 * sum);
    CHECK(rkn::sequence_length(systems, rkn::sequence_order(systems, "two_opt=5")) < sum);
}

// A curve through a square grid goes from neighbour to neighbour.
static void curve() {
    std::vector<double> p;
    for (int i = 0; i < 256; ++i) p.insert(p.end(), {static_cast<double>(i * 77 % 256 % 16), static_cast<double>(i * 77 % 256 / 16)});
    const rkn::columns<double> grid(p.data(), 2, 256);
    const indices order = rkn::sequence_order(grid, "method=curve");
    CHECK(rkn::sequence_length(grid, order) == 255);
    indices sorted = order;
    std::sort(sorted.begin(), sorted.end());
    CHECK(std::adjacent_find(sorted.begin(), sorted.end()) == sorted.end() && sorted.front() == 0 && sorted.back() == 255);
}

int main() {
    illegal();
    chain();
    curve();
    CHECK(rkn::sequence_order({nullptr, 4, 0}).empty());
    CHECK(rkn::option_reference("sequence").find("two_opt") != std::string::npos);
    return done();
}
