//! Orders of a sequence against exhaustive search, closed forms and loops written out here.

use reknit::linalg::Panel;
use reknit::runtime::{Error, Pool, Result};
use reknit::sequence::features::{self, Features, Points};
use reknit::sequence::{length, order};

/// `count` systems of `dim` parameters.
#[derive(Clone)]
struct Systems {
    dim: usize,
    count: usize,
    data: Vec<f64>,
}

impl Systems {
    fn new(dim: usize, count: usize, mut entry: impl FnMut(usize, usize) -> f64) -> Self {
        let data = (0..count).flat_map(|j| (0..dim).map(move |i| (i, j))).map(|(i, j)| entry(i, j)).collect();
        Systems { dim, count, data }
    }

    /// Multiples of 2^-20 in [0, 1).
    fn random(dim: usize, count: usize, seed: u64) -> Self {
        let mut random = Random(seed);
        Systems::new(dim, count, |_, _| (random.next() >> 44) as f64 / (1u64 << 20) as f64)
    }

    fn map(&self, f: impl Fn(f64) -> f64) -> Self {
        Systems { data: self.data.iter().map(|x| f(*x)).collect(), ..*self }
    }

    fn panel(&self) -> Panel<'_, f64> {
        Panel::packed(&self.data, self.dim, self.count)
    }

    fn at(&self, j: usize) -> &[f64] {
        &self.data[j * self.dim..][..self.dim]
    }

    fn order(&self, options: &str) -> Vec<usize> {
        self.try_order(options).unwrap()
    }

    fn try_order(&self, options: &str) -> Result<Vec<usize>> {
        order(&Pool::new(), self.panel(), options)
    }

    fn distance(&self, a: usize, b: usize) -> f64 {
        self.at(a).iter().zip(self.at(b)).fold(0.0, |sum, (x, y)| sum + (x - y) * (x - y)).sqrt()
    }

    fn length(&self, order: &[usize]) -> f64 {
        order.windows(2).map(|w| self.distance(w[0], w[1])).sum()
    }

    /// Algorithm 1, word by word, over the systems of `among`.
    fn chain_by_search(&self, mut last: usize, among: &[usize]) -> Vec<usize> {
        let mut left: Vec<usize> = among.iter().copied().filter(|j| *j != last).collect();
        left.sort();
        let mut path = Vec::new();
        while !left.is_empty() {
            let mut best = 0;
            for k in 1..left.len() {
                if self.distance(last, left[k]) < self.distance(last, left[best]) {
                    best = k;
                }
            }
            last = left.remove(best);
            path.push(last);
        }
        path
    }
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let x = (self.0 ^ self.0 >> 32).wrapping_mul(0xd6e8_feb8_6659_fd93);
        x ^ x >> 32
    }
}

fn assert_permutation(order: &[usize], count: usize, what: &str) {
    let mut sorted = order.to_vec();
    sorted.sort();
    assert_eq!(sorted, (0..count).collect::<Vec<_>>(), "{what}");
}

#[test]
fn every_order_is_a_permutation() {
    for count in (0..20).chain([511, 512, 513, 1100]) {
        for dim in [0, 1, 2, 9] {
            let systems = Systems::random(dim, count, 3);
            for options in [
                "",
                "method=chain",
                "method=curve",
                "method=grouped group_size=7",
                "method=chain chunks=3 two_opt=2",
                "method=grouped group_size=1 chunks=40 two_opt=1",
                "method=curve two_opt=3",
                "features=dct modes=2 two_opt=1",
            ] {
                assert_permutation(&systems.order(options), count, options);
            }
            let same = Systems::new(dim, count, |_, _| 1.5);
            assert_eq!(same.order("method=chain"), (0..count).collect::<Vec<_>>(), "equal systems stay in place");
            assert_eq!(same.order("method=curve"), (0..count).collect::<Vec<_>>());
        }
    }
}

