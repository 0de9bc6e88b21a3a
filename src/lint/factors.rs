//! What can be said of an RSA modulus without factoring it: small factors, powers, close factors, ROCA.
//!
//! [`RsaFacts::of`] takes the octets of the modulus, most significant first. What is longer than `MAX_OCTETS` is left alone:
//! such a modulus would cost more time than a key in a certificate may.

use std::sync::LazyLock;

use num_bigint::BigUint;

/// Longest modulus that is looked at, in octets: 16384 bits, four times what any real key has.
const MAX_OCTETS: usize = 2048;
/// Most roots that are taken of one modulus; a power needs one, and more only a number that was made to cost time.
const MAX_ROOTS: u32 = 4;
/// Rounds of Fermat's method (BR 6.1.1.3 (5)).
pub const ROUNDS: u32 = 100;

/// What is wrong with a modulus.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RsaFacts {
    /// The smallest odd prime below 752 that divides it.
    pub small_factor: Option<u32>,
    /// The least k > 1 for which it is a k-th power; only where there is no small factor.
    pub power: Option<u32>,
    /// The round, from 0, in which Fermat's method finds two factors: a - ceil(sqrt(n)) for the least a, within [`ROUNDS`] of
    /// them, for which a^2 - n is a square.
    pub fermat: Option<u32>,
    /// Whether it has the fingerprint of ROCA.
    pub roca: bool,
}

impl RsaFacts {
    /// Looks at a modulus.
    pub fn of(modulus: &[u8]) -> RsaFacts {
        let odd = modulus.last().is_some_and(|last| last % 2 == 1);
        if modulus.is_empty() || modulus.len() > MAX_OCTETS {
            return RsaFacts::default();
        }
        let limbs = limbs(modulus);
        let rests = small_remainders(&limbs);
        let small_factor = rests.iter().position(|rest| *rest == 0).and_then(|at| PRIMES.get(at).copied());
        let number = BigUint::from_bytes_be(modulus);
        let (root, rest) = sqrt_rem(&number);
        let square = rest == BigUint::ZERO;
        RsaFacts {
            small_factor,
            power: if small_factor.is_some() {
                None
            } else if square {
                Some(2)
            } else {
                odd_power(&number, &limbs)
            },
            fermat: if odd { fermat(&number, &limbs, root, square) } else { None },
            roca: odd && is_roca(crate::cert::key::bit_length(modulus), &rests),
        }
    }
}

/// The primes from 3 to 751.
static PRIMES: LazyLock<Vec<u32>> = LazyLock::new(|| (3..752).filter(|n| is_prime(*n)).collect());

fn is_prime(n: u32) -> bool {
    n > 1 && (2..n).take_while(|d| d * d <= n).all(|d| !n.is_multiple_of(d))
}

/// The octets as numbers of 64 bits, least significant first.
fn limbs(octets: &[u8]) -> Vec<u64> {
    octets.rchunks(8).map(|chunk| chunk.iter().fold(0, |n, b| n << 8 | u64::from(*b))).collect()
}

/// A number below 2^56 by which others are divided: what 2^64 to the power of 0, 1, 2, ... leaves. With it a remainder costs one
/// multiplication per limb and one division.
struct Divisor {
    value: u64,
    weights: Vec<u64>,
}

impl Divisor {
    fn new(value: u64) -> Divisor {
        let next = |weight: &u64| Some(((u128::from(*weight) << 64) % u128::from(value)) as u64);
        let weights = std::iter::successors(Some(1 % value), next);
        Divisor { value, weights: weights.take(MAX_OCTETS / 8).collect() }
    }

    /// The sum of at most 2^8 products below 2^120 fits 128 bits.
    fn remainder(&self, limbs: &[u64]) -> u64 {
        let products = limbs.iter().zip(&self.weights).map(|(limb, weight)| u128::from(*limb) * u128::from(*weight));
        (products.sum::<u128>() % u128::from(self.value)) as u64
    }
}

/// Numbers in their order, gathered into divisors whose product fits 56 bits.
fn grouped(numbers: impl Iterator<Item = u32>) -> Vec<(Divisor, Vec<u32>)> {
    let mut groups: Vec<(u64, Vec<u32>)> = Vec::new();
    for number in numbers {
        match groups.last_mut() {
            Some((product, members)) if u128::from(*product) * u128::from(number) < 1 << 56 => {
                *product *= u64::from(number);
                members.push(number);
            }
            _ => groups.push((u64::from(number), vec![number])),
        }
    }
    groups.into_iter().map(|(product, members)| (Divisor::new(product), members)).collect()
}

