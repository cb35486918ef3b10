//! Admin credentials: `tga_…` tokens, found in the store by their keyed hash.

use tollgate_core::SecretText;

use crate::token::{self, MalformedToken, NoRandomness, PepperRing, TokenKind};

/// An admin credential made just now: the text is shown once, the hash is stored.
#[derive(Debug)]
pub struct NewAdminCredential {
    pub text: SecretText,
    pub hash: [u8; 32],
}

/// Makes an admin credential.
pub fn generate(peppers: &PepperRing) -> Result<NewAdminCredential, NoRandomness> {
    let token = token::generate(TokenKind::Admin)?;
    let (_, hash) = peppers.hash(token.text.expose().as_bytes());
    Ok(NewAdminCredential { text: token.text, hash })
}

/// The hashes under which the store may know this token, the newest pepper's first. Because they are keyed, looking
/// them up by equality tells nothing about other tokens.
pub fn hashes(peppers: &PepperRing, text: &str) -> Result<Vec<[u8; 32]>, MalformedToken> {
    token::parse(TokenKind::Admin, text.as_bytes())?;
    Ok(peppers.hashes(text.as_bytes()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::Pepper;

    #[test]
    fn a_credential_made_under_an_older_pepper_is_still_found() {
        let before = PepperRing::new(Pepper::new(1, &[1; 32]), Vec::new());
        let made = generate(&before).unwrap();
        let after = PepperRing::new(Pepper::new(2, &[2; 32]), vec![Pepper::new(1, &[1; 32])]);
        assert!(hashes(&after, made.text.expose()).unwrap().contains(&made.hash));
        let key = token::generate(TokenKind::Key).unwrap();
        assert_eq!(hashes(&after, key.text.expose()), Err(MalformedToken));
    }
}
