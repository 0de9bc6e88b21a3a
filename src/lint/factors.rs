//! What can be said of an RSA modulus without factoring it: small factors, powers, close factors, ROCA.
//!
//! Every function takes the octets of the modulus, most significant first. What is longer than `MAX_OCTETS` is left
//! alone: such a modulus would cost more time than a key in a certificate may.

use std::sync::LazyLock;

use num_bigint::BigUint;

/// Longest modulus that is looked at, in octets: 16384 bits, four times what any real key has.
const MAX_OCTETS: usize = 2048;
/// Most roots that are taken of one modulus; a power needs one, and more only a number that was made to cost time.
const MAX_ROOTS: u32 = 4;

/// The primes from 3 to 751, in products that fit 32 bits, each with its factors.
static GROUPS: LazyLock<Vec<(u64, Vec<u32>)>> = LazyLock::new(|| {
    let mut groups: Vec<(u64, Vec<u32>)> = vec![(1, Vec::new())];
    for prime in (3..752u32).filter(|n| (2..*n).take_while(|d| d * d <= *n).all(|d| !n.is_multiple_of(d))) {
        let fits = groups.last().is_some_and(|(product, _)| product * u64::from(prime) < 1 << 32);
        if !fits {
            groups.push((1, Vec::new()));
        }
        if let Some((product, primes)) = groups.last_mut() {
            *product *= u64::from(prime);
            primes.push(prime);
        }
    }
    groups
});

/// The octets as numbers of 32 bits, most significant first.
fn limbs(modulus: &[u8]) -> Vec<u32> {
    modulus.rchunks(4).rev().map(|chunk| chunk.iter().fold(0, |n, b| n << 8 | u32::from(*b))).collect()
}

/// The remainder by a number below 2^32.
fn remainder(limbs: &[u32], divisor: u64) -> u64 {
    limbs.iter().fold(0, |rest, limb| (rest << 32 | u64::from(*limb)) % divisor)
}

/// The smallest odd prime below 752 that divides the modulus.
pub fn small_factor(modulus: &[u8]) -> Option<u32> {
    let limbs = limbs(modulus.get(..modulus.len().min(MAX_OCTETS))?);
    if modulus.len() > MAX_OCTETS || limbs.is_empty() {
        return None;
    }
    GROUPS.iter().find_map(|(product, primes)| {
        let rest = remainder(&limbs, *product);
        primes.iter().copied().find(|prime| rest.is_multiple_of(u64::from(*prime)))
    })
}