/// What a number leaves divided by each member of groups, in their order.
fn remainders(groups: &[(Divisor, Vec<u32>)], limbs: &[u64]) -> Vec<u32> {
    let mut rests = Vec::with_capacity(groups.len() * 4);
    for (divisor, members) in groups {
        let rest = divisor.remainder(limbs);
        rests.extend(members.iter().map(|member| (rest % u64::from(*member)) as u32));
    }
    rests
}

fn small_remainders(limbs: &[u64]) -> Vec<u32> {
    static GROUPS: LazyLock<Vec<(Divisor, Vec<u32>)>> = LazyLock::new(|| grouped(PRIMES.iter().copied()));
    remainders(&GROUPS, limbs)
}

/// An odd prime exponent, and primes q = mk + 1 with the m numbers that are k-th powers modulo q: for a prime q with k | q - 1
/// the k-th powers are the m-th part of all. That rules out nearly every number before a root is taken.
struct Exponent {
    k: u32,
    tests: Vec<(u32, Vec<u32>)>,
}

static EXPONENTS: LazyLock<Vec<Exponent>> = LazyLock::new(|| {
    let exponent = |k: u32| {
        let primes = (1..).map(|m| m * k + 1).filter(|q| is_prime(*q)).take(if k < 20 { 12 } else { 4 });
        Exponent { k, tests: primes.map(|q| (q, powers_modulo(q, k))).collect() }
    };
    // The search ends where the root would be smaller than 752.
    (3..=largest_exponent(MAX_OCTETS)).filter(|k| is_prime(*k)).map(exponent).collect()
});

/// The k-th powers modulo a prime q = mk + 1, sorted: the m powers of one of them that has no fewer.
fn powers_modulo(q: u32, k: u32) -> Vec<u32> {
    let cycle = |x: u32| {
        let step = power_modulo(x.into(), k, q.into());
        let next = |power: &u64| Some(power * step % u64::from(q)).filter(|power| *power != 1);
        std::iter::successors(Some(1), next).map(|power| power as u32).collect::<Vec<u32>>()
    };
    let mut powers = (2..q).map(cycle).find(|cycle| cycle.len() as u32 == (q - 1) / k).unwrap_or_default();
    powers.sort_unstable();
    powers
}

fn largest_exponent(octets: usize) -> u32 {
    octets as u32 * 8 * 100 / 955
}

/// The least odd prime k for which the number is a k-th power; only for a number without a factor below 752.
fn odd_power(number: &BigUint, limbs: &[u64]) -> Option<u32> {
    static FIRST: LazyLock<Vec<(Divisor, Vec<u32>)>> =
        LazyLock::new(|| grouped(EXPONENTS.iter().filter_map(|exponent| Some(exponent.tests.first()?.0))));
    let largest = largest_exponent(number.bits().div_ceil(8) as usize);
    let candidates = EXPONENTS.partition_point(|exponent| exponent.k <= largest);
    let (mut at, mut roots) = (0, 0);
    for (divisor, members) in FIRST.iter() {
        if at >= candidates {
            break;
        }
        let rest = divisor.remainder(limbs);
        for (exponent, q) in EXPONENTS[at..candidates.min(at + members.len())].iter().zip(members) {
            let is_power = |rest: u32, powers: &[u32]| rest == 0 || powers.binary_search(&rest).is_ok();
            let mut tests = exponent.tests.iter();
            let first = tests.next().is_some_and(|(_, powers)| is_power((rest % u64::from(*q)) as u32, powers));
            if first && tests.all(|(q, powers)| is_power(divided(limbs, *q), powers)) && roots < MAX_ROOTS {
                roots += 1;
                if number.nth_root(exponent.k).pow(exponent.k) == *number {
                    return Some(exponent.k);
                }
            }
        }
        at += members.len();
    }
    None
}

/// The remainder by a number for which nothing was prepared.
fn divided(limbs: &[u64], divisor: u32) -> u32 {
    let divide = |rest: u32, limb: &u64| ((u128::from(rest) << 64 | u128::from(*limb)) % u128::from(divisor)) as u32;
    limbs.iter().rev().fold(0, divide)
}

fn power_modulo(mut base: u64, mut exponent: u32, modulus: u64) -> u64 {
    let mut result = 1;
    while exponent > 0 {
        if exponent & 1 == 1 {
            result = result * base % modulus;
        }
        base = base * base % modulus;
        exponent >>= 1;
    }
    result
}

