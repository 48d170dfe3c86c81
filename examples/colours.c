/* The colours of one picture for another: transport between two palettes.
 *
 * A palette has an entry for each cell of the colour cube that occurs in its picture: the mean colour there, and as its mass
 * the share of the pixels. The source's palette is transported to the target's at the squared distance of colours. Each
 * entry moves to the mean of where its mass goes (barycentric map: the plan applied to the target's colours, divided by the
 * masses), and pixels move as the entries around them do, trilinearly, so that no edges appear between cells. On average
 * the entries then have the colour of the target exactly, and the pixels nearly.
 *
 * The plan is never formed, and the palettes are all that the geometry holds. The bounds hold the cost without blur between them.
 *
 * Usage: colours SOURCE.ppm TARGET.ppm RESULT.ppm [cells along each axis of the cube, 24]     binary PPM (P6), 8 bits
 */
#include <reknit.h>

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct {
    int width, height;
    unsigned char *bytes;                                /* 3 a pixel */
} picture;

typedef struct {
    int count;
    int *entry_at;                                       /* of each cell of the cube, -1 for none */
    double *colours;                                     /* 3 x count */
    double *masses;
} palette;

static void fail(const char *what, const char *name) {
    fprintf(stderr, "%s: %s\n", name, what);
    exit(1);
}

/* Ends the program with the library's message if a call failed or stopped short. */
static void check(rkn_status status) {
    if (status != RKN_OK) {
        fprintf(stderr, "%s\n", rkn_last_error());
        exit(1);
    }
}

static void *allocate(size_t count, size_t size) {
    void *p = calloc(count, size);
    if (!p) fail("out of memory", "colours");
    return p;
}

/* The next number of a header, in which comments run from # to the end of the line, and the one byte after it. */
static int header_number(FILE *file, const char *name) {
    int c = getc(file), value = 0;
    while (isspace(c) || c == '#') {
        if (c == '#')
            while (c != '\n' && c != EOF) c = getc(file);
        c = getc(file);
    }
    if (!isdigit(c)) fail("is not a binary PPM picture (P6)", name);
    for (; isdigit(c) && value < 100000; c = getc(file)) value = 10 * value + (c - '0');
    return value;
}

static picture read_picture(const char *name) {
    picture p;
    FILE *file = fopen(name, "rb");
    if (!file) fail("cannot be opened", name);
    if (getc(file) != 'P' || getc(file) != '6') fail("is not a binary PPM picture (P6)", name);
    p.width = header_number(file, name);
    p.height = header_number(file, name);
    const int largest = header_number(file, name);
    if (p.width < 1 || p.width > 10000 || p.height < 1 || p.height > 10000) fail("has no size from 1 x 1 to 10000 x 10000", name);
    if (largest != 255) fail("does not have 8 bits", name);
    const size_t pixels = (size_t)p.width * (size_t)p.height;
    p.bytes = allocate(pixels, 3);
    if (fread(p.bytes, 3, pixels, file) != pixels) fail("ends early", name);
    fclose(file);
    return p;
}

static void write_picture(const char *name, const picture *p) {
    const size_t pixels = (size_t)p->width * (size_t)p->height;
    FILE *file = fopen(name, "wb");
    if (!file) fail("cannot be written", name);
    fprintf(file, "P6\n%d %d\n255\n", p->width, p->height);
    if (fwrite(p->bytes, 3, pixels, file) != pixels || fclose(file) != 0) fail("cannot be written", name);
}

/* The cell of a colour in the cube; blue runs fastest. */
static int cell_of(const unsigned char *pixel, int side) {
    return (pixel[0] * side / 256 * side + pixel[1] * side / 256) * side + pixel[2] * side / 256;
}

static palette palette_of(const picture *p, int side) {
    palette q;
    const int pixels = p->width * p->height, cells = side * side * side;
    int *counts = allocate((size_t)cells, sizeof *counts);
    q.entry_at = allocate((size_t)cells, sizeof *q.entry_at);
    for (int k = 0; k < pixels; ++k) ++counts[cell_of(p->bytes + 3 * k, side)];
    q.count = 0;
    for (int c = 0; c < cells; ++c) q.entry_at[c] = counts[c] > 0 ? q.count++ : -1;
    q.colours = allocate((size_t)q.count, 3 * sizeof *q.colours);
    q.masses = allocate((size_t)q.count, sizeof *q.masses);
    for (int k = 0; k < pixels; ++k) {
        const unsigned char *pixel = p->bytes + 3 * k;
        for (int axis = 0; axis < 3; ++axis) q.colours[3 * q.entry_at[cell_of(pixel, side)] + axis] += pixel[axis];
    }
    for (int c = 0; c < cells; ++c)
        if (counts[c] > 0) {
            const int e = q.entry_at[c];
            for (int axis = 0; axis < 3; ++axis) q.colours[3 * e + axis] /= 255.0 * counts[c];
            q.masses[e] = (double)counts[c] / pixels;
        }
    free(counts);
    return q;
}

