// check.hpp: counting checks, and small truths to compare with.
#ifndef CHECK_HPP
#define CHECK_HPP
#undef NDEBUG
#include <cmath>
#include <complex>
#include <cstdio>
#include <cstring>
#include <string>
#include <utility>
#include <vector>
#include "reknit.hpp"

inline int passed = 0, failed = 0;

inline bool check_at(bool ok, const char *what, const char *file, int line) {
    ++(ok ? passed : failed);
    if (!ok) std::printf("%s:%d: failed: %s\n", file, line, what);
    return ok;
}
#define CHECK(...) check_at(static_cast<bool>(__VA_ARGS__), #__VA_ARGS__, __FILE__, __LINE__)

// A call that must throw rkn::error with this status and these words in its message.
template <class F> bool throws_at(F &&f, rkn_status status, const std::string &words, const char *what, const char *file, int line) {
    try {
        f();
    } catch (const rkn::error &e) {
        const bool ok = e.status() == status && std::string(e.what()).find(words) != std::string::npos;
        if (!ok) std::printf("%s:%d: %s threw %s: %s\n", file, line, what, e.name(), e.what());
        return check_at(ok, what, file, line);
    }
    std::printf("%s:%d: %s threw nothing\n", file, line, what);
    return check_at(false, what, file, line);
}
#define CHECK_THROWS(call, status, words) throws_at([&] { (void)(call); }, status, words, #call, __FILE__, __LINE__)

// A call out of which an exception of this type comes, thrown in a callable.
template <class E, class F> bool carries_at(F &&f, const std::string &words, const char *what, const char *file, int line) {
    bool ok = false;
    try {
        f();
    } catch (const E &e) {
        ok = e.what() == words;
    } catch (...) {}
    return check_at(ok, what, file, line);
}
#define CHECK_CARRIES(type, call, words) carries_at<type>([&] { (void)(call); }, words, #call, __FILE__, __LINE__)

inline int done() {
    std::printf("%d passed, %d failed\n", passed, failed);
    return failed != 0;
}

// What a callable throws; not derived from rkn::error.
struct oops {
    std::string text;
    std::string what() const { return text; }
};

// 1-D Poisson, tridiag(-1, 2, -1); with b = 1, x_i = (i + 1) (n - i) / 2.
template <class T = double, class I = std::int32_t> struct poisson {
    std::int64_t n;
    std::vector<I> ptr, ind;
    std::vector<T> val, b;

    explicit poisson(std::int64_t size, I base = 0) : n(size), ptr{base}, b(static_cast<std::size_t>(size), T(1)) {
        for (std::int64_t i = 0; i < n; ++i) {
            for (std::int64_t j = i - 1; j <= i + 1; ++j)
                if (j >= 0 && j < n) ind.push_back(static_cast<I>(j + base)), val.push_back(j == i ? T(2) : T(-1));
            ptr.push_back(static_cast<I>(static_cast<std::int64_t>(ind.size()) + base));
        }
    }
    std::vector<T> zeros() const { return std::vector<T>(static_cast<std::size_t>(n)); }
};

template <class X> double poisson_off(const X &x) {
    const double n = static_cast<double>(x.size());
    double worst = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
        const double d =
            std::abs(x[i] - decltype(x[i] + x[i])(static_cast<float>(static_cast<double>(i + 1) * (n - static_cast<double>(i)) / 2)));
        if (!(d <= worst)) worst = d;
    }
    return worst / (n * n / 8);
}

// y <- tridiag(-1, 2, -1) x
template <class X, class Y> void laplace(const X &x, Y &y) {
    const std::size_t n = x.size();
    for (std::size_t i = 0; i < n; ++i) {
        y[i] = x[i] + x[i];
        if (i > 0) y[i] -= x[i - 1];
        if (i + 1 < n) y[i] -= x[i + 1];
    }
}
#endif