/// Floor of the square root, and what is left: P. Zimmermann, "Karatsuba Square Root" (INRIA RR-3805, 1999), algorithm SqrtRem;
/// each step doubles the digits by one division of half the length.
fn sqrt_rem(number: &BigUint) -> (BigUint, BigUint) {
    let size = (number.bits().div_ceil(128).max(1) as usize).next_power_of_two() * 128;
    // The algorithm wants one of the two highest bits set.
    let half_shift = (size as u64 - number.bits()) / 2;
    if half_shift == 0 {
        return normalized_sqrt_rem(number, size);
    }
    let root = normalized_sqrt_rem(&(number << (2 * half_shift)), size).0 >> half_shift;
    let rest = number - &root * &root;
    (root, rest)
}

fn normalized_sqrt_rem(number: &BigUint, size: usize) -> (BigUint, BigUint) {
    let digits = number.to_u32_digits();
    if size == 128 {
        let number = digits.iter().rev().fold(0u128, |n, digit| n << 32 | u128::from(*digit));
        let root = number.isqrt();
        return (root.into(), (number - root * root).into());
    }
    let (quarter, bits) = (size / 128, size / 4);
    let part = |from: usize, to: usize| BigUint::from_slice(digits.get(from..to.min(digits.len())).unwrap_or_default());
    let (high_root, high_rest) = normalized_sqrt_rem(&part(2 * quarter, 4 * quarter), size / 2);
    let (dividend, divisor) = ((high_rest << bits) + part(quarter, 2 * quarter), &high_root << 1u32);
    let quotient = &dividend / &divisor;
    let left = ((dividend - &quotient * divisor) << bits) + part(0, quarter);
    let root = (high_root << bits) + &quotient;
    let square = &quotient * &quotient;
    if left >= square {
        return (root, left - square);
    }
    let smaller = &root - 1u32;
    (smaller, left + (root << 1u32) - 1u32 - square)
}

/// Numbers up to 64 that have no factor in common. Squares leave few remainders by them, so that a root is rarely taken.
const SIEVE: [u32; 15] = [63, 61, 59, 55, 53, 47, 43, 41, 37, 31, 29, 23, 19, 17, 13];

/// The remainders that squares leave, as bits.
const fn squares(modulus: u32) -> u64 {
    let (mut bits, mut root) = (0, 0);
    while root < modulus {
        bits |= 1 << (root * root % modulus);
        root += 1;
    }
    bits
}

fn fermat(number: &BigUint, limbs: &[u64], root: BigUint, square: bool) -> Option<u32> {
    static GROUPS: LazyLock<Vec<(Divisor, Vec<u32>)>> = LazyLock::new(|| grouped(SIEVE.into_iter()));
    static SQUARES: [u64; 15] = {
        let mut all = [0; 15];
        let mut at = 0;
        while at < 15 {
            all[at] = squares(SIEVE[at]);
            at += 1;
        }
        all
    };
    const SQUARES_64: u64 = squares(64);
    if square {
        return Some(0);
    }
    let first = root + 1u32;
    let first_limbs = first.to_u64_digits();
    let (of_number, of_first) = (remainders(&GROUPS, limbs), remainders(&GROUPS, &first_limbs));
    let low = |limbs: &[u64]| limbs.first().map_or(0, |limb| *limb as u32);
    let may_be_square = |round: u32| {
        let a = low(&first_limbs).wrapping_add(round);
        let rest = a.wrapping_mul(a).wrapping_sub(low(limbs)) % 64;
        SQUARES_64 >> rest & 1 == 1
            && SIEVE.iter().zip(SQUARES).zip(of_first.iter().zip(&of_number)).all(|((modulus, squares), (a, n))| {
                let a = (a + round) % modulus;
                squares >> ((a * a + modulus - n) % modulus) & 1 == 1
            })
    };
    (0..ROUNDS).filter(|round| may_be_square(*round)).find(|round| {
        let a = &first + *round;
        let difference = &a * &a - number;
        sqrt_rem(&difference).1 == BigUint::ZERO
    })
}