#[test]
fn the_chain_is_algorithm_1() {
    // Sums of squares of such numbers are exact, so that ties are ties in any order of the axes.
    for (dim, count) in [(1, 300), (2, 700), (3, 1500), (7, 600), (8, 600), (9, 600), (40, 700)] {
        for (what, systems) in [
            ("random", Systems::random(dim, count, 7 + dim as u64)),
            ("ties", Systems::random(dim, count, 11).map(|x| (4.0 * x).floor())),
            ("clusters", Systems::new(dim, count, |i, j| ((j * 7 % 5 * 1000 + (j * 31 + i * 17) % 64) as f64) / 64.0)),
        ] {
            for start in [0, count / 3, count - 1] {
                let chain = systems.order(&format!("method=chain start={start}"));
                let mut searched = vec![start];
                searched.extend(systems.chain_by_search(start, &(0..count).collect::<Vec<_>>()));
                assert_eq!(chain, searched, "{what}, {count} systems of {dim} parameters from {start}");
            }
            assert_eq!(systems.order("method=chain")[0], 0);
        }
    }
}

#[test]
fn a_shuffled_line_is_sorted() {
    let (count, mut random) = (1000, Random(5));
    let mut places: Vec<usize> = (0..count).collect();
    for i in (1..count).rev() {
        places.swap(i, (random.next() % (i as u64 + 1)) as usize);
    }
    let first = places.iter().position(|p| *p == 0).unwrap();
    let line = |dx: f64, dy: f64| Systems::new(2, count, |i, j| if i == 0 { dx * places[j] as f64 } else { dy * places[j] as f64 });
    let systems = line(3.0, 4.0);
    let chain = format!("method=chain start={first}");
    // The curve looks at the axes: there it needs a line along one of them.
    for (systems, options) in [(&systems, &chain[..]), (&line(0.0, 5.0), "method=curve"), (&line(5.0, 0.0), "method=grouped group_size=10")] {
        let order = systems.order(options);
        let along: Vec<usize> = order.iter().map(|j| places[*j]).collect();
        assert!(along.is_sorted(), "{options}: {along:?}");
        let indices: Vec<i64> = order.iter().map(|j| *j as i64).collect();
        assert_eq!(length(systems.panel(), Some(&indices)), Ok(5.0 * (count - 1) as f64));
    }
    let natural = places.windows(2).map(|w| 5.0 * w[0].abs_diff(w[1]) as f64).sum::<f64>();
    assert_eq!(length(systems.panel(), None), Ok(natural));
}

/// The length of the shortest path that begins with system 0, over all permutations.
fn shortest(systems: &Systems) -> f64 {
    fn search(systems: &Systems, path: &mut Vec<usize>, best: &mut f64) {
        if path.len() == systems.count {
            *best = best.min(systems.length(path));
        }
        for j in 1..systems.count {
            if !path.contains(&j) {
                path.push(j);
                search(systems, path, best);
                path.pop();
            }
        }
    }
    let mut best = f64::INFINITY;
    search(systems, &mut vec![0], &mut best);
    best
}

#[test]
fn two_opt_lies_between_the_optimum_and_the_chain() {
    let (mut optimal, mut better, mut total) = (0, 0, 0);
    for seed in 0..60 {
        let systems = Systems::random(2, 4 + seed as usize % 5, 100 + seed);
        let chain = systems.order("method=chain");
        let improved = systems.order("method=chain two_opt=100");
        let (long, short, best) = (systems.length(&chain), systems.length(&improved), shortest(&systems));
        assert_eq!(improved[0], 0, "the first system stays");
        assert!(short <= long && short >= best - 1e-12, "{short} is not between {best} and {long}");
        total += 1;
        better += (short < long - 1e-12) as usize;
        optimal += (short < best + 1e-12) as usize;
        // All points are near each other here, so no turn at all may be left that gains.
        for i in 1..improved.len() {
            for j in i + 1..=improved.len() {
                let mut turned = improved.clone();
                turned[i..j].reverse();
                assert!(systems.length(&turned) > short - 1e-12, "turning {i}..{j} of {improved:?} makes it shorter");
            }
        }
    }
    assert!(better > 10 && optimal > total / 2, "{better} better and {optimal} optimal of {total}");
}