/// The least k > 1 for which the modulus is a k-th power; only for a modulus without a factor below 752, since the
/// search ends where the root would be smaller.
///
/// For a prime q with k | q - 1 a k-th power that q does not divide is 1 when raised to (q - 1) / k modulo q; that
/// rules out nearly every number before a root is taken.
pub fn power(modulus: &[u8]) -> Option<u32> {
    if modulus.is_empty() || modulus.len() > MAX_OCTETS {
        return None;
    }
    let limbs = limbs(modulus);
    let largest = (modulus.len() as u32 * 8) * 100 / 955;
    let is_prime = |n: u32| n > 1 && (2..n).take_while(|d| d * d <= n).all(|d| !n.is_multiple_of(d));
    let exponents = (2..=largest).filter(|k| is_prime(*k));
    let (mut whole, mut roots) = (None, 0);
    for k in exponents {
        let tests = (1..).map(|m| m * k + 1).filter(|q| is_prime(*q)).take(12);
        let possible = tests.into_iter().all(|q| {
            let rest = remainder(&limbs, u64::from(q));
            rest == 0 || power_modulo(rest, (q - 1) / k, u64::from(q)) == 1
        });
        if possible && roots < MAX_ROOTS {
            roots += 1;
            let number = whole.get_or_insert_with(|| BigUint::from_bytes_be(modulus));
            if number.nth_root(k).pow(k) == *number {
                return Some(k);
            }
        }
    }
    None
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

/// The round, from 0, in which Fermat's method finds two factors: a - ceil(sqrt(n)) for the least a, within `rounds`
/// of them, for which a^2 - n is a square.
pub fn fermat(modulus: &[u8], rounds: u32) -> Option<u32> {
    if modulus.last().is_none_or(|last| last % 2 == 0) || modulus.len() > MAX_OCTETS {
        return None;
    }
    let number = BigUint::from_bytes_be(modulus);
    let mut a = number.sqrt();
    if &a * &a < number {
        a += 1u32;
    }
    let mut difference = &a * &a - &number;
    for round in 0..rounds {
        if is_square(&difference) {
            return Some(round);
        }
        // (a + 1)^2 - n = a^2 - n + 2a + 1
        difference += &a * 2u32 + 1u32;
        a += 1u32;
    }
    None
}

/// Squares leave few remainders modulo small numbers, so a root is rarely taken.
fn is_square(number: &BigUint) -> bool {
    static SQUARES: LazyLock<Vec<(u32, Vec<bool>)>> = LazyLock::new(|| {
        let of = |m: u32| (0..m).map(|rest| (0..m).any(|root| root * root % m == rest)).collect();
        [63, 65, 11, 17, 19, 23].map(|m| (m, of(m))).into()
    });
    let low = number.iter_u32_digits().next().unwrap_or(0) % 64;
    if !(0..64u32).any(|root| root * root % 64 == low) {
        return false;
    }
    // 63 * 65 * 11 * 17 * 19 * 23: one long division for all of them.
    const ALL: u32 = 334_639_305;
    let rest = (number % ALL).iter_u32_digits().next().unwrap_or(0);
    SQUARES.iter().all(|(m, squares)| squares[(rest % m) as usize]) && number.sqrt().pow(2) == *number
}

/// Whether the modulus is a power of 65537 modulo every one of the first primes, as every modulus of the flawed
/// generator is (Nemec et al., "The Return of Coppersmith's Attack", 2017, section 2): of the first 39, 71 or 126
/// primes, by its size. The chance of another modulus of 2048 bits is below 2^-150; below 512 bits none is judged.
pub fn is_roca(modulus: &[u8]) -> bool {
    let count = match crate::cert::key::bit_length(modulus) {
        0..=511 => return false,
        512..=991 => 39,
        992..=1983 => 71,
        _ if modulus.len() > MAX_OCTETS => return false,
        _ => 126,
    };
    let limbs = limbs(modulus);
    let odd = modulus.last().is_some_and(|last| last % 2 == 1);
    // 2 is the first prime and every odd number is a power of 65537 modulo 2.
    let mut primes = GROUPS.iter().flat_map(|(_, primes)| primes).take(count - 1);
    odd && primes.all(|prime| {
        let (prime, rest) = (u64::from(*prime), remainder(&limbs, u64::from(*prime)));
        let generator = 65_537 % prime;
        let mut power = 1;
        loop {
            if power == rest {
                break true;
            }
            power = power * generator % prime;
            if power == 1 || power == 0 {
                break false;
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::certgen::{close_factors, number, roca};

    fn octets(number: &BigUint) -> Vec<u8> {
        number.to_bytes_be()
    }

    #[test]
    fn small_factors_are_the_odd_primes_below_752() {
        let clean = number(2048);
        assert_eq!(small_factor(&octets(&clean)), None);
        for factor in [3u32, 5, 167, 743, 751] {
            assert_eq!(small_factor(&octets(&(&clean * factor))), Some(factor));
        }
        assert_eq!(small_factor(&octets(&(&clean * 757u32))), None);
        assert_eq!(GROUPS.iter().map(|(_, primes)| primes.len()).sum::<usize>(), 132);
    }

    #[test]
    fn powers_are_found_and_products_are_not() {
        let base = number(400);
        for k in [2, 3, 5, 7] {
            assert_eq!(power(&octets(&base.pow(k))), Some(k));
        }
        assert_eq!(power(&octets(&number(10).pow(201))), Some(3));
        assert_eq!(power(&octets(&(&base * (&base + 2u32)))), None);
        assert_eq!(power(&octets(&number(4096))), None);
        assert_eq!(power(&[]), None);
    }

    #[test]
    fn close_factors_are_found_in_their_round() {
        for round in [0, 1, 50, 99] {
            assert_eq!(fermat(&octets(&close_factors(2048, round)), 100), Some(round));
        }
        assert_eq!(fermat(&octets(&close_factors(2048, 100)), 100), None);
        assert_eq!(fermat(&octets(&number(1024).pow(2)), 1), Some(0));
        assert_eq!(fermat(&octets(&number(2048)), 100), None);
        assert_eq!(fermat(&[], 100), None);
    }

    #[test]
    fn the_fingerprint_is_that_of_powers_of_65537() {
        for bits in [2048, 3072] {
            assert!(is_roca(&octets(&roca(bits))), "{bits}");
        }
        assert!(!is_roca(&octets(&number(2048))) && !is_roca(&octets(&(roca(2048) + 2u32))) && !is_roca(&[]));
    }
}