/// Whether the modulus is a power of 65537 modulo every one of the first primes, as every modulus of the flawed
/// generator is (Nemec et al., "The Return of Coppersmith's Attack", 2017, section 2): of the first 39, 71 or 126
/// primes, by its size. The chance of another modulus of 2048 bits is below 2^-150; below 512 bits none is judged.
fn is_roca(bits: usize, rests: &[u32]) -> bool {
    static POWERS: LazyLock<Vec<Vec<bool>>> = LazyLock::new(|| {
        let powers = |prime: &u32| {
            let mut reached = vec![false; *prime as usize];
            let mut power = 1;
            while !std::mem::replace(&mut reached[power as usize], true) {
                power = power * (65_537 % prime) % prime;
            }
            reached
        };
        PRIMES.iter().map(powers).collect()
    });
    let count = match bits {
        0..=511 => return false,
        512..=991 => 39,
        992..=1983 => 71,
        _ => 126,
    };
    // 2 is the first prime and every odd number is a power of 65537 modulo 2.
    rests.iter().zip(POWERS.iter()).take(count - 1).all(|(rest, powers)| powers[*rest as usize])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::certgen::{close_factors, number, roca};
    use proptest::prelude::*;

    fn facts(number: &BigUint) -> RsaFacts {
        RsaFacts::of(&number.to_bytes_be())
    }

    #[test]
    fn small_factors_are_the_odd_primes_below_752() {
        let clean = number(2048);
        assert_eq!(facts(&clean), RsaFacts::default());
        for factor in [3u32, 5, 167, 743, 751] {
            assert_eq!(facts(&(&clean * factor)).small_factor, Some(factor));
        }
        assert_eq!(facts(&(&clean * 757u32)).small_factor, None);
        assert_eq!(PRIMES.len(), 132);
    }

    #[test]
    fn powers_are_found_and_products_are_not() {
        let base = number(400);
        for k in [2, 3, 5, 7, 13, 31] {
            assert_eq!(facts(&base.pow(k)).power, Some(k));
        }
        assert_eq!(facts(&number(10).pow(201)).power, Some(3));
        assert_eq!(facts(&number(12).pow(199)).power, Some(199));
        assert_eq!(facts(&(&base * (&base + 2u32))).power, None);
        assert_eq!(facts(&number(4096)).power, None);
        assert_eq!(RsaFacts::of(&[]), RsaFacts::default());
        assert_eq!(RsaFacts::of(&[0xff; MAX_OCTETS + 1]), RsaFacts::default());
    }

    #[test]
    fn close_factors_are_found_in_their_round() {
        for round in [0, 1, 50, 99] {
            assert_eq!(facts(&close_factors(2048, round)).fermat, Some(round));
        }
        assert_eq!(facts(&close_factors(2048, 100)).fermat, None);
        assert_eq!(facts(&number(1024).pow(2)).fermat, Some(0));
        assert_eq!(facts(&number(2048)).fermat, None);
    }

    #[test]
    fn the_fingerprint_is_that_of_powers_of_65537() {
        for bits in [2048, 3072] {
            assert!(facts(&roca(bits)).roca, "{bits}");
        }
        assert!(!facts(&number(2048)).roca && !facts(&(roca(2048) + 2u32)).roca);
    }

    proptest! {
        #[test]
        fn roots_and_remainders_are_those_of_long_division(octets in proptest::collection::vec(any::<u8>(), 1..600)) {
            let number = BigUint::from_bytes_be(&octets);
            let (root, rest) = sqrt_rem(&number);
            prop_assert_eq!(&root, &number.sqrt());
            prop_assert_eq!(&root * &root + rest, number.clone());
            for (prime, rest) in PRIMES.iter().zip(small_remainders(&limbs(&octets))) {
                prop_assert_eq!(BigUint::from(rest), &number % *prime);
            }
            for (q, k) in [(7u32, 3), (43, 7), (2_731, 13), (5_501, 11)] {
                let mut powers: Vec<u32> = (1..q).map(|x| power_modulo(x.into(), k, q.into()) as u32).collect();
                powers.sort_unstable();
                powers.dedup();
                prop_assert_eq!(powers_modulo(q, k), powers);
            }
            prop_assert_eq!(BigUint::from(divided(&limbs(&octets), 10_007)), &number % 10_007u32);
        }
        #[test]
        fn small_products_are_factored_as_the_method_says(a in 1u32..40_000, b in 0u32..300) {
            let (p, q) = (u64::from(2 * a + 1), u64::from(2 * a + 1 + 2 * b));
            let n = p * q;
            let first = n.isqrt() + u64::from(n.isqrt().pow(2) < n);
            let round = (0..u64::from(ROUNDS)).find(|r| {
                let difference = (first + r).pow(2) - n;
                difference.isqrt().pow(2) == difference
            });
            prop_assert_eq!(facts(&n.into()).fermat, round.map(|round| round as u32));
        }
    }
}