#[test]
fn two_opt_takes_detours_out() {
    // From 0 the chain goes to 1, back over 0 to -2, and all the way to 10.
    let systems = Systems::new(1, 5, |_, j| [0.0, 1.0, -1.25, -2.0, 10.0][j]);
    assert_eq!(systems.length(&systems.order("method=chain")), 16.0);
    let turned = systems.order("method=chain two_opt=1");
    assert_eq!((systems.length(&turned), shortest(&systems)), (14.0, 14.0), "{turned:?}");
    let systems = Systems::random(3, 5000, 1);
    let lengths: Vec<f64> = (0..4).map(|passes| systems.length(&systems.order(&format!("method=chain two_opt={passes}")))).collect();
    assert!(lengths.windows(2).all(|w| w[1] <= w[0]) && lengths[3] < 0.96 * lengths[0], "{lengths:?}");
}

/// The cells of a grid of `side` cells along each of `dim` axes, in a mixed order.
fn grid(dim: usize, side: usize) -> Systems {
    let count = side.pow(dim as u32);
    let stride = (count / 2 + 1) | 1;
    Systems::new(dim, count, |i, j| (j * stride % count / side.pow(i as u32) % side) as f64)
}

#[test]
fn the_curve_visits_neighbour_after_neighbour() {
    for (dim, side) in [(1, 64), (2, 2), (2, 4), (2, 32), (3, 2), (3, 16), (4, 8), (5, 4), (8, 2)] {
        let systems = grid(dim, side);
        let order = systems.order("method=curve");
        assert_permutation(&order, systems.count, "curve");
        assert_eq!(systems.length(&order), systems.count as f64 - 1.0, "{side}^{dim}");
        for pair in order.windows(2) {
            assert_eq!(systems.distance(pair[0], pair[1]), 1.0, "{side}^{dim}");
        }
        let first = systems.at(order[0]);
        assert!(first.iter().all(|x| *x == 0.0), "begins in the corner");
    }
}

#[test]
fn groups_are_cells_of_the_curve_with_a_chain_in_each() {
    let count = 1000;
    let systems = Systems::random(2, count, 17);
    let curve = systems.order("method=curve");
    for (size, cells) in [(60, 17), (50, 20), (1, 1000), (5000, 1)] {
        let mut searched = vec![curve[0]];
        for k in 0..cells {
            let cell = &curve[count * k / cells..count * (k + 1) / cells];
            searched.extend(systems.chain_by_search(*searched.last().unwrap(), cell));
        }
        assert_eq!(systems.order(&format!("method=grouped group_size={size}")), searched, "{size}");
    }
}

#[test]
fn auto_takes_the_chain_until_it_gets_dear() {
    let few = Systems::random(4, 900, 2);
    assert_eq!(few.order(""), few.order("method=chain"));
    assert_eq!(few.order("start=5 group_size=10"), few.order("method=chain start=5"));
    let many = Systems::random(1, 210_000, 2);
    assert_eq!(many.order("start=5 group_size=100"), many.order("method=grouped group_size=100"));
}

#[test]
fn each_chunk_is_a_cluster_of_its_own() {
    let (chunks, each) = (5, 40);
    let mut random = Random(23);
    let systems = Systems::new(2, chunks * each, |i, j| (if i == 0 { j % chunks * 100 } else { 0 }) as f64 + (random.next() % 1000) as f64 / 1000.0);
    for method in ["chain", "curve", "grouped"] {
        let order = systems.order(&format!("method={method} chunks={chunks} two_opt=3"));
        for k in 0..chunks {
            let chunk = &order[systems.count * k / chunks..systems.count * (k + 1) / chunks];
            assert!(chunk.iter().all(|j| j % chunks == chunk[0] % chunks), "{method}: {chunk:?}");
            assert!(systems.length(chunk) < 20.0, "{method}");
        }
    }
}