/* Where the entries go: count x 3, the target's colours as three columns through the plan. */
static double *moved_entries(const rkn_sinkhorn *s, const palette *from, const palette *to) {
    double *columns = allocate((size_t)to->count, 3 * sizeof *columns), *goes = allocate((size_t)from->count, 3 * sizeof *goes);
    for (int e = 0; e < to->count; ++e)
        for (int axis = 0; axis < 3; ++axis) columns[axis * to->count + e] = to->colours[3 * e + axis];
    check(rkn_sinkhorn_plan_apply(s, RKN_N, 3, columns, to->count, goes, from->count));
    for (int e = 0; e < from->count; ++e)
        for (int axis = 0; axis < 3; ++axis) goes[axis * from->count + e] /= from->masses[e];
    free(columns);
    return goes;
}

/* Moves each pixel by the mean of the shifts of the entries in the eight cells around it, weighted trilinearly; its own cell, which
   has an entry, weighs an eighth or more. */
static void recolour(picture *p, const palette *q, const double *goes, int side) {
    const int pixels = p->width * p->height;
    for (int k = 0; k < pixels; ++k) {
        unsigned char *pixel = p->bytes + 3 * k;
        int lower[3];
        double part[3], weights = 0.0, shift[3] = {0.0, 0.0, 0.0};
        for (int axis = 0; axis < 3; ++axis) {
            const double at = (pixel[axis] + 0.5) * side / 256.0 + 0.5;
            lower[axis] = (int)at - 1;
            part[axis] = at - (int)at;
        }
        for (int corner = 0; corner < 8; ++corner) {
            double weight = 1.0;
            int cell = 0, inside = 1;
            for (int axis = 0; axis < 3; ++axis) {
                const int up = corner >> axis & 1, i = lower[axis] + up;
                weight *= up ? part[axis] : 1.0 - part[axis];
                inside = inside && i >= 0 && i < side;
                cell = cell * side + i;
            }
            if (!inside || q->entry_at[cell] < 0) continue;
            const int e = q->entry_at[cell];
            weights += weight;
            for (int axis = 0; axis < 3; ++axis) shift[axis] += weight * (goes[axis * q->count + e] - q->colours[3 * e + axis]);
        }
        for (int axis = 0; axis < 3; ++axis) {
            const double value = pixel[axis] + 255.0 * (shift[axis] / weights);
            pixel[axis] = (unsigned char)(fmin(fmax(value, 0.0), 255.0) + 0.5);
        }
    }
}

static void print_mean(const char *name, const double *mean) {
    printf("%-16s%10.6f%10.6f%10.6f\n", name, mean[0], mean[1], mean[2]);
}

static void print_mean_of_pixels(const char *name, const picture *p) {
    const int pixels = p->width * p->height;
    double mean[3];
    for (int axis = 0; axis < 3; ++axis) {
        double sum = 0.0;
        for (int k = 0; k < pixels; ++k) sum += p->bytes[3 * k + axis];
        mean[axis] = sum / (255.0 * pixels);
    }
    print_mean(name, mean);
}

static double real_of(const rkn_sinkhorn *s, const char *key) {
    double value;
    check(rkn_sinkhorn_get_real(s, key, &value));
    return value;
}

int main(int argc, char **argv) {
    const int side = argc > 4 ? atoi(argv[4]) : 24;
    if (argc < 4 || side < 2 || side > 64) {
        fprintf(stderr, "usage: colours SOURCE.ppm TARGET.ppm RESULT.ppm [cells along each axis of the colour cube, 2 to 64]\n");
        return 2;
    }
    picture source = read_picture(argv[1]), target = read_picture(argv[2]);
    palette from = palette_of(&source, side), to = palette_of(&target, side);

    rkn_geometry *G;
    rkn_sinkhorn *s;
    check(rkn_geometry_create_points(NULL, 3, from.count, from.colours, 3, to.count, to.colours, 3, 2.0, 2.0, NULL, NULL, &G));
    check(rkn_sinkhorn_create(NULL, "auto", &s));
    check(rkn_sinkhorn_set_options(s, "epsilon=2e-3 epsilon_relative=max tolerance=1e-8"));
    check(rkn_sinkhorn_solve(s, G, from.masses, to.masses));
    double bounds[2];
    check(rkn_sinkhorn_bracket(s, &bounds[0], &bounds[1]));

    printf("palettes of %d and %d colours, for %d and %d pixels\n", from.count, to.count, source.width * source.height,
           target.width * target.height);
    printf("%.1f passes, cost %.6f; without blur between %.6f and %.6f\n", real_of(s, "passes"), real_of(s, "cost"), bounds[0],
           bounds[1]);
    printf("mean of               red     green      blue\n");
    print_mean_of_pixels("source", &source);
    print_mean_of_pixels("target", &target);
    double *goes = moved_entries(s, &from, &to), mean[3] = {0.0, 0.0, 0.0};
    for (int axis = 0; axis < 3; ++axis)
        for (int e = 0; e < from.count; ++e) mean[axis] += from.masses[e] * goes[axis * from.count + e];
    print_mean("moved palette", mean);
    recolour(&source, &from, goes, side);
    print_mean_of_pixels("result", &source);
    write_picture(argv[3], &source);

    rkn_sinkhorn_destroy(s);
    rkn_geometry_destroy(G);
    free(goes);
    free(to.masses);
    free(to.colours);
    free(to.entry_at);
    free(from.masses);
    free(from.colours);
    free(from.entry_at);
    free(target.bytes);
    free(source.bytes);
    return 0;
}
