//! Tool names, call ids and user ids within the limits of the target dialect.
//!
//! Shortening is a pure function of the name, so that calls in the history, definitions and choices agree.

use std::borrow::Cow;

const HASH_DIGITS: usize = 8;

/// Fits `name` to letters, digits, `_`, `-` and at most `limit` characters. Different names stay different.
pub(crate) fn fit(name: &str, limit: usize) -> Cow<'_, str> {
    let allowed = |character: char| character.is_ascii_alphanumeric() || matches!(character, '_' | '-');
    if !name.is_empty() && name.len() <= limit && name.chars().all(allowed) {
        return Cow::Borrowed(name);
    }
    let kept = limit.saturating_sub(HASH_DIGITS + 1);
    let mut fitted: String =
        name.chars().map(|character| if allowed(character) { character } else { '_' }).take(kept).collect();
    let digits = format!("{:032x}", fnv128(name.as_bytes()));
    fitted.push('_');
    fitted.extend(digits.chars().skip(digits.len() - HASH_DIGITS));
    Cow::Owned(fitted)
}

/// A stable stand-in for an identifier that is too long for the target.
pub(crate) fn digest(text: &str) -> String {
    format!("{:032x}", fnv128(text.as_bytes()))
}

/// FNV-1a with 128 bits: stable across versions, not a secret.
fn fnv128(bytes: &[u8]) -> u128 {
    const OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    bytes.iter().fold(OFFSET, |hash, byte| (hash ^ u128::from(*byte)).wrapping_mul(PRIME))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_is_left_alone() {
        assert_eq!(fit("get_weather-2", 64), "get_weather-2");
    }

    #[test]
    fn long_and_odd_names_fit_and_stay_different() {
        let long = "mcp__server__".repeat(9);
        let fitted = fit(&long, 64);
        assert_eq!(fitted.len(), 64);
        assert_ne!(fitted, fit(&format!("{long}x"), 64));
        assert_ne!(fit("a.b", 64), fit("a:b", 64));
        assert!(fit("functions.weather:0", 64).starts_with("functions_weather_0_"));
        assert!(!fit("", 64).is_empty());
    }
}