/// The orthonormal DCT-II from its definition.
fn coefficient(field: &[f64], shape: [usize; 3], q: [usize; 3]) -> f64 {
    let factor = |axis: usize, i: usize| {
        let n = shape[axis] as f64;
        let scale = if q[axis] == 0 { (1.0 / n).sqrt() } else { (2.0 / n).sqrt() };
        scale * (std::f64::consts::PI * q[axis] as f64 * (i as f64 + 0.5) / n).cos()
    };
    let mut sum = 0.0;
    for (at, value) in field.iter().enumerate() {
        let (x, y, z) = (at % shape[0], at / shape[0] % shape[1], at / shape[0] / shape[1]);
        sum += value * factor(0, x) * factor(1, y) * factor(2, z);
    }
    sum
}

#[test]
fn features_are_the_lowest_coefficients_of_the_dct() {
    for (shape, modes) in [([13, 1, 1], 5), ([13, 1, 1], 99), ([6, 5, 1], 3), ([9, 4, 3], 2), ([5, 4, 7], 4), ([3, 2, 2], 7)] {
        let dim = shape.iter().product();
        let systems = Systems::random(dim, 70, 41);
        let unit = features::unit(systems.panel()).unwrap();
        let points = Points::new(&Pool::new(), systems.panel(), &Features::Dct { shape, modes }).unwrap();
        let kept = shape.map(|n| n.min(modes));
        assert_eq!(points.dim, kept.iter().product::<usize>());
        for j in [0, 1, 63, 64, 69] {
            for (k, found) in points.point(j).iter().enumerate() {
                let q = [k % kept[0], k / kept[0] % kept[1], k / kept[0] / kept[1]];
                let wanted = coefficient(systems.at(j), shape, q);
                assert!((found / unit - wanted).abs() < 1e-13, "{shape:?} {modes} {j} {q:?}: {found}, not {wanted}");
            }
        }
        for j in 1..70 {
            let (near, far) = (points.distance(0, j) / unit, systems.distance(0, j));
            assert!(near <= far * (1.0 + 1e-13), "never larger");
            if kept == shape {
                assert!((near - far).abs() < 1e-13 * far, "Parseval: {near}, not {far}");
            }
        }
    }
}

#[test]
fn smooth_fields_are_ordered_by_a_few_coefficients() {
    // Two lowest cosines along each axis of a 16 x 12 grid, with random weights.
    let (nx, ny) = (16, 12);
    let weights = Systems::random(4, 300, 9);
    let cosine = |q: usize, i: usize, n: usize| (std::f64::consts::PI * q as f64 * (i as f64 + 0.5) / n as f64).cos();
    let fields = Systems::new(nx * ny, 300, |i, j| {
        (0..4).map(|w| weights.at(j)[w] * cosine(w % 2, i % nx, nx) * cosine(w / 2, i / nx, ny)).sum()
    });
    let whole = fields.order("method=chain");
    assert_eq!(fields.order("method=chain features=dct nx=16 ny=12 modes=2"), whole);
    assert_eq!(fields.order("method=chain features=dct nx=16 ny=12 nz=1 modes=20"), whole);
    assert_ne!(fields.order("method=chain features=dct nx=16 ny=12 modes=1"), whole);
    // As one axis, the fields are not smooth: two modes do not tell them apart.
    assert_ne!(fields.order("method=chain features=dct modes=2"), whole);
}

#[test]
fn orders_do_not_depend_on_threads() {
    let systems = Systems::random(64, 3000, 77);
    for options in ["method=chain", "method=chain chunks=2 two_opt=2", "method=grouped group_size=1500", "method=curve", "features=dct nx=8 ny=8 modes=4"] {
        let orders = [1, 2, 7].map(|threads| {
            let pool = Pool::new();
            pool.set_threads(threads);
            order(&pool, systems.panel(), options).unwrap()
        });
        assert!(orders[0] == orders[1] && orders[0] == orders[2], "{options}");
    }
    let coordinates = [1, 2, 7].map(|threads| {
        let pool = Pool::new();
        pool.set_threads(threads);
        Points::new(&pool, systems.panel(), &Features::Dct { shape: [4, 4, 4], modes: 3 }).unwrap().coordinates
    });
    assert!(coordinates[0] == coordinates[1] && coordinates[0] == coordinates[2]);
}

