//! Changes a DER encoding element by element, so that what comes out can mostly be read: a byte changed at random makes
//! a length wrong, and then nothing behind it is looked at.

use crate::cert::der::{Reader, encode};

/// Deepest element that is taken apart.
const DEEPEST: usize = 12;

/// An element, taken apart as far as its content is elements.
#[derive(Clone)]
struct Node {
    identifier: u8,
    body: Body,
}

#[derive(Clone)]
enum Body {
    Octets(Vec<u8>),
    Elements(Vec<Node>),
}

/// A source of numbers that is the same for the same seed.
pub struct Dice(u64);

impl Dice {
    /// Starts from a seed.
    pub fn new(seed: u32) -> Dice {
        Dice(u64::from(seed) << 1 | 1)
    }
    /// A number below `end`; 0 when there is none.
    fn below(&mut self, end: usize) -> usize {
        // Knuth's multiplier, The Art of Computer Programming 3.3.4.
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end.max(1)
    }
}

/// Changes an element or a few in `der`. `octets` changes the content of one that is not taken apart. `None` when `der`
/// is not made of elements.
pub fn shuffle(der: &[u8], dice: &mut Dice, mut octets: impl FnMut(&[u8]) -> Vec<u8>) -> Option<Vec<u8>> {
    let mut roots = nodes(der, 0)?;
    let all = roots.iter().map(count).sum();
    for _ in 0..=dice.below(3) {
        let spare = nth(&mut roots, dice.below(all)).cloned();
        let (at, how) = (dice.below(all), dice.below(8));
        change(&mut roots, at, how, dice, spare, &mut octets);
    }
    Some(roots.iter().flat_map(write).collect())
}

fn nodes(bytes: &[u8], depth: usize) -> Option<Vec<Node>> {
    let (mut reader, mut found) = (Reader::new(bytes), Vec::new());
    while !reader.is_empty() {
        let element = reader.next().ok()?;
        // extnValue and the BIT STRING of a key hold an encoding too; one of text is not often taken for one.
        let deeper = element.constructed || element.is(4, false);
        let inside = if deeper && depth < DEEPEST { nodes(element.content, depth + 1) } else { None };
        let body = inside.map_or_else(|| Body::Octets(element.content.to_vec()), Body::Elements);
        found.push(Node { identifier: *element.raw.first()?, body });
    }
    Some(found)
}

fn count(node: &Node) -> usize {
    match &node.body {
        Body::Octets(_) => 1,
        Body::Elements(inside) => 1 + inside.iter().map(count).sum::<usize>(),
    }
}

fn write(node: &Node) -> Vec<u8> {
    match &node.body {
        Body::Octets(octets) => encode(node.identifier, octets),
        Body::Elements(inside) => encode(node.identifier, &inside.iter().flat_map(write).collect::<Vec<u8>>()),
    }
}

/// The list that holds the element `at`, counted from the front, outer before inner, and its place in the list.
fn place(nodes: &mut Vec<Node>, mut at: usize) -> Option<(&mut Vec<Node>, usize)> {
    let mut index = 0;
    for node in nodes.iter() {
        let inside = count(node);
        if at < inside {
            break;
        }
        at -= inside;
        index += 1;
    }
    if at == 0 {
        return (index < nodes.len()).then_some((nodes, index));
    }
    match &mut nodes.get_mut(index)?.body {
        Body::Elements(inside) => place(inside, at - 1),
        Body::Octets(_) => None,
    }
}

fn nth(nodes: &mut Vec<Node>, at: usize) -> Option<&mut Node> {
    place(nodes, at).and_then(|(list, index)| list.get_mut(index))
}

fn change(
    roots: &mut Vec<Node>,
    at: usize,
    how: usize,
    dice: &mut Dice,
    spare: Option<Node>,
    octets: &mut impl FnMut(&[u8]) -> Vec<u8>,
) {
    let Some((list, index)) = place(roots, at) else { return };
    match (how, spare) {
        (0, _) => drop(list.remove(index)),
        (1, _) => list.extend_from_within(index..=index),
        (2, Some(spare)) => list[index] = spare,
        (3, Some(spare)) => list.insert(index, spare),
        (4, _) => {
            let other = dice.below(list.len());
            list.swap(index, other);
        }
        (5, _) => list[index].identifier = dice.below(256) as u8,
        _ => {
            if let Body::Octets(content) = &mut list[index].body {
                *content = octets(content);
            }
        }
    }
}
