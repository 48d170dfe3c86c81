// The colours of one picture for another, in C++: the palettes, the solve and the table of colours.c, which explains them.
//
// Usage: colours SOURCE.ppm TARGET.ppm RESULT.ppm [cells along each axis of the cube, 24]     binary PPM (P6), 8 bits
#include <reknit.hpp>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

using colour = std::array<double, 3>;
using pixel = std::array<unsigned char, 3>;

struct Picture {
    int width, height;
    std::vector<pixel> pixels;

    colour mean() const {
        colour sum = {0.0, 0.0, 0.0};
        for (const pixel &p : pixels)
            for (std::size_t axis = 0; axis < 3; ++axis) sum[axis] += p[axis];
        for (double &s : sum) s /= 255.0 * static_cast<double>(pixels.size());
        return sum;
    }
};

// The next number of a header, in which comments run from # to the end of the line, and the one byte after it.
int header_number(std::istream &file, const std::string &name) {
    int c = file.get(), value = 0;
    while (std::isspace(c) || c == '#') {
        if (c == '#')
            while (c != '\n' && file) c = file.get();
        c = file.get();
    }
    if (!std::isdigit(c)) throw std::runtime_error(name + ": is not a binary PPM picture (P6)");
    for (; std::isdigit(c) && value < 100000; c = file.get()) value = 10 * value + (c - '0');
    return value;
}

Picture read_picture(const std::string &name) {
    std::ifstream file(name, std::ios::binary);
    if (!file) throw std::runtime_error(name + ": cannot be opened");
    if (file.get() != 'P' || file.get() != '6') throw std::runtime_error(name + ": is not a binary PPM picture (P6)");
    Picture p;
    p.width = header_number(file, name);
    p.height = header_number(file, name);
    const int largest = header_number(file, name);
    if (p.width < 1 || p.width > 10000 || p.height < 1 || p.height > 10000)
        throw std::runtime_error(name + ": has no size from 1 x 1 to 10000 x 10000");
    if (largest != 255) throw std::runtime_error(name + ": does not have 8 bits");
    p.pixels.resize(static_cast<std::size_t>(p.width) * static_cast<std::size_t>(p.height));
    const auto bytes = static_cast<std::streamsize>(3 * p.pixels.size());
    if (!file.read(reinterpret_cast<char *>(p.pixels.data()), bytes)) throw std::runtime_error(name + ": ends early");
    return p;
}

void write_picture(const std::string &name, const Picture &p) {
    std::ofstream file(name, std::ios::binary);
    file << "P6\n" << p.width << ' ' << p.height << "\n255\n";
    file.write(reinterpret_cast<const char *>(p.pixels.data()), static_cast<std::streamsize>(3 * p.pixels.size()));
    file.close();
    if (!file) throw std::runtime_error(name + ": cannot be written");
}

class Palette {
public:
    std::vector<int> entry_at;                  // of each cell of the cube, -1 for none
    std::vector<colour> colours;
    std::vector<double> masses;

    Palette(const Picture &p, int side) : side(side) {
        const auto cells = static_cast<std::size_t>(side * side * side);
        std::vector<int> counts(cells);
        for (const pixel &at : p.pixels) ++counts[cell_of(at)];
        for (const int count : counts) {
            entry_at.push_back(count > 0 ? static_cast<int>(masses.size()) : -1);
            if (count > 0) masses.push_back(static_cast<double>(count) / static_cast<double>(p.pixels.size()));
        }
        colours.resize(masses.size());
        for (const pixel &at : p.pixels)
            for (std::size_t axis = 0; axis < 3; ++axis) colours[entry_of(cell_of(at))][axis] += at[axis];
        for (std::size_t c = 0; c < cells; ++c)
            if (counts[c] > 0)
                for (double &value : colours[entry_of(c)]) value /= 255.0 * counts[c];
    }

    std::size_t size() const { return masses.size(); }

    // A column a colour.
    rkn::columns<const double> points() const {
        return rkn::columns<const double>(colours.front().data(), 3, static_cast<std::int64_t>(size()));
    }