#[test]
fn orders_survive_shifts_and_units() {
    for (dim, count) in [(1, 200), (2, 700), (12, 300)] {
        let systems = Systems::random(dim, count, 31);
        for options in ["method=chain two_opt=2", "method=curve", "method=grouped group_size=50", "method=chain chunks=4"] {
            let wanted = systems.order(options);
            // Exact, since the parameters are multiples of 2^-20.
            assert_eq!(systems.map(|x| x - 4096.0).order(options), wanted, "{options}: shifted");
            for power in [1000, -1000, 3] {
                assert_eq!(systems.map(|x| x * 2f64.powi(power)).order(options), wanted, "{options}: times 2^{power}");
            }
        }
    }
}

#[test]
fn a_gap_between_columns_is_not_read() {
    let systems = Systems::random(3, 50, 4);
    let mut data = vec![f64::NAN; 50 * 5];
    for j in 0..50 {
        data[j * 5..j * 5 + 3].copy_from_slice(systems.at(j));
    }
    let panel = Panel { data: &data[..49 * 5 + 3], nrows: 3, ncols: 50, ld: 5 };
    assert_eq!(order(&Pool::new(), panel, "").unwrap(), systems.order(""));
    assert_eq!(length(panel, None), length(systems.panel(), None));
}

#[test]
fn lengths_neither_overflow_nor_vanish() {
    let far = Systems::new(1, 2, |_, j| if j == 0 { -8e307 } else { 8e307 });
    assert_eq!(length(far.panel(), None), Ok(1.6e308));
    let near = Systems::new(2, 2, |i, j| (j * (3 + i)) as f64 * 1e-250);
    assert!((length(near.panel(), None).unwrap() / 5e-250 - 1.0).abs() < 1e-15);
    assert_eq!(length(Systems::random(3, 1, 1).panel(), None), Ok(0.0));
    assert_eq!(length(Systems::random(0, 0, 1).panel(), None), Ok(0.0));
}

#[test]
fn refusals_say_what_was_wrong() {
    let systems = Systems::random(12, 10, 6);
    let text = |options: &str| systems.try_order(options).unwrap_err().to_string();
    assert_eq!(text("methd=chain"), "unknown option 'methd'; did you mean 'method'?");
    assert_eq!(text("method=chains"), "argument 'method' is 'chains', must be one of auto, chain, curve, grouped");
    assert_eq!(text("method=chain group_size=3"), "option 'group_size' is not used by 'chain'; it is used by auto, grouped");
    assert_eq!(text("start=1 method=curve"), "option 'start' is not used by 'curve'; it is used by auto, chain");
    assert_eq!(text("start=10"), "argument 'start' is 10, must be below 10, the number of systems");
    assert_eq!(text("start=-1"), "argument 'start' is -1, must be at least 0");
    assert_eq!(text("start=2 chunks=4"), "option 'start' is not used with chunks=4");
    assert_eq!(text("chunks=0"), "argument 'chunks' is 0, must be at least 1");
    assert_eq!(text("modes=3"), "option 'modes' is not used with features=none");
    assert_eq!(text("features=dct nx=5 ny=2"), "argument 'dim' has size 12, must be 5 * 2, the points of the grid");
    assert_eq!(text("features=dct ny=12"), "argument 'nx' is 0, must be at least 1 where ny or nz is");
    assert_eq!(text("features=dct nx=6 nz=2"), "argument 'ny' is 0, must be at least 1 where nz is");
    assert!(text("features=dct nx=9223372036854775807 ny=9223372036854775807").contains("'dim'"));
    assert_eq!(text("two_opt"), "'two_opt' is no option of the form key=value");
    for (value, word) in [(f64::NAN, "NaN"), (f64::INFINITY, "inf"), (f64::NEG_INFINITY, "-inf")] {
        let mut bad = systems.clone();
        bad.data[7 * 12 + 5] = value;
        let message = format!("argument 'parameters' has {word} in row 5 of column 7 (base 0), must be finite");
        for error in [bad.try_order("").unwrap_err(), length(bad.panel(), None).unwrap_err()] {
            assert_eq!(error, Error::NonFinite(message.clone()));
        }
    }
}
