//! The keys of an order.

use super::chain::BOXED;
use super::features::Features;
use crate::runtime::options::{pairs, Default, Options, Row, Type};
use crate::runtime::{Error, Result};

pub static METHODS: &[&str] = &["auto", "chain", "curve", "grouped"];

const fn row(key: &'static str, of: Type, default: Default, methods: &'static [&'static str], sentence: &'static str) -> Row {
    Row { key, of, default, unit: "", methods, sentence }
}

const AXIS: Type = Type::Int(0, i64::MAX);

pub static SEQUENCE: &[Row] = &[
    row("method", Type::Word(METHODS), Default::Text("auto"), &[],
        "chain: always to the nearest system that is left, ties to the lower index; curve: along a Hilbert curve; grouped: a chain within cells of the curve; auto: chain where that takes seconds, else grouped"),
    row("start", Type::Int(0, i64::MAX), Default::Int(0), &["auto", "chain"],
        "the system (from 0) that a chain begins with; only a hint where auto takes grouped, and not with chunks"),
    row("group_size", Type::Int(1, i64::MAX), Default::Int(2000), &["auto", "grouped"], "systems in a cell at most; only a hint where auto takes chain"),
    row("chunks", Type::Int(1, i64::MAX), Default::Int(1), &[],
        "parts for that many solvers at work at once: part k is order[count*k/chunks] up to, not with, order[count*(k+1)/chunks], each a path of its own through near systems"),
    row("two_opt", Type::Int(0, 1000), Default::Int(0), &[], "passes, at most, that take crossings out of the path; the first system of each part stays"),
    row("features", Type::Word(&["none", "dct"]), Default::Text("none"), &[],
        "what distances are taken of: the parameters, or the lowest coefficients of their orthonormal DCT-II, for parameters that are smooth fields"),
    row("nx", AXIS, Default::Int(0), &[], "features=dct: points of the fields' grid along x, whose index runs fastest; 0: one axis of dim points"),
    row("ny", AXIS, Default::Int(0), &[], "features=dct: points along y; 0: there is no such axis"),
    row("nz", AXIS, Default::Int(0), &[], "features=dct: points along z, whose index runs slowest; 0: there is no such axis"),
    row("modes", Type::Int(1, i64::MAX), Default::Int(12), &[], "features=dct: coefficients kept along each axis"),
];

/// A chain takes seconds up to this squared count times the features, whatever the points are like.
const CHAIN_COST: u128 = 20_000_000_000;
/// It skips nearly all points where boxes know every axis, and takes seconds up to this count.
const CHAIN_COUNT: usize = 200_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    Chain,
    Curve,
    Grouped,
}

#[derive(Debug, Clone)]
pub struct Settings {
    pub method: Method,
    /// The first system, where it is prescribed.
    pub start: Option<usize>,
    /// Systems in a cell.
    pub cell: usize,
    pub chunks: usize,
    pub two_opt: usize,
    pub features: Features,
}

/// The options of a text in the syntax `key=value`.
pub fn parse(text: &str) -> Result<Options> {
    // Which keys are of use depends on the method, wherever in the text it stands.
    let mut method = "auto";
    for (_, word) in pairs(text)?.into_iter().filter(|(key, _)| *key == "method") {
        Options::new(SEQUENCE, "auto").set_string("method", word)?;
        method = METHODS.iter().find(|m| **m == word).expect("a word that was accepted");
    }
    let mut options = Options::new(SEQUENCE, method);
    options.set_all(text)?;
    Ok(options)
}

impl Settings {
    /// For `count` systems of `dim` parameters.
    pub fn read(o: &Options, dim: usize, count: usize) -> Result<Self> {
        let chunks = o.count("chunks");
        if o.is_given("start") && chunks > 1 {
            return Err(Error::Key(format!("option 'start' is not used with chunks={chunks}")));
        }
        if o.is_given("start") && o.count("start") >= count {
            return Err(Error::argument("start", o.int("start"), format!("be below {count}, the number of systems")));
        }
        let features = features(o, dim)?;
        let method = match o.text("method") {
            "chain" => Method::Chain,
            "curve" => Method::Curve,
            "grouped" => Method::Grouped,
            _ if chain_is_cheap(count.div_ceil(chunks), features.dim(dim)) => Method::Chain,
            _ => Method::Grouped,
        };
        Ok(Settings {
            method,
            start: (method == Method::Chain && chunks == 1).then(|| o.count("start")),
            cell: if method == Method::Grouped { o.count("group_size") } else { usize::MAX },
            chunks: chunks.min(count.max(1)),
            two_opt: o.count("two_opt"),
            features,
        })
    }
}

fn chain_is_cheap(count: usize, dim: usize) -> bool {
    let cost = (count as u128).pow(2).saturating_mul(dim as u128);
    cost <= CHAIN_COST || dim <= BOXED && count <= CHAIN_COUNT
}

fn features(o: &Options, dim: usize) -> Result<Features> {
    if o.text("features") == "none" {
        return match ["nx", "ny", "nz", "modes"].iter().find(|key| o.is_given(key)) {
            Some(key) => Err(Error::Key(format!("option '{key}' is not used with features=none"))),
            None => Ok(Features::None),
        };
    }
    let mut shape = [o.count("nx"), o.count("ny"), o.count("nz")];
    if shape[0] == 0 && shape[1] == 0 && shape[2] == 0 {
        shape[0] = dim;
    } else if shape[0] == 0 {
        return Err(Error::argument("nx", 0, "be at least 1 where ny or nz is"));
    } else if shape[1] == 0 && shape[2] > 0 {
        return Err(Error::argument("ny", 0, "be at least 1 where nz is"));
    }
    let given: Vec<usize> = shape.into_iter().filter(|n| *n > 0).collect();
    let product = given.iter().try_fold(1usize, |product, n| product.checked_mul(*n));
    if product != Some(dim) && dim > 0 {
        let factors = given.iter().map(usize::to_string).collect::<Vec<_>>().join(" * ");
        return Err(Error::size("dim", dim, format!("be {factors}, the points of the grid")));
    }
    Ok(Features::Dct { shape: shape.map(|n| n.max(1)), modes: o.count("modes") })
}
