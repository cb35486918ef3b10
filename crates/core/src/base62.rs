//! Base62: digits, then capitals, then small letters. Texts of one length sort like the numbers they stand for.

/// The digits in the order of their values.
pub const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The last `LENGTH` digits of `value`, most significant first.
pub fn encode<const LENGTH: usize>(mut value: u128) -> [u8; LENGTH] {
    let mut digits = [b'0'; LENGTH];
    for slot in digits.iter_mut().rev() {
        *slot = DIGITS[(value % 62) as usize];
        value /= 62;
    }
    digits
}

/// The number that the digits stand for; `None` when one is not a digit, or the number has more than 128 bits.
pub fn decode(text: &str) -> Option<u128> {
    text.bytes().try_fold(0u128, |value, byte| {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'A'..=b'Z' => byte - b'A' + 10,
            b'a'..=b'z' => byte - b'a' + 36,
            _ => return None,
        };
        value.checked_mul(62)?.checked_add(u128::from(digit))
    })
}
