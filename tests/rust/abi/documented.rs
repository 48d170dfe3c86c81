//! The statuses that include/reknit.h allows each function.

use std::collections::{HashMap, HashSet};

const HEADER: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/include/reknit.h"));

pub struct Documented {
    statuses: HashMap<String, HashSet<i32>>,
}

impl Documented {
    pub fn read() -> Self {
        let numbers: HashMap<&str, i32> = HEADER.lines().filter_map(constant).collect();
        let (conventions, body) = HEADER.split_once("*/").expect("the header opens with its conventions");
        let common = named(conventions, &numbers);
        let comments = comments(body);
        let statuses = comments
            .keys()
            .map(|name| {
                // "Errors: as in rkn_operator_create_csr" and its like, to any depth.
                let (mut reached, mut next) = (vec![*name], 0);
                while next < reached.len() {
                    for other in references(comments.get(reached[next]).map_or("", |text| text)) {
                        if !reached.contains(&other) {
                            reached.push(other);
                        }
                    }
                    next += 1;
                }
                let mut all = common.clone();
                for name in reached {
                    all.extend(named(comments.get(name).map_or("", |text| text), &numbers));
                }
                (name.to_string(), all)
            })
            .collect();
        Documented { statuses }
    }

    pub fn allows(&self, function: &str, status: i32) -> bool {
        status == 0 || self.statuses.get(function).unwrap_or_else(|| panic!("{function} is not in the header")).contains(&status)
    }
}

/// `#define RKN_ERR_NULL (-1)`.
fn constant(line: &str) -> Option<(&str, i32)> {
    let mut words = line.strip_prefix("#define ")?.split_whitespace();
    let (name, value) = (words.next()?, words.next()?);
    let status = name.starts_with("RKN_ERR_") || name.starts_with("RKN_STOP_");
    status.then(|| (name, value.trim_matches(['(', ')']).parse().expect("a status is a number")))
}

/// The comment in front of each function that returns a status.
fn comments(body: &str) -> HashMap<&str, String> {
    let (mut comments, mut comment) = (HashMap::new(), String::new());
    for line in body.lines() {
        if let Some(text) = line.strip_prefix("//") {
            comment.push_str(text);
        } else {
            if let Some(call) = line.strip_prefix("rkn_status ") {
                comments.insert(&call[..call.find('(').expect("arguments")], comment.clone());
            }
            comment.clear();
        }
    }
    comments
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

/// The statuses named in a text; "RKN_STOP_ITERATIONS, _TIME" names two.
fn named(text: &str, numbers: &HashMap<&str, i32>) -> HashSet<i32> {
    words(text)
        .filter_map(|word| numbers.get(word).or_else(|| word.starts_with('_').then(|| numbers.get(&*format!("RKN_STOP{word}")))?).copied())
        .collect()
}

/// The functions behind "as" and "as in".
fn references(text: &str) -> Vec<&str> {
    let words: Vec<&str> = words(text).collect();
    let mut found = Vec::new();
    for (i, word) in words.iter().enumerate().filter(|(_, word)| word.starts_with("rkn_")) {
        if i > 0 && (words[i - 1] == "as" || (i > 1 && words[i - 1] == "in" && words[i - 2] == "as")) {
            found.push(*word);
        }
    }
    found
}
