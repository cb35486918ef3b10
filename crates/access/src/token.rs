//! The text of keys and admin credentials: `tg_<lookup>_<secret><checksum>`, and how it is recognised.
//!
//! The lookup (12 base62 characters, not secret) finds the stored credential, the secret (256 random bits as 43
//! base62 characters) proves it, and the checksum (CRC-32C of all before it, 6 base62 characters) lets scanners
//! and this code tell a mistyped key from an unknown one. Only a keyed hash of the whole text is stored.

use aws_lc_rs::hmac;
use tollgate_core::{SecretText, base62};
use tollgate_state::CredentialLookup;
use tollgate_state::objects::CredentialAlgorithm;

const LOOKUP_LENGTH: usize = 12;
const SECRET_LENGTH: usize = 43;
const CHECKSUM_LENGTH: usize = 6;

/// What a token is for; the prefix tells them apart everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// A virtual API key: `tg_…`.
    Key,
    /// An admin credential: `tga_…`.
    Admin,
}

impl TokenKind {
    const fn prefix(self) -> &'static str {
        match self {
            Self::Key => "tg_",
            Self::Admin => "tga_",
        }
    }
}

/// The text is not a token of this kind: wrong prefix, length, character or checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a Tollgate token, or mistyped: the checksum does not match")]
pub struct MalformedToken;

/// The random source failed; nothing can be generated.
#[derive(Debug, thiserror::Error)]
#[error("the operating system gives no random bytes: {0}")]
pub struct NoRandomness(String);

/// A token made just now. Shown once, never stored.
#[derive(Debug)]
pub struct NewToken {
    pub lookup: CredentialLookup,
    pub text: SecretText,
}

fn random_base62<const LENGTH: usize>() -> Result<[u8; LENGTH], NoRandomness> {
    let mut digits = [0u8; LENGTH];
    let mut filled = 0;
    let mut random = [0u8; 64];
    while filled < LENGTH {
        getrandom::fill(&mut random).map_err(|error| NoRandomness(error.to_string()))?;
        // Rejecting 248..=255 keeps every digit equally likely.
        for byte in random.iter().filter(|byte| **byte < 248).take(LENGTH - filled) {
            digits[filled] = base62::DIGITS[usize::from(byte % 62)];
            filled += 1;
        }
    }
    Ok(digits)
}

fn checksum(text: &[u8]) -> [u8; CHECKSUM_LENGTH] {
    base62::encode(u128::from(crc32c::crc32c(text)))
}

/// Makes a new token.
pub fn generate(kind: TokenKind) -> Result<NewToken, NoRandomness> {
    let lookup = random_base62::<LOOKUP_LENGTH>()?;
    let secret = random_base62::<SECRET_LENGTH>()?;
    let mut text = String::from(kind.prefix());
    text.extend(lookup.iter().map(|byte| char::from(*byte)));
    text.push('_');
    text.extend(secret.iter().map(|byte| char::from(*byte)));
    let sum = checksum(text.as_bytes());
    text.extend(sum.iter().map(|byte| char::from(*byte)));
    Ok(NewToken { lookup: CredentialLookup(lookup), text: SecretText::new(text) })
}

/// Checks a token's form and returns what it is looked up by. Says nothing about whether it is known.
pub fn parse(kind: TokenKind, text: &[u8]) -> Result<CredentialLookup, MalformedToken> {
    let prefix = kind.prefix().as_bytes();
    let rest = text.strip_prefix(prefix).ok_or(MalformedToken)?;
    if rest.len() != LOOKUP_LENGTH + 1 + SECRET_LENGTH + CHECKSUM_LENGTH {
        return Err(MalformedToken);
    }
    let (lookup, secret) = rest.split_at(LOOKUP_LENGTH);
    let (body, sum) = text.split_at(text.len() - CHECKSUM_LENGTH);
    let well_formed = secret.first() == Some(&b'_')
        && lookup.iter().chain(secret.iter().skip(1)).all(u8::is_ascii_alphanumeric)
        && checksum(body) == sum;
    if !well_formed {
        return Err(MalformedToken);
    }
    <[u8; LOOKUP_LENGTH]>::try_from(lookup).map(CredentialLookup).map_err(|_| MalformedToken)
}