    // Moves each pixel by the mean of the shifts of the entries in the eight cells around it, weighted trilinearly.
    void recolour(Picture &p, const std::vector<double> &goes) const {
        for (pixel &at : p.pixels) {
            std::array<int, 3> lower;
            colour part, shift = {0.0, 0.0, 0.0};
            double weights = 0.0;
            for (std::size_t axis = 0; axis < 3; ++axis) {
                const double place = (at[axis] + 0.5) * side / 256.0 + 0.5;
                lower[axis] = static_cast<int>(place) - 1;
                part[axis] = place - static_cast<int>(place);
            }
            for (int corner = 0; corner < 8; ++corner) {
                double weight = 1.0;
                int cell = 0;
                bool inside = true;
                for (std::size_t axis = 0; axis < 3; ++axis) {
                    const int up = corner >> axis & 1, i = lower[axis] + up;
                    weight *= up ? part[axis] : 1.0 - part[axis];
                    inside = inside && i >= 0 && i < side;
                    cell = cell * side + i;
                }
                if (!inside || entry_at[static_cast<std::size_t>(cell)] < 0) continue;
                const std::size_t e = entry_of(static_cast<std::size_t>(cell));
                weights += weight;
                for (std::size_t axis = 0; axis < 3; ++axis)
                    shift[axis] += weight * (goes[axis * size() + e] - colours[e][axis]);
            }
            for (std::size_t axis = 0; axis < 3; ++axis) {
                const double value = at[axis] + 255.0 * (shift[axis] / weights);
                at[axis] = static_cast<unsigned char>(std::clamp(value, 0.0, 255.0) + 0.5);
            }
        }
    }

private:
    int side;

    // Blue runs fastest.
    std::size_t cell_of(const pixel &p) const {
        return static_cast<std::size_t>((p[0] * side / 256 * side + p[1] * side / 256) * side + p[2] * side / 256);
    }
    std::size_t entry_of(std::size_t cell) const { return static_cast<std::size_t>(entry_at[cell]); }
};

// Where the entries go, as three columns: the target's colours through the plan.
std::vector<double> moved_entries(const rkn::Sinkhorn &s, const Palette &from, const Palette &to) {
    const std::size_t n = from.size(), m = to.size();
    std::vector<double> columns(3 * m), goes(3 * n);
    for (std::size_t e = 0; e < m; ++e)
        for (std::size_t axis = 0; axis < 3; ++axis) columns[axis * m + e] = to.colours[e][axis];
    s.plan_apply(rkn::columns<const double>(columns.data(), static_cast<std::int64_t>(m), 3),
                 rkn::columns<double>(goes.data(), static_cast<std::int64_t>(n), 3));
    for (std::size_t axis = 0; axis < 3; ++axis)
        for (std::size_t e = 0; e < n; ++e) goes[axis * n + e] /= from.masses[e];
    return goes;
}

void print_mean(const char *name, const colour &mean) {
    std::printf("%-16s%10.6f%10.6f%10.6f\n", name, mean[0], mean[1], mean[2]);
}

void run(const char *source_name, const char *target_name, const char *result_name, int side) {
    Picture source = read_picture(source_name);
    const Picture target = read_picture(target_name);
    const Palette from(source, side), to(target, side);

    const auto G = rkn::Geometry::points(from.points(), to.points());
    rkn::Sinkhorn s{"auto"};
    s.options("epsilon=2e-3 epsilon_relative=max tolerance=1e-8");
    const auto r = s.solve(G, from.masses, to.masses);
    if (!r) std::fprintf(stderr, "%s\n", r.message.c_str());
    const auto [lower, upper] = s.bracket();

    std::printf("palettes of %zu and %zu colours, for %zu and %zu pixels\n", from.size(), to.size(), source.pixels.size(),
                target.pixels.size());
    std::printf("%.1f passes, cost %.6f; without blur between %.6f and %.6f\n", r.passes, r.cost, lower, upper);
    std::printf("mean of               red     green      blue\n");
    print_mean("source", source.mean());
    print_mean("target", target.mean());
    const std::vector<double> goes = moved_entries(s, from, to);
    colour mean = {0.0, 0.0, 0.0};
    for (std::size_t axis = 0; axis < 3; ++axis)
        for (std::size_t e = 0; e < from.size(); ++e) mean[axis] += from.masses[e] * goes[axis * from.size() + e];
    print_mean("moved palette", mean);
    from.recolour(source, goes);
    print_mean("result", source.mean());
    write_picture(result_name, source);
}

}    // namespace

int main(int argc, char **argv) {
    const int side = argc > 4 ? std::atoi(argv[4]) : 24;
    if (argc < 4 || side < 2 || side > 64) {
        std::fprintf(stderr,
                     "usage: colours SOURCE.ppm TARGET.ppm RESULT.ppm [cells along each axis of the colour cube, 2 to 64]\n");
        return 2;
    }
    try {
        run(argv[1], argv[2], argv[3], side);
    } catch (const std::exception &e) {
        std::fprintf(stderr, "%s\n", e.what());
        return 1;
    }
}