/// One version of the secret under which tokens are hashed. Random and sealed by the root key, never derived
/// from it, so that rotating the root key keeps every key alive.
pub struct Pepper {
    pub version: u32,
    key: hmac::Key,
}

impl Pepper {
    pub fn new(version: u32, bytes: &[u8; 32]) -> Self {
        Self { version, key: hmac::Key::new(hmac::HMAC_SHA256, bytes) }
    }
}

impl std::fmt::Debug for Pepper {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Pepper(version {})", self.version)
    }
}

/// All pepper versions that stored credentials may need; the newest hashes new tokens.
#[derive(Debug)]
pub struct PepperRing {
    newest: Pepper,
    older: Vec<Pepper>,
}

impl PepperRing {
    pub fn new(newest: Pepper, older: Vec<Pepper>) -> Self {
        Self { newest, older }
    }

    /// The hash to store for a new token, with the version it was made under.
    pub fn hash(&self, token: &[u8]) -> (u32, [u8; 32]) {
        (self.newest.version, digest(&self.newest, token))
    }

    /// The token's hash under every version, the newest first.
    pub fn hashes(&self, token: &[u8]) -> impl Iterator<Item = [u8; 32]> {
        std::iter::once(&self.newest).chain(self.older.iter().rev()).map(move |pepper| digest(pepper, token))
    }

    /// Whether `token` is the one that `hash` was made from; takes the same time wherever they differ. An unknown
    /// version answers no after the same work.
    pub fn verify(
        &self,
        algorithm: CredentialAlgorithm,
        version: u32,
        hash: &[u8; 32],
        token: &[u8],
    ) -> bool {
        let CredentialAlgorithm::HmacSha256 = algorithm;
        let known = std::iter::once(&self.newest).chain(&self.older).find(|pepper| pepper.version == version);
        let matches = hmac::verify(&known.unwrap_or(&self.newest).key, token, hash).is_ok();
        matches && known.is_some()
    }
}

fn digest(pepper: &Pepper, token: &[u8]) -> [u8; 32] {
    let tag = hmac::sign(&pepper.key, token);
    let mut hash = [0; 32];
    hash.copy_from_slice(tag.as_ref());
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_parses_and_verifies_and_nothing_else_does() {
        let ring = PepperRing::new(Pepper::new(2, &[7; 32]), vec![Pepper::new(1, &[9; 32])]);
        let token = generate(TokenKind::Key).unwrap();
        let text = token.text.expose().as_bytes();
        assert_eq!(parse(TokenKind::Key, text), Ok(token.lookup));
        assert_eq!(parse(TokenKind::Admin, text), Err(MalformedToken));
        let (version, hash) = ring.hash(text);
        assert!(ring.verify(CredentialAlgorithm::HmacSha256, version, &hash, text));
        assert!(!ring.verify(CredentialAlgorithm::HmacSha256, 1, &hash, text));
        assert!(!ring.verify(CredentialAlgorithm::HmacSha256, 3, &hash, text));
        for position in 0..text.len() {
            let mut changed = text.to_vec();
            changed[position] = if changed[position] == b'x' { b'y' } else { b'x' };
            assert_eq!(parse(TokenKind::Key, &changed), Err(MalformedToken), "at {position}");
            assert!(!ring.verify(CredentialAlgorithm::HmacSha256, version, &hash, &changed));
        }
    }

    #[test]
    fn garbage_is_malformed() {
        for text in ["", "tg_", "tg__", "' OR '1'='1", "tg_aaaaaaaaaaaa_", "sk-0123456789"] {
            assert_eq!(parse(TokenKind::Key, text.as_bytes()), Err(MalformedToken), "{text}");
        }
    }
}
